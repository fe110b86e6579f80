//! Runs as TensorBoard reads them: a folder per run and per expert, with a file of events in it.
//!
//! Such a file is a sequence of records, each with its length and checksums (CRC-32C, masked as in
//! TFRecord files), that hold protocol buffers: `Event` of tensorflow/core/util/event.proto.

mod record;

use super::report_unreadable;
use crate::tui::events_file::{Found, read_whole};
use crate::tui::text::clean;
use astill_core::measures::{Measure, MeasuredEvent, Reading, of_axis};
use astill_core::run::RunDir;
use astill_core::run::event::{Evaluation, Event, EventKind, ExpertEpoch, Phase};
use astill_core::run::pace::unix_seconds;
use astill_core::{Error, Result};
use record::Records;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Whether the numbers of these runs can be written into folders below `to`.
///
/// # Errors
/// Two runs have the same name, or a folder is there already.
pub fn check(runs: &[RunDir], to: &Path) -> Result<()> {
    for (i, run) in runs.iter().enumerate() {
        let name = run.name();
        if runs[..i].iter().any(|earlier| earlier.name() == name) {
            return Err(Error::Usage(format!(
                "--tensorboard: found two runs of the name {}, expected different names, which their \
                 folders get: write them one after the other into different folders",
                clean(&name)
            )));
        }
        let folder = to.join(name);
        if folder.symlink_metadata().is_ok() {
            return Err(Error::Usage(format!(
                "--tensorboard: {} is there already and is not overwritten; remove it, or choose another \
                 folder",
                folder.display()
            )));
        }
    }
    Ok(())
}

/// Writes the measured numbers of these runs into folders below `to`, one per run, which appear once
/// all are written.
///
/// # Errors
/// As [`check`]; or something cannot be read or written.
pub fn write(runs: &[RunDir], to: &Path) -> Result<()> {
    check(runs, to)?;
    fs::create_dir_all(to).map_err(Error::io("make", to))?;
    let partial = |run: &RunDir| to.join(format!(".{}.partial", run.name()));
    let written = runs.iter().try_for_each(|run| {
        let files = Folder::new(&partial(run))?;
        files.take(run)
    });
    let moved = written.and_then(|()| {
        runs.iter().try_for_each(|run| {
            let from = partial(run);
            fs::rename(&from, to.join(run.name())).map_err(Error::io("rename", &from))
        })
    });
    if moved.is_err() {
        for run in runs {
            // what is reported is why it failed
            let _ = fs::remove_dir_all(partial(run));
        }
    }
    moved
}

/// The files of a run while they are written.
struct Folder {
    path: PathBuf,
    steps: Records,
    experts: HashMap<u64, Expert>,
    phase: Option<Phase>,
    has_started: bool,
}

/// The file of an expert, and its latest epoch, from 1.
struct Expert {
    records: Records,
    epoch: u64,
}

impl Folder {
    fn new(path: &Path) -> Result<Self> {
        // of an export that was killed
        let _ = fs::remove_dir_all(path);
        Ok(Self {
            path: path.into(),
            steps: Records::create(path)?,
            experts: HashMap::new(),
            phase: None,
            has_started: false,
        })
    }

    /// Writes every event of a run.
    fn take(mut self, run: &RunDir) -> Result<()> {
        let unreadable = read_whole(run, |found| {
            match found {
                Found::Event(event) => self.event(event)?,
                Found::Restart => self = Self::new(&self.path)?,
            }
            Ok(())
        })?;
        report_unreadable(&run.name(), unreadable);
        self.steps.finish()?;
        let experts = self.experts.into_values();
        experts.map(|e| e.records).try_for_each(Records::finish)
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        let time = unix_seconds(&event.time).unwrap_or_default();
        match &event.what {
            EventKind::DistillStep(step) => {
                let numbers = scalars("distill", MeasuredEvent::Step(step), |_| true);
                self.steps.scalars(time, step.step, &numbers)
            }
            EventKind::Evaluation(evaluation) => {
                let group = group(evaluation, self.phase);
                let numbers = scalars(&group, MeasuredEvent::Evaluation(evaluation), |_| true);
                self.steps.scalars(time, evaluation.step, &numbers)
            }
            EventKind::ExpertEpoch(epoch) => self.epoch(time, epoch),
            EventKind::ExpertFound(found) => {
                let mut epochs = found.epochs();
                epochs.try_for_each(|epoch| self.epoch(time, &epoch))
            }
            // later steps no longer count
            EventKind::RolledBack { to, .. } => self.steps.restart(time, to.saturating_add(1)),
            EventKind::RunStarted(started) => {
                self.phase = None;
                match std::mem::replace(&mut self.has_started, true) {
                    true => self.steps.restart(time, started.step.saturating_add(1)),
                    false => Ok(()),
                }
            }
            EventKind::Phase { name } => {
                self.phase = Some(*name);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Writes an epoch of an expert; one that is repeated takes the place of what was written from it on.
    fn epoch(&mut self, time: f64, epoch: &ExpertEpoch) -> Result<()> {
        let numbers = scalars("expert", MeasuredEvent::Epoch(epoch), |_| true);
        let (expert, number) = (self.expert(epoch.expert)?, epoch.epoch.saturating_add(1));
        if number <= expert.epoch {
            expert.records.restart(time, number)?;
        }
        expert.epoch = number;
        expert.records.scalars(time, number, &numbers)
    }

    /// The file of an expert, in a folder of its own: all experts have the same epochs.
    fn expert(&mut self, expert: u64) -> Result<&mut Expert> {
        use std::collections::hash_map::Entry;
        Ok(match self.experts.entry(expert) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let folder = self
                    .path
                    .join(format!("expert-{:03}", expert.saturating_add(1)));
                new.insert(Expert {
                    records: Records::create(&folder)?,
                    epoch: 0,
                })
            }
        })
    }
}

/// "evaluate/distilled/hard/convnet/test"; the result has a group of its own, "headline".
pub fn group(evaluation: &Evaluation, phase: Option<Phase>) -> String {
    let occasion = match phase {
        Some(Phase::Evaluate) => "headline",
        _ => "evaluate",
    };
    let network = clean(&evaluation.network).replace('/', "-");
    format!(
        "{occasion}/{}/{}/{network}/{}",
        evaluation.labels, evaluation.label_kind, evaluation.split
    )
}

/// The numbers of an event, of the measures that are `wanted`, by the names that they have in TensorBoard.
pub fn scalars(
    group: &str,
    event: MeasuredEvent<'_>,
    wanted: impl Fn(&Measure) -> bool,
) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    for measure in of_axis(event.axis()).filter(|measure| wanted(measure)) {
        let name = |m: &Measure| format!("{group}/{}", m.name.replace('.', "/"));
        match measure.read(event) {
            Reading::Missing => {}
            Reading::One(value) => found.push((name(measure), value)),
            Reading::Each(values) => {
                let each = (1..).zip(values);
                found.extend(each.map(|(i, value)| (format!("{}/{i}", name(measure)), *value)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
