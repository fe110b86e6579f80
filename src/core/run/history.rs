//! What a resumed run needs to know from its events.

use super::RunDir;
use super::event::{Event, EventKind, LONGEST_LINE, RunFinished, RunOutcome, RunStarted};
use crate::cgroup::OomKills;
use crate::profile::memory_advice;
use crate::{Error, Result, files::untrusted};
use std::path::{Path, PathBuf};

/// How a run was first started, and how it ended if it did.
#[derive(Debug, Default)]
pub struct History {
    /// Device and intra-op threads of the first engine.
    pub device: Option<String>,
    pub threads: Option<i64>,
    pub profile: Option<String>,
    /// Its folders of caches and trajectories, and of the data set.
    pub data: Option<PathBuf>,
    pub folder: Option<PathBuf>,
    /// The profile that it was begun with, every key, and the version of the engine that recorded it.
    pub settings: Option<(serde_json::Value, String)>,
    /// The hash of the training images that it began with.
    pub data_content: Option<String>,
    /// The last step that was recorded.
    pub steps: u64,
    /// The last event, if it says that the run is done.
    pub done: Option<EventKind>,
    /// The latest engine, until it reports its end.
    unended: Option<RunStarted>,
}

impl History {
    /// That of a run; empty where nothing is recorded yet.
    ///
    /// # Errors
    /// As [`History::read`].
    pub fn of(run: &RunDir) -> Result<Self> {
        match run.events().exists() {
            true => Self::read(&run.events()),
            false => Ok(Self::default()),
        }
    }

    /// Reads `events.jsonl`; lines that are not events are skipped.
    ///
    /// # Errors
    /// The file does not exist, cannot be read, or is not a regular file.
    pub fn read(events: &Path) -> Result<Self> {
        let file = untrusted::open(events).map_err(Error::io("open", events))?;
        let mut history = Self::default();
        let take = |line: &[u8]| {
            let Ok(event) = serde_json::from_slice::<Event>(line) else {
                return;
            };
            history.done = None;
            match &event.what {
                EventKind::RunStarted(started) => {
                    history.unended = Some(started.clone());
                    let settings = started.settings.clone();
                    if let Some(settings) = settings {
                        history.settings = Some((settings, started.version.clone()));
                    }
                }
                EventKind::Usage(usage) => {
                    if let Some(started) = &mut history.unended {
                        started.still_lived(usage);
                    }
                }
                EventKind::RunFinished(_) => history.unended = None,
                _ => {}
            }
            match event.what {
                EventKind::RunStarted(started) if history.device.is_none() => {
                    history.device = Some(started.device);
                    history.threads = Some(started.threads);
                    history.profile = Some(started.profile);
                    history.data = Some(started.data.into());
                    history.folder = Some(started.folder.into());
                }
                EventKind::Dataset(found) if history.data_content.is_none() => {
                    history.data_content = Some(found.content).filter(|c| !c.is_empty());
                }
                EventKind::DistillStep(step) => history.steps = step.step,
                EventKind::RunFinished(RunFinished {
                    status: RunOutcome::Done,
                    ..
                }) => history.done = Some(event.what),
                _ => {}
            }
        };
        untrusted::for_each_line(&file, LONGEST_LINE, take).map_err(Error::io("read", events))?;
        Ok(history)
    }

    /// Why the latest engine was killed, as far as that is known.
    #[must_use]
    pub fn killed(&self) -> Option<String> {
        was_out_of_memory(self.unended.as_ref()?).then(|| {
            format!(
                "the previous engine of this run was killed, probably because memory ran out: the \
                 system has ended programs for that reason since it was started. {}",
                memory_advice()
            )
        })
    }
}

/// Whether an engine that never reported its end was probably killed for lack of memory.
#[must_use]
pub fn was_out_of_memory(started: &RunStarted) -> bool {
    let kills = started.oom_kills.as_ref();
    kills.and_then(OomKills::has_grown).unwrap_or(false)
}
