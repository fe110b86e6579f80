//! Which engine works on a run: it holds the lock of the run's directory.

use super::RunDir;
use crate::files::{sharing, untrusted};
use crate::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::time::Duration;

/// The longest host name that is read, in bytes; longer than Linux allows.
const HOST_LENGTH: u64 = 256;
/// How often, and how far apart, the lock is tried.
const LOCK_TRIES: u32 = 10;
const LOCK_AGAIN: Duration = Duration::from_millis(20);

/// The right to be this run's engine, until it is dropped or the process dies.
#[derive(Debug)]
pub struct EngineLock {
    file: File,
}

impl Drop for EngineLock {
    fn drop(&mut self) {
        // only an engine that was killed leaves the name of its machine
        let _ = self.file.set_len(0);
    }
}

/// Where the engine of a run is, as far as its lock shows. An engine holds the lock as long as it
/// lives, and the file holds the host name of its machine; an engine that ends normally empties the
/// file. So a name without a holder was left by an engine that was killed, or by one on another
/// machine whose locks do not reach this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAt {
    /// Running on this machine.
    Here,
    /// Running on the machine of this name, whose locks are visible here.
    Host(String),
    /// Perhaps running on the machine of this name: the latest engine was there, has not reported
    /// its end, and locks of that machine may be invisible here.
    MaybeRemote(String),
    /// Not running.
    Nowhere,
}

impl RunDir {
    /// Takes the right to be this run's engine.
    ///
    /// # Errors
    /// [`Error::Usage`] if another process has it.
    pub fn lock(&self) -> Result<EngineLock> {
        let path = self.path().join("lock");
        let mut file = untrusted::open_own(&path, OpenOptions::new().write(true).create(true))
            .map_err(Error::io("open", &path))?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => {
                    // without the name, other machines can only take it for a run whose engine was
                    // killed
                    let _ = file
                        .set_len(0)
                        .and_then(|()| file.write_all(host().as_bytes()));
                    return Ok(EngineLock { file });
                }
                // perhaps only a process that checks whether there is an engine
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_AGAIN),
                Err(TryLockError::Error(e)) if sharing::has_no_locks(&e) => {
                    return Err(Error::Usage(format!(
                        "the file system of {} has no locks ({e}), which keep two engines from one \
                         run: have it mounted with them (flock), or choose another folder with \
                         --runs DIR",
                        self.path().display()
                    )));
                }
                Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path)(e)),
            }
        }
        let (path, it) = (self.path().display(), self.reference());
        Err(Error::Usage(format!(
            "{path} already has an engine: watch it with `astill attach {it}`, or end it first with \
             `astill send {it} stop`"
        )))
    }

    /// Where the run's engine is. Changes nothing.
    #[must_use]
    pub fn engine(&self) -> EngineAt {
        let Ok(file) = untrusted::open(&self.path().join("lock")) else {
            return EngineAt::Nowhere;
        };
        let is_held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        let mut there = String::new();
        let named = (&file).take(HOST_LENGTH).read_to_string(&mut there).is_ok()
            && !there.is_empty()
            && there != host();
        match (is_held, named) {
            (true, false) => EngineAt::Here,
            (true, true) => EngineAt::Host(there),
            (false, true) => EngineAt::MaybeRemote(there),
            (false, false) => EngineAt::Nowhere,
        }
    }

    /// Whether an engine is running, as far as this machine can see.
    #[must_use]
    pub fn has_engine(&self) -> bool {
        matches!(self.engine(), EngineAt::Here | EngineAt::Host(_))
    }
}

/// The name of this machine.
fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn one_engine_at_a_time() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::create(runs.path(), "p", None)?;
        assert_eq!(run.engine(), EngineAt::Nowhere);
        let held = run.lock()?;
        assert!(run.lock().is_err());
        assert_eq!(run.engine(), EngineAt::Here);
        drop(held);
        assert_eq!(run.engine(), EngineAt::Nowhere);
        run.lock().map(|_| ())
    }

    #[test]
    fn an_engine_of_another_machine_is_told_apart() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::create(runs.path(), "p", None)?;
        let lock = run.path().join("lock");
        fs::write(&lock, "elsewhere").map_err(Error::io("write", &lock))?;
        assert_eq!(run.engine(), EngineAt::MaybeRemote("elsewhere".into()));
        let held = run.lock()?;
        assert_eq!(run.engine(), EngineAt::Here);
        fs::write(&lock, "elsewhere").map_err(Error::io("write", &lock))?;
        assert_eq!(run.engine(), EngineAt::Host("elsewhere".into()));
        drop(held);
        fs::write(&lock, host()).map_err(Error::io("write", &lock))?;
        assert_eq!(
            run.engine(),
            EngineAt::Nowhere,
            "it was killed on this machine"
        );
        Ok(())
    }
}
