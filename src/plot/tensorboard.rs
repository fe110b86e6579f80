//! Runs as TensorBoard reads them: a folder per run and per expert, with a file of events in it.
//!
//! Such a file is a sequence of records, each with its length and checksums (CRC-32C, masked as in
//! TFRecord files), that hold protocol buffers: `Event` of tensorflow/core/util/event.proto.

mod record;

use crate::tui::events_file::EventsFile;
use crate::tui::text::clean;
use astill_core::measures::{Measure, MeasuredEvent, Reading, of_axis};
use astill_core::run::RunDir;
use astill_core::run::event::{Evaluation, Event, EventKind};
use astill_core::run::pace::unix_seconds;
use astill_core::{Error, Result};
use record::Records;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of events that are read at a time.
const AT_A_TIME: usize = 4 << 20;

/// Writes the measured numbers of these runs into folders below `to`, one per run, which appear whole
/// or not at all.
///
/// # Errors
/// Two runs have the same name, a folder is there already, or something cannot be read or written.
pub fn write(runs: &[RunDir], to: &Path) -> Result<()> {
    for run in runs {
        let folder = to.join(run.name());
        if folder.symlink_metadata().is_ok() {
            return Err(Error::Usage(format!(
                "--tensorboard: {} is there already and is not overwritten; remove it, or choose another \
                 folder",
                folder.display()
            )));
        }
        fs::create_dir_all(to).map_err(Error::io("make", to))?;
        let partial = to.join(format!(".{}.partial", run.name()));
        let written = Folder::new(&partial).and_then(|files| files.take(run));
        let moved = written
            .and_then(|()| fs::rename(&partial, &folder).map_err(Error::io("rename", &partial)));
        if moved.is_err() {
            // what is reported is why it failed
            let _ = fs::remove_dir_all(&partial);
        }
        moved?;
    }
    Ok(())
}

/// The files of a run while they are written.
struct Folder {
    path: PathBuf,
    steps: Records,
    experts: HashMap<u64, Records>,
}

impl Folder {
    fn new(path: &Path) -> Result<Self> {
        // of an export that was killed
        let _ = fs::remove_dir_all(path);
        Ok(Self {
            path: path.into(),
            steps: Records::create(path)?,
            experts: HashMap::new(),
        })
    }

    /// Writes every event of a run.
    fn take(mut self, run: &RunDir) -> Result<()> {
        let mut file = EventsFile::open(run.events());
        loop {
            let events = file
                .poll(AT_A_TIME)
                .map_err(Error::io("read", run.events()))?;
            if file.restarted() {
                self = Self::new(&self.path)?;
            }
            for event in &events {
                self.event(event)?;
            }
            if file.at_end() {
                break;
            }
        }
        self.steps.finish()?;
        self.experts.into_values().try_for_each(Records::finish)
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        let time = unix_seconds(&event.time).unwrap_or_default();
        match &event.what {
            EventKind::DistillStep(step) => {
                let numbers = scalars("distill", MeasuredEvent::Step(step));
                self.steps.scalars(time, step.step, &numbers)
            }
            EventKind::Evaluation(evaluation) => {
                let numbers = scalars(&place(evaluation), MeasuredEvent::Evaluation(evaluation));
                self.steps.scalars(time, evaluation.step, &numbers)
            }
            EventKind::ExpertEpoch(epoch) => {
                let numbers = scalars("expert", MeasuredEvent::Epoch(epoch));
                self.expert(epoch.expert)?
                    .scalars(time, epoch.epoch + 1, &numbers)
            }
            EventKind::ExpertFound(found) => {
                for epoch in found.epochs() {
                    let numbers = scalars("expert", MeasuredEvent::Epoch(&epoch));
                    let records = self.expert(found.expert)?;
                    records.scalars(time, epoch.epoch + 1, &numbers)?;
                }
                Ok(())
            }
            // later steps no longer count
            EventKind::RolledBack { to, .. } => self.steps.restart(time, to.saturating_add(1)),
            EventKind::RunStarted(started) if started.step > 0 => {
                self.steps.restart(time, started.step.saturating_add(1))
            }
            _ => Ok(()),
        }
    }

    /// The file of an expert, in a folder of its own: all experts have the same epochs.
    fn expert(&mut self, expert: u64) -> Result<&mut Records> {
        use std::collections::hash_map::Entry;
        Ok(match self.experts.entry(expert) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let folder = self
                    .path
                    .join(format!("expert-{:03}", expert.saturating_add(1)));
                new.insert(Records::create(&folder)?)
            }
        })
    }
}

/// "evaluate/distilled/convnet/test"
fn place(evaluation: &Evaluation) -> String {
    let network = clean(&evaluation.network).replace('/', "-");
    format!(
        "evaluate/{}/{network}/{}",
        evaluation.labels, evaluation.split
    )
}

/// The numbers of an event, by the names that they have in TensorBoard.
fn scalars(group: &str, event: MeasuredEvent<'_>) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    for measure in of_axis(event.axis()) {
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
