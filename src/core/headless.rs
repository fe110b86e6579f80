//! A run without a screen: its events as lines, or as a progress bar where there is a terminal, and
//! the table at the end.

use crate::run::event::{Event, EventKind, Headline, Status};
use crate::run::text::{duration, line};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write;
use std::time::{Duration, Instant};

/// Without a terminal, distillation steps and progress are told at most this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The result of a finished run as a table for people; none for an event that is not one.
pub fn table(what: &EventKind) -> Option<String> {
    let EventKind::RunFinished {
        status: Status::Done,
        best_step,
        best_validation,
        results,
        paper_style_max,
        file,
        ..
    } = what
    else {
        return None;
    };
    let networks = results.first().map_or(0, |r| r.values.len());
    let mut text = format!(
        "Test accuracy of {networks} fresh networks that saw only these images, mean ± std:\n"
    );
    for Headline {
        network,
        labels,
        mean,
        std,
        ..
    } in results
    {
        let labels = labels.to_string();
        text += &format!("  {labels:<16} {network:<10} {mean:5.1} ± {std:.1} %\n");
    }
    if let Some(step) = best_step {
        let why = best_validation.map_or("the last one".into(), |v| {
            format!("chosen for its {v:.1} % on the validation share")
        });
        text += &format!("Distilled images of step {step}, {why}.\n");
    }
    if let Some(max) = paper_style_max {
        text += &format!(
            "Highest test accuracy on the way, which published tables report: {max:.1} %.\n"
        );
    }
    if let Some(file) = file {
        text += &format!("The distilled set: {file}\n");
    }
    text.pop();
    Some(text)
}

/// A line on stderr; a reader that has gone away is not an error.
pub fn say(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{}", harmless(&text.to_string()));
}

/// `text` without what would move the cursor or change the terminal: names of files and of classes
/// may come from anybody.
pub fn harmless(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "?")
}

/// Tells the events of a run on stderr.
#[derive(Debug)]
pub struct Reporter {
    bar: Option<ProgressBar>,
    iterations: u64,
    /// Steps of this process and the seconds that they took, for the rate.
    steps: u64,
    step_seconds: f64,
    last_line: Option<Instant>,
    /// The long work that is going on: its name, and when and where it was first heard of.
    work: Option<(String, Instant, u64)>,
}

impl Reporter {
    /// With `terminal`, a progress bar; otherwise plain lines.
    pub fn new(terminal: bool) -> Self {
        let bar = terminal.then(|| {
            let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}\n{msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(1).with_style(style)
        });
        Self {
            bar,
            iterations: 0,
            steps: 0,
            step_seconds: 0.,
            last_line: None,
            work: None,
        }
    }

    /// Tells one event.
    pub fn tell(&mut self, event: &Event) {
        let what = &event.what;
        if let EventKind::RunStarted { iterations, .. } = what {
            self.iterations = *iterations;
        }
        let text = match what {
            EventKind::DistillStep { step, seconds, .. } => {
                self.steps += 1;
                self.step_seconds += seconds;
                line(what).map(|l| format!("{l}; {}", self.rate(*step)))
            }
            EventKind::Memory { .. } | EventKind::Checkpoint { .. } | EventKind::Samples { .. } => {
                None
            }
            EventKind::Progress { what, done, total } => Some(self.progress(what, *done, *total)),
            _ => line(what),
        };
        let Some(text) = text else { return };
        match &self.bar {
            Some(bar) => match what {
                EventKind::Progress { done, total, .. } => self.position(bar, *done, *total, text),
                EventKind::DistillStep { step, .. } => {
                    self.position(bar, *step, self.iterations, text)
                }
                _ => bar.println(harmless(&text)),
            },
            None => {
                let repeated = matches!(
                    what,
                    EventKind::Progress { .. } | EventKind::DistillStep { .. }
                );
                let is_last =
                    matches!(what, EventKind::DistillStep { step, .. } if *step == self.iterations);
                if repeated && !is_last && self.last_line.is_some_and(|t| t.elapsed() < LINE_EVERY)
                {
                    return;
                }
                if repeated {
                    self.last_line = Some(Instant::now());
                }
                say(text);
            }
        }
    }

    /// "expert 1, epoch 2: batches 3/16, 12.0 s left".
    fn progress(&mut self, what: &str, done: u64, total: u64) -> String {
        let begun = self
            .work
            .as_ref()
            .filter(|(name, _, from)| name == what && *from <= done)
            .map(|(_, begin, from)| (*begin, *from));
        let (begin, from) = begun.unwrap_or_else(|| {
            let begin = (Instant::now(), done);
            self.work = Some((what.to_string(), begin.0, begin.1));
            begin
        });
        let left = begin.elapsed().as_secs_f64() / (done - from).max(1) as f64
            * total.saturating_sub(done) as f64;
        let left = if done > from {
            format!(", {} left", duration(left))
        } else {
            String::new()
        };
        format!("{what} {done}/{total}{left}")
    }

    fn position(&self, bar: &ProgressBar, done: u64, total: u64, message: String) {
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(harmless(&message));
    }

    /// "1.3 it/s, 2 min 10 s left" after `step` steps.
    fn rate(&self, step: u64) -> String {
        let seconds = self.step_seconds / self.steps.max(1) as f64;
        let left = duration(seconds * self.iterations.saturating_sub(step) as f64);
        let rate = if seconds < 1. {
            format!("{:.1} it/s", 1. / seconds.max(1e-9))
        } else {
            format!("{seconds:.1} s/it")
        };
        format!("{step}/{} at {rate}, {left} left", self.iterations)
    }

    /// Leaves the terminal clean.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::event::ImageSet;

    #[test]
    fn what_is_said_leaves_the_terminal_alone() {
        assert_eq!(harmless("a\u{1b}[2Jb\u{9b}c\rd\te\nf"), "a?[2Jb?c?d?e\nf");
    }

    #[test]
    fn the_table_names_every_set() {
        let result = |labels, mean| Headline {
            network: "convnet".into(),
            labels,
            mean,
            std: 0.5,
            values: vec![mean; 5],
        };
        let finished = EventKind::RunFinished {
            status: Status::Done,
            reason: None,
            best_step: Some(100),
            best_validation: Some(33.),
            results: vec![
                result(ImageSet::Distilled, 34.5),
                result(ImageSet::Random, 16.1),
            ],
            paper_style_max: Some(35.),
            file: Some("distilled/best.safetensors".into()),
            seconds: 1.,
        };
        let text = table(&finished).expect("done");
        assert!(
            text.contains("distilled        convnet     34.5 ± 0.5 %"),
            "{text}"
        );
        assert!(
            text.contains("random           convnet     16.1 ± 0.5 %"),
            "{text}"
        );
        assert!(
            table(&EventKind::Warning {
                message: String::new()
            })
            .is_none()
        );
    }
}
