//! The list of runs, read again and again: only what has changed on the disk is read.

use super::list::{self, RunSummary};
use super::{EngineAt, RunDir};
use crate::{Error, Result};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What tells whether a file has changed: none if there is none.
type Stamp = Option<(u64, u64, i64, i64)>;

/// A run as it was read last.
#[derive(Debug)]
struct KnownRun {
    /// Of the record, the lock, the edits and the note.
    stamps: [Stamp; 4],
    engine: EngineAt,
    summary: RunSummary,
}

/// The runs of a folder, as they were when they were listed last.
#[derive(Debug, Default)]
pub struct KnownRuns {
    runs: HashMap<PathBuf, KnownRun>,
    /// How many were read for the latest list.
    read: usize,
}

impl KnownRuns {
    /// All runs in a folder, the latest first; none if there is no such folder.
    ///
    /// # Errors
    /// The folder exists and cannot be read.
    pub fn list(&mut self, runs: &Path) -> Result<Vec<RunSummary>> {
        let entries = match fs::read_dir(runs) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io("read", runs)(e)),
        };
        let mut before = std::mem::take(&mut self.runs);
        self.read = 0;
        for entry in entries.flatten() {
            let Some(run) = RunDir::open(&entry.path()) else {
                continue;
            };
            if list::is_second_name(&run, runs) {
                continue;
            }
            let path = entry.path();
            let known = before.remove(&path).filter(|known| known.is_current(&run));
            let known = known.unwrap_or_else(|| {
                self.read += 1;
                KnownRun::read(run)
            });
            self.runs.insert(path, known);
        }
        let mut found: Vec<RunSummary> = self.runs.values().map(|k| k.summary.clone()).collect();
        list::sort(&mut found);
        Ok(found)
    }
}

impl KnownRun {
    fn read(run: RunDir) -> Self {
        // before the rest: what changes meanwhile is read again the next time
        let (stamps, engine) = (stamps(&run), run.engine());
        Self {
            stamps,
            engine,
            summary: list::summary(run),
        }
    }

    fn is_current(&self, run: &RunDir) -> bool {
        // an engine writes its name into the lock as it begins; one that is killed changes nothing
        let may_differ = matches!(
            self.engine,
            EngineAt::Here | EngineAt::Host(_) | EngineAt::Unknown(_)
        );
        self.stamps == stamps(run) && (!may_differ || self.engine == run.engine())
    }
}

fn stamps(run: &RunDir) -> [Stamp; 4] {
    let lock = run.path().join("lock");
    [run.events(), lock, run.edits(), run.note()].map(|path| {
        let found = fs::symlink_metadata(path).ok()?;
        Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::OomKills;
    use crate::run::list::RunState;

    #[test]
    fn that_an_engine_was_killed_for_memory_is_forgotten_once_its_run_is_resumed() -> Result<()> {
        let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
        // as if the kernel had ended a program of this group since the engine was started
        let group = folder.path().join("group");
        fs::create_dir(&group).map_err(Error::io("create", &group))?;
        let Some(now) = OomKills::now() else {
            return Ok(()); // not tried: this system does not count
        };
        let events = group.join("memory.events");
        fs::write(&events, "oom_kill 1\n").map_err(Error::io("write", &events))?;
        let kills = serde_json::json!({"boot": now.boot, "group": group, "count": 0});
        let runs = folder.path().join("runs");
        let run = RunDir::create(&runs, "p", Some("r"), "")?.0;
        fs::write(run.profile(), "").map_err(Error::io("write", run.profile()))?;
        let started = format!(
            r#"{{"seq":0,"time":"2026-01-01T00:00:00Z","kind":"run_started","run":"r","profile":"shapes","seed":0,"device":"cpu","threads":2,"version":"0","process":1,"data":"d","folder":"f","step":0,"iterations":9,"oom_kills":{kills}}}"#
        );
        fs::write(run.events(), started + "\n").map_err(Error::io("write", run.events()))?;
        let mut known = KnownRuns::default();
        let mut listed = || -> Result<(RunState, bool)> {
            let found = known.list(&runs)?.pop();
            Ok(found.map_or((RunState::Done, false), |s| (s.state, s.out_of_memory)))
        };
        assert_eq!(listed()?, (RunState::Dead, true));
        assert_eq!(listed()?, (RunState::Dead, true), "not read again");
        let resumed = run.lock()?;
        assert_eq!(listed()?, (RunState::Running, false));
        drop(resumed);
        Ok(())
    }

    #[test]
    fn only_runs_that_have_changed_are_read_again() -> Result<()> {
        let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let write = |run: &RunDir, text: &str| {
            fs::write(run.events(), text).map_err(Error::io("write", run.events()))
        };
        let mut runs = Vec::new();
        for name in ["a", "b", "c"] {
            let run = RunDir::create(folder.path(), "p", Some(name), "")?.0;
            fs::write(run.profile(), "").map_err(Error::io("write", run.profile()))?;
            write(&run, "")?;
            runs.push(run);
        }
        let mut known = KnownRuns::default();
        assert_eq!(known.list(folder.path())?.len(), 3);
        assert_eq!(known.read, 3);
        known.list(folder.path())?;
        assert_eq!(known.read, 0, "nothing has changed");
        write(&runs[1], "{}\n")?;
        known.list(folder.path())?;
        assert_eq!(known.read, 1);

        let lock = runs[2].lock()?;
        let state = |known: &mut KnownRuns| -> Result<RunState> {
            let listed = known.list(folder.path())?;
            let found = listed.into_iter().find(|s| s.name == "c");
            Ok(found.map_or(RunState::Done, |s| s.state))
        };
        assert_eq!(state(&mut known)?, RunState::Running);
        drop(lock);
        assert_eq!(state(&mut known)?, RunState::Dead);
        let link = folder.path().join("second name");
        std::os::unix::fs::symlink(runs[2].path(), &link).map_err(Error::io("link", &link))?;
        assert_eq!(known.list(folder.path())?.len(), 3);
        fs::remove_dir_all(runs[0].path()).map_err(Error::io("remove", runs[0].path()))?;
        assert_eq!(known.list(folder.path())?.len(), 2);
        assert!(known.list(&folder.path().join("nowhere"))?.is_empty());
        Ok(())
    }
}
