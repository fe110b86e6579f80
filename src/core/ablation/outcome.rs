//! What one run of an ablation has come to, read from its events.

use super::{AblationFolder, PlannedRun};
use crate::files::untrusted;
use crate::profile::Profile;
use crate::run::RunDir;
use crate::run::edits::Edits;
use crate::run::event::{
    EvalSplit, Event, EventKind, Headline, ImageSet, LONGEST_LINE, RunFinished, RunOutcome,
    RunStarted,
};
use crate::run::pace::unix_seconds;
use crate::statistics::mean;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::io::Seek;

/// The iterations at the end over which diagnostics are averaged.
pub const LATE: usize = 50;

/// What a run has come to. Accuracies in per cent.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub name: String,
    /// The index of its variant.
    pub variant: usize,
    pub seed: u64,
    /// Its last event, if that says that it is done or why it failed.
    pub finished: Option<RunFinished>,
    /// Its latest start.
    pub started: Option<RunStarted>,
    pub late: Late,
    /// Accuracies on the validation share of the first network that learned from the distilled
    /// images, one per repeat, by step.
    pub validation: BTreeMap<u64, Vec<f64>>,
    /// The experts' mean accuracy on the validation share, each at the last of its epochs that
    /// distillation reads.
    pub expert_accuracy: Option<f64>,
    /// Wall time with an engine, over all its engines.
    pub seconds: f64,
    /// Whether settings were changed while it ran.
    pub is_edited: bool,
    /// BLAKE3 (hexadecimal) of `events.jsonl`.
    pub events_hash: Option<String>,
    /// Whole lines of its record that are no events.
    pub unreadable: u64,
}

/// Means over the last [`LATE`] iterations.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Late {
    pub alignment: Option<f64>,
    pub reach: Option<f64>,
    pub final_ratio: Option<f64>,
    /// Root mean square of the images over that of the data.
    pub image_scale: Option<f64>,
}

impl Outcome {
    /// Reads the events of a planned run; of one that has not been started, nothing.
    ///
    /// # Errors
    /// Its events or edits are there and cannot be read.
    pub fn read(folder: &AblationFolder, planned: &PlannedRun) -> Result<Self> {
        let mut outcome = Self {
            name: planned.name.clone(),
            variant: planned.variant,
            seed: planned.seed,
            ..Self::default()
        };
        let run = folder.run(&planned.name);
        if RunDir::open(run.path()).is_none() || !run.events().exists() {
            return Ok(outcome);
        }
        outcome.read_run(&run, &planned.profile)?;
        Ok(outcome)
    }

    /// Reads the events of a run that belongs to no ablation.
    ///
    /// # Errors
    /// Its events or edits cannot be read.
    pub fn of_run(run: &RunDir, profile: &Profile) -> Result<Self> {
        let mut outcome = Self {
            name: run.name(),
            seed: profile.seed,
            ..Self::default()
        };
        outcome.read_run(run, profile)?;
        Ok(outcome)
    }

    fn read_run(&mut self, run: &RunDir, profile: &Profile) -> Result<()> {
        self.is_edited = !Edits::read(run)?.all().is_empty();
        self.read_events(run, profile)
    }

    fn read_events(&mut self, run: &RunDir, profile: &Profile) -> Result<()> {
        let path = run.events();
        let mut file = untrusted::open(&path).map_err(Error::io("open", &path))?;
        let mut hash = blake3::Hasher::new();
        hash.update_reader(&file)
            .and_then(|_| file.rewind())
            .map_err(Error::io("read", &path))?;
        self.events_hash = Some(hash.finalize().to_hex().to_string());
        let mut gathered = Gathered::default();
        let mut is_last_bad = false;
        untrusted::for_each_line(&file, LONGEST_LINE, |line| {
            let event = serde_json::from_slice::<Event>(line);
            is_last_bad = event.is_err() && !line.trim_ascii().is_empty();
            self.unreadable += u64::from(is_last_bad);
            if let Ok(event) = event {
                self.take(event, &mut gathered);
            }
        })
        .map_err(Error::io("read", &path))?;
        // an engine may be writing the last line
        let length = file.metadata().map_err(Error::io("read", &path))?.len();
        let whole = untrusted::whole_lines(&file).map_err(Error::io("read", &path))?;
        self.unreadable -= u64::from(is_last_bad && whole < length);
        self.late = gathered.late();
        self.validation = std::mem::take(&mut gathered.validation);
        self.expert_accuracy = gathered.expert_accuracy(profile.epochs_read());
        Ok(())
    }

    fn take(&mut self, event: Event, gathered: &mut Gathered) {
        let now = unix_seconds(&event.time);
        let is_start = matches!(event.what, EventKind::RunStarted(_));
        if let (Some(before), Some(now), false) = (gathered.time, now, is_start) {
            self.seconds += (now - before).max(0.);
        }
        gathered.time = now;
        self.finished = None;
        match event.what {
            EventKind::RunStarted(started) => {
                gathered.go_back_to(started.step);
                self.started = Some(started);
            }
            EventKind::RunFinished(finished) if finished.status != RunOutcome::Stopped => {
                self.finished = Some(finished);
            }
            what => gathered.take(&what),
        }
    }

    /// What the run reported when it was done.
    #[must_use]
    pub fn done(&self) -> Option<&RunFinished> {
        self.finished
            .as_ref()
            .filter(|f| f.status == RunOutcome::Done)
    }

    /// Why it failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        let failed = self.finished.as_ref();
        failed
            .filter(|f| f.status == RunOutcome::Failed)
            .map(|f| f.reason.as_deref().unwrap_or("for an unknown reason"))
    }

    /// The test accuracy of the first network that learned from these images, with labels of the
    /// same kind as the distilled ones.
    #[must_use]
    pub fn headline(&self, images: ImageSet) -> Option<&Headline> {
        let results = &self.done()?.results;
        let distilled = results.iter().find(|r| r.labels == ImageSet::Distilled)?;
        results.iter().find(|r| {
            r.labels == images
                && r.network == distilled.network
                && r.label_kind == distilled.label_kind
        })
    }

    /// The mean test accuracy with the distilled set.
    #[must_use]
    pub fn test(&self) -> Option<f64> {
        self.headline(ImageSet::Distilled).map(|h| h.mean)
    }
}

/// What is put together from many events.
#[derive(Debug, Default)]
struct Gathered {
    /// Of the latest event, in seconds.
    time: Option<f64>,
    /// Alignment, reach, final ratio and image scale of every step.
    steps: BTreeMap<u64, [f64; 4]>,
    validation: BTreeMap<u64, Vec<f64>>,
    /// Validation accuracies of every expert, by epoch.
    experts: BTreeMap<u64, BTreeMap<u64, f64>>,
}

impl Gathered {
    fn take(&mut self, what: &EventKind) {
        match what {
            EventKind::DistillStep(step) => {
                let numbers = [
                    step.alignment,
                    step.reach,
                    step.final_ratio,
                    step.image_scale,
                ];
                self.steps.insert(step.step, numbers);
            }
            EventKind::RolledBack { to, .. } => self.go_back_to(*to),
            EventKind::Evaluation(evaluation)
                if evaluation.split == EvalSplit::Validation
                    && evaluation.labels == ImageSet::Distilled =>
            {
                let at = self.validation.entry(evaluation.step);
                at.or_insert_with(|| evaluation.values.clone());
            }
            EventKind::ExpertEpoch(epoch) => {
                self.expert(epoch.expert, epoch.epoch, epoch.record.validation_accuracy)
            }
            EventKind::ExpertFound(found) => found
                .epochs()
                .for_each(|e| self.expert(e.expert, e.epoch, e.record.validation_accuracy)),
            _ => {}
        }
    }

    /// Later steps are done again.
    fn go_back_to(&mut self, to: u64) {
        self.steps.retain(|step, _| *step <= to);
        self.validation.retain(|step, _| *step <= to);
    }

    fn expert(&mut self, expert: u64, epoch: u64, accuracy: Option<f64>) {
        if let Some(accuracy) = accuracy {
            let epochs = self.experts.entry(expert).or_default();
            epochs.insert(epoch, accuracy);
        }
    }

    fn late(&self) -> Late {
        let late_mean = |number: usize| {
            let late = self.steps.values().rev().take(LATE);
            let finite: Vec<f64> = late.map(|n| n[number]).filter(|n| n.is_finite()).collect();
            mean(&finite)
        };
        Late {
            alignment: late_mean(0),
            reach: late_mean(1),
            final_ratio: late_mean(2),
            image_scale: late_mean(3),
        }
    }

    fn expert_accuracy(&self, epochs_read: usize) -> Option<f64> {
        let at_end = |epochs: &BTreeMap<u64, f64>| {
            let mut read = epochs.range(..epochs_read as u64);
            read.next_back().map(|(_, accuracy)| *accuracy)
        };
        let each: Vec<f64> = self.experts.values().filter_map(at_end).collect();
        mean(&each)
    }
}
