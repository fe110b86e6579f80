//! What a screen knows of a run: built from its events alone, so that live, attached again and
//! replayed are the same.

mod curves;
mod log;
mod marks;
mod usage;

pub use curves::Curves;
pub use log::{EventLog, LogLine, Weight};
pub use marks::{Mark, MarkKind, Marks};
pub use usage::UsageHistory;

use astill_core::measures::{Axis, MeasuredEvent};
use astill_core::profile::Profile;
use astill_core::run::command::Command;
use astill_core::run::edits::{STUDENT_RATE, key_of};
use astill_core::run::event::{
    CommandAnswered, DatasetLoaded, EvalSplit, Evaluation, Event, EventKind, ExpertEpoch,
    ExpertFound, Headline, ImageSet, Phase, RunFinished, RunOutcome, RunStarted,
};
use astill_core::run::outlook::{Ahead, Costs};
use astill_core::run::pace::{Pace, Work};
use serde_json::Value;
use std::collections::BTreeMap;

/// More than any run has of these is not kept: a record may come from anybody.
const MOST_EXPERTS: usize = 10_000;
const MOST_NETWORKS: usize = 100;
const MOST_EVALUATIONS: usize = 20_000;
const MOST_FILES: usize = 100_000;
const TOO_MUCH: &str = "The record has more experts, networks, evaluations, pictures or marks than any run; \
                        what is beyond that is not shown.";

/// A run, as its events report it.
#[derive(Debug)]
pub struct Model {
    /// What the latest engine reported at its start.
    pub header: Option<RunStarted>,
    pub state: ReportedState,
    pub phase: Option<Phase>,
    pub dataset: Option<DatasetLoaded>,
    /// Distillation steps done, and in all.
    pub step: u64,
    pub iterations: u64,
    /// The measures of every expert over its epochs, which count from 1 here.
    pub experts: BTreeMap<u64, Curves>,
    /// The measures of distillation over its steps.
    pub steps: Curves,
    /// Accuracy of distilled images over the steps, without the headline of the last phase.
    pub accuracy: Vec<AccuracyCurves>,
    /// Evaluations during the run, and those of the last phase.
    pub evaluations: Vec<Evaluation>,
    pub headline: Vec<Evaluation>,
    /// Pictures, earliest first.
    pub samples: Vec<Sample>,
    pub checkpoints: Vec<Sample>,
    /// What happened at which step of distillation.
    pub marks: Marks,
    pub warnings: u64,
    /// The engine waits because something cannot be written.
    pub is_waiting: bool,
    pub host_mib: Option<u64>,
    pub device_mib: Option<u64>,
    /// The student rate that was set since the latest step, which is not in its numbers.
    pub rate_set: Option<f64>,
    /// How much of the machine is in use, over the seconds of work.
    pub usage: UsageHistory,
    /// The event that ended the latest engine.
    pub finished: Option<EventKind>,
    /// RFC 3339; of the latest event.
    pub last_time: String,
    pub log: EventLog,
    pace: Pace,
    costs: Costs,
    /// Something was not kept, which is said.
    is_beyond: bool,
}

/// The state of a run, as far as its events report it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReportedState {
    /// No event yet.
    #[default]
    Waiting,
    Running,
    Paused,
    /// A stop was accepted and has not happened yet.
    Stopping,
    Stopped,
    Failed,
    Done,
}

/// How well networks of one kind do that learn from the distilled images.
#[derive(Debug)]
pub struct AccuracyCurves {
    pub network: String,
    pub split: EvalSplit,
    pub curves: Curves,
}

/// A file of a step, relative to the run directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub step: u64,
    pub file: String,
    /// Of the event that announced it: a file of the same name may be written again.
    pub seq: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            header: None,
            state: ReportedState::default(),
            phase: None,
            dataset: None,
            step: 0,
            iterations: 0,
            experts: BTreeMap::new(),
            steps: Curves::new(Axis::Step),
            accuracy: Vec::new(),
            evaluations: Vec::new(),
            headline: Vec::new(),
            samples: Vec::new(),
            checkpoints: Vec::new(),
            marks: Marks::default(),
            warnings: 0,
            is_waiting: false,
            host_mib: None,
            device_mib: None,
            rate_set: None,
            usage: UsageHistory::default(),
            finished: None,
            last_time: String::new(),
            log: EventLog::default(),
            pace: Pace::default(),
            costs: Costs::default(),
            is_beyond: false,
        }
    }
}

impl Model {
    pub fn new() -> Self {
        Self::default()
    }

    /// For a run that is compared with others: without the measures that are lists, which only its own
    /// screen shows and which take the most memory.
    pub fn for_comparison() -> Self {
        Self {
            steps: Curves::without_lists(Axis::Step),
            ..Self::default()
        }
    }

    /// Takes the next event.
    pub fn apply(&mut self, event: &Event) {
        self.last_time.clone_from(&event.time);
        self.log.push(event);
        let is_kept = self.take(event);
        if !is_kept && !std::mem::replace(&mut self.is_beyond, true) {
            self.warnings += 1;
            self.log.warn(event, TOO_MUCH);
        }
        self.pace.apply(event);
        self.costs.apply(event);
        (self.step, self.iterations) = (self.pace.step(), self.pace.iterations());
    }

    /// Whether there was room for it.
    fn take(&mut self, event: &Event) -> bool {
        let has_room = |has_place: bool, count: usize, most: usize| has_place || count < most;
        match &event.what {
            EventKind::RunStarted(started) => {
                self.started(started);
                self.usage.start(&event.time);
            }
            EventKind::Phase { name } => self.phase = Some(*name),
            EventKind::Progress { .. } | EventKind::Calibration(_) => {}
            EventKind::Dataset(dataset) => self.dataset = Some(dataset.clone()),
            EventKind::ExpertEpoch(ExpertEpoch { expert, .. })
            | EventKind::ExpertFound(ExpertFound { expert, .. })
                if !has_room(
                    self.experts.contains_key(expert),
                    self.experts.len(),
                    MOST_EXPERTS,
                ) =>
            {
                return false;
            }
            EventKind::ExpertEpoch(epoch) => {
                let curves = self.experts.entry(epoch.expert);
                curves
                    .or_insert_with(|| Curves::new(Axis::Epoch))
                    .push(epoch.epoch as f64 + 1., MeasuredEvent::Epoch(epoch));
            }
            EventKind::ExpertFound(found) => {
                let mut curves = Curves::new(Axis::Epoch);
                for epoch in found.epochs() {
                    curves.push(epoch.epoch as f64 + 1., MeasuredEvent::Epoch(&epoch));
                }
                self.experts.insert(found.expert, curves);
            }
            EventKind::DistillStep(step) => {
                self.headline.clear();
                self.rate_set = None;
                // steps that are repeated although nothing said that the run went back
                if step.step <= self.step {
                    self.rewind(step.step);
                }
                self.steps.push(step.step as f64, MeasuredEvent::Step(step));
            }
            EventKind::Samples { step, file } => {
                return put(&mut self.samples, *step, file, event.seq);
            }
            EventKind::Checkpoint { step, file } => {
                self.marks.add(*step, MarkKind::Checkpoint, String::new());
                return put(&mut self.checkpoints, *step, file, event.seq)
                    && !self.marks.are_full();
            }
            EventKind::Evaluation(evaluation) => return self.evaluated(evaluation),
            EventKind::Command(answered) => self.commanded(answered),
            EventKind::RolledBack { from, to } => {
                self.rewind(to.saturating_add(1));
                self.marks.roll_back(*from, *to);
            }
            EventKind::Memory {
                host_mib,
                device_mib,
            } => (self.host_mib, self.device_mib) = (Some(*host_mib), *device_mib),
            EventKind::Usage(usage) => {
                if let Some(started) = &mut self.header {
                    started.still_lived(usage);
                }
                self.usage.push(&event.time, usage);
            }
            EventKind::Warning { .. } => self.warnings += 1,
            EventKind::Worker(_) => {}
            EventKind::Waiting { reason } => self.is_waiting = reason.is_some(),
            EventKind::RunFinished(finished) => {
                self.is_waiting = false;
                self.state = match finished.status {
                    RunOutcome::Done => ReportedState::Done,
                    RunOutcome::Stopped => ReportedState::Stopped,
                    RunOutcome::Failed => ReportedState::Failed,
                };
                self.finished = Some(event.what.clone());
            }
        }
        !self.marks.are_full()
    }

    fn started(&mut self, started: &RunStarted) {
        let is_resumed = self.header.replace(started.clone()).is_some();
        self.rewind(started.step.saturating_add(1));
        if is_resumed && started.step > 0 {
            self.marks
                .add(started.step, MarkKind::Resumed, String::new());
        }
        (self.state, self.phase, self.finished) = (ReportedState::Running, None, None);
        self.is_waiting = false;
    }

    fn evaluated(&mut self, evaluation: &Evaluation) -> bool {
        if self.evaluations.len() + self.headline.len() >= MOST_EVALUATIONS {
            return false;
        }
        if self.phase == Some(Phase::Evaluate) {
            self.headline.push(evaluation.clone());
            return true;
        }
        if evaluation.labels == ImageSet::Distilled {
            let step = evaluation.step;
            self.marks.add(step, MarkKind::Evaluation, String::new());
            let Some(curves) = self.accuracy_of(&evaluation.network, evaluation.split) else {
                return false;
            };
            curves.push(step as f64, MeasuredEvent::Evaluation(evaluation));
        }
        self.evaluations.push(evaluation.clone());
        true
    }

    /// None where there is no room for another network.
    fn accuracy_of(&mut self, network: &str, split: EvalSplit) -> Option<&mut Curves> {
        let mut places = self.accuracy.iter();
        let place = places.position(|a| a.network == network && a.split == split);
        if place.is_none() && self.accuracy.len() < MOST_NETWORKS {
            self.accuracy.push(AccuracyCurves {
                network: network.into(),
                split,
                curves: Curves::new(Axis::Evaluation),
            });
        }
        let last = self.accuracy.len() - 1;
        let found = self.accuracy.get_mut(place.unwrap_or(last))?;
        (found.network == network && found.split == split).then_some(&mut found.curves)
    }

    fn commanded(&mut self, answered: &CommandAnswered) {
        if answered.is_accepted() {
            self.marks.command(self.step, answered);
            match &answered.command {
                Command::Set { edit } if key_of(edit) == STUDENT_RATE => {
                    self.rate_set = answered.answer.to.as_ref().and_then(Value::as_f64);
                }
                Command::Pause => self.state = ReportedState::Paused,
                Command::Resume => self.state = ReportedState::Running,
                Command::Stop { .. } => self.state = ReportedState::Stopping,
                _ => {}
            }
        }
    }

    /// Forgets `step` and what came after it: these steps are done again.
    fn rewind(&mut self, step: u64) {
        self.marks.repeat_from(step);
        if step <= self.step {
            self.rate_set = None;
        }
        self.steps.truncate_from(step as f64);
        self.accuracy
            .iter_mut()
            .for_each(|a| a.curves.truncate_from(step as f64));
        let stays = |e: &Evaluation| e.step < step || e.labels != ImageSet::Distilled;
        self.evaluations.retain(stays);
        self.headline.retain(stays);
        self.samples.retain(|s| s.step < step);
    }

    /// Seconds per step, the mean of the latest.
    pub fn seconds_per_step(&self) -> Option<f64> {
        self.pace.seconds_per_step()
    }

    /// The phases that are not over, and how long each will take.
    pub fn ahead(&self, profile: &Profile) -> Vec<Ahead> {
        self.costs.ahead(&self.pace, profile)
    }

    /// Long work that is under way inside a phase.
    pub fn work(&self) -> Option<&Work> {
        self.pace.work()
    }

    /// The accuracy of real images, to compare [`Self::latest_accuracy`] with: of the same network with
    /// labels of the same kind, before there is one of the first network. Of every image set, the latest
    /// during the run; once there is a headline, its own, as far as they have been measured.
    pub fn baselines(&self) -> Vec<&Evaluation> {
        let all = || match self.headline_accuracy() {
            Some(_) => self.headline.iter(),
            None => self.evaluations.iter(),
        };
        let is_baseline = |e: &&Evaluation| e.labels != ImageSet::Distilled;
        let Some(like) = self.latest_accuracy().or_else(|| all().next()) else {
            return Vec::new();
        };
        let is_alike =
            |e: &&Evaluation| e.network == like.network && e.label_kind == like.label_kind;
        let mut found: Vec<&Evaluation> = Vec::new();
        for e in all().filter(is_baseline).filter(is_alike) {
            match found.iter_mut().find(|f| f.labels == e.labels) {
                Some(before) => *before = e,
                None => found.push(e),
            }
        }
        found
    }

    /// The latest accuracy of distilled images, of the first network where there are several, as in the
    /// table of the result: on the test set where that was measured, otherwise on the validation share.
    pub fn latest_accuracy(&self) -> Option<&Evaluation> {
        self.headline_accuracy()
            .or_else(|| latest_distilled(&self.evaluations))
    }

    /// As [`Self::latest_accuracy`], of the last phase.
    pub fn headline_accuracy(&self) -> Option<&Evaluation> {
        latest_distilled(&self.headline)
    }

    /// The step whose images are the result of a finished run.
    pub fn best_step(&self) -> Option<u64> {
        match &self.finished {
            Some(EventKind::RunFinished(finished)) => finished.best_step,
            _ => None,
        }
    }

    /// The picture of [`Self::best_step`], if there is one.
    pub fn best_sample(&self) -> Option<&Sample> {
        let best = self.best_step()?;
        self.samples.iter().find(|s| s.step == best)
    }

    /// The table of a finished run.
    pub fn results(&self) -> &[Headline] {
        match &self.finished {
            Some(EventKind::RunFinished(RunFinished { results, .. })) => results,
            _ => &[],
        }
    }

    /// An engine may be running.
    pub fn is_live(&self) -> bool {
        matches!(
            self.state,
            ReportedState::Waiting
                | ReportedState::Running
                | ReportedState::Paused
                | ReportedState::Stopping
        )
    }
}

/// The latest evaluation of distilled images by the first network of its step.
fn latest_distilled(evaluations: &[Evaluation]) -> Option<&Evaluation> {
    let distilled = || {
        evaluations
            .iter()
            .filter(|e| e.labels == ImageSet::Distilled)
    };
    let step = distilled().next_back()?.step;
    let first = distilled().find(|e| e.step == step)?;
    distilled()
        .rev()
        .find(|e| e.step == step && e.network == first.network)
}

/// Adds a file, in the order of steps; one of the same step takes the place of the old one. Whether there
/// was room for it.
fn put(files: &mut Vec<Sample>, step: u64, file: &str, seq: u64) -> bool {
    let place = files.partition_point(|f| f.step < step);
    let new = Sample {
        step,
        file: file.into(),
        seq,
    };
    let is_full = files.len() >= MOST_FILES;
    match files.get_mut(place) {
        Some(old) if old.step == step => *old = new,
        _ if is_full => return false,
        _ => files.insert(place, new),
    }
    true
}
