//! What becomes of a run that no engine works on: it is deleted, renamed, or somebody writes a note
//! about it.

use super::{EngineAt, EngineLock, RunDir, name_problem};
use crate::files::atomic::write_atomically;
use crate::{Error, Result, files::untrusted};
use std::fs;
use std::io::ErrorKind;

/// A note is a line.
const LONGEST_NOTE: usize = 500;
/// More is not read of a file that may come from anybody.
const LARGEST_NOTE: u64 = 1 << 16;

/// The first line that somebody has written about a run.
pub(super) fn note(run: &RunDir) -> Option<String> {
    let text = untrusted::read_text(&run.note(), LARGEST_NOTE).ok()?;
    let line = text.lines().next()?.trim();
    let shown: String = line.chars().take(LONGEST_NOTE).collect();
    (!shown.is_empty()).then_some(shown)
}

impl RunDir {
    /// Removes the run's folder with everything in it; of a run that is a link to another folder, the
    /// link alone.
    ///
    /// # Errors
    /// [`Error::Usage`] if an engine works on it, or may do so on another machine; [`Error::Io`] if
    /// the system refuses.
    pub fn delete(&self) -> Result<()> {
        let held = self.lock_for("deleted")?;
        held.check_path()?;
        let removed = match self.path().is_symlink() {
            true => fs::remove_file(self.path()),
            false => fs::remove_dir_all(self.path()),
        };
        removed.map_err(Error::io("remove", self.path()))
    }

    /// Gives the run another name in the same folder.
    ///
    /// # Errors
    /// As [`Self::delete`]; [`Error::Usage`] for a name that is bad or taken.
    pub fn rename(&self, name: &str) -> Result<Self> {
        if let Some(problem) = name_problem(name) {
            return Err(Error::Usage(format!("the new name: {problem}")));
        }
        let held = self.lock_for("renamed")?;
        let new = self.path().with_file_name(name);
        if new.symlink_metadata().is_ok() {
            return Err(Error::Usage(format!(
                "{} exists already: choose another name",
                new.display()
            )));
        }
        held.check_path()?;
        fs::rename(self.path(), &new).map_err(Error::io("rename", self.path()))?;
        Ok(Self::at(new))
    }

    /// Writes what the user has to say about the run, its first line; nothing removes it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_note(&self, note: &str) -> Result<()> {
        let path = self.note();
        let line = note.lines().next().unwrap_or_default().trim();
        let line: String = line.chars().take(LONGEST_NOTE).collect();
        if !line.is_empty() {
            return write_atomically(&path, format!("{line}\n").as_bytes());
        }
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(e)),
            _ => Ok(()),
        }
    }

    /// The lock of a run that is to be `done` something with.
    fn lock_for(&self, done: &str) -> Result<EngineLock> {
        if let EngineAt::MaybeRemote(host) | EngineAt::Host(host) = self.engine() {
            return Err(Error::Usage(format!(
                "{}: the latest engine of this run was on the machine {host} and has not reported \
                 that it ended, so the run is not {done}; once it is gone, resume and stop the run \
                 here first",
                self.path().display()
            )));
        }
        self.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn run(runs: &Path, name: &str) -> Result<RunDir> {
        let run = RunDir::create(runs, "p", Some(name), "")?.0;
        fs::write(run.profile(), "").map_err(Error::io("write", run.profile()))?;
        Ok(run)
    }

    #[test]
    fn a_run_is_renamed_and_deleted_but_never_one_at_work() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let first = run(runs.path(), "a")?;
        run(runs.path(), "b")?;
        for bad in ["b", "../c", ""] {
            assert!(first.rename(bad).is_err_and(|e| e.exit_status() == 2));
        }
        let renamed = first.rename("c")?;
        assert_eq!(renamed.name(), "c");
        assert!(RunDir::open(&runs.path().join("a")).is_none());
        let engine = renamed.lock()?;
        assert!(renamed.rename("d").is_err() && renamed.delete().is_err());
        drop(engine);
        fs::write(renamed.path().join("lock"), "elsewhere")
            .map_err(Error::io("write", renamed.path()))?;
        assert!(
            renamed
                .delete()
                .is_err_and(|e| e.to_string().contains("elsewhere"))
        );
        fs::write(renamed.path().join("lock"), "").map_err(Error::io("write", renamed.path()))?;
        renamed.delete()?;
        assert!(!renamed.path().exists());
        Ok(())
    }

    #[test]
    fn of_a_run_behind_a_link_only_the_link_is_removed() -> Result<()> {
        let place = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let (runs, stored) = (place.path().join("runs"), place.path().join("stored"));
        let real = run(&stored, "r")?;
        fs::create_dir(&runs).map_err(Error::io("create", &runs))?;
        let link = runs.join("r");
        std::os::unix::fs::symlink(real.path(), &link).map_err(Error::io("link", &link))?;
        RunDir::at(&link).delete()?;
        assert!(!link.is_symlink() && real.profile().is_file());
        Ok(())
    }

    #[test]
    fn a_note_is_one_line_and_an_empty_one_is_none() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = run(runs.path(), "a")?;
        assert_eq!(note(&run), None);
        run.write_note(" the one for the paper \nand more")?;
        assert_eq!(note(&run).as_deref(), Some("the one for the paper"));
        run.write_note("")?;
        run.write_note("")?;
        assert_eq!(note(&run), None);
        Ok(())
    }
}
