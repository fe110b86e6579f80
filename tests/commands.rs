//! What can be asked of a running engine: every command accepted and rejected, over the program and
//! over the bare socket.

mod place;

use astill_core::run::command::Command;
use astill_core::run::command::{Answer, LONGEST_LINE};
use astill_core::run::event::{DistillStep, EventKind};
use astill_core::run::{RunDir, socket};
use place::{Background, Outcome, Place, assert_status, stopped, text};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

fn is_step(what: &EventKind) -> bool {
    matches!(what, EventKind::DistillStep { .. })
}

fn last_step(place: &Place) -> Result<u64, Box<dyn std::error::Error>> {
    let mut steps = place.events("r")?.into_iter().filter_map(|e| {
        if let EventKind::DistillStep(step) = &e.what {
            Some(step.step)
        } else {
            None
        }
    });
    steps.next_back().ok_or_else(|| "no step".into())
}

#[test]
fn every_command_is_accepted_where_it_can_be_and_rejected_with_a_reason_elsewhere() -> Outcome {
    let place = Place::new()?;
    // experts for a second or two
    let sets = [
        "distill.iterations=1000000",
        "evaluate.every=1000000",
        "evaluate.repeats=1",
        "expert.epochs=50",
    ];
    let engine = Background::start(&place, &sets)?;
    before_there_are_images(&engine);
    engine.wait_for("a step", 0, is_step)?;
    let paused_at = while_paused(&place, &engine)?;
    settings(&engine);
    going_back(&place, &engine, paused_at)?;
    let seq = place.events("r")?.len() as u64;
    engine.accepts(&["stop"], "");
    engine.wait_for("the end", seq, |w| {
        matches!(w, EventKind::RunFinished { .. })
    })?;
    let rejected = place
        .events("r")?
        .iter()
        .filter(|e| matches!(&e.what, EventKind::Command(c) if !c.is_accepted()))
        .count();
    assert_eq!(rejected, 13);
    Ok(())
}

fn before_there_are_images(engine: &Background) {
    engine.accepts(&["pause"], "");
    engine.rejects(&["pause"], "already paused");
    for early in [&["checkpoint"][..], &["evaluate"], &["roll-back", "0"]] {
        engine.rejects(early, "no synthetic images yet");
    }
    engine.accepts(&["resume"], "");
    engine.rejects(&["resume"], "not paused");
}

/// Nothing moves; the step at which the run stays paused.
fn while_paused(place: &Place, engine: &Background) -> Result<u64, Box<dyn std::error::Error>> {
    engine.accepts(&["pause"], "");
    let paused = engine.wait_for(
        "the pause",
        0,
        |w| matches!(w, EventKind::Command(c) if c.command == Command::Pause),
    )?;
    engine.accepts(&["checkpoint"], "");
    engine.wait_for(
        "a checkpoint",
        paused.seq,
        |w| matches!(w, EventKind::Checkpoint { step, .. } if *step > 0),
    )?;
    let paused_at = last_step(place)?;
    engine.accepts(&["evaluate"], "");
    engine.wait_for(
        "an evaluation",
        0,
        |w| matches!(w, EventKind::Evaluation(e) if e.step == paused_at),
    )?;
    assert_eq!(last_step(place)?, paused_at);
    Ok(paused_at)
}

/// They get the checks and the messages of profiles.
fn settings(engine: &Background) {
    engine.accepts(&["set", "distill.lr_images=30"], "10 → 30");
    engine.rejects(&["set", "distill.lr_images=-1"], "expected a number from 0");
    engine.rejects(&["set", "distill.lr_image=1"], "did you mean");
    engine.rejects(&["set", "distill.ipc=3"], "cannot change during a run");
    engine.rejects(&["set", "distill.batch=21"], "larger than the set of 20");
    engine.rejects(&["set", "distill.syn_steps=1"], "distill.expert_epochs");
    engine.rejects(&["set", "expert.lr=0.1"], "the experts are already trained");
    engine.accepts(&["set", "distill.lr_student=0.5"], " → 0.5");
    for live in [
        "distill.lr_lr=0",
        "distill.momentum=0.5",
        "distill.perturbation=0",
        "distill.balance=false",
    ] {
        engine.accepts(&["set", live], "");
    }
    for live in [
        "distill.intermediate=off",
        "distill.syn_steps=5",
        "distill.batch=7",
        "evaluate.every=900000",
    ] {
        engine.accepts(&["set", live], "");
    }
}

fn going_back(place: &Place, engine: &Background, paused_at: u64) -> Outcome {
    engine.rejects(
        &["roll-back", "999999"],
        "there is no checkpoint of step 999999, only of 0",
    );
    engine.accepts(&["roll-back", "0"], &format!("{paused_at} → 0"));
    // a command in the same pause concerns the run as it is now
    engine.accepts(&["set", "distill.lr_images=20"], "30 → 20");
    let edits: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path("runs/r/edits.json"))?)?;
    let places: Vec<&serde_json::Value> = edits
        .as_array()
        .ok_or("no list")?
        .iter()
        .map(|e| &e["at"]["step"])
        .collect();
    assert!(places.iter().all(|at| **at == 0), "{places:?}");
    let seq = place.events("r")?.len() as u64;
    engine.accepts(&["resume"], "");
    let after = engine.wait_for("a step after going back", seq, is_step)?;
    let EventKind::DistillStep(DistillStep {
        step,
        student_lr,
        intermediate,
        ..
    }) = after.what
    else {
        return Err("another event".into());
    };
    // the student rate is that of the checkpoint, and lr_lr 0 keeps it; the other settings stay
    let calibrated = place.events("r")?.into_iter().find_map(|e| match e.what {
        EventKind::Calibration(found) => Some(found.student_lr),
        _ => None,
    });
    assert_eq!(
        (step, Some(student_lr), intermediate.len()),
        (1, calibrated, 0)
    );
    engine.accepts(&["set", "distill.iterations=100000"], "1000000 → 100000");
    engine.wait_for(
        "step 2",
        seq,
        |w| matches!(w, EventKind::DistillStep(s) if s.step == 2),
    )?;
    engine.rejects(
        &["set", "distill.iterations=1"],
        "steps will already be done",
    );
    Ok(())
}

#[test]
fn runs_are_listed_with_their_state_and_one_without_an_engine_says_so() -> Outcome {
    let place = stopped(
        Place::new,
        &["run", "tiny.yaml", "--name", "one"],
        "phase experts",
        |_| true,
    )?;
    let listed = place.run(&["list", "--json"])?;
    assert_status(&listed, 0);
    let runs: serde_json::Value = serde_json::from_slice(&listed.stdout)?;
    assert_eq!(
        (&runs[0]["name"], &runs[0]["state"], &runs[0]["iterations"]),
        (&"one".into(), &"stopped".into(), &5.into())
    );
    let refused = place.run(&["attach"])?;
    assert_status(&refused, 2);
    assert!(
        text(&refused.stderr).contains("is at work; name the run"),
        "{}",
        text(&refused.stderr)
    );
    let refused = place.run(&["send", "one", "pause"])?;
    assert_status(&refused, 2);
    assert!(
        text(&refused.stderr).contains("astill resume one"),
        "{}",
        text(&refused.stderr)
    );
    Ok(())
}

#[test]
fn an_edit_of_a_resumed_run_holds_from_its_checkpoint_on() -> Outcome {
    let place = stopped(
        Place::new,
        &[
            "run",
            "tiny.yaml",
            "--name",
            "r",
            "--set",
            "distill.iterations=100000",
        ],
        "step 2:",
        |_| true,
    )?;
    let done = place::last_step(&place, "r");
    assert_status(&place.run(&["resume", "r", "--detach"])?, 0);
    let engine = Background::of(&place, "r");
    // in whichever phase it is
    engine.rejects(&["set", "expert.lr=0.1"], "the experts are already trained");
    engine.rejects(
        &["set", "distill.iterations=1"],
        "steps will already be done",
    );
    engine.accepts(&["set", "distill.lr_images=20"], "10 → 20");
    let edits: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path("runs/r/edits.json"))?)?;
    assert!(
        edits[0]["at"]["step"].as_u64().is_some_and(|at| at >= done),
        "{edits}"
    );
    Ok(())
}

#[test]
fn a_run_goes_the_same_way_again_with_its_edits() -> Outcome {
    // an expert's setting changed between two epochs, one of distillation between two steps
    let edits = r#"[{"at": {"expert": {"expert": 0, "epoch": 2}}, "set": "expert.lr=0.03"},
                    {"at": {"step": 3}, "set": "distill.lr_images=30"}, {"at": {"step": 4}, "set": "distill.lr_student = 0.02"}]"#;
    let run = ["run", "tiny.yaml", "--name", "r"];
    let begun = |sign: &str| -> Result<Place, Box<dyn std::error::Error>> {
        let edited = || {
            let place = stopped(Place::new, &run, "phase data", |place| {
                !place.path("data/trajectories").exists()
            })?;
            fs::write(place.path("runs/r/edits.json"), edits)?;
            Ok(place)
        };
        let place = if sign.is_empty() {
            edited()?
        } else {
            stopped(edited, &["resume", "r"], sign, |_| true)?
        };
        assert_status(&place.run(&["resume", "r"])?, 0);
        Ok(place)
    };
    let whole = begun("")?;
    let want = whole.distilled("r")?;
    // the rate is learned on from the value that was set
    let rate = |at: u64| {
        whole
            .events("r")
            .ok()?
            .into_iter()
            .find_map(|e| match e.what {
                EventKind::DistillStep(step) if step.step == at => Some(step.student_lr),
                _ => None,
            })
    };
    let (before, after) = (rate(4).ok_or("no step 4")?, rate(5).ok_or("no step 5")?);
    // a step changes its logarithm by at most 0.2
    assert!(
        (after / 0.02_f64).ln().abs() < 0.201 && (after / before).ln().abs() > 0.201,
        "{before}, {after}"
    );
    assert!(
        begun("expert 1 epoch 2")?.distilled("r")? == want,
        "other bytes after a stop among the experts"
    );
    assert!(
        begun("step 2:")?.distilled("r")? == want,
        "other bytes after a stop before an edit"
    );

    let plain = Place::new()?;
    assert_status(&plain.run(&run)?, 0);
    assert!(plain.distilled("r")? != want);
    // an expert whose settings changed on the way is not taken for one of either setting
    assert_eq!(fs::read_dir(whole.path("data/trajectories"))?.count(), 2);
    Ok(())
}

#[test]
fn garbage_on_the_socket_is_answered_and_the_run_goes_on() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(
        &place,
        &[
            "distill.iterations=1000000",
            "evaluate.every=1000000",
            "evaluate.repeats=1",
        ],
    )?;
    let run = RunDir::open(&place.path("runs/r")).ok_or("no run")?;
    let path = socket::path(&run, false)?;
    assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::metadata(path.parent().ok_or("no folder")?)?
            .permissions()
            .mode()
            & 0o777,
        0o700
    );

    let ask = |bytes: &[u8]| -> Result<Vec<Answer>, Box<dyn std::error::Error>> {
        let mut stream = UnixStream::connect(&path)?;
        // an engine that has heard enough may close before it has read all
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answers = Vec::new();
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            answers.push(serde_json::from_str(&line)?);
        }
        Ok(answers)
    };
    for garbage in [
        &b"\n"[..],
        b"pause\n",
        b"{\"command\":\"explode\"}\n",
        b"\xff\xfe\x00\n",
        b"{\"command\":\"set\"}\n",
    ] {
        let answers = ask(garbage)?;
        assert!(
            matches!(answers.as_slice(), [only] if !only.is_accepted()),
            "{garbage:?}: {answers:?}"
        );
    }
    assert_eq!(ask(b"{\"command\":\"pau")?, [], "half a command");
    let long = ask(&vec![b'x'; 1 << 20])?;
    assert!(long.len() <= 1 && long.iter().all(|a| !a.is_accepted()));
    // two commands at once, beside a client that never reads
    let mut silent = UnixStream::connect(&path)?;
    silent.write_all(&b"{\"command\":\"explode\"}\n".repeat(LONGEST_LINE / 32))?;
    assert!(
        ask(b"{\"command\":\"pause\"}\n{\"command\":\"resume\"}\n")?
            .iter()
            .all(Answer::is_accepted)
    );
    engine.wait_for("a step", 0, is_step)?;
    Ok(())
}
