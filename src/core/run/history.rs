//! What the events of a run say to whoever goes on with it.

use super::event::{Event, EventKind, Status};
use crate::run::event::LONGEST_LINE;
use crate::{Error, Result, files::untrusted};
use std::path::{Path, PathBuf};

/// How a run was first started, and how it ended if it did: what a resumed run needs to know from
/// its events.
#[derive(Debug, Default)]
pub struct History {
    /// Device and intra-op threads of the first engine.
    pub device: Option<String>,
    pub threads: Option<i64>,
    pub profile: Option<String>,
    /// Its folders of caches and trajectories, and of the data set.
    pub data: Option<PathBuf>,
    pub folder: Option<PathBuf>,
    /// The last event, if it says that the run is done.
    pub done: Option<EventKind>,
}

impl History {
    /// Reads `events.jsonl`; lines that are not events are passed over.
    pub fn read(events: &Path) -> Result<Self> {
        let file = untrusted::open(events).map_err(Error::io("open", events))?;
        let mut history = Self::default();
        let take = |line: &[u8]| {
            let Ok(event) = serde_json::from_slice::<Event>(line) else {
                return;
            };
            history.done = None;
            match event.what {
                EventKind::RunStarted {
                    device,
                    threads,
                    profile,
                    data,
                    folder,
                    ..
                } if history.device.is_none() => {
                    (history.device, history.threads, history.profile) =
                        (Some(device), Some(threads), Some(profile));
                    (history.data, history.folder) = (Some(data.into()), Some(folder.into()));
                }
                EventKind::RunFinished {
                    status: Status::Done,
                    ..
                } => history.done = Some(event.what),
                _ => {}
            }
        };
        untrusted::for_each_line(&file, LONGEST_LINE, take).map_err(Error::io("read", events))?;
        Ok(history)
    }
}
