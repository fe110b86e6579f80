//! The folder of an ablation, and the ablations among the runs.

use super::{Ablation, PlannedRun};
use crate::files::{atomic::write_atomically, untrusted};
use crate::profile::{Profile, schema};
use crate::run::known_runs::KnownRuns;
use crate::run::list::{RunState, RunSummary};
use crate::run::{EngineLock, RunDir, check_name};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const RECORD: &str = "ablation.json";
/// A page of text.
const LARGEST_RECORD: u64 = 1 << 20;

/// The folder of an ablation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AblationFolder {
    path: PathBuf,
}

/// What `ablation.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The name of the profile.
    pub profile: String,
    pub variants: Vec<RecordedVariant>,
    pub seeds: u64,
    pub same_experts: bool,
}

/// A variant, and what it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedVariant {
    pub name: String,
    pub changes: Vec<String>,
}

impl From<&Ablation> for Record {
    fn from(ablation: &Ablation) -> Self {
        let variants = ablation.variants.variants.iter();
        Self {
            profile: ablation.variants.profile.clone(),
            variants: variants
                .map(|v| RecordedVariant {
                    name: v.name.clone(),
                    changes: v.changes.clone(),
                })
                .collect(),
            seeds: ablation.seeds,
            same_experts: ablation.same_experts,
        }
    }
}

impl AblationFolder {
    /// The folder of the ablation `name` below `runs`; creates nothing.
    ///
    /// # Errors
    /// [`Error::Usage`] for a bad name.
    pub fn new(runs: &Path, name: &str) -> Result<Self> {
        check_name(name)?;
        Ok(Self {
            path: runs.join(name),
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The ablation's name.
    #[must_use]
    pub fn name(&self) -> String {
        self.as_run().name()
    }

    /// The run of this name, without checking that there is one.
    #[must_use]
    pub fn run(&self, name: &str) -> RunDir {
        RunDir::at(self.path.join(name))
    }

    /// The file with the profile of the run `name`.
    #[must_use]
    pub fn profile(&self, name: &str) -> PathBuf {
        self.path.join("profiles").join(format!("{name}.yaml"))
    }

    /// The table of results.
    #[must_use]
    pub fn table(&self) -> PathBuf {
        self.path.join("table.md")
    }

    fn as_run(&self) -> RunDir {
        RunDir::at(&self.path)
    }

    /// Whether a program is running the ablation.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.as_run().has_engine()
    }

    /// What is compared here; none if this is not the folder of an ablation.
    ///
    /// # Errors
    /// `ablation.json` is there and cannot be read.
    pub fn record(&self) -> Result<Option<Record>> {
        let path = self.path.join(RECORD);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = untrusted::read(&path, LARGEST_RECORD).map_err(Error::io("read", &path))?;
        let record = serde_json::from_slice(&bytes);
        record
            .map(Some)
            .map_err(|e| Error::file(&path, format!("not the record of an ablation: {e}")))
    }

    /// Checks that these runs can be done here, without creating anything: the folder is free, or
    /// holds an ablation whose runs of the same names have the same profiles.
    ///
    /// # Errors
    /// [`Error::Usage`] that says what is in the way.
    pub fn check(&self, planned: &[PlannedRun]) -> Result<()> {
        let shown = self.path.display();
        let is_own = |name: &str| name == "lock" || name.starts_with(".part-");
        let mut entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        if self.record()?.is_none() && entries.any(|e| !is_own(&e.file_name().to_string_lossy())) {
            return Err(Error::Usage(format!(
                "{shown} holds something that is not an ablation: choose another --name, or move it \
                 away"
            )));
        }
        for run in planned {
            let there = self.run(&run.name);
            let Some(there) = RunDir::open(there.path()) else {
                continue;
            };
            if let Some(key) = difference(&there.read_profile()?, &run.profile) {
                return Err(Error::Usage(format!(
                    "{shown} already holds the run {} with another {key}: choose another --name for \
                     this ablation, or run that one with its own settings",
                    run.name
                )));
            }
        }
        Ok(())
    }

    /// Takes the right to run the ablation, creating its folder, and writes what is compared and
    /// the profile of every run.
    ///
    /// # Errors
    /// [`Error::Usage`] if another program has that right; the folder or its files cannot be
    /// written.
    pub fn begin(&self, ablation: &Ablation, planned: &[PlannedRun]) -> Result<EngineLock> {
        fs::create_dir_all(&self.path).map_err(Error::io("create", &self.path))?;
        let lock = self.as_run().lock().map_err(|e| match e {
            Error::Usage(_) => Error::Usage(format!(
                "{} is already being run by another `astill ablate`; wait for it, or stop it with \
                 Ctrl-C",
                self.path.display()
            )),
            other => other,
        })?;
        let record = serde_json::to_string_pretty(&Record::from(ablation));
        let record = record.map_err(|e| Error::file(&self.path, e.to_string()))?;
        write_atomically(&self.path.join(RECORD), record.as_bytes())?;
        let profiles = self.path.join("profiles");
        fs::create_dir_all(&profiles).map_err(Error::io("create", &profiles))?;
        for run in planned {
            write_atomically(&self.profile(&run.name), run.profile.to_yaml().as_bytes())?;
        }
        Ok(lock)
    }

    /// Writes one of the result files.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        write_atomically(&self.path.join(file), text.as_bytes())
    }
}

/// The first key in which two profiles differ, with both values: "expert.lr (0.01, not 0.003)".
fn difference(found: &Profile, wanted: &Profile) -> Option<String> {
    let values = schema()
        .iter()
        .map(|key| (key.path, key.value(found), key.value(wanted)));
    values
        .filter(|(_, found, wanted)| found != wanted)
        .map(|(key, found, wanted)| format!("{key} ({found}, not {wanted})"))
        .next()
}

/// The state of an ablation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AblationState {
    /// It is being run, or at least one of its runs is.
    Running,
    /// Some of its runs are not done.
    Stopped,
    Done,
}

impl AblationState {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Done => "done",
        }
    }
}

/// An ablation among the runs.
#[derive(Debug, Clone, Serialize)]
pub struct AblationSummary {
    #[serde(skip)]
    pub folder: AblationFolder,
    pub name: String,
    pub profile: String,
    pub state: AblationState,
    /// When its first run was started, RFC 3339.
    pub started: String,
    pub runs_done: usize,
    pub runs_failed: usize,
    pub runs: usize,
    /// The run that has an engine.
    pub current: Option<String>,
    /// Those that have been started, the latest first.
    #[serde(skip)]
    pub started_runs: Vec<RunSummary>,
}

/// The ablations of a folder, as they were when they were listed last: only what has changed on the
/// disk is read.
#[derive(Debug, Default)]
pub struct KnownAblations {
    /// The runs of each, by its folder.
    runs: BTreeMap<PathBuf, KnownRuns>,
}

impl KnownAblations {
    /// All ablations in a folder of runs, the latest first; none if there is no such folder.
    ///
    /// # Errors
    /// The folder exists and cannot be read.
    pub fn list(&mut self, runs: &Path) -> Result<Vec<AblationSummary>> {
        let entries = match fs::read_dir(runs) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io("read", runs)(e)),
        };
        let mut before = std::mem::take(&mut self.runs);
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path();
            let mut known = before.remove(&path).unwrap_or_default();
            let folder = AblationFolder { path: path.clone() };
            if let Some(summary) = summary(folder, &mut known) {
                found.push(summary);
                self.runs.insert(path, known);
            }
        }
        found.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| a.name.cmp(&b.name)));
        Ok(found)
    }
}

/// All ablations in a folder of runs, read once.
///
/// # Errors
/// As [`KnownAblations::list`].
pub fn list(runs: &Path) -> Result<Vec<AblationSummary>> {
    KnownAblations::default().list(runs)
}

/// The summary of an ablation; none if this is not the folder of one.
fn summary(folder: AblationFolder, known: &mut KnownRuns) -> Option<AblationSummary> {
    let record = folder.record().ok().flatten()?;
    let is_part = |name: &str| {
        name.rsplit_once("-s").is_some_and(|(variant, seed)| {
            record.variants.iter().any(|v| v.name == variant)
                && seed.parse().is_ok_and(|seed: u64| seed < record.seeds)
        })
    };
    let mut started_runs = known.list(&folder.path).unwrap_or_default();
    started_runs.retain(|run| is_part(&run.name));
    let count = |state| started_runs.iter().filter(|r| r.state == state).count();
    let (done, failed) = (count(RunState::Done), count(RunState::Failed));
    let runs = record.variants.len().saturating_mul(record.seeds as usize);
    let current = started_runs.iter().find(|r| r.state.has_engine());
    let current = current.map(|r| r.name.clone());
    Some(AblationSummary {
        name: folder.name(),
        profile: record.profile,
        state: match (done >= runs, folder.is_running() || current.is_some()) {
            (true, _) => AblationState::Done,
            (false, true) => AblationState::Running,
            (false, false) => AblationState::Stopped,
        },
        started: started_runs
            .last()
            .map(|r| r.started.clone())
            .unwrap_or_default(),
        runs_done: done,
        runs_failed: failed,
        runs,
        current,
        started_runs,
        folder,
    })
}

impl AblationSummary {
    /// "17 of 72 runs, 1 failed".
    #[must_use]
    pub fn progress(&self) -> String {
        let failed = match self.runs_failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        format!("{} of {} runs{failed}", self.runs_done, self.runs)
    }
}
