//! The program that this process runs: where it was started from, and what those inherit that it starts.

use crate::{Error, Result};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What the system adds to the path of a program that was replaced or removed since.
const REPLACED: &str = " (deleted)";

static OWN: OnceLock<std::result::Result<PathBuf, i32>> = OnceLock::new();

/// Notes where this program is, while that is still known. To be called first thing in `main`: a
/// program that is replaced while it runs cannot find out later.
///
/// # Errors
/// [`Error::Usage`] if the working directory has been deleted: neither paths nor libraries can be
/// found from there.
pub fn begin() -> Result<()> {
    let _ = own();
    match std::env::current_dir() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::Usage(
            "the working directory has been deleted; change to another one (`cd`) and try again"
                .into(),
        )),
        _ => Ok(()),
    }
}

/// The real path of this program, as it was at the start.
///
/// # Errors
/// The system does not say it.
pub fn own() -> Result<&'static Path> {
    let found = OWN.get_or_init(|| {
        let found = std::env::current_exe().and_then(std::fs::canonicalize);
        found.map_err(|e| e.raw_os_error().unwrap_or(0))
    });
    match found {
        Ok(path) => Ok(path),
        Err(code) => Err(Error::io("find", "/proc/self/exe")(
            std::io::Error::from_raw_os_error(*code),
        )),
    }
}

/// What `astill` puts in front of LD_LIBRARY_PATH for the engine alone, where it had to find a
/// libtorch for it.
pub const LIBRARIES: &str = "ASTILL_LIBRARIES";
/// Where the loader looks first.
pub const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// Takes the libraries of the engine out of the environment of a program of the user's, for which they
/// may be the wrong ones.
pub fn without_own_libraries(command: &mut Command) {
    let of = |name| std::env::var_os(name);
    let Some(own) = of(LIBRARIES) else { return };
    match without_first(&of(LIBRARY_PATH).unwrap_or_default(), &own) {
        Some(rest) => command.env(LIBRARY_PATH, rest),
        None => command.env_remove(LIBRARY_PATH),
    };
    command.env_remove(LIBRARIES);
}

/// A list of folders without the first, if that is `own`; none if nothing is left.
fn without_first(all: &OsStr, own: &OsStr) -> Option<OsString> {
    let mut folders: Vec<PathBuf> = std::env::split_paths(all).collect();
    if folders.first().is_some_and(|first| first == Path::new(own)) {
        folders.remove(0);
    }
    let left = std::env::join_paths(folders).ok()?;
    (!left.is_empty()).then_some(left)
}

/// Whether this program has been replaced or removed since it was started, as an upgrade does.
#[must_use]
pub fn is_replaced() -> bool {
    let now = std::fs::read_link("/proc/self/exe").unwrap_or_default();
    now.as_os_str()
        .as_encoded_bytes()
        .ends_with(REPLACED.as_bytes())
}

/// Has a program that is started by this thread end with it: it then gets `signal`.
pub fn tied(command: &mut Command, signal: Signal) {
    let starter = getpid();
    let tie = move || {
        set_parent_process_death_signal(Some(signal))?;
        // one that has ended in between sends no signal any more
        match getppid() == Some(starter) {
            true => Ok(()),
            false => Err(std::io::Error::from(Errno::SRCH)),
        }
    };
    // SAFETY: between fork and exec only these two system calls are made, which take no lock and no
    // memory
    unsafe { command.pre_exec(tie) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::Stdio;

    #[test]
    fn only_the_libraries_that_were_added_are_taken_out() {
        let without = |all: &str| without_first(OsStr::new(all), OsStr::new("/torch/lib"));
        assert_eq!(without("/torch/lib"), None);
        assert_eq!(without("/torch/lib:/a:/b"), Some("/a:/b".into()));
        assert_eq!(without("/a:/torch/lib"), Some("/a:/torch/lib".into()));
        assert_eq!(without(""), None);
    }

    #[test]
    fn a_program_ends_with_the_thread_that_started_it() {
        let start = || {
            let mut command = Command::new("cat");
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            tied(&mut command, Signal::KILL);
            command.spawn().expect("starts")
        };
        let mut child = std::thread::spawn(start).join().expect("has started it");
        let mut all = Vec::new();
        // its pipe closes when it ends
        let output = child.stdout.as_mut().expect("is piped");
        assert_eq!(output.read_to_end(&mut all).expect("ends"), 0);
        assert!(!child.wait().expect("has ended").success());
    }

    #[test]
    fn a_program_knows_where_it_is_and_whether_it_was_replaced() {
        assert!(own().is_ok_and(|path| path.is_file()));
        assert!(!is_replaced());
    }
}
