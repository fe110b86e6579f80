//! Making a run: its folder gets its name when it is whole.

use super::dir::{check_name, name_stem};
use super::{EngineAt, EngineLock, RunDir};
use crate::files::atomic::{PART, write_atomically};
use crate::files::clock;
use crate::{Error, Result};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// An unfinished folder without a lock is as old as this before it is taken for one that a killed
/// program has left.
const LEFT_OVER: Duration = Duration::from_secs(3600);

impl RunDir {
    /// Creates a new run below `runs` with the text of its profile, and takes the right to be its
    /// engine: `name`, or else the first of `PROFILE-001`, `-002` … that is free.
    ///
    /// A name is letters, digits, `.`, `-` and `_`, up to 100, and does not begin with a dot. The
    /// folder is whole when it gets that name, so a program that is killed leaves a run or nothing
    /// of this name.
    ///
    /// # Errors
    /// [`Error::Usage`] for a bad or a taken name; [`Error::Io`] if the folder cannot be created.
    pub fn create(
        runs: &Path,
        profile: &str,
        name: Option<&str>,
        text: &str,
    ) -> Result<(Self, EngineLock)> {
        Self::create_with(runs, (profile, name, text), Self::lock)
    }

    /// As [`Self::create`], in a folder that no other process knows, which needs no locks.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn create_in_private(runs: &Path, name: &str, text: &str) -> Result<(Self, EngineLock)> {
        Self::create_with(runs, (name, Some(name), text), Self::lock_in_private)
    }

    fn create_with(
        runs: &Path,
        (profile, name, text): (&str, Option<&str>, &str),
        lock: fn(&Self) -> Result<EngineLock>,
    ) -> Result<(Self, EngineLock)> {
        if let Some(name) = name {
            check_name(name)?;
        }
        fs::create_dir_all(runs).map_err(Error::io("create", runs))?;
        remove_left_over(runs);
        let candidates: Box<dyn Iterator<Item = String>> = match name {
            Some(name) => Box::new(std::iter::once(name.to_string())),
            None => Box::new((1..).map(|n| format!("{}-{n:03}", name_stem(profile)))),
        };
        let mut begun = Unnamed::new(runs, text, lock)?;
        for candidate in candidates {
            let path = runs.join(&candidate);
            if begun.name(&path)? {
                let _ = begun.folder.keep();
                let run = Self::at(path);
                let held = lock(&run)?;
                return Ok((run, held));
            }
        }
        Err(taken(runs, name.unwrap_or(profile)))
    }
}

/// A run's folder before it has a name; it is removed unless it gets one.
struct Unnamed {
    folder: tempfile::TempDir,
    /// Shows that somebody is making it.
    held: Option<EngineLock>,
}

impl Unnamed {
    fn new(runs: &Path, profile: &str, lock: fn(&RunDir) -> Result<EngineLock>) -> Result<Self> {
        // its kind, because tempfile's own error names a random folder
        let folder = tempfile::Builder::new()
            .prefix(PART)
            .tempdir_in(runs)
            .map_err(|e| Error::io("create a run in", runs)(e.kind().into()))?;
        let run = RunDir::at(folder.path());
        let held = Some(lock(&run)?);
        run.make_folders()?;
        write_atomically(&run.profile(), profile.as_bytes())?;
        Ok(Self { folder, held })
    }

    /// Gives it its name, if nothing has that: an empty folder is replaced.
    fn name(&mut self, path: &Path) -> Result<bool> {
        // some file systems rename no folder with open files in it
        self.held = None;
        match fs::rename(self.folder.path(), path) {
            Ok(()) => Ok(true),
            Err(_) if path.symlink_metadata().is_ok() => Ok(false),
            Err(e) => Err(Error::io("create", path)(e)),
        }
    }
}

/// Why no run of this name can be made in `runs`.
fn taken(runs: &Path, name: &str) -> Error {
    let there = RunDir::at(runs.join(name));
    let runs = runs.display();
    Error::Usage(match RunDir::open(there.path()) {
        Some(run) => format!(
            "there is already a run \"{name}\" in {runs}: choose another --name, or resume it with \
             `astill resume {}`",
            run.reference()
        ),
        None => format!(
            "{runs} already holds \"{name}\", which is not a run: choose another --name, or move it \
             away"
        ),
    })
}

/// Removes the unfinished folders of programs that were killed while they made a run.
fn remove_left_over(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let is_part = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PART.as_bytes());
        let run = RunDir::at(entry.path());
        // one with a record was somebody's run, whatever it is called
        if is_part && !run.events().exists() && is_left(&run, runs, &entry) {
            // one that stays only takes up space
            let _ = fs::remove_dir_all(run.path());
        }
    }
}

/// Whether nobody is making this run any more; `entry` is that of its folder in `runs`.
fn is_left(run: &RunDir, runs: &Path, entry: &fs::DirEntry) -> bool {
    // another machine may be making it, whose clock differs
    let is_old = || {
        let modified = entry.metadata().and_then(|m| m.modified());
        modified
            .and_then(|modified| clock::age(runs, modified))
            .is_ok_and(|age| age >= LEFT_OVER)
    };
    match run.engine() {
        EngineAt::Here | EngineAt::Host(_) | EngineAt::Unknown(_) => false,
        // a program that was killed leaves its name
        EngineAt::Nowhere => run.holder().is_some() || is_old(),
        EngineAt::MaybeRemote(_) => is_old(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_up_and_taken_ones_refused() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let name = |run: Result<(RunDir, EngineLock)>| Ok::<_, Error>(run?.0.name());
        let create = |name| RunDir::create(runs.path(), "shapes", name, "");
        assert_eq!(name(create(None))?, "shapes-001");
        assert_eq!(name(create(None))?, "shapes-002");
        create(Some("mine"))?;
        let status = |name| create(Some(name)).map_err(|e| e.exit_status()).err();
        assert_eq!(status("mine"), Some(2));
        for bad in ["", "..", "a/b", ".hidden", "-x", "a\nb", &"x".repeat(101)] {
            assert_eq!(status(bad), Some(2), "{bad:?}");
        }
        Ok(())
    }

    #[test]
    fn what_is_not_a_run_is_refused_and_left_as_it_is() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let path = |name: &str| runs.path().join(name);
        let io = |e| Error::io("write", runs.path())(e);
        fs::write(path("file"), "x").map_err(io)?;
        fs::create_dir_all(path("folder/inside")).map_err(io)?;
        std::os::unix::fs::symlink(path("folder"), path("link")).map_err(io)?;
        for name in ["file", "folder", "link"] {
            let refused = RunDir::create(runs.path(), "p", Some(name), "").map(drop);
            assert!(
                refused.is_err_and(|e| e.to_string().contains("is not a run")),
                "{name}"
            );
        }
        assert!(path("folder/inside").is_dir());
        let mut names: Vec<_> = fs::read_dir(runs.path())
            .map_err(io)?
            .flatten()
            .map(|e| e.file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["file", "folder", "link"]);
        Ok(())
    }

    #[test]
    fn a_folder_that_was_left_unfinished_is_removed_and_one_that_is_being_made_is_not() -> Result<()>
    {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let (left, made) = (
            runs.path().join(".part-left"),
            runs.path().join(".part-made"),
        );
        for folder in [&left, &made] {
            fs::create_dir(folder).map_err(Error::io("create", folder))?;
        }
        let held = RunDir::at(&made).lock()?;
        // a killed program does not empty its lock
        let lock = left.join("lock");
        fs::write(&lock, crate::run::Holder::this().to_string())
            .map_err(Error::io("write", &lock))?;
        RunDir::create(runs.path(), "p", None, "")?;
        assert!(!left.exists() && made.exists());
        drop(held);
        // of another machine, whose lock may not be seen here
        fs::write(made.join("lock"), "elsewhere").map_err(Error::io("write", &made))?;
        RunDir::create(runs.path(), "p", None, "")?;
        assert!(made.exists());
        assert!(RunDir::open(&made).is_none());
        // by the clock of the file system, it is old
        let long_ago = std::time::SystemTime::now() - 2 * LEFT_OVER;
        fs::File::open(&made)
            .and_then(|folder| folder.set_modified(long_ago))
            .map_err(Error::io("touch", &made))?;
        RunDir::create(runs.path(), "p", None, "")?;
        assert!(!made.exists());
        Ok(())
    }
}
