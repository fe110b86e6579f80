//! A run without a screen: its events as lines, or as a progress bar where there is a terminal.

use astill_core::console::to_stderr;
use astill_core::describe::line;
use astill_core::profile::Profile;
use astill_core::run::command::Command;
use astill_core::run::event::{Event, EventKind};
use astill_core::run::outlook::{Costs, in_all};
use astill_core::run::pace::{Pace, Work};
use astill_core::text::{duration, harmless, rate};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Without a terminal, distillation steps and progress are reported at most this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Reports the events of a run on stderr.
#[derive(Debug)]
pub struct Reporter {
    bar: Option<ProgressBar>,
    pace: Pace,
    costs: Costs,
    /// Of the run, if it is a whole one.
    profile: Option<Profile>,
    last_line: Option<Instant>,
}

impl Reporter {
    /// With `terminal`, a progress bar; otherwise plain lines. With the profile of a whole run, they say
    /// how long the rest of it takes.
    pub fn new(terminal: bool, profile: Option<Profile>) -> Self {
        let bar = terminal.then(|| {
            let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}\n{msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(1).with_style(style)
        });
        Self {
            bar,
            pace: Pace::default(),
            costs: Costs::default(),
            profile,
            last_line: None,
        }
    }

    /// Reports one event.
    pub fn report(&mut self, event: &Event) {
        self.pace.apply(event);
        self.costs.apply(event);
        self.follow(&event.what);
        let what = &event.what;
        let Some(text) = self.text(what) else { return };
        let timed = || format!("{}{text}", clock(&event.time));
        let (step, iterations) = (self.pace.step(), self.pace.iterations());
        match (&self.bar, what) {
            (Some(bar), EventKind::Progress { done, total, .. }) => {
                position(bar, *done, *total, &text);
            }
            (Some(bar), EventKind::DistillStep(_)) => position(bar, step, iterations, &text),
            (Some(bar), _) => bar.println(harmless(&timed())),
            (None, EventKind::Progress { .. } | EventKind::DistillStep(_)) => {
                let is_last = matches!(what, EventKind::DistillStep(_)) && step == iterations;
                if is_last || self.last_line.is_none_or(|t| t.elapsed() >= LINE_EVERY) {
                    self.last_line = Some(Instant::now());
                    to_stderr(timed());
                }
            }
            (None, _) => to_stderr(timed()),
        }
    }

    /// Takes over a setting that was changed.
    fn follow(&mut self, what: &EventKind) {
        if let EventKind::Command(answered) = what
            && answered.answer.is_accepted()
            && let Command::Set { edit } = &answered.command
        {
            self.profile = self
                .profile
                .take()
                .map(|before| before.edited(edit).unwrap_or(before));
        }
    }

    fn text(&self, what: &EventKind) -> Option<String> {
        match what {
            EventKind::DistillStep(_) => line(what).map(|l| format!("{l}; {}", self.rate())),
            EventKind::Memory { .. } | EventKind::Checkpoint { .. } | EventKind::Samples { .. } => {
                None
            }
            EventKind::Progress { .. } => {
                let left = self.pace.work().and_then(Work::seconds_left);
                let left = left.map(|s| format!(", {} left", duration(s)));
                line(what).map(|l| l + &left.unwrap_or_default())
            }
            _ => line(what),
        }
    }

    /// "10/100 at 1.3 it/s, 2 min 10 s left", of the whole run, or else of distillation.
    fn rate(&self) -> String {
        let (step, iterations) = (self.pace.step(), self.pace.iterations());
        let rate = rate(self.pace.seconds_per_step().unwrap_or_default());
        let ahead = self
            .profile
            .as_ref()
            .map(|of| self.costs.ahead(&self.pace, of));
        let left = match ahead.and_then(|ahead| in_all(&ahead)) {
            Some(all) => format!("{} left", duration(all)),
            None => {
                let left = self.pace.seconds_left().unwrap_or_default();
                format!("{} of distillation left", duration(left))
            }
        };
        format!("{step}/{iterations} at {rate}, {left}")
    }

    /// Leaves the terminal clean.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn position(bar: &ProgressBar, done: u64, total: u64, message: &str) {
    bar.set_length(total);
    bar.set_position(done);
    bar.set_message(harmless(message));
}

/// "2026-01-01 22:51:07+01:00 " in the time of this machine; empty if it is not a time.
fn clock(time: &str) -> String {
    let time = time.parse::<jiff::Timestamp>();
    time.map_or_else(
        |_| String::new(),
        |time| {
            let local = time.to_zoned(jiff::tz::TimeZone::system());
            local.strftime("%Y-%m-%d %H:%M:%S%:z ").to_string()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use astill_core::run::event::{CommandAnswered, DistillStep, Phase, RunStarted};

    fn event(seconds: u64, what: EventKind) -> Event {
        Event {
            seq: seconds,
            time: format!("2026-01-01T00:00:{seconds:02}.000Z"),
            what,
        }
    }

    fn reporter(whats: &[EventKind], profile: Option<Profile>) -> Reporter {
        let mut reporter = Reporter::new(false, profile);
        for (seconds, what) in (0..).zip(whats) {
            reporter.report(&event(seconds, what.clone()));
        }
        reporter
    }

    #[test]
    fn steps_and_long_work_say_how_long_the_rest_takes() {
        let started = EventKind::RunStarted(RunStarted {
            run: "r".into(),
            profile: "p".into(),
            seed: 0,
            device: "cpu".into(),
            threads: 1,
            version: "0".into(),
            process: 1,
            data: "d".into(),
            folder: "f".into(),
            step: 0,
            iterations: 10,
            oom_kills: None,
            settings: None,
        });
        let step = EventKind::DistillStep(DistillStep {
            step: 4,
            seconds: 0.5,
            ..DistillStep::default()
        });
        let text = reporter(&[started.clone(), step.clone()], None).text(&step);
        assert!(
            text.as_ref()
                .is_some_and(|t| t.ends_with("; 4/10 at 2.0 it/s, 3.0 s of distillation left")),
            "{text:?}"
        );
        // of distillation, two evaluations in it, and those of three sets after it
        let sets = ["evaluate.every=5", "distill.iterations=10"].map(String::from);
        let profile = astill_core::profile::load("shapes", &sets).unwrap().profile;
        let mean = astill_core::run::event::Evaluation {
            step: 0,
            network: "convnet".into(),
            labels: astill_core::run::event::ImageSet::Random,
            label_kind: astill_core::profile::LabelKind::Hard,
            split: astill_core::run::event::EvalSplit::Validation,
            mean: 10.,
            std: 0.,
            values: vec![10.],
        };
        let init = EventKind::Phase { name: Phase::Init };
        let life = [started, init, EventKind::Evaluation(mean), step.clone()];
        let text = reporter(&life, Some(profile)).text(&step);
        assert!(
            text.as_ref()
                .is_some_and(|t| t.ends_with("; 4/10 at 2.0 it/s, 8.0 s left")),
            "{text:?}"
        );
        // one evaluation more where they are wanted every other iteration: at 6, 8 and 10
        let edit = "evaluate.every=2".into();
        let answer = astill_core::run::command::Answer::changed(5., 2.);
        let edited = CommandAnswered::new(Command::Set { edit }, answer);
        let life = [&life[..3], &[EventKind::Command(edited), step.clone()]].concat();
        let sets = ["evaluate.every=5", "distill.iterations=10"].map(String::from);
        let profile = astill_core::profile::load("shapes", &sets).unwrap().profile;
        let text = reporter(&life, Some(profile)).text(&step);
        assert!(
            text.as_ref()
                .is_some_and(|t| t.ends_with("; 4/10 at 2.0 it/s, 9.0 s left")),
            "{text:?}"
        );
        let work = |done| EventKind::Progress {
            what: "batches".into(),
            done,
            total: 10,
        };
        let text = reporter(&[work(2), work(4)], None).text(&work(4));
        assert_eq!(text.as_deref(), Some("batches 4/10, 3.0 s left"));
        assert_eq!(
            reporter(&[work(2)], None).text(&work(2)).as_deref(),
            Some("batches 2/10")
        );
    }
}
