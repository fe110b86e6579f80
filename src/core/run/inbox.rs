//! Commands through files in the run's folder, for where no socket reaches the engine: from another
//! machine that sees the same folder.
//!
//! ```text
//! RUN/inbox/open          touched by the engine as long as it reads commands here
//!           ID.json       a command, written under another name and renamed
//!           ID.taken      the same while the engine reads it, which then removes it
//!           ID.answer     the answer to it; removed by whoever reads it
//! ```

use super::RunDir;
use super::command::{Answer, Command};
use super::dir::INBOX;
use crate::files::atomic::write_atomically;
use crate::files::{clock, untrusted};
use crate::{Error, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long an answer is waited for: network file systems show new files up to a minute late, and
/// there are two ways to go.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// How often an engine touches [`open_file`].
pub const TOUCHED_EVERY: Duration = Duration::from_secs(15);
/// An engine that has not done so for this long reads nothing any more.
const SILENT_AFTER: Duration = Duration::from_secs(180);
/// How often an answer is looked for: as often as an engine looks for commands.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 1 << 20;
/// The longest id.
const LONGEST_ID: usize = 64;

/// The folder of a run's commands.
#[must_use]
pub fn folder(run: &RunDir) -> PathBuf {
    run.path().join(INBOX)
}

/// The file that shows that an engine reads commands.
#[must_use]
pub fn open_file(run: &RunDir) -> PathBuf {
    folder(run).join("open")
}

/// The id of a command in a file of this name; none if it is not one.
#[must_use]
pub fn id_of(name: &str) -> Option<&str> {
    checked_id(name.strip_suffix(".json")?)
}

/// The id of a command that an engine has begun to read, in a file of this name; none if it is not
/// one.
#[must_use]
pub fn taken_id_of(name: &str) -> Option<&str> {
    checked_id(name.strip_suffix(".taken")?)
}

/// An id has nothing in it that could lead to another folder.
fn checked_id(id: &str) -> Option<&str> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (!id.is_empty() && id.len() <= LONGEST_ID && id.chars().all(is_allowed)).then_some(id)
}

/// The files of a command: the command itself, the same while the engine reads it, and the answer.
#[must_use]
pub fn files(run: &RunDir, id: &str) -> [PathBuf; 3] {
    ["json", "taken", "answer"].map(|end| folder(run).join(format!("{id}.{end}")))
}

/// Whether an engine reads the run's commands, as far as the run's folder shows.
#[must_use]
pub fn is_read(run: &RunDir) -> bool {
    let folder = folder(run);
    // a run may come from anybody: a link could lead anywhere
    if !folder.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return false;
    }
    let touched = open_file(run).symlink_metadata().and_then(|f| f.modified());
    touched
        .and_then(|touched| clock::age(&folder, touched))
        .is_ok_and(|age| age < SILENT_AFTER)
}

/// Leaves a command for the run's engine and waits up to `patience` for its answer.
///
/// # Errors
/// The command cannot be written; [`Error::File`] if there was no answer: then the command was
/// taken back, or the engine has it.
pub fn send(run: &RunDir, command: &Command, patience: Duration) -> Result<Answer> {
    let id = new_id();
    let [request, _, answer] = files(run, &id);
    let text = serde_json::json!(command).to_string();
    write_atomically(&request, text.as_bytes())?;
    let begin = Instant::now();
    while begin.elapsed() < patience {
        if let Some(found) = take_answer(&folder(run), &answer)? {
            return Ok(found);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    let seconds = patience.as_secs();
    let problem = match fs::remove_file(&request) {
        Ok(()) => format!(
            "no engine has read the command within {seconds} s, so it was taken back and has no \
             effect; the engine may have ended"
        ),
        Err(_) => format!(
            "the engine has read the command, but not answered within {seconds} s; the run's events \
             will show whether it carries it out"
        ),
    };
    Err(Error::file(run.events(), problem))
}

/// The answer in the file `path` of `folder`, which is removed; none as long as it is not there.
fn take_answer(folder: &Path, path: &Path) -> Result<Option<Answer>> {
    // listing it makes a network file system look again, where it remembers that a file is missing
    fs::read_dir(folder).into_iter().flatten().for_each(drop);
    let text = match untrusted::read_text(path, LONGEST_ANSWER) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let _ = fs::remove_file(path);
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|e| Error::file(path, format!("the engine's answer cannot be read: {e}")))
}

/// An id that no other command has, from whatever machine it comes.
fn new_id() -> String {
    static SENT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let text = format!(
        "{:?} {} {}",
        super::Holder::this(),
        since.unwrap_or_default().as_nanos(),
        SENT.fetch_add(1, Ordering::Relaxed)
    );
    blake3::hash(text.as_bytes()).to_hex()[..24].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_to_no_other_folder() {
        assert_eq!(id_of("0a-Z.json"), Some("0a-Z"));
        let long = format!("{}.json", "a".repeat(65));
        for wrong in [
            "",
            ".json",
            "a",
            "a.answer",
            "../a.json",
            "a/b.json",
            ".part-x.json",
            &long,
        ] {
            assert_eq!(id_of(wrong), None, "{wrong}");
        }
        assert!(id_of(&format!("{}.json", new_id())).is_some() && new_id() != new_id());
    }

    #[test]
    fn a_command_that_nobody_reads_is_taken_back() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::create(runs.path(), "p", None, "")?.0;
        assert!(!is_read(&run), "no engine has opened it");
        let failed = send(&run, &Command::Pause, Duration::ZERO);
        assert!(failed.is_err_and(|e| e.to_string().contains("taken back")));
        let left = fs::read_dir(folder(&run)).map_err(Error::io("list", folder(&run)))?;
        assert_eq!(left.count(), 0);
        Ok(())
    }

    #[test]
    fn an_engine_that_was_silent_for_long_reads_nothing() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::create(runs.path(), "p", None, "")?.0;
        let failed = || Error::io("touch", open_file(&run));
        let open = fs::File::create(open_file(&run)).map_err(failed())?;
        assert!(is_read(&run));
        let long_ago = SystemTime::now() - SILENT_AFTER * 2;
        open.set_modified(long_ago).map_err(failed())?;
        assert!(!is_read(&run));
        clock::touch(&open).map_err(failed())?;
        assert!(is_read(&run));
        Ok(())
    }
}
