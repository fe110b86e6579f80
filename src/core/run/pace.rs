//! How far a run has come, how fast it is and how long the rest will take: computed from its events
//! in one place, so that every display agrees.

use super::command::Command;
use super::edits::key_of;
use super::event::{Event, EventKind};
use std::collections::VecDeque;

/// The rate is the mean of this many steps.
const RECENT: usize = 30;

/// The progress of a run, as its events report it.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    step: u64,
    iterations: u64,
    /// Seconds of the latest steps of the latest engine.
    recent: VecDeque<f64>,
    work: Option<Work>,
}

/// Long work inside a phase that is not finished.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    pub what: String,
    pub done: u64,
    pub total: u64,
    /// When it was first reported: the event's time and how much was done.
    begin: (Option<f64>, u64),
    now: Option<f64>,
}

impl Pace {
    /// Takes the next event.
    pub fn apply(&mut self, event: &Event) {
        match &event.what {
            EventKind::Progress { what, done, total } => {
                let now = unix_seconds(&event.time);
                let begin = match self.work.take() {
                    Some(work) if work.what == *what && work.begin.1 <= *done => work.begin,
                    _ => (now, *done),
                };
                self.work = Some(Work {
                    what: what.clone(),
                    done: *done,
                    total: *total,
                    begin,
                    now,
                });
                return;
            }
            // these can be written in the middle of the work
            EventKind::Memory { .. }
            | EventKind::Usage(_)
            | EventKind::Warning { .. }
            | EventKind::Worker(_) => return,
            EventKind::Command(answered) => {
                // the length of a run can be changed while it runs
                if let Command::Set { edit } = &answered.command
                    && answered.is_accepted()
                    && key_of(edit) == "distill.iterations"
                    && let Some(iterations) = answered.answer.to.as_ref().and_then(|v| v.as_u64())
                {
                    self.iterations = iterations;
                }
                return;
            }
            EventKind::RunStarted(started) => {
                (self.step, self.iterations) = (started.step, started.iterations);
                self.recent.clear();
            }
            EventKind::RolledBack { to, .. } => self.step = *to,
            EventKind::DistillStep(step) => {
                self.step = step.step;
                if self.recent.len() == RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back(step.seconds);
            }
            _ => {}
        }
        self.work = None;
    }

    /// Distillation steps done.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Distillation steps in all.
    #[must_use]
    pub fn iterations(&self) -> u64 {
        self.iterations
    }

    /// Seconds per step, the mean of the latest.
    #[must_use]
    pub fn seconds_per_step(&self) -> Option<f64> {
        (!self.recent.is_empty())
            .then(|| self.recent.iter().sum::<f64>() / self.recent.len() as f64)
    }

    /// Seconds until the last step of distillation is done.
    #[must_use]
    pub fn seconds_left(&self) -> Option<f64> {
        self.seconds_per_step()
            .map(|s| s * self.iterations.saturating_sub(self.step) as f64)
    }

    /// The long work that is under way.
    #[must_use]
    pub fn work(&self) -> Option<&Work> {
        self.work.as_ref()
    }
}

impl Work {
    /// Seconds until it is done, from the speed so far; none before it has made progress.
    #[must_use]
    pub fn seconds_left(&self) -> Option<f64> {
        let done = self.done.checked_sub(self.begin.1).filter(|d| *d > 0)?;
        Some(
            (self.now? - self.begin.0?) / done as f64 * self.total.saturating_sub(self.done) as f64,
        )
    }
}

/// Seconds since 1970 of an event's time.
#[must_use]
pub fn unix_seconds(time: &str) -> Option<f64> {
    time.parse::<jiff::Timestamp>()
        .ok()
        .map(|t| t.as_millisecond() as f64 / 1000.)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::command::Answer;
    use crate::run::event::{CommandAnswered, DistillStep};

    fn after(whats: Vec<EventKind>) -> Pace {
        let mut pace = Pace::default();
        for (seq, what) in (0..).zip(whats) {
            let time = format!("2026-01-01T00:00:{seq:02}.000Z");
            pace.apply(&Event { seq, time, what });
        }
        pace
    }

    fn work(done: u64) -> EventKind {
        EventKind::Progress {
            what: "batches".into(),
            done,
            total: 10,
        }
    }

    fn step(step: u64, seconds: f64) -> EventKind {
        EventKind::DistillStep(DistillStep {
            step,
            seconds,
            ..DistillStep::default()
        })
    }

    #[test]
    fn work_takes_as_long_as_it_did_so_far_and_ends_with_the_next_event() {
        let memory = EventKind::Memory {
            host_mib: 1,
            device_mib: None,
        };
        let pace = after(vec![work(2), work(4), memory]);
        assert_eq!(pace.work().and_then(Work::seconds_left), Some(3.));
        assert!(
            after(vec![work(2)])
                .work()
                .is_some_and(|w| w.seconds_left().is_none())
        );
        assert!(after(vec![work(2), step(1, 1.)]).work().is_none());
    }

    #[test]
    fn the_rest_follows_from_the_latest_steps_and_the_length_as_it_is_now() {
        let longer = EventKind::Command(CommandAnswered::new(
            Command::Set {
                edit: "distill.iterations=40".into(),
            },
            Answer::changed(20, 40),
        ));
        let mut life: Vec<EventKind> = (1..=10).map(|n| step(n, 100.)).collect();
        life.extend((11..=40).map(|n| step(n, 2.)));
        life.push(EventKind::RolledBack { from: 40, to: 10 });
        life.push(longer);
        let pace = after(life);
        assert_eq!((pace.step(), pace.iterations()), (10, 40));
        assert_eq!(pace.seconds_left(), Some(60.));
        assert_eq!(Pace::default().seconds_left(), None);
    }
}
