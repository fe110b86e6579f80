//! Which engine works on a run: it holds the lock of the run's directory.

use super::RunDir;
use super::holder::Holder;
use crate::files::{sharing, untrusted};
use crate::{Error, Result};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The file in a run's directory.
pub(super) const LOCK: &str = "lock";
/// The longest lock that is read, in bytes: a host name takes up to 256 on Linux.
const LONGEST: u64 = 1024;
/// How often, and how far apart, the lock is tried.
const LOCK_TRIES: u32 = 10;
const LOCK_AGAIN: Duration = Duration::from_millis(20);

/// The right to be this run's engine, until it is dropped or the process dies.
///
/// It is a right to one folder, not to a path: [`Self::run`] stays with the folder when that is
/// moved or renamed, and never leads to another one that has taken its place.
#[derive(Debug)]
pub struct EngineLock {
    file: File,
    /// What it has written into the file, empty where it could not; none as long as the name of an
    /// engine on another machine is in it.
    text: OnceLock<String>,
    /// The run's directory.
    folder: Arc<OwnedFd>,
    /// The path that it was opened with.
    path: PathBuf,
}

impl Drop for EngineLock {
    fn drop(&mut self) {
        // only an engine that was killed leaves the name of its machine
        if self.text.get().is_some() && !self.is_taken_over() {
            let _ = self.file.set_len(0);
        }
    }
}

/// How the lock file of a folder compares with one that is open.
enum Found {
    Same,
    /// What has happened to it.
    Lost(&'static str),
}

impl EngineLock {
    /// The run, by its open directory.
    #[must_use]
    pub fn run(&self) -> RunDir {
        let by_descriptor = link_to(&self.folder);
        // without /proc, a folder can only be found by its path
        if by_descriptor.join(LOCK).symlink_metadata().is_err() && self.check().is_ok() {
            return RunDir::at(std::path::absolute(&self.path).unwrap_or(self.path.clone()));
        }
        RunDir::held(by_descriptor)
    }

    /// Takes the run over from an engine on another machine that has not reported its end: if that
    /// is still running, it ends. Until then the lock keeps its name, so that whoever gives up before
    /// leaves the run as it was.
    pub fn begin(&self) {
        self.text.get_or_init(|| {
            let text = Holder::this().to_string();
            let written = self
                .file
                .set_len(0)
                .and_then(|()| self.file.write_all_at(text.as_bytes(), 0));
            // without the name, other machines can only take it for a run whose engine was killed
            written.map(|()| text).unwrap_or_default()
        });
    }

    /// Checks that the run is still this engine's: that its folder holds the lock that this engine
    /// holds. Whoever is about to write or remove anything in a run asks this first.
    ///
    /// # Errors
    /// [`Error::RunLost`] if the lock or the whole folder was removed or replaced; then the run may
    /// belong to another engine. [`Error::Io`] if the system cannot tell now.
    pub fn check(&self) -> Result<()> {
        let lost = match compare(&self.file, &self.folder) {
            Ok(Found::Same) if self.is_taken_over() => {
                "another engine, on a machine whose locks do not reach this one, has taken it over"
            }
            Ok(Found::Same) => return Ok(()),
            Ok(Found::Lost(what)) => what,
            Err(error) => return Err(Error::io("inspect", self.path.join(LOCK))(error)),
        };
        // it may have another name by now
        let it = RunDir::held(link_to(&self.folder)).reference();
        Err(Error::RunLost {
            path: self.path.clone(),
            problem: format!(
                "{lost} while this engine was running, so the run is no longer its own. The engine \
                 ends and writes nothing more; where the run still exists, `astill resume {it}` \
                 continues it from its last checkpoint"
            ),
        })
    }

    /// Whether another engine has written its name into the lock: one that does not see that it is
    /// held.
    fn is_taken_over(&self) -> bool {
        let mut text = [0; LONGEST as usize];
        let length = self.file.read_at(&mut text, 0).unwrap_or(0);
        let own = self.text.get().map_or(&[][..], |own| own.as_bytes());
        // in between, the other one empties it
        !own.is_empty() && length > 0 && text[..length] != *own
    }

    /// As [`Self::check`], for callers that use the path: also that it still leads to the folder.
    ///
    /// # Errors
    /// As [`Self::check`]; the folder was moved.
    pub fn check_path(&self) -> Result<()> {
        self.check()?;
        let found = self.path.join(LOCK).symlink_metadata();
        let own = self
            .file
            .metadata()
            .map_err(Error::io("inspect", &self.path))?;
        let is_own = found.is_ok_and(|found| (found.dev(), found.ino()) == (own.dev(), own.ino()));
        match is_own {
            true => Ok(()),
            false => Err(Error::RunLost {
                path: self.path.clone(),
                problem: "its folder was moved".into(),
            }),
        }
    }

    /// A text with the path that people know in the place of the open directory's.
    #[must_use]
    pub fn named_text(&self, text: &str) -> String {
        let by_descriptor = link_to(&self.folder);
        let known = RunDir::held(by_descriptor.clone()).real_path();
        text.replace(&*by_descriptor.to_string_lossy(), &known.to_string_lossy())
    }

    /// The error with the path that people know in the place of the open directory's.
    #[must_use]
    pub fn named(&self, error: Error) -> Error {
        let by_descriptor = link_to(&self.folder);
        let known = RunDir::held(by_descriptor.clone()).real_path();
        error.renamed(&by_descriptor, &known)
    }
}

fn compare(lock: &File, folder: &OwnedFd) -> io::Result<Found> {
    let own = match rustix::fs::fstat(lock) {
        Err(Errno::STALE) => return Ok(Found::Lost("its lock was removed")),
        own => own?,
    };
    let found = match rustix::fs::statat(folder, LOCK, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) if (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino) => Found::Same,
        Ok(_) => Found::Lost("its lock was replaced"),
        Err(Errno::NOENT) if is_removed(folder) => Found::Lost("its folder was removed"),
        Err(Errno::NOENT) => Found::Lost("its lock was removed"),
        // by another machine
        Err(Errno::STALE) => Found::Lost("its folder was removed"),
        Err(error) => return Err(error.into()),
    };
    Ok(found)
}

/// Whether a folder that is open has no name any more.
fn is_removed(folder: &OwnedFd) -> bool {
    let is_gone = |path: PathBuf| !path.exists();
    rustix::fs::fstat(folder).is_ok_and(|found| found.st_nlink == 0)
        || std::fs::read_link(link_to(folder)).is_ok_and(is_gone)
}

/// The path by which this process reaches an open folder, wherever that is now.
fn link_to(folder: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}

/// Where the engine of a run is, as far as its lock shows. An engine holds the lock as long as it
/// lives, and the file names its machine; an engine that ends normally empties the file. So a name
/// without a holder was left by an engine that was killed, or by one on another machine whose locks
/// do not reach this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAt {
    /// Running on this machine.
    Here,
    /// Running on the machine of this name, whose locks are visible here.
    Host(String),
    /// Perhaps running on the machine of this name: the latest engine was there, has not reported
    /// its end, and locks of that machine may be invisible here.
    MaybeRemote(String),
    /// The lock cannot be read or tried, so nobody here can tell; why.
    Unknown(String),
    /// Not running.
    Nowhere,
}

impl RunDir {
    /// Takes the right to be this run's engine.
    ///
    /// # Errors
    /// [`Error::Usage`] if another process has it, or the file system has no locks.
    pub fn lock(&self) -> Result<EngineLock> {
        self.lock_where(false)
    }

    /// As [`Self::lock`], for a run in a folder that no other process knows: that needs no locks.
    ///
    /// # Errors
    /// As [`Self::lock`], except for a lack of locks.
    pub fn lock_in_private(&self) -> Result<EngineLock> {
        self.lock_where(true)
    }

    fn lock_where(&self, is_private: bool) -> Result<EngineLock> {
        let path = self.path().join(LOCK);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(CWD, self.path(), flags, Mode::empty())
            .map_err(|e| Error::io("open", self.path())(e.into()))?;
        for _ in 0..LOCK_TRIES {
            let file = untrusted::open_own(&path, OpenOptions::new().write(true).create(true))
                .map_err(|e| self.not_opened(&path, e))?;
            let locked = match file.try_lock() {
                Err(TryLockError::Error(e)) if is_private && sharing::has_no_locks(&e) => Ok(()),
                locked => locked,
            };
            match locked {
                // somebody has replaced the file, or the folder, in between
                Ok(()) if !matches!(compare(&file, &folder), Ok(Found::Same)) => {}
                Ok(()) => {
                    let is_elsewhere = holder_in(&file).is_some_and(|holder| !holder.is_here());
                    let lock = EngineLock {
                        file,
                        text: OnceLock::new(),
                        folder: Arc::new(folder),
                        path: self.path().to_path_buf(),
                    };
                    if !is_elsewhere {
                        lock.begin();
                    }
                    return Ok(lock);
                }
                // perhaps only a process that checks whether there is an engine
                Err(TryLockError::WouldBlock) => {}
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
            std::thread::sleep(LOCK_AGAIN);
        }
        let (path, it) = (self.path().display(), self.reference());
        let process = self.holder().and_then(|(holder, _)| holder.process);
        let process = process.map_or(String::new(), |id| format!(" (process {id})"));
        Err(Error::Usage(format!(
            "{path} already has an engine{process}: watch it with `astill attach {it}`, or end it \
             first with `astill send {it} stop`"
        )))
    }

    /// Why the lock at `path` cannot be opened.
    fn not_opened(&self, path: &Path, error: io::Error) -> Error {
        let error = Error::io("open", path)(error);
        let owner = self.path().metadata().map(|m| m.uid());
        match owner {
            Ok(owner) if error.is_refusal() => Error::Usage(format!(
                "{error}: the run belongs to the user {owner}, and only someone who may write to its \
                 folder can change or resume it"
            )),
            _ => error,
        }
    }

    /// Where the run's engine is. Changes nothing.
    #[must_use]
    pub fn engine(&self) -> EngineAt {
        let path = self.path().join(LOCK);
        found(&path, untrusted::open(&path))
    }

    /// What the lock says about the engine that holds the run, or was killed while it did, and its
    /// user: of older engines, that of the file.
    #[must_use]
    pub fn holder(&self) -> Option<(Holder, u32)> {
        let file = untrusted::open(&self.path().join(LOCK)).ok()?;
        let owner = file.metadata().ok()?.uid();
        let holder = holder_in(&file)?;
        let user = holder.user.unwrap_or(owner);
        Some((holder, user))
    }

    /// Whether an engine is running, as far as this machine can see.
    #[must_use]
    pub fn has_engine(&self) -> bool {
        matches!(self.engine(), EngineAt::Here | EngineAt::Host(_))
    }
}

/// Where the engine of a run is whose lock, at `path`, was `opened`.
fn found(path: &Path, opened: io::Result<File>) -> EngineAt {
    let unknown = |error| EngineAt::Unknown(Error::io("read", path)(error).to_string());
    let file = match opened {
        Ok(file) => file,
        Err(error) => {
            return match error.kind() {
                // no engine has had the run yet; and none locks anything but a regular file
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput => {
                    EngineAt::Nowhere
                }
                _ => unknown(error),
            };
        }
    };
    let is_held = match file.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        // an engine refuses to work on such a file system
        Err(TryLockError::Error(error)) if sharing::has_no_locks(&error) => false,
        Err(TryLockError::Error(error)) => return unknown(error),
    };
    let elsewhere = holder_in(&file).filter(|holder| !holder.is_here());
    match (is_held, elsewhere) {
        (true, None) => EngineAt::Here,
        (true, Some(there)) => EngineAt::Host(there.host),
        (false, Some(there)) => EngineAt::MaybeRemote(there.host),
        (false, None) => EngineAt::Nowhere,
    }
}

fn holder_in(file: &File) -> Option<Holder> {
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    Holder::parse(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn one_engine_at_a_time() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::create(runs.path(), "p", None, "")?.0;
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
        let run = RunDir::create(runs.path(), "p", None, "")?.0;
        let lock = run.path().join(LOCK);
        fs::write(&lock, "elsewhere").map_err(Error::io("write", &lock))?;
        assert_eq!(run.engine(), EngineAt::MaybeRemote("elsewhere".into()));
        // who gives up before it begins leaves the name
        for begins in [false, true] {
            let held = run.lock()?;
            assert_eq!(run.engine(), EngineAt::Host("elsewhere".into()));
            held.check()?;
            if begins {
                held.begin();
                assert_eq!(run.engine(), EngineAt::Here);
            }
            drop(held);
            assert_eq!(run.engine() == EngineAt::Nowhere, begins);
        }
        let held = run.lock()?;
        assert_eq!(run.engine(), EngineAt::Here);
        fs::write(&lock, "elsewhere").map_err(Error::io("write", &lock))?;
        assert_eq!(run.engine(), EngineAt::Host("elsewhere".into()));
        // one that does not see the lock has taken the run over, and keeps it
        let lost = held.check().map_err(|error| error.to_string());
        assert!(lost.is_err_and(|why| why.contains("has taken it over")));
        drop(held);
        assert_eq!(run.engine(), EngineAt::MaybeRemote("elsewhere".into()));
        fs::write(&lock, Holder::this().host).map_err(Error::io("write", &lock))?;
        assert_eq!(
            run.engine(),
            EngineAt::Nowhere,
            "it was killed on this machine"
        );
        Ok(())
    }

    #[test]
    fn a_lock_that_cannot_be_read_does_not_say_that_there_is_no_engine() -> Result<()> {
        let at = |kind: ErrorKind| found(Path::new("r/lock"), Err(kind.into()));
        for kind in [ErrorKind::NotFound, ErrorKind::InvalidInput] {
            assert_eq!(at(kind), EngineAt::Nowhere);
        }
        for kind in [
            ErrorKind::PermissionDenied,
            ErrorKind::StaleNetworkFileHandle,
        ] {
            assert!(
                matches!(at(kind), EngineAt::Unknown(why) if why.starts_with("cannot read r/lock: "))
            );
        }
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::create(runs.path(), "p", None, "")?.0;
        let lock = run.path().join(LOCK);
        // a folder is not what an engine locks
        fs::remove_file(&lock)
            .and_then(|()| fs::create_dir(&lock))
            .map_err(Error::io("replace", &lock))?;
        assert_eq!(run.engine(), EngineAt::Nowhere);
        Ok(())
    }

    #[test]
    fn a_private_run_needs_no_locks_of_its_file_system() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::at(runs.path().join("r"));
        fs::create_dir(run.path()).map_err(Error::io("create", run.path()))?;
        let held = run.lock_in_private()?;
        held.check()?;
        assert_eq!(
            run.engine(),
            EngineAt::Here,
            "where there are locks, it has one"
        );
        Ok(())
    }

    #[test]
    fn a_lock_follows_its_folder_and_no_other() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::create(runs.path(), "p", Some("before"), "")?.0;
        let held = run.lock()?;
        let own = held.run();
        let after = runs.path().join("after");
        fs::rename(run.path(), &after).map_err(Error::io("rename", run.path()))?;
        RunDir::create(runs.path(), "p", Some("before"), "")?;
        held.check()?;
        assert_eq!(own.name(), "after");
        let inside = own.path().join("file");
        fs::write(&inside, "").map_err(Error::io("write", &inside))?;
        assert!(after.join("file").exists() && !run.path().join("file").exists());
        let error = held.named(Error::file(&inside, format!("no {}", inside.display())));
        let name = after.join("file").display().to_string();
        assert_eq!(error.to_string(), format!("{name}: no {name}"));
        Ok(())
    }

    #[test]
    fn a_lock_that_was_removed_or_replaced_is_lost() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let lost = |held: &EngineLock, why: &str| {
            let error = held.check();
            assert!(
                matches!(&error, Err(Error::RunLost { problem, .. }) if problem.contains(why)),
                "{error:?}"
            );
        };
        for (name, why) in [
            ("removed", "its lock was removed"),
            ("replaced", "its lock was replaced"),
            ("gone", "its folder was removed"),
            ("made again", "its folder was removed"),
        ] {
            let run = RunDir::at(runs.path().join(name));
            fs::create_dir(run.path()).map_err(Error::io("create", run.path()))?;
            let (held, lock) = (run.lock()?, run.path().join(LOCK));
            held.check()?;
            match name {
                "removed" | "replaced" => fs::remove_file(&lock),
                _ => fs::remove_dir_all(run.path()),
            }
            .map_err(Error::io("remove", &lock))?;
            if name == "made again" {
                fs::create_dir(run.path()).map_err(Error::io("create", run.path()))?;
            }
            let _other = (name == "replaced" || name == "made again").then(|| run.lock());
            lost(&held, why);
        }
        Ok(())
    }
}
