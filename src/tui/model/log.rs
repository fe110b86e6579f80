//! The log of a run: its events as sentences, as far back as they are worth keeping.

use crate::tui::advice::in_keys;
use crate::tui::keys::Keymap;
use crate::tui::text::clean;
use astill_core::describe::line;
use astill_core::run::event::{DistillStep, Event, EventKind, RunFinished, RunOutcome};
use astill_core::run::result::{self, CAUTION};
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
    /// Of its event.
    pub seq: u64,
    /// Which of the lines of its event it is.
    pub part: usize,
    /// RFC 3339.
    pub time: String,
    pub weight: Weight,
    /// Numbers with commas between them, the most important first: the last ones can be left out.
    pub is_list: bool,
    pub text: String,
}

impl LogLine {
    /// The same, with keys in the place of commands.
    pub fn in_keys(self, keys: &Keymap) -> Self {
        Self {
            text: in_keys(&self.text, keys),
            ..self
        }
    }
}

/// The lines.
#[derive(Debug, Default)]
pub struct EventLog {
    lines: VecDeque<LogLine>,
    steps: VecDeque<LoggedStep>,
    /// The event that ended the latest engine.
    end: Option<u64>,
}

/// A line that is put into words only when it is shown.
#[derive(Debug)]
struct LoggedStep {
    seq: u64,
    time: String,
    step: DistillStep,
}

impl EventLog {
    /// Takes the next event.
    pub fn push(&mut self, event: &Event) {
        let (seq, time) = (event.seq, event.time.clone());
        let weight = match &event.what {
            EventKind::DistillStep(step) => {
                if self.steps.len() == STEP_LINES {
                    self.steps.pop_front();
                }
                let step = step.without_lists();
                return self.steps.push_back(LoggedStep { seq, time, step });
            }
            EventKind::Progress { .. } | EventKind::Memory { .. } | EventKind::Usage(_) => return,
            EventKind::Command(_) | EventKind::RolledBack { .. } => Weight::Command,
            EventKind::Warning { .. } | EventKind::Waiting { reason: Some(_) } => Weight::Warning,
            EventKind::Evaluation(_) => Weight::Result,
            // as frequent as steps
            EventKind::Samples { .. } | EventKind::Checkpoint { .. } => Weight::Step,
            EventKind::RunFinished(RunFinished {
                status: RunOutcome::Failed,
                ..
            }) => Weight::Failure,
            EventKind::RunFinished(_) => Weight::Result,
            _ => Weight::Normal,
        };
        if let Some(text) = line(&event.what) {
            self.add(event, weight, &text);
        }
        if let EventKind::RunFinished(_) = &event.what {
            self.end = Some(seq);
            // small screens have no room for all of the result
            for text in result::table(&event.what).iter().flat_map(|t| t.lines()) {
                let weight = match text.starts_with(CAUTION) {
                    true => Weight::Warning,
                    false => Weight::Normal,
                };
                self.add(event, weight, text);
            }
        }
    }

    /// Adds a warning about an event.
    pub fn warn(&mut self, about: &Event, text: &str) {
        self.add(about, Weight::Warning, text);
    }

    /// Whether a line repeats the result.
    pub fn is_result(&self, line: &LogLine) -> bool {
        self.end == Some(line.seq) && line.part > 0
    }

    fn add(&mut self, event: &Event, weight: Weight, text: &str) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        let before = self.lines.back().filter(|line| line.seq == event.seq);
        self.lines.push_back(LogLine {
            seq: event.seq,
            part: before.map_or(0, |line| line.part + 1),
            time: event.time.clone(),
            weight,
            is_list: matches!(event.what, EventKind::ExpertEpoch(_)),
            text: clean(text),
        });
    }

    /// The latest line first.
    pub fn backwards(&self) -> impl Iterator<Item = LogLine> + '_ {
        let mut lines = self.lines.iter().rev().peekable();
        let mut steps = self.steps.iter().rev().peekable();
        std::iter::from_fn(move || match (lines.peek(), steps.peek()) {
            (Some(line), Some(step)) if line.seq < step.seq => steps.next().map(LoggedStep::line),
            (None, Some(_)) => steps.next().map(LoggedStep::line),
            _ => lines.next().cloned(),
        })
    }
}

impl LoggedStep {
    fn line(&self) -> LogLine {
        let text = line(&EventKind::DistillStep(self.step.clone()));
        LogLine {
            seq: self.seq,
            part: 0,
            time: self.time.clone(),
            weight: Weight::Step,
            is_list: true,
            text: clean(&text.unwrap_or_default()),
        }
    }
}
