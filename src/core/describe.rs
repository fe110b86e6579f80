//! Events as sentences, for the log and for anything else that shows them as text.

use crate::measures::{self, MeasuredEvent};
use crate::profile::LabelKind;
use crate::run::event::{
    Calibration, CommandAnswered, DatasetLoaded, Evaluation, EventKind, ExpertFound, LeftOut,
    RunFinished, RunStarted, WorkerChange,
};
use crate::text::{count, duration, number};

/// An event as a line for people; none for those that only matter to programs.
#[must_use]
pub fn line(what: &EventKind) -> Option<String> {
    Some(match what {
        EventKind::RunStarted(started) => run_started(started),
        EventKind::Phase { name } => format!("phase {name}"),
        EventKind::Progress { what, done, total } => format!("{what} {done}/{total}"),
        EventKind::Dataset(dataset) => dataset_loaded(dataset),
        EventKind::ExpertEpoch(epoch) => format!(
            "expert {} epoch {}: {}",
            epoch.expert + 1,
            epoch.epoch + 1,
            measures::in_words(MeasuredEvent::Epoch(epoch))
        ),
        EventKind::ExpertFound(found) => expert_found(found),
        EventKind::Calibration(found) => calibrated(found),
        EventKind::DistillStep(step) => format!(
            "step {}: {}",
            step.step,
            measures::in_words(MeasuredEvent::Step(step))
        ),
        EventKind::Samples { file, .. } => format!("images in {file}"),
        EventKind::Evaluation(evaluation) => evaluated(evaluation),
        EventKind::Command(answered) => command_answered(answered),
        EventKind::RolledBack { from, to } => format!("rolled back from step {from} to step {to}"),
        EventKind::Checkpoint { file, .. } => format!("checkpoint {file}"),
        EventKind::Memory {
            host_mib,
            device_mib,
        } => {
            let device = device_mib.map(|d| format!(", {d} MiB on the device"));
            format!("memory: {host_mib} MiB{}", device.unwrap_or_default())
        }
        EventKind::Usage(_) => return None,
        EventKind::Worker(change) => worker(change),
        EventKind::Warning { message } => format!("warning: {message}"),
        EventKind::Waiting {
            reason: Some(reason),
        } => format!(
            "waiting: {reason}. Nothing is lost; the run continues by itself as soon as it can write \
             again, and can be stopped in the meantime"
        ),
        EventKind::Waiting { reason: None } => {
            "continuing: everything pending has been written".into()
        }
        EventKind::RunFinished(finished) => run_finished(finished),
    })
}

fn worker(change: &WorkerChange) -> String {
    let now = count(change.workers as usize, "worker");
    match (change.has_joined, &change.reason) {
        (true, _) => format!("{} has joined; {now} now", change.name),
        (false, None) => {
            let solved = count(change.solved as usize, "segment");
            let done = match change.networks {
                0 => solved,
                n => format!("{solved} and {}", count(n as usize, "network")),
            };
            format!("{} has left after {done}; {now} now", change.name)
        }
        (false, Some(reason)) => format!("{} is lost ({reason}); {now} now", change.name),
    }
}

fn run_started(started: &RunStarted) -> String {
    let RunStarted {
        run,
        profile,
        seed,
        device,
        threads,
        step,
        ..
    } = started;
    let threads = count(usize::try_from(*threads).unwrap_or_default(), "thread");
    let resumed = match step {
        0 => String::new(),
        step => format!(", resuming after step {step}"),
    };
    format!("run {run}: profile {profile}, seed {seed}, on {device} with {threads}{resumed}")
}

fn dataset_loaded(dataset: &DatasetLoaded) -> String {
    let DatasetLoaded {
        classes,
        train,
        validation,
        test,
        size,
        normalisation,
        left_out,
        notes,
        ..
    } = dataset;
    let notes: String = notes.iter().map(|note| format!("; {note}")).collect();
    let left_out = left_out_in_words(left_out);
    format!(
        "data: {} classes, {train} training, {validation} validation and {test} test images of \
         {size}×{size}, normalisation {normalisation}{left_out}{notes}",
        classes.len()
    )
}

/// What is not in the data set, what may belong to it first.
fn left_out_in_words(left_out: &[LeftOut]) -> String {
    /// The record has all of them.
    const NAMED: usize = 3;
    let files = left_out.iter().map(|files| files.count).sum::<u64>();
    if files == 0 {
        return String::new();
    }
    let (lost, others): (Vec<&LeftOut>, Vec<_>) = left_out.iter().partition(|files| files.is_lost);
    let named = lost.into_iter().chain(others).take(NAMED);
    let named: Vec<String> = named.map(LeftOut::to_string).collect();
    let more = if left_out.len() > NAMED { ", …" } else { "" };
    format!(
        "; {} left out: {}{more}",
        count(usize::try_from(files).unwrap_or(usize::MAX), "file"),
        named.join(", ")
    )
}

fn calibrated(found: &Calibration) -> String {
    let rate = number(found.student_lr);
    let Some(last) = found.rounds.last() else {
        return format!("student rate calibrated: {rate}");
    };
    format!(
        "student rate calibrated to {rate} without any update, in {}; in the last of them, with {}, \
         reach {}, alignment {}, final ratio {}",
        count(found.rounds.len(), "round"),
        number(last.student_lr),
        number(last.reach),
        number(last.alignment),
        number(last.final_ratio)
    )
}

fn expert_found(found: &ExpertFound) -> String {
    let last = found.epochs().last();
    let accuracy = last.map(|epoch| {
        let accuracy = measures::in_words_of("validation_accuracy", MeasuredEvent::Epoch(&epoch));
        format!(", {accuracy}")
    });
    format!(
        "expert {} found in the store ({}): {}{}",
        found.expert + 1,
        found.store,
        count(found.epochs.len(), "epoch"),
        accuracy.unwrap_or_default()
    )
}

fn evaluated(evaluation: &Evaluation) -> String {
    let Evaluation {
        step,
        network,
        labels,
        label_kind,
        split,
        values,
        ..
    } = evaluation;
    let soft = match label_kind {
        LabelKind::Hard => "",
        LabelKind::Soft => " with soft labels",
    };
    let value = |name| measures::value(name, MeasuredEvent::Evaluation(evaluation));
    format!(
        "step {step}: {labels} images{soft}, {split}: {}{} % over {}",
        value("mean"),
        if values.len() > 1 {
            format!(" ± {}", value("std"))
        } else {
            String::new()
        },
        count(values.len(), &format!("fresh {network} network"))
    )
}

fn command_answered(answered: &CommandAnswered) -> String {
    let reason = answered
        .answer
        .reason_for(&answered.command)
        .map(|r| format!(" ({r})"));
    format!(
        "{}: {}{}{}",
        answered.command,
        answered.answer.status,
        reason.unwrap_or_default(),
        answered.answer.change()
    )
}

fn run_finished(finished: &RunFinished) -> String {
    let reason = finished.reason.as_ref().map(|r| format!(": {r}"));
    format!(
        "{} after {}{}",
        finished.status,
        duration(finished.seconds),
        reason.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::event::{EvalSplit, ImageSet};

    #[test]
    fn one_network_is_not_several() {
        let evaluation = |networks| {
            line(&EventKind::Evaluation(Evaluation {
                step: 5,
                network: "convnet".into(),
                labels: ImageSet::Distilled,
                label_kind: LabelKind::Hard,
                split: EvalSplit::Test,
                mean: 34.5678,
                std: 0.5,
                values: vec![34.5; networks],
            }))
        };
        assert_eq!(
            evaluation(1).as_deref(),
            Some("step 5: distilled images, test: 34.6 % over 1 fresh convnet network")
        );
        assert!(evaluation(3).is_some_and(|l| l.ends_with("over 3 fresh convnet networks")));
    }
}
