//! A run without a screen: its events as lines, or as a progress bar where there is a terminal, and the table at the end.

use crate::engine::event::{Event, Headline, Status, What};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Without a terminal, distillation steps and progress are told at most this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// An event as a line for people; none for those that only matter to programs.
pub fn line(what: &What) -> Option<String> {
    Some(match what {
        What::RunStarted { run, profile, device, threads, step, seed, .. } => {
            let resumed = if *step > 0 { format!(", going on after step {step}") } else { String::new() };
            format!("run {run}: profile {profile}, seed {seed}, on {device} with {threads} threads{resumed}")
        }
        What::Phase { name } => format!("phase {name}"),
        What::Progress { what, done, total } => format!("{what} {done}/{total}"),
        What::Dataset { classes, train, validation, test, size, normalisation } => format!(
            "data: {} classes, {train} training, {validation} validation and {test} test images of {size}×{size}, normalisation {normalisation}",
            classes.len()
        ),
        What::ExpertEpoch { expert, epoch, record, seconds } => format!(
            "expert {} epoch {}: loss {:.3}, accuracy {:.1} % train, {:.1} % test; penalty {:.3}, step length {:.3}{}, {seconds:.1} s",
            expert + 1,
            epoch + 1,
            record.train_loss,
            record.train_accuracy,
            record.test_accuracy,
            record.gradient_penalty,
            record.step_length,
            record.turn.map(|t| format!(", turn {t:.2}")).unwrap_or_default(),
        ),
        What::ExpertFound { expert, store, epochs } => {
            let test = epochs.last().map_or(f64::NAN, |e| e.test_accuracy);
            format!("expert {} is in the store ({store}): {} epochs, {test:.1} % test", expert + 1, epochs.len())
        }
        What::DistillStep { step, matching_loss, student_lr, reach, alignment, seconds, .. } => format!(
            "step {step}: matching loss {matching_loss:.4}, reach {reach:.2}, alignment {alignment:.3}, student rate {student_lr:.3e}, {seconds:.2} s"
        ),
        What::Samples { file, .. } => format!("pictures in {file}"),
        What::Evaluation { step, network, labels, split, mean, std, values } => {
            format!("step {step}: {labels} images, {split}: {mean:.1} ± {std:.1} % over {} fresh {network} networks", values.len())
        }
        What::Command { command, status, reason, .. } => {
            let status = if matches!(status, crate::engine::event::CommandStatus::Accepted) { "accepted" } else { "rejected" };
            format!("{command}: {status}{}", reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default())
        }
        What::Checkpoint { file, .. } => format!("checkpoint {file}"),
        What::Memory { host_mib, device_mib } => {
            format!("memory: {host_mib} MiB{}", device_mib.map(|d| format!(", {d} MiB on the device")).unwrap_or_default())
        }
        What::Warning { message } => format!("warning: {message}"),
        What::RunFinished { status, reason, seconds, .. } => {
            format!("{status} after {}{}", duration(*seconds), reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default())
        }
    })
}

/// The result of a finished run as a table for people; none for an event that is not one.
pub fn table(what: &What) -> Option<String> {
    let What::RunFinished { status: Status::Done, best_step, results, paper_style_max, file, .. } = what else { return None };
    let networks = results.first().map_or(0, |r| r.values.len());
    let mut text = format!("Test accuracy of {networks} fresh networks that saw only these images, mean ± std:\n\n");
    for Headline { network, labels, mean, std, .. } in results {
        let labels = labels.to_string();
        text += &format!("  {labels:<16} {network:<10} {mean:5.1} ± {std:.1} %\n");
    }
    if let Some(step) = best_step {
        text += &format!("\nDistilled images of step {step}, chosen on the validation share.");
    }
    if let Some(max) = paper_style_max {
        text += &format!(" paper_style_max (best test evaluation): {max:.1} %.");
    }
    if let Some(file) = file {
        text += &format!("\nThe distilled set: {file}");
    }
    Some(text)
}

/// Seconds as people say them: "4.2 s", "3 min 05 s", "2 h 10 min".
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.).round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
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
}

impl Reporter {
    /// With `terminal`, a progress bar; otherwise plain lines.
    pub fn new(terminal: bool) -> Self {
        let bar = terminal.then(|| {
            let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}\n{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(1).with_style(style)
        });
        Self { bar, iterations: 0, steps: 0, step_seconds: 0., last_line: None }
    }

    /// Tells one event.
    pub fn tell(&mut self, event: &Event) {
        let what = &event.what;
        if let What::RunStarted { iterations, .. } = what {
            self.iterations = *iterations;
        }
        let text = match what {
            What::DistillStep { step, seconds, .. } => {
                self.steps += 1;
                self.step_seconds += seconds;
                line(what).map(|l| format!("{l}; {}", self.rate(*step)))
            }
            What::Memory { .. } | What::Checkpoint { .. } | What::Samples { .. } if self.bar.is_none() => None,
            _ => line(what),
        };
        let Some(text) = text else { return };
        match &self.bar {
            Some(bar) => match what {
                What::Progress { done, total, what } => self.position(bar, *done, *total, what.clone()),
                What::DistillStep { step, .. } => self.position(bar, *step, self.iterations, text),
                What::Memory { .. } | What::Checkpoint { .. } | What::Samples { .. } => {}
                _ => bar.println(text),
            },
            None => {
                let repeated = matches!(what, What::Progress { .. } | What::DistillStep { .. });
                let is_last = matches!(what, What::DistillStep { step, .. } if *step == self.iterations);
                if repeated && !is_last && self.last_line.is_some_and(|t| t.elapsed() < LINE_EVERY) {
                    return;
                }
                if repeated {
                    self.last_line = Some(Instant::now());
                }
                eprintln!("{text}");
            }
        }
    }

    fn position(&self, bar: &ProgressBar, done: u64, total: u64, message: String) {
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(message);
    }

    /// "1.3 it/s, 2 min 10 s left" after `step` steps.
    fn rate(&self, step: u64) -> String {
        let seconds = self.step_seconds / self.steps.max(1) as f64;
        let left = duration(seconds * self.iterations.saturating_sub(step) as f64);
        let rate = if seconds < 1. { format!("{:.1} it/s", 1. / seconds.max(1e-9)) } else { format!("{seconds:.1} s/it") };
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
    use crate::engine::event::Labels;

    #[test]
    fn durations_read_naturally() {
        let shown: Vec<String> = [0.25, 59.2, 60., 3599., 7800.].map(duration).to_vec();
        assert_eq!(shown, ["0.2 s", "59.2 s", "1 min 00 s", "59 min 59 s", "2 h 10 min"]);
    }

    #[test]
    fn the_table_names_every_set() {
        let result = |labels, mean| Headline { network: "convnet".into(), labels, mean, std: 0.5, values: vec![mean; 5] };
        let finished = What::RunFinished {
            status: Status::Done,
            reason: None,
            best_step: Some(100),
            results: vec![result(Labels::Distilled, 34.5), result(Labels::Random, 16.1)],
            paper_style_max: Some(35.),
            file: Some("distilled/best.safetensors".into()),
            seconds: 1.,
        };
        let text = table(&finished).expect("done");
        assert!(text.contains("distilled        convnet     34.5 ± 0.5 %"), "{text}");
        assert!(text.contains("random           convnet     16.1 ± 0.5 %"), "{text}");
        assert!(table(&What::Warning { message: String::new() }).is_none());
    }
}
