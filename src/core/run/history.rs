//! What a resumed run needs to know from its events.

use super::RunDir;
use super::event::{Event, EventKind, LONGEST_LINE, RunFinished, RunOutcome, RunStarted};
use super::record_end::{is_passed_over, step};
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
    /// How many lines were read as JSON.
    parsed: usize,
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

    /// Reads `events.jsonl`; lines that are not events are skipped. Of the steps, which are nearly
    /// all of a long record, only the numbers are read.
    ///
    /// # Errors
    /// The file does not exist, cannot be read, or is not a regular file.
    pub fn read(events: &Path) -> Result<Self> {
        let file = untrusted::open(events).map_err(Error::io("open", events))?;
        let mut history = Self::default();
        let take = |line: &[u8]| {
            if history.done.is_none() {
                match step(line) {
                    Some(step) => return history.steps = step,
                    None if is_passed_over(line) && line.ends_with(b"}") => return,
                    None => {}
                }
            }
            history.parsed += 1;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::event::DistillStep;
    use std::fs;

    const STARTED: &str = r#""kind":"run_started","run":"r","profile":"shapes","seed":0,"device":"cpu","threads":2,"version":"0","process":1,"data":"d","folder":"f","step":0,"iterations":9"#;
    const DONE: &str = r#""kind":"run_finished","status":"done","reason":null,"best_step":null,"best_validation":null,"results":[],"paper_style_max":null,"file":null,"seconds":1.0"#;

    fn step_line(number: u64) -> String {
        let step = EventKind::DistillStep(DistillStep {
            step: number,
            intermediate: vec![0.5; 3],
            ..DistillStep::default()
        });
        let json = serde_json::to_string(&step).unwrap_or_default();
        json.trim_matches(['{', '}']).to_string()
    }

    #[test]
    fn a_long_record_is_not_parsed_step_by_step() -> Result<()> {
        let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let path = folder.path().join("events.jsonl");
        let read = |lines: &[String], end: &str| -> Result<History> {
            let line = |(seq, line): (usize, &String)| {
                format!("{{\"seq\":{seq},\"time\":\"2026-01-01T00:00:00Z\",{line}}}\n")
            };
            let text: String = lines.iter().enumerate().map(line).collect();
            fs::write(&path, text + end).map_err(Error::io("write", &path))?;
            History::read(&path)
        };
        let mut lines = vec![STARTED.to_owned()];
        lines.extend((1..=20_000).map(step_line));
        lines.push(r#""kind":"warning","message":"\"kind\":\"run_finished\"""#.to_owned());
        // the last step is torn
        let torn = r#"{"seq":9,"time":"2026-01-01T00:00:00Z","kind":"distill_step","step":20001,"#;
        let history = read(&lines, torn)?;
        assert_eq!(history.steps, 20_000);
        assert_eq!(history.profile.as_deref(), Some("shapes"));
        assert!(history.parsed <= 3, "{} lines parsed", history.parsed);

        // what follows the end of a run shows that it has been resumed
        lines.push(DONE.to_owned());
        assert!(read(&lines, "")?.done.is_some());
        lines.push(step_line(20_001));
        let history = read(&lines, "")?;
        assert_eq!((history.done.is_none(), history.steps), (true, 20_001));
        Ok(())
    }
}
