//! What an engine reports: one [`Event`] per line of `events.jsonl`. docs/protocol.md describes
//! every kind.

mod answered;
mod calibration;
mod evaluation;
mod expert;
mod lifetime;
mod step;
mod usage;

pub use super::command::CommandStatus;
pub use answered::CommandAnswered;
pub use calibration::{Calibration, CalibrationRound};
pub use evaluation::{EvalSplit, Evaluation, Headline, ImageSet};
pub use expert::{ExpertEpoch, ExpertFound};
pub use lifetime::{DataWarning, DatasetLoaded, LeftOut, RunFinished, RunOutcome, RunStarted};
pub use step::{DistillStep, Perturbation, SegmentStep, WorkerChange};
pub use usage::{GpuUsage, HostUsage, Usage, gib};

use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// A longer line is not an event, and is not kept in memory.
pub const LONGEST_LINE: usize = 16 << 20;

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Counts up by one from 0 over the whole life of a run, resumptions included.
    pub seq: u64,
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    #[serde(flatten, deserialize_with = "EventKind::read")]
    pub what: EventKind,
}

/// What happened. The JSON key `kind` holds the variant's name in snake case, and the fields of the
/// variant stand beside it. Numbers that are not finite are null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// An engine started or resumed this run.
    RunStarted(RunStarted),
    Phase {
        name: Phase,
    },
    /// How far a long piece of work inside a phase has come; about one per second is written.
    Progress {
        what: String,
        done: u64,
        total: u64,
    },
    /// The data set is ready.
    Dataset(DatasetLoaded),
    /// An epoch of expert training ended.
    ExpertEpoch(ExpertEpoch),
    /// An expert was found in the store, trained earlier.
    ExpertFound(ExpertFound),
    /// The student rate to begin with was found.
    Calibration(Calibration),
    /// One distillation step ended.
    DistillStep(DistillStep),
    /// A picture of the synthetic images after `step` steps; `file` is relative to the run
    /// directory.
    Samples {
        step: u64,
        file: String,
    },
    /// Networks were trained on a set of images and tested.
    Evaluation(Evaluation),
    /// Somebody sent a command, and the engine answered.
    Command(CommandAnswered),
    /// The run went back from the state after step `from` to the checkpoint of step `to`. Written
    /// once that has happened, not when it was requested.
    RolledBack {
        from: u64,
        to: u64,
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
    /// How much of the engine's machine is in use; recorded with other events, at most every ten
    /// seconds.
    Usage(Usage),
    /// A worker that computes segments has joined the run, or is gone.
    Worker(WorkerChange),
    Warning {
        message: String,
    },
    /// The run waits because something cannot be written, for the reason given; without one, it
    /// continues.
    Waiting {
        reason: Option<String>,
    },
    /// The engine ended.
    RunFinished(RunFinished),
}

impl EventKind {
    /// Reads an event; what older engines recorded differently is converted to today's form.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kind = Self::deserialize(deserializer)?;
        if let Self::Command(answered) = &kind
            && let Some((from, to)) = answered.old_roll_back()
        {
            return Ok(Self::RolledBack { from, to });
        }
        Ok(kind)
    }
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

macro_rules! shown_as_in_json {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.serialize(f)
            }
        }
    )*};
}
shown_as_in_json!(Phase, ImageSet, EvalSplit, RunOutcome);

#[cfg(test)]
mod tests;
