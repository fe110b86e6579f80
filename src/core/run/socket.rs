//! The Unix sockets of a running engine: where they are, and how to send a command over it.

use super::command::{Answer, Command};
use super::lock::LOCK;
use super::{EngineAt, RunDir};
use crate::{Error, Result};
use rustix::fs::{Mode, OFlags};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 1 << 20;
/// The longest path of a socket, in bytes, without the zero at its end.
const LONGEST_PATH: usize = 107;

/// The socket in a run's folder. A path is short enough for a socket up to 107 bytes; that of a run
/// that is held by its engine always is.
#[must_use]
pub fn beside(run: &RunDir) -> PathBuf {
    run.path().join("engine.sock")
}

/// The socket of a run's engine in /tmp/astill-UID, which only this user can enter. The run's real
/// path decides the name, so that any way to name a run finds it. The folder depends on no
/// variable: $XDG_RUNTIME_DIR ends with the login session, which a run outlives, and batch systems
/// give each job a $TMPDIR of its own.
///
/// With `create`, the folder is made.
///
/// # Errors
/// The folder cannot be made, belongs to somebody else or is open to others; or the run does not
/// exist.
pub fn path(run: &RunDir, create: bool) -> Result<PathBuf> {
    path_of(run, user(), create)
}

/// As [`path`], for the engines of `user`.
fn path_of(run: &RunDir, user: u32, create: bool) -> Result<PathBuf> {
    let folder = folder_of(user, create)?;
    let real = run
        .path()
        .canonicalize()
        .map_err(Error::io("find", run.path()))?;
    // containers may have other folders of the same path, and share /tmp
    let found = real.metadata().map_err(Error::io("inspect", &real))?;
    let mut hash = blake3::Hasher::new();
    hash.update(real.as_os_str().as_encoded_bytes());
    hash.update(&found.dev().to_le_bytes());
    hash.update(&found.ino().to_le_bytes());
    let hash = hash.finalize().to_hex();
    Ok(folder.join(format!("{}.sock", &hash[..16])))
}

/// The folder /tmp/astill-UID, for what the engines of this user have on this machine. With `create`,
/// it is made.
///
/// # Errors
/// It cannot be made, belongs to somebody else or is open to others.
pub fn folder(create: bool) -> Result<PathBuf> {
    folder_of(user(), create)
}

fn folder_of(user: u32, create: bool) -> Result<PathBuf> {
    let folder = PathBuf::from(format!("/tmp/astill-{user}"));
    if create {
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                return Err(Error::io("create", &folder)(e));
            }
            _ => {}
        }
    }
    if folder.symlink_metadata().is_ok() {
        check_folder(&folder, user)?;
    }
    Ok(folder)
}

/// In a folder that others can write to, somebody could have prepared that of `user`.
fn check_folder(folder: &Path, user: u32) -> Result<()> {
    let found = folder
        .symlink_metadata()
        .map_err(Error::io("inspect", folder))?;
    if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
        return Err(Error::file(
            folder,
            format!(
                "sockets of engines belong there, so it must be a folder of the user {user} that \
                 nobody else can enter (mode 700); remove it"
            ),
        ));
    }
    Ok(())
}

/// The user that this process acts as.
#[must_use]
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Connects to the run's engine: over the socket in its folder, or else over that in /tmp of the
/// user that holds its lock.
///
/// # Errors
/// [`Error::Usage`] that says why no engine can be reached.
pub fn connect(run: &RunDir) -> Result<UnixStream> {
    let owner = run.holder().map_or(user(), |(_, owner)| owner);
    let mut failures = Vec::new();
    match connect_beside(run) {
        Ok(stream) => return Ok(stream),
        Err(error) => failures.push(Error::io("connect to", beside(run))(error)),
    }
    let mut users = vec![owner, user()];
    users.dedup();
    for user in users {
        let connected = path_of(run, user, false)
            .and_then(|path| UnixStream::connect(&path).map_err(Error::io("connect to", &path)));
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => failures.push(error),
        }
    }
    Err(Error::Usage(why_unreachable(run, &failures)))
}

fn connect_beside(run: &RunDir) -> std::io::Result<UnixStream> {
    let path = beside(run);
    // a run may come from anybody: behind a link could be the socket of another program
    if !path.symlink_metadata()?.file_type().is_socket() {
        return Err(std::io::Error::new(
            ErrorKind::InvalidInput,
            "it is not a socket",
        ));
    }
    if path.as_os_str().len() <= LONGEST_PATH {
        return UnixStream::connect(path);
    }
    let folder = rustix::fs::open(
        run.path(),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let by_descriptor = RunDir::at(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    UnixStream::connect(beside(&by_descriptor))
}

/// Why no engine of a run can be reached, and what to do.
fn why_unreachable(run: &RunDir, failures: &[Error]) -> String {
    let (path, it) = (run.path().display(), run.reference());
    let holder = run.holder();
    let process = holder.as_ref().and_then(|(holder, _)| holder.process);
    match (run.engine(), holder) {
        (EngineAt::Host(host), _) => format!(
            "the engine of {path} is running on the machine {host}: commands can only be sent from \
             there"
        ),
        (EngineAt::MaybeRemote(host), _) => format!(
            "no engine on this machine is running {path}; the latest one was on the machine {host} \
             and never reported that it ended. If it is gone, start one here with `astill resume \
             {it} --detach`"
        ),
        (EngineAt::Unknown(why), _) => {
            let owner = run.path().metadata().map(|found| found.uid());
            let way_out = match owner {
                Ok(owner) if owner != user() => format!(
                    ". The run belongs to the user {owner}: have them open its lock for you (`chmod a+r \
                     {path}/lock`)"
                ),
                _ => String::new(),
            };
            format!("cannot tell whether an engine is running {path}: {why}{way_out}")
        }
        (EngineAt::Nowhere, _) => {
            format!("no engine is running {path}: start one with `astill resume {it}`")
        }
        (EngineAt::Here, Some((_, owner))) if owner != user() && user() != 0 => format!(
            "the engine of {path} belongs to the user {owner}: only that user and root can send it \
             commands"
        ),
        (EngineAt::Here, _) => {
            let (id, way_out) = match process {
                Some(id) if is_engine_of(run, id) => (
                    format!(" (process {id})"),
                    format!(", and `kill {id}` ends it after a checkpoint"),
                ),
                Some(id) => (
                    format!(" (process {id} in a container of its own)"),
                    String::new(),
                ),
                None => (String::new(), String::new()),
            };
            let tried: Vec<String> = failures.iter().map(Error::to_string).collect();
            format!(
                "an engine is running {path}{id}, but none of its sockets can be reached: {}. It \
                 makes them again every second where it can, so try once more{way_out}",
                tried.join("; ")
            )
        }
    }
}

/// Whether the process of this id, seen from here, is the engine that has the run. In a container, the
/// same id may be another's.
fn is_engine_of(run: &RunDir, process: u32) -> bool {
    let Ok(lock) = run.path().join(LOCK).metadata() else {
        return false;
    };
    let open = std::fs::read_dir(format!("/proc/{process}/fd"));
    let mut files = open.into_iter().flatten().flatten();
    files.any(|file| {
        let found = file.path().metadata();
        found.is_ok_and(|found| (found.dev(), found.ino()) == (lock.dev(), lock.ino()))
    })
}

/// Whether a process was stopped, by SIGSTOP or Ctrl-Z, and does nothing until it is continued.
fn is_stopped(process: u32) -> bool {
    // "ID (NAME) STATE …", and a name may hold anything
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = status.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| state.starts_with(['T', 't']))
}

/// How long to wait before a command is sent again.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// How an engine answers a connection that it closes for another one, before it has read a command.
pub const TURNED_AWAY: &str = "closed: there are too many connections";

/// Sends a command to the run's engine and waits up to `patience` for its answer.
///
/// # Errors
/// [`Error::Usage`] if no engine can be reached; [`Error::File`] if it has not answered.
pub fn send(run: &RunDir, command: &Command, patience: Duration) -> Result<Answer> {
    send_over(connect(run)?, run, command, patience)
}

/// As [`send`], over a connection to the run's engine.
///
/// # Errors
/// As [`send`].
pub fn send_over(
    mut stream: UnixStream,
    run: &RunDir,
    command: &Command,
    patience: Duration,
) -> Result<Answer> {
    let begin = Instant::now();
    loop {
        let answer = send_once(&stream, run, command, patience)?;
        let is_turned_away = |reason: &String| reason.starts_with(TURNED_AWAY);
        // nothing of it was read, so it is sent again
        if !answer.reason.as_ref().is_some_and(is_turned_away) || begin.elapsed() >= patience {
            return Ok(answer);
        }
        std::thread::sleep(RETRY_INTERVAL);
        stream = connect(run)?;
    }
}

fn send_once(
    mut stream: &UnixStream,
    run: &RunDir,
    command: &Command,
    patience: Duration,
) -> Result<Answer> {
    let failed = |e: std::io::Error| match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => silent(run, patience),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => ended(run),
        _ => Error::io("communicate with the engine of", run.path())(e),
    };
    stream
        .set_read_timeout(Some(patience))
        .and_then(|()| stream.set_write_timeout(Some(patience)))
        .map_err(failed)?;
    let garbled = |e: serde_json::Error| {
        Error::file(
            run.path(),
            format!("the engine's answer cannot be read: {e}"),
        )
    };
    let mut line = serde_json::to_string(command).map_err(garbled)?;
    line.push('\n');
    match stream.write_all(line.as_bytes()) {
        // an engine that turns this client away answers without reading, and closes
        Err(e) if e.kind() == ErrorKind::BrokenPipe => {}
        written => written.map_err(failed)?,
    }
    let mut answer = String::new();
    BufReader::new(stream.take(LONGEST_ANSWER))
        .read_line(&mut answer)
        .map_err(failed)?;
    if answer.is_empty() {
        return Err(ended(run));
    }
    serde_json::from_str(&answer).map_err(garbled)
}

/// The engine has taken the connection and not answered in time.
fn silent(run: &RunDir, patience: Duration) -> Error {
    let seconds = patience.as_secs();
    let process = run.holder().and_then(|(holder, _)| holder.process);
    let stopped = process.filter(|id| is_engine_of(run, *id) && is_stopped(*id));
    let why = match stopped {
        Some(id) => format!(
            "its process {id} is stopped (by SIGSTOP or Ctrl-Z); `kill -CONT {id}` continues it, and \
             then it carries out the command"
        ),
        None => "it is busy with a long step; its answer will appear in the run's events".into(),
    };
    let text = format!("the engine has not answered within {seconds} s: {why}");
    Error::file(run.events(), text)
}

/// The engine has closed the connection without an answer.
fn ended(run: &RunDir) -> Error {
    let (events, it) = (run.events(), run.reference());
    Error::Usage(format!(
        "the engine of {} ended before it answered; {} shows whether it carried out the command. \
         Resume the run with `astill resume {it}`",
        run.path().display(),
        events.display()
    ))
}

/// Whether a run in `runs`, which need not exist yet, could be reached over a socket in its folder or
/// over one in /tmp; why not otherwise. Leaves nothing behind.
///
/// # Errors
/// Neither is possible.
pub fn try_out(runs: &Path) -> Result<String> {
    let folder = runs
        .ancestors()
        .find(|folder| folder.is_dir())
        .unwrap_or(Path::new("."));
    let name = format!(".astill-{}.sock", std::process::id());
    let bound = |path: PathBuf| {
        let listener = UnixListener::bind(&path).map_err(Error::io("listen on", &path));
        listener.map(|_| _ = std::fs::remove_file(&path))
    };
    let mine = PathBuf::from(format!("/tmp/astill-{}", user()));
    let in_tmp = match check_folder(&mine, user()) {
        Ok(()) => bound(mine.join(&name)),
        Err(Error::Io { .. }) => bound(PathBuf::from("/tmp").join(&name)),
        Err(error) => Err(error),
    };
    let open = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(folder, open, Mode::empty());
    let beside = opened
        .map_err(|e| Error::io("open", folder)(e.into()))
        .and_then(|opened| {
            let link = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
            let tried = bound(link.join(&name));
            tried.map_err(|e| e.renamed(&link, folder))
        });
    match (beside, in_tmp) {
        (Ok(()), Ok(())) => Ok("in the folder of a run, and in /tmp".into()),
        (Ok(()), Err(why)) => Ok(format!("in the folder of a run ({why})")),
        (Err(why), Ok(())) => Ok(format!("in /tmp alone ({why})")),
        (Err(beside), Err(in_tmp)) => Err(Error::Usage(format!(
            "engines can make no sockets, so that commands go through files in the run's folder, and \
             their answers take about a second: {beside}; {in_tmp}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_no_engine_is_reached_is_told_by_the_lock() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::create(runs.path(), "p", None, "")?.0;
        let why = || connect(&run).map(drop).map_err(|e| e.to_string());
        assert!(why().is_err_and(|e| e.starts_with("no engine is running")));
        let held = run.lock()?;
        let text = why().err().unwrap_or_default();
        assert!(text.starts_with("an engine is running"), "{text}");
        assert!(
            text.contains("engine.sock") && text.contains("/tmp/astill-"),
            "{text}"
        );
        drop(held);
        Ok(())
    }

    #[test]
    fn a_socket_is_reached_behind_a_path_of_any_length_and_not_behind_a_link() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let deep = runs.path().join("x".repeat(90)).join("y".repeat(90));
        let run = RunDir::create(&deep, "p", None, "")?.0;
        let held = run.lock()?;
        let own = held.run();
        let listener =
            UnixListener::bind(beside(&own)).map_err(Error::io("listen on", beside(&own)))?;
        assert!(connect_beside(&run).is_ok());
        let other = RunDir::create(runs.path(), "p", None, "")?.0;
        std::os::unix::fs::symlink(beside(&run), beside(&other))
            .map_err(Error::io("link", beside(&other)))?;
        assert!(connect_beside(&other).is_err());
        drop(listener);
        assert!(connect_beside(&run).is_err());
        assert!(try_out(&deep).is_ok() && try_out(&runs.path().join("not/yet")).is_ok());
        Ok(())
    }

    #[test]
    fn the_engine_of_a_run_is_told_by_the_lock_that_it_holds() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::create(runs.path(), "p", None, "")?.0;
        let other = RunDir::create(runs.path(), "p", None, "")?.0;
        let _held = run.lock()?;
        let here = std::process::id();
        assert!(is_engine_of(&run, here) && !is_engine_of(&other, here));
        Ok(())
    }

    #[test]
    fn a_process_that_was_stopped_is_recognised() -> Result<()> {
        assert!(!is_stopped(std::process::id()));
        let failed = || Error::io("use", "cat");
        let mut waiting = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .map_err(failed())?;
        let process = rustix::process::Pid::from_child(&waiting);
        rustix::process::kill_process(process, rustix::process::Signal::STOP)
            .map_err(|e| failed()(e.into()))?;
        let begin = std::time::Instant::now();
        while !is_stopped(waiting.id()) && begin.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        let was_stopped = is_stopped(waiting.id());
        waiting
            .kill()
            .and_then(|()| waiting.wait())
            .map_err(failed())?;
        assert!(was_stopped);
        Ok(())
    }
}
