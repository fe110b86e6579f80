//! The Unix socket of a running engine: where it is, and how to send a command over it.

use super::command::{Answer, Command};
use super::{EngineAt, RunDir};
use crate::{Error, Result};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 1 << 20;

/// The socket of a run's engine, in /tmp/astill-UID, which only this user can enter. The run's real
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
    let folder = folder();
    if create {
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                return Err(Error::io("create", &folder)(e));
            }
            _ => {}
        }
    }
    if folder.symlink_metadata().is_ok() {
        check_folder(&folder)?;
    }
    let real = run
        .path()
        .canonicalize()
        .map_err(Error::io("find", run.path()))?;
    let hash = blake3::hash(real.as_os_str().as_encoded_bytes()).to_hex();
    Ok(folder.join(format!("{}.sock", &hash[..16])))
}

fn folder() -> PathBuf {
    PathBuf::from(format!("/tmp/astill-{}", user()))
}

/// In a folder that others can write to, somebody could have prepared ours.
fn check_folder(folder: &Path) -> Result<()> {
    let found = folder
        .symlink_metadata()
        .map_err(Error::io("inspect", folder))?;
    if !found.is_dir() || found.uid() != user() || found.mode() & 0o077 != 0 {
        return Err(Error::file(
            folder,
            "sockets of engines belong there, so it must be a folder of this user that nobody else \
             can enter (mode 700); remove it",
        ));
    }
    Ok(())
}

/// The user that this process acts as.
#[must_use]
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Sends a command to the run's engine and waits up to `patience` for its answer.
///
/// # Errors
/// [`Error::Usage`] if no engine of this machine has the run; [`Error::File`] if it has not
/// answered.
pub fn send(run: &RunDir, command: &Command, patience: Duration) -> Result<Answer> {
    let nobody = || {
        let (path, it) = (run.path().display(), run.reference());
        Error::Usage(match run.engine() {
            EngineAt::Host(host) => format!(
                "the engine of {path} is running on the machine {host}: commands can only be sent \
                 from there"
            ),
            EngineAt::MaybeRemote(host) => format!(
                "no engine on this machine is running {path}; the latest one was on the \
                 machine {host} and never reported that it ended. If it is gone, start one here with \
                 `astill resume {it} --detach`"
            ),
            EngineAt::Here | EngineAt::Nowhere => {
                format!("no engine is running {path}: start one with `astill resume {it}`")
            }
        })
    };
    let path = path(run, false)?;
    let stream = UnixStream::connect(&path).map_err(|e| match e.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => nobody(),
        _ => Error::io("connect to", &path)(e),
    })?;
    let failed = |e: std::io::Error| match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            let text = "s: it is busy with a long step; its answer will appear in the run's events";
            Error::file(
                run.events(),
                format!(
                    "the engine has not answered within {} {text}",
                    patience.as_secs()
                ),
            )
        }
        _ => Error::io("communicate over", &path)(e),
    };
    stream
        .set_read_timeout(Some(patience))
        .and_then(|()| stream.set_write_timeout(Some(patience)))
        .map_err(failed)?;
    let mut line = serde_json::to_string(command).map_err(|e| Error::file(&path, e.to_string()))?;
    line.push('\n');
    match (&stream).write_all(line.as_bytes()) {
        // an engine that turns this client away answers without reading, and closes
        Err(e) if e.kind() == ErrorKind::BrokenPipe => {}
        written => written.map_err(failed)?,
    }
    let mut answer = String::new();
    BufReader::new((&stream).take(LONGEST_ANSWER))
        .read_line(&mut answer)
        .map_err(failed)?;
    if answer.is_empty() {
        return Err(nobody());
    }
    serde_json::from_str(&answer)
        .map_err(|e| Error::file(&path, format!("the engine's answer cannot be read: {e}")))
}
