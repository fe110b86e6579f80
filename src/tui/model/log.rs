//! The log of a run: what its events say in words, as far back as it is worth.

use crate::tui::text::clean;
use astill_core::run::event::{Event, EventKind, Perturbation, Status};
use astill_core::run::text;
use std::collections::VecDeque;

/// Lines that are kept, besides those of distillation steps, of which the latest are kept apart: a
/// warning is not to be pushed out by a million steps.
const LINES: usize = 10_000;
const STEP_LINES: usize = 2_000;

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    Normal,
    /// One of many.
    Step,
    Command,
    Warning,
    Failure,
    Result,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    seq: u64,
    /// RFC 3339.
    pub time: String,
    pub weight: Weight,
    pub text: String,
}

/// The lines.
#[derive(Debug, Default)]
pub struct Log {
    lines: VecDeque<LogLine>,
    steps: VecDeque<StepLine>,
}

/// A line that is written only when somebody looks at it.
#[derive(Debug)]
struct StepLine {
    seq: u64,
    time: String,
    step: u64,
    matching_loss: f64,
    student_lr: f64,
    reach: f64,
    alignment: f64,
    seconds: f64,
}

impl Log {
    /// Takes what an event has to say.
    pub fn push(&mut self, event: &Event) {
        let (seq, time) = (event.seq, event.time.clone());
        let weight = match &event.what {
            EventKind::DistillStep {
                step,
                matching_loss,
                student_lr,
                reach,
                alignment,
                seconds,
                ..
            } => {
                if self.steps.len() == STEP_LINES {
                    self.steps.pop_front();
                }
                let (step, matching_loss, student_lr) = (*step, *matching_loss, *student_lr);
                let (reach, alignment, seconds) = (*reach, *alignment, *seconds);
                return self.steps.push_back(StepLine {
                    seq,
                    time,
                    step,
                    matching_loss,
                    student_lr,
                    reach,
                    alignment,
                    seconds,
                });
            }
            EventKind::Progress { .. } | EventKind::Memory { .. } => return,
            EventKind::Command { .. } => Weight::Command,
            EventKind::Warning { .. } | EventKind::Waiting { reason: Some(_) } => Weight::Warning,
            EventKind::Evaluation { .. } => Weight::Result,
            EventKind::RunFinished {
                status: Status::Failed,
                ..
            } => Weight::Failure,
            EventKind::RunFinished { .. } => Weight::Result,
            _ => Weight::Normal,
        };
        let Some(mut text) = text::line(&event.what) else {
            return;
        };
        if let EventKind::Command { from, to, .. } = &event.what {
            text += &change(from.as_ref(), to.as_ref());
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(LogLine {
            seq,
            time,
            weight,
            text: clean(&text),
        });
    }

    /// The latest line first.
    pub fn backwards(&self) -> impl Iterator<Item = LogLine> + '_ {
        let mut lines = self.lines.iter().rev().peekable();
        let mut steps = self.steps.iter().rev().peekable();
        std::iter::from_fn(move || match (lines.peek(), steps.peek()) {
            (Some(line), Some(step)) if line.seq < step.seq => steps.next().map(StepLine::line),
            (None, Some(_)) => steps.next().map(StepLine::line),
            _ => lines.next().cloned(),
        })
    }
}

impl StepLine {
    fn line(&self) -> LogLine {
        let what = EventKind::DistillStep {
            step: self.step,
            matching_loss: self.matching_loss,
            student_lr: self.student_lr,
            reach: self.reach,
            alignment: self.alignment,
            seconds: self.seconds,
            // what the line does not say
            expert: 0,
            start_epoch: 0,
            final_ratio: f64::NAN,
            intermediate: Vec::new(),
            balance_factor: f64::NAN,
            perturbation: Perturbation {
                relative: f64::NAN,
                per_layer: Vec::new(),
            },
            image_gradient: f64::NAN,
        };
        LogLine {
            seq: self.seq,
            time: self.time.clone(),
            weight: Weight::Step,
            text: text::line(&what).unwrap_or_default(),
        }
    }
}

/// ": 100 -> 30"; empty where nothing has changed.
pub fn change(from: Option<&serde_json::Value>, to: Option<&serde_json::Value>) -> String {
    match (from, to) {
        (Some(from), Some(to)) => format!(": {from} -> {to}"),
        (None, Some(to)) => format!(": {to}"),
        _ => String::new(),
    }
}
