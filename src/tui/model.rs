//! What a screen knows of a run: built from its events alone, so that live, attached again and
//! replayed are the same.

mod log;

pub use log::{Log, LogLine, Weight, change};

use super::series::Series;
use astill_core::EpochRecord;
use astill_core::run::event::{
    CommandStatus, Event, EventKind, Headline, ImageSet, Phase, Split, Status,
};
use std::collections::{BTreeMap, VecDeque};

/// More curves of one kind than any profile makes are not kept.
const MOST_CURVES: usize = 1000;

/// Steps that the rate is the mean of.
const RECENT: usize = 30;

/// A run, as its events tell it.
#[derive(Debug, Default)]
pub struct Model {
    /// Of the latest engine.
    pub header: Option<Header>,
    pub state: State,
    pub phase: Option<Phase>,
    pub work: Option<Work>,
    pub dataset: Option<Dataset>,
    /// Distillation steps done, and in all.
    pub step: u64,
    pub iterations: u64,
    pub experts: BTreeMap<u64, Expert>,
    pub steps: Steps,
    /// Accuracy of distilled images over the steps; the last parts of a run, which judge once more,
    /// are not in it.
    pub accuracy: Vec<Accuracy>,
    pub evaluations: Vec<Evaluation>,
    /// Pictures, earliest first.
    pub samples: Vec<Sample>,
    pub checkpoints: Vec<Sample>,
    pub commands: Vec<Asked>,
    pub warnings: u64,
    /// The engine waits because something cannot be written.
    pub is_waiting: bool,
    pub host_mib: Option<u64>,
    pub device_mib: Option<u64>,
    /// The event that ended the latest engine.
    pub finished: Option<EventKind>,
    /// RFC 3339; of the first and the latest event.
    pub first_time: String,
    pub last_time: String,
    pub log: Log,
    recent: VecDeque<f64>,
}

/// How a run stands, as far as its events say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
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

/// What an engine said at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub run: String,
    pub profile: String,
    pub seed: u64,
    pub device: String,
    pub threads: i64,
    pub version: String,
    pub process: u32,
}

/// Long work that is going on inside a phase.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    pub what: String,
    pub done: u64,
    pub total: u64,
    /// Where it was first heard of: the event's time and how much was done.
    begin: (String, u64),
    now: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    pub classes: Vec<String>,
    pub train: u64,
    pub validation: u64,
    pub test: u64,
    pub size: i64,
    pub normalisation: String,
}

/// The measures of one expert over its epochs, which count from 1 here.
#[derive(Debug, Default)]
pub struct Expert {
    pub step_length: Series,
    pub turn: Series,
    pub curvature: Series,
    pub test_accuracy: Series,
}

/// The measures of distillation over its steps.
#[derive(Debug, Default)]
pub struct Steps {
    pub matching_loss: Series,
    pub final_ratio: Series,
    /// One for every expert epoch on the way.
    pub intermediate: Vec<Series>,
    pub reach: Series,
    pub alignment: Series,
    pub perturbation: Series,
    /// First layer first.
    pub layers: Vec<Series>,
    pub image_gradient: Series,
    pub student_lr: Series,
    pub seconds: Series,
}

/// How well networks of one kind do that learn from the distilled images.
#[derive(Debug)]
pub struct Accuracy {
    pub network: String,
    pub split: Split,
    pub series: Series,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    pub step: u64,
    pub network: String,
    pub labels: ImageSet,
    pub split: Split,
    pub mean: f64,
    pub std: f64,
    /// Part of the headline at the end of a run.
    pub headline: bool,
}

/// A file of a step, relative to the run directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub step: u64,
    pub file: String,
    /// Of the event that told of it: a file of the same name may be written again.
    pub seq: u64,
}

/// A command, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub time: String,
    pub command: String,
    pub accepted: bool,
    pub reason: Option<String>,
    pub from: Option<serde_json::Value>,
    pub to: Option<serde_json::Value>,
}

impl Model {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next event.
    pub fn apply(&mut self, event: &Event) {
        if self.first_time.is_empty() {
            self.first_time.clone_from(&event.time);
        }
        self.last_time.clone_from(&event.time);
        if !matches!(
            event.what,
            EventKind::Progress { .. }
                | EventKind::Memory { .. }
                | EventKind::Warning { .. }
                | EventKind::Command { .. }
        ) {
            self.work = None;
        }
        self.log.push(event);
        match &event.what {
            EventKind::RunStarted {
                run,
                profile,
                seed,
                device,
                threads,
                version,
                process,
                step,
                iterations,
                ..
            } => {
                let (run, profile, device, version) = (
                    run.clone(),
                    profile.clone(),
                    device.clone(),
                    version.clone(),
                );
                self.header = Some(Header {
                    run,
                    profile,
                    seed: *seed,
                    device,
                    threads: *threads,
                    version,
                    process: *process,
                });
                self.rewind(step.saturating_add(1));
                self.iterations = *iterations;
                (self.state, self.phase, self.finished) = (State::Running, None, None);
                self.is_waiting = false;
                self.recent.clear();
            }
            EventKind::Phase { name } => self.phase = Some(*name),
            EventKind::Progress { what, done, total } => {
                let begin = match self.work.take() {
                    Some(work) if work.what == *what && work.begin.1 <= *done => work.begin,
                    _ => (event.time.clone(), *done),
                };
                self.work = Some(Work {
                    what: what.clone(),
                    done: *done,
                    total: *total,
                    begin,
                    now: event.time.clone(),
                });
            }
            EventKind::Dataset {
                classes,
                train,
                validation,
                test,
                size,
                normalisation,
            } => {
                let (train, validation, test, size) = (*train, *validation, *test, *size);
                let (classes, normalisation) = (classes.clone(), normalisation.clone());
                self.dataset = Some(Dataset {
                    classes,
                    train,
                    validation,
                    test,
                    size,
                    normalisation,
                });
            }
            EventKind::ExpertEpoch {
                expert,
                epoch,
                record,
                ..
            } => self
                .experts
                .entry(*expert)
                .or_default()
                .push(*epoch, record),
            EventKind::ExpertFound { expert, epochs, .. } => {
                let mut curves = Expert::default();
                (0..)
                    .zip(epochs)
                    .for_each(|(epoch, record)| curves.push(epoch, record));
                self.experts.insert(*expert, curves);
            }
            EventKind::DistillStep { step, seconds, .. } => {
                if *step <= self.step {
                    self.rewind(*step);
                }
                self.step = *step;
                self.steps.push(&event.what);
                if self.recent.len() == RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back(*seconds);
            }
            EventKind::Samples { step, file } => put(&mut self.samples, *step, file, event.seq),
            EventKind::Checkpoint { step, file } => {
                put(&mut self.checkpoints, *step, file, event.seq)
            }
            EventKind::Evaluation {
                step,
                network,
                labels,
                split,
                mean,
                std,
                ..
            } => {
                let headline = self.phase == Some(Phase::Evaluate);
                let (step, mean, std) = (*step, *mean, *std);
                if *labels == ImageSet::Distilled && !headline {
                    self.accuracy_of(network, *split).push(step as f64, mean);
                }
                let network = network.clone();
                self.evaluations.push(Evaluation {
                    step,
                    network,
                    labels: *labels,
                    split: *split,
                    mean,
                    std,
                    headline,
                });
            }
            EventKind::Command {
                command,
                status,
                reason,
                from,
                to,
            } => {
                let accepted = *status == CommandStatus::Accepted;
                match command.as_str() {
                    "pause" if accepted => self.state = State::Paused,
                    "resume" if accepted => self.state = State::Running,
                    "stop" if accepted => self.state = State::Stopping,
                    name if accepted && name.starts_with("roll_back") => {
                        if let Some(step) = to.as_ref().and_then(serde_json::Value::as_u64) {
                            self.rewind(step.saturating_add(1));
                        }
                    }
                    _ => {}
                }
                self.edited(accepted, command, to.as_ref());
                self.commands.push(Asked {
                    time: event.time.clone(),
                    command: command.clone(),
                    accepted,
                    reason: reason.clone(),
                    from: from.clone(),
                    to: to.clone(),
                });
            }
            EventKind::Memory {
                host_mib,
                device_mib,
            } => (self.host_mib, self.device_mib) = (Some(*host_mib), *device_mib),
            EventKind::Warning { .. } => self.warnings += 1,
            EventKind::Waiting { reason } => self.is_waiting = reason.is_some(),
            EventKind::RunFinished { status, .. } => {
                self.is_waiting = false;
                self.state = match status {
                    Status::Done => State::Done,
                    Status::Stopped => State::Stopped,
                    Status::Failed => State::Failed,
                };
                self.finished = Some(event.what.clone());
            }
        }
    }

    fn accuracy_of(&mut self, network: &str, split: Split) -> &mut Series {
        let place = self
            .accuracy
            .iter()
            .position(|a| a.network == network && a.split == split)
            .unwrap_or_else(|| {
                self.accuracy.push(Accuracy {
                    network: network.into(),
                    split,
                    series: Series::new(),
                });
                self.accuracy.len() - 1
            });
        &mut self.accuracy[place].series
    }

    /// The length of a run can be edited while it goes on.
    fn edited(&mut self, accepted: bool, command: &str, to: Option<&serde_json::Value>) {
        if accepted
            && command.contains("distill.iterations")
            && let Some(iterations) = to.and_then(serde_json::Value::as_u64)
        {
            self.iterations = iterations;
        }
    }

    /// Forgets `step` and what came after it: these steps are done again.
    fn rewind(&mut self, step: u64) {
        self.step = self.step.min(step.saturating_sub(1));
        self.steps.truncate_from(step as f64);
        self.accuracy
            .iter_mut()
            .for_each(|a| a.series.truncate_from(step as f64));
        self.evaluations
            .retain(|e| e.step < step || e.labels != ImageSet::Distilled);
        self.samples.retain(|s| s.step < step);
    }

    /// Seconds of a step, the mean of the latest.
    pub fn seconds_per_step(&self) -> Option<f64> {
        (!self.recent.is_empty())
            .then(|| self.recent.iter().sum::<f64>() / self.recent.len() as f64)
    }

    /// Seconds to the last step.
    pub fn seconds_left(&self) -> Option<f64> {
        self.seconds_per_step()
            .map(|s| s * self.iterations.saturating_sub(self.step) as f64)
    }

    /// The accuracy on the test set of real images, to compare with: network, labels, mean; those
    /// before the first step.
    pub fn baselines(&self) -> Vec<&Evaluation> {
        let mut found: Vec<&Evaluation> = Vec::new();
        for e in self
            .evaluations
            .iter()
            .filter(|e| e.labels != ImageSet::Distilled && e.split == Split::Test && !e.headline)
        {
            match found
                .iter_mut()
                .find(|f| f.labels == e.labels && f.network == e.network)
            {
                Some(before) => *before = e,
                None => found.push(e),
            }
        }
        found
    }

    /// The latest accuracy of distilled images on the test set, with its deviation.
    pub fn latest_accuracy(&self) -> Option<&Evaluation> {
        self.evaluations
            .iter()
            .rev()
            .find(|e| e.labels == ImageSet::Distilled && e.split == Split::Test)
    }

    /// The table of a finished run.
    pub fn results(&self) -> &[Headline] {
        match &self.finished {
            Some(EventKind::RunFinished { results, .. }) => results,
            _ => &[],
        }
    }

    /// An engine may be at work.
    pub fn is_live(&self) -> bool {
        matches!(
            self.state,
            State::Waiting | State::Running | State::Paused | State::Stopping
        )
    }
}

impl Work {
    /// Seconds to its end, from the speed so far.
    pub fn seconds_left(&self) -> Option<f64> {
        let done = self.done.checked_sub(self.begin.1).filter(|d| *d > 0)?;
        let took = unix_seconds(&self.now)? - unix_seconds(&self.begin.0)?;
        Some(took / done as f64 * self.total.saturating_sub(self.done) as f64)
    }
}

impl Expert {
    fn push(&mut self, epoch: u64, record: &EpochRecord) {
        let x = epoch as f64 + 1.;
        self.step_length.push(x, record.step_length);
        self.test_accuracy.push(x, record.test_accuracy);
        for (series, value) in [
            (&mut self.turn, record.turn),
            (&mut self.curvature, record.curvature),
        ] {
            match value {
                Some(value) => series.push(x, value),
                None => series.truncate_from(x),
            }
        }
    }
}

impl Steps {
    fn push(&mut self, what: &EventKind) {
        let EventKind::DistillStep {
            step,
            matching_loss,
            final_ratio,
            intermediate,
            student_lr,
            perturbation,
            reach,
            alignment,
            image_gradient,
            seconds,
            ..
        } = what
        else {
            return;
        };
        let x = *step as f64;
        self.matching_loss.push(x, *matching_loss);
        self.final_ratio.push(x, *final_ratio);
        self.reach.push(x, *reach);
        self.alignment.push(x, *alignment);
        self.perturbation.push(x, perturbation.relative);
        self.image_gradient.push(x, *image_gradient);
        self.student_lr.push(x, *student_lr);
        self.seconds.push(x, *seconds);
        push_each(&mut self.intermediate, x, intermediate);
        push_each(&mut self.layers, x, &perturbation.per_layer);
    }

    fn truncate_from(&mut self, step: f64) {
        let single = [
            &mut self.matching_loss,
            &mut self.final_ratio,
            &mut self.reach,
            &mut self.alignment,
            &mut self.perturbation,
            &mut self.image_gradient,
            &mut self.student_lr,
            &mut self.seconds,
        ];
        single
            .into_iter()
            .chain(&mut self.intermediate)
            .chain(&mut self.layers)
            .for_each(|s| s.truncate_from(step));
    }
}

/// Seconds since 1970 of an event's time.
pub fn unix_seconds(time: &str) -> Option<f64> {
    time.parse::<jiff::Timestamp>()
        .ok()
        .map(|t| t.as_millisecond() as f64 / 1000.)
}

fn push_each(series: &mut Vec<Series>, x: f64, values: &[f64]) {
    let values = &values[..values.len().min(MOST_CURVES)];
    if series.len() < values.len() {
        series.resize_with(values.len(), Series::new);
    }
    series
        .iter_mut()
        .zip(values)
        .for_each(|(s, v)| s.push(x, *v));
}

/// Adds a file, in the order of steps; one of the same step takes the place of the old one.
fn put(files: &mut Vec<Sample>, step: u64, file: &str, seq: u64) {
    let place = files.partition_point(|f| f.step < step);
    let new = Sample {
        step,
        file: file.into(),
        seq,
    };
    match files.get_mut(place) {
        Some(old) if old.step == step => *old = new,
        _ => files.insert(place, new),
    }
}
