//! What a resumed run needs to know from its events.

use super::event::{Event, EventKind, LONGEST_LINE, RunFinished, RunOutcome};
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
    /// The last step that was recorded.
    pub steps: u64,
    /// The last event, if it says that the run is done.
    pub done: Option<EventKind>,
}

impl History {
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
            match event.what {
                EventKind::RunStarted(started) if history.device.is_none() => {
                    history.device = Some(started.device);
                    history.threads = Some(started.threads);
                    history.profile = Some(started.profile);
                    history.data = Some(started.data.into());
                    history.folder = Some(started.folder.into());
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
}
