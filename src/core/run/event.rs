//! What an engine tells the world: one [`Event`] a line in `events.jsonl`. docs/protocol.md
//! describes every kind.

use crate::EpochRecord;
use crate::json::{real, reals};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A line that is longer is no event, and is not kept in memory.
pub const LONGEST_LINE: usize = 16 << 20;

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Counts up by one from 0 over the whole life of a run, resumptions included.
    pub seq: u64,
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    #[serde(flatten)]
    pub what: EventKind,
}

/// What happened. The JSON key `kind` holds the variant's name in snake case. Numbers that are not
/// finite are null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// An engine began, or went on with, this run.
    RunStarted {
        run: String,
        profile: String,
        seed: u64,
        device: String,
        threads: i64,
        version: String,
        process: u32,
        /// Folders of caches and trajectories, and of the data set.
        data: String,
        folder: String,
        /// Distillation steps that an earlier engine already did; 0 for a new run.
        step: u64,
        /// Distillation steps in all.
        iterations: u64,
    },
    Phase {
        name: Phase,
    },
    /// How far a long piece of work inside a phase has come; about one a second is kept.
    Progress {
        what: String,
        done: u64,
        total: u64,
    },
    /// The data set is ready.
    Dataset {
        classes: Vec<String>,
        train: u64,
        validation: u64,
        test: u64,
        size: i64,
        normalisation: String,
    },
    /// An epoch of expert training ended; `expert` and `epoch` count from 0.
    ExpertEpoch {
        expert: u64,
        epoch: u64,
        #[serde(flatten)]
        record: EpochRecord,
        /// Wall time of the epoch with its evaluation.
        seconds: f64,
    },
    /// An expert was found in the store, trained earlier; what was measured then, epoch by epoch.
    ExpertFound {
        expert: u64,
        store: String,
        epochs: Vec<EpochRecord>,
    },
    /// One distillation step ended; `step` counts from 1.
    DistillStep {
        step: u64,
        expert: u64,
        start_epoch: u64,
        #[serde(deserialize_with = "real")]
        matching_loss: f64,
        #[serde(deserialize_with = "real")]
        final_ratio: f64,
        #[serde(deserialize_with = "reals")]
        intermediate: Vec<f64>,
        /// α after the step.
        #[serde(deserialize_with = "real")]
        student_lr: f64,
        #[serde(deserialize_with = "real")]
        balance_factor: f64,
        perturbation: Perturbation,
        #[serde(deserialize_with = "real")]
        reach: f64,
        #[serde(deserialize_with = "real")]
        alignment: f64,
        /// Norm of the gradient with respect to all synthetic images.
        #[serde(deserialize_with = "real")]
        image_gradient: f64,
        seconds: f64,
    },
    /// A picture of the synthetic images after `step` steps; `file` is relative to the run
    /// directory.
    Samples {
        step: u64,
        file: String,
    },
    /// Networks were trained on a set of images and tested. Accuracies in per cent.
    Evaluation {
        step: u64,
        network: String,
        labels: ImageSet,
        split: Split,
        mean: f64,
        std: f64,
        values: Vec<f64>,
    },
    /// Somebody asked for something; `from` and `to` are the old and the new value of a changed
    /// setting.
    Command {
        command: String,
        status: CommandStatus,
        reason: Option<String>,
        from: Option<serde_json::Value>,
        to: Option<serde_json::Value>,
    },
    /// The run can be resumed from here; `file` is relative to the run directory.
    Checkpoint {
        step: u64,
        file: String,
    },
    /// Memory of the engine: resident on the host, in use on the device (null where it is not
    /// measured).
    Memory {
        host_mib: u64,
        device_mib: Option<u64>,
    },
    Warning {
        message: String,
    },
    /// The run waits because something cannot be written, for the reason given; without one, it
    /// goes on.
    Waiting {
        reason: Option<String>,
    },
    /// The engine ended.
    RunFinished {
        status: Status,
        /// Why, where it is not `done`.
        reason: Option<String>,
        /// The step whose images were chosen: by accuracy on the validation share, or the last
        /// where there is none.
        best_step: Option<u64>,
        /// The accuracy that it was chosen by.
        best_validation: Option<f64>,
        /// The headline: fresh networks on the test set.
        results: Vec<Headline>,
        /// The highest mean test accuracy over all evaluations, as published tables take it.
        paper_style_max: Option<f64>,
        /// The distilled set, relative to the run directory.
        file: Option<String>,
        seconds: f64,
    },
}

/// The phases of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Data,
    Experts,
    Init,
    Distill,
    Evaluate,
}

/// How far weight perturbation moved the student's start, relative to its length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Perturbation {
    #[serde(deserialize_with = "real")]
    pub relative: f64,
    /// One number a convolution, first layer first.
    #[serde(deserialize_with = "reals")]
    pub per_layer: Vec<f64>,
}

/// Which labelled images were learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSet {
    Distilled,
    /// Random real images.
    Random,
    /// The representative real images, undistilled.
    Representative,
}

/// Which real images were classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    Validation,
    Test,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandStatus {
    Accepted,
    Rejected,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Done,
    /// Stopped on request after a checkpoint; it can be resumed.
    Stopped,
    Failed,
}

/// Accuracy of one set of images on the test split, in per cent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    pub network: String,
    pub labels: ImageSet,
    pub mean: f64,
    pub std: f64,
    pub values: Vec<f64>,
}

macro_rules! shown_as_in_json {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.serialize(f)
            }
        }
    )*};
}
shown_as_in_json!(Phase, ImageSet, Split, Status);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_exploded_survives_the_round_trip() {
        let what = EventKind::DistillStep {
            step: 3,
            expert: 0,
            start_epoch: 1,
            matching_loss: f64::NAN,
            final_ratio: f64::INFINITY,
            intermediate: vec![1., f64::NAN],
            student_lr: 0.01,
            balance_factor: 1.,
            perturbation: Perturbation {
                relative: 0.1,
                per_layer: vec![0.2],
            },
            reach: 1.,
            alignment: 0.5,
            image_gradient: f64::NAN,
            seconds: 0.1,
        };
        let event = Event {
            seq: 7,
            time: "2026-01-01T00:00:00.000Z".into(),
            what,
        };
        let line = serde_json::to_string(&event).expect("serialises");
        assert!(
            line.starts_with(
                r#"{"seq":7,"time":"2026-01-01T00:00:00.000Z","kind":"distill_step","step":3"#
            ),
            "{line}"
        );
        let back: Event = serde_json::from_str(&line).expect("parses");
        let EventKind::DistillStep {
            matching_loss,
            intermediate,
            step,
            ..
        } = back.what
        else {
            panic!("another kind")
        };
        assert!(
            step == 3
                && matching_loss.is_nan()
                && intermediate[0] == 1.
                && intermediate[1].is_nan()
        );
    }

    #[test]
    fn names_are_those_of_the_protocol() {
        assert_eq!(Phase::Distill.to_string(), "distill");
        assert_eq!(ImageSet::Representative.to_string(), "representative");
    }
}
