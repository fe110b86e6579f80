//! Numbers that explode, and memory that ends.

use crate::place::{Background, Outcome, Place, assert_status, in_full, row, text};
use astill_core::run::command::Command;
use astill_core::run::event::{DistillStep, EventKind, RunOutcome};
use rustix::process::{Resource, Rlimit};
use std::os::unix::process::CommandExt;

/// A student that leaves the finite numbers in every step, with a rate that stays.
const EXPLODING: [&str; 6] = [
    "distill.lr_student=100",
    "distill.lr_lr=0",
    "distill.syn_steps=8",
    "distill.iterations=1000000",
    "evaluate.every=1000000",
    "evaluate.repeats=1",
];

fn arguments<'a>(name: &'a str, sets: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["run", "tiny.yaml", "--headless", "--name", name];
    sets.iter().for_each(|s| arguments.extend(["--set", s]));
    arguments
}

#[test]
fn a_run_that_diverges_pauses_with_advice_and_fails_where_nobody_is_there() -> Outcome {
    let place = Place::new()?;
    let failed = place.run(&arguments("batch", &EXPLODING))?;
    assert_status(&failed, 1);
    let said = text(&failed.stderr);
    assert!(
        said.contains("20 updates in a row were not finite")
            && said.contains("roll-back 0")
            && said.contains("Lower distill.lr_student or distill.step"),
        "{said}"
    );
    assert!(
        place
            .path("runs/batch/checkpoints/step_00020.safetensors")
            .exists()
    );
    assert_eq!(
        said.matches("is not finite, so this update is skipped")
            .count(),
        20
    );

    let engine = Background::start(&place, &EXPLODING)?;
    let paused = |w: &EventKind| matches!(w, EventKind::Command(c) if c.command == Command::Pause && c.is_accepted());
    let paused = engine.wait_for("it pauses by itself", 0, paused)?;
    assert!(
        text(&place.run(&["list"])?.stdout)
            .lines()
            .any(|l| l.starts_with('r') && l.contains("paused"))
    );
    engine.accepts(&["roll-back", "0"], "20 → 0");
    engine.accepts(&["set", "distill.lr_student=0.01"], "");
    engine.accepts(&["resume"], "");
    let step = engine.wait_for("a step", paused.seq, |w| {
        matches!(w, EventKind::DistillStep { .. })
    })?;
    let EventKind::DistillStep(DistillStep {
        step: 1,
        matching_loss,
        ..
    }) = step.what
    else {
        return Err("another step".into());
    };
    assert!(matching_loss.is_finite());
    row(
        "20 updates in a row not finite",
        2,
        "nothing",
        "pauses, rolled back, goes on; alone: status 1",
    );
    Ok(())
}

#[test]
fn a_run_whose_last_steps_diverge_is_never_done() -> Outcome {
    let paused = |w: &EventKind| matches!(w, EventKind::Command(c) if c.command == Command::Pause && c.is_accepted());
    for iterations in ["20", "3"] {
        let place = Place::new()?;
        let iterations = format!("distill.iterations={iterations}");
        let sets = [&EXPLODING[..], &[iterations.as_str()]].concat();
        assert_status(&place.run(&arguments("r", &sets))?, 1);
        let resumed = place.run(&["resume", "r", "--headless"])?;
        assert_status(&resumed, 1);
        let said = text(&resumed.stderr);
        assert!(
            said.contains("no iterations are left") && said.contains("`roll-back 0`"),
            "{said}"
        );
        assert!(!place.path("runs/r/distilled/best.safetensors").exists());

        assert_status(&place.run(&["resume", "r", "--detach"])?, 0);
        let engine = Background::of(&place, "r");
        let first = engine.wait_for("it pauses by itself", 0, paused)?;
        engine.accepts(&["resume"], "");
        engine.wait_for("it pauses again", first.seq + 1, paused)?;
        engine.accepts(&["roll-back", "0"], "→ 0");
        engine.accepts(&["set", "distill.lr_student=0.01"], "");
        engine.accepts(&["resume"], "");
        engine.wait_for(
            "it is done",
            first.seq,
            |w| matches!(w, EventKind::RunFinished(f) if f.status == RunOutcome::Done),
        )?;
    }
    row(
        "the last updates not finite",
        2,
        "nothing",
        "never done: pauses until something is changed; alone: status 1",
    );
    Ok(())
}

#[test]
fn a_rate_that_finds_itself_comes_back_from_far_too_large() -> Outcome {
    let place = Place::new()?;
    let sets = [
        "distill.lr_student=100",
        "distill.syn_steps=8",
        "distill.iterations=60",
        "evaluate.every=60",
        "evaluate.repeats=1",
    ];
    assert_status(&place.run(&arguments("r", &sets))?, 0);
    let steps: Vec<DistillStep> = place
        .events("r")?
        .into_iter()
        .filter_map(|e| match e.what {
            EventKind::DistillStep(step) => Some(step),
            _ => None,
        })
        .collect();
    let (first, last) = steps.split_at(50);
    assert!(first[0].final_ratio.is_nan() || first[0].final_ratio > 1e3);
    assert!(last.iter().all(|s| s.final_ratio < 2.), "{last:?}");
    Ok(())
}

#[test]
fn experts_that_diverge_are_waited_for_where_somebody_is_there() -> Outcome {
    let place = Place::new()?;
    let sets = [
        "expert.lr=10",
        "expert.gradient_penalty=100",
        "distill.iterations=1",
    ];
    let failed = place.run(&arguments("batch", &sets))?;
    assert_status(&failed, 1);
    assert!(
        text(&failed.stderr).contains("expert.lr (now 10)"),
        "{}",
        text(&failed.stderr)
    );
    let engine = Background::start(&place, &sets)?;
    engine.wait_for(
        "it pauses by itself",
        0,
        |w| matches!(w, EventKind::Command(c) if c.command == Command::Pause),
    )?;
    engine.accepts(&["set", "expert.lr=0.01"], "");
    engine.accepts(&["resume"], "");
    engine.wait_for("an epoch", 0, |w| {
        matches!(w, EventKind::ExpertEpoch { .. })
    })?;
    row(
        "expert not finite",
        2,
        "the epoch",
        "pauses, set, goes on; alone: status 1",
    );
    Ok(())
}

#[test]
fn a_matching_loss_far_above_1_is_warned_of_once() -> Outcome {
    let place = Place::new()?;
    let sets = [
        "distill.lr_student=0.5",
        "distill.lr_lr=0",
        "distill.iterations=45",
        "evaluate.every=1000",
        "evaluate.epochs=1",
    ];
    let done = place.run(&arguments("far", &sets))?;
    assert_status(&done, 0);
    let said = text(&done.stderr);
    assert_eq!(
        said.matches("the matching loss was above 10 in most")
            .count(),
        1,
        "{said}"
    );
    row(
        "matching loss above 10 for 20 steps",
        1,
        "nothing",
        "warned once, with advice",
    );
    Ok(())
}

#[test]
fn too_little_memory_is_said_with_what_to_change() -> Outcome {
    let place = Place::new()?;
    let (mut ended, mut tried) = (0, 0);
    let limits: Vec<u64> = if in_full() {
        (9..24).map(|i| i * 50).collect()
    } else {
        vec![900]
    };
    for mib in limits {
        let name = format!("m{mib}");
        let mut command = place.astill(&arguments(
            &name,
            &["network.width=1024", "expert.epochs=3"],
        ));
        let memory = Rlimit {
            current: Some(mib << 20),
            maximum: Some(mib << 20),
        };
        let limited = move || Ok(rustix::process::setrlimit(Resource::As, memory)?);
        // SAFETY: between fork and exec this only makes one system call, which allocates nothing
        unsafe { command.pre_exec(limited) };
        let output = command.output()?;
        let said = text(&output.stderr);
        if said.contains("error while loading shared libraries") {
            // less than the program itself takes
            continue;
        }
        tried += 1;
        if output.status.success() {
            continue;
        }
        assert_eq!(
            output.status.code(),
            Some(1),
            "{mib} MiB: {:?} {said}",
            output.status
        );
        // the last of what it said: before, it may have warned that there is no thread for the
        // socket
        let message = said
            .lines()
            .rfind(|l| l.starts_with("astill: ") || l.contains(" failed after "))
            .unwrap_or_default();
        assert!(
            message.contains("out of memory") && message.contains("distill.batch"),
            "{mib} MiB: {said}"
        );
        assert!(
            !said.contains("frame #") && !said.contains("panicked") && !said.contains("backtrace"),
            "{mib} MiB: {said}"
        );
        ended += 1;
    }
    assert!(ended > 0, "memory was enough every time");
    row(
        "address space limited",
        tried,
        "back to the last checkpoint",
        &format!("said {ended} times with status 1, enough else"),
    );
    Ok(())
}
