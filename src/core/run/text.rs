//! Events in words, for the log and for whoever shows them as text.

use super::event::{CommandStatus, EventKind};

/// An event as a line for people; none for those that only matter to programs.
pub fn line(what: &EventKind) -> Option<String> {
    Some(match what {
        EventKind::RunStarted {
            run,
            profile,
            device,
            threads,
            step,
            seed,
            ..
        } => {
            let resumed = if *step > 0 {
                format!(", going on after step {step}")
            } else {
                String::new()
            };
            format!(
                "run {run}: profile {profile}, seed {seed}, on {device} with {threads} \
                 threads{resumed}"
            )
        }
        EventKind::Phase { name } => format!("phase {name}"),
        EventKind::Progress { what, done, total } => format!("{what} {done}/{total}"),
        EventKind::Dataset {
            classes,
            train,
            validation,
            test,
            size,
            normalisation,
        } => format!(
            "data: {} classes, {train} training, {validation} validation and {test} test images of \
             {size}×{size}, normalisation {normalisation}",
            classes.len()
        ),
        EventKind::ExpertEpoch {
            expert,
            epoch,
            record,
            seconds,
        } => format!(
            "expert {} epoch {}: loss {:.3}, accuracy {:.1} % train, {:.1} % test; penalty {:.3}, \
             step length {:.3}{}, {seconds:.1} s",
            expert + 1,
            epoch + 1,
            record.train_loss,
            record.train_accuracy,
            record.test_accuracy,
            record.gradient_penalty,
            record.step_length,
            record
                .turn
                .map(|t| format!(", turn {t:.2}"))
                .unwrap_or_default(),
        ),
        EventKind::ExpertFound {
            expert,
            store,
            epochs,
        } => {
            let test = epochs.last().map_or(f64::NAN, |e| e.test_accuracy);
            format!(
                "expert {} is in the store ({store}): {} epochs, {test:.1} % test",
                expert + 1,
                epochs.len()
            )
        }
        EventKind::DistillStep {
            step,
            matching_loss,
            student_lr,
            reach,
            alignment,
            seconds,
            ..
        } => format!(
            "step {step}: matching loss {matching_loss:.4}, reach {reach:.2}, alignment \
             {alignment:.3}, student rate {student_lr:.3e}, {seconds:.2} s"
        ),
        EventKind::Samples { file, .. } => format!("pictures in {file}"),
        EventKind::Evaluation {
            step,
            network,
            labels,
            split,
            mean,
            std,
            values,
        } => {
            format!(
                "step {step}: {labels} images, {split}: {mean:.1} ± {std:.1} % over {} fresh \
                 {network} networks",
                values.len()
            )
        }
        EventKind::Command {
            command,
            status,
            reason,
            ..
        } => {
            let status = if matches!(status, CommandStatus::Accepted) {
                "accepted"
            } else {
                "rejected"
            };
            format!(
                "{command}: {status}{}",
                reason
                    .as_ref()
                    .map(|r| format!(" ({r})"))
                    .unwrap_or_default()
            )
        }
        EventKind::Checkpoint { file, .. } => format!("checkpoint {file}"),
        EventKind::Memory {
            host_mib,
            device_mib,
        } => {
            format!(
                "memory: {host_mib} MiB{}",
                device_mib
                    .map(|d| format!(", {d} MiB on the device"))
                    .unwrap_or_default()
            )
        }
        EventKind::Warning { message } => format!("warning: {message}"),
        EventKind::Waiting {
            reason: Some(reason),
        } => {
            format!(
                "waiting: {reason}. Nothing is lost; the run goes on by itself once that can be \
                 written, and can be stopped meanwhile"
            )
        }
        EventKind::Waiting { reason: None } => "going on: everything could be written".into(),
        EventKind::RunFinished {
            status,
            reason,
            seconds,
            ..
        } => {
            format!(
                "{status} after {}{}",
                duration(*seconds),
                reason
                    .as_ref()
                    .map(|r| format!(": {r}"))
                    .unwrap_or_default()
            )
        }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_naturally() {
        let shown: Vec<String> = [0.25, 59.2, 60., 3599., 7800.].map(duration).to_vec();
        assert_eq!(
            shown,
            ["0.2 s", "59.2 s", "1 min 00 s", "59 min 59 s", "2 h 10 min"]
        );
    }
}
