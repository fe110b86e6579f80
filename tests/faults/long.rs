//! Long runs: memory stays flat, checkpoints are pruned, the record grows by a known measure.

use crate::place::{Outcome, Place, assert_status, in_full, row};
use astill_core::run::checkpoints;
use astill_core::run::event::EventKind;
use std::fs;

/// The newest, those of the last evaluations, and the best.
const MOST_CHECKPOINTS: usize = 3 + 5 + 1;

#[test]
fn a_long_run_takes_no_more_and_more_of_anything() -> Outcome {
    let (steps, every) = if in_full() { (6000, 100) } else { (120, 10) };
    let place = Place::new()?;
    let (iterations, every) = (
        format!("distill.iterations={steps}"),
        format!("evaluate.every={every}"),
    );
    let sets = [
        iterations.as_str(),
        every.as_str(),
        "evaluate.repeats=1",
        "evaluate.epochs=2",
    ];
    let mut arguments = vec!["run", "tiny.yaml", "--headless", "--name", "r"];
    sets.iter().for_each(|s| arguments.extend(["--set", s]));
    assert_status(&place.run(&arguments)?, 0);

    let kept = checkpoints::steps(&place.path("runs/r"))?;
    assert!(
        kept.len() <= MOST_CHECKPOINTS && kept.contains(&steps),
        "{kept:?}"
    );
    let events = place.events("r")?;
    let written = events
        .iter()
        .filter(|e| matches!(e.what, EventKind::Checkpoint { .. }))
        .count();
    row(
        "checkpoints of a long run pruned",
        written as u64,
        "",
        &format!(
            "{} kept of those written, at most {MOST_CHECKPOINTS}",
            kept.len()
        ),
    );

    let (mut step, mut memory) = (0, Vec::new());
    for event in &events {
        match &event.what {
            EventKind::DistillStep(s) => step = s.step,
            EventKind::Memory { host_mib, .. } => memory.push((step, *host_mib)),
            _ => {}
        }
    }
    let bytes = fs::metadata(place.path("runs/r/events.jsonl"))?.len();
    let log = fs::metadata(place.path("runs/r/run.log"))?.len();
    row(
        "record of a long run",
        steps,
        "",
        &format!(
            "{} + {} bytes a step (events.jsonl, run.log)",
            bytes / steps,
            log / steps
        ),
    );
    assert!(bytes / steps < 1200 && log / steps < 500);
    if in_full() {
        // the first sixth may fill caches
        let early = memory
            .iter()
            .filter(|(s, _)| (*s > steps / 12) && *s <= steps / 6)
            .map(|(_, m)| *m)
            .max()
            .ok_or("no memory event")?;
        let late = memory
            .iter()
            .filter(|(s, _)| *s > steps - steps / 12)
            .map(|(_, m)| *m)
            .max()
            .ok_or("no memory event")?;
        row(
            "memory of the engine over a long run",
            steps,
            "",
            &format!("{early} MiB after a sixth, {late} MiB at the end"),
        );
        assert!(
            late <= early + early / 50 + 2,
            "{early} → {late} MiB: {memory:?}"
        );
    }
    Ok(())
}
