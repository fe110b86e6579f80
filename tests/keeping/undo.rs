//! Going back undoes single acts, answers hold the value as it is, and what is dropped is said.

use crate::place::{Background, Outcome, Place, assert_status, text};
use crate::{ENDLESS, is_step};
use astill_core::run::event::{DistillStep, EventKind};
use astill_core::text::number;

/// The latest step that was recorded, and its student rate.
fn latest(place: &Place) -> Option<(u64, f64)> {
    let events = place.events("r").ok()?;
    events.iter().rev().find_map(|e| match &e.what {
        EventKind::DistillStep(DistillStep {
            step, student_lr, ..
        }) => Some((*step, *student_lr)),
        _ => None,
    })
}

#[test]
fn going_back_takes_an_edit_of_the_learned_rate_with_it() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(&place, &ENDLESS)?;
    engine.wait_for("a step", 0, is_step)?;
    engine.accepts(&["pause"], "");
    engine.accepts(&["checkpoint"], "");
    let (step, rate) = latest(&place).ok_or("no step")?;
    // the answer shows the rate as it was learned by now, and then as it was set
    engine.accepts(
        &["set", "distill.lr_student=0.5"],
        &format!("{} → 0.5", number(rate)),
    );
    engine.accepts(&["set", "distill.lr_student=0.4"], "0.5 → 0.4");
    let seq = place.events("r")?.len() as u64;
    engine.accepts(&["resume"], "");
    let far = |w: &EventKind| matches!(w, EventKind::DistillStep(s) if s.step > step && s.student_lr > 0.1);
    engine.wait_for("a step at that rate", seq, far)?;
    let seq = place.events("r")?.len() as u64;
    engine.accepts(&["roll-back", &step.to_string()], &format!("→ {step}"));
    let again = |w: &EventKind| matches!(w, EventKind::RolledBack { to, .. } if *to == step);
    let back = engine.wait_for("going back", seq, again)?.seq;
    let EventKind::DistillStep(next) = engine.wait_for("a step", back, is_step)?.what else {
        return Err("another event".into());
    };
    assert!(
        next.step == step + 1 && next.student_lr < 3. * rate,
        "{rate} → {}",
        next.student_lr
    );
    Ok(())
}

#[test]
fn what_was_accepted_and_is_dropped_by_a_stop_is_said() -> Outcome {
    let place = Place::new()?;
    let sets = [ENDLESS[0], ENDLESS[1], ENDLESS[2], "evaluate.epochs=4000"];
    let engine = Background::start(&place, &sets)?;
    engine.wait_for("a step", 0, is_step)?;
    let seq = place.events("r")?.len() as u64;
    engine.accepts(&["evaluate"], "");
    engine.wait_for("the evaluation", seq, |w| {
        matches!(w, EventKind::Progress { .. })
    })?;
    // in the middle of it, so that what follows has to wait
    engine.accepts(&["pause"], "");
    engine.accepts(&["roll-back", "0"], "→ 0");
    engine.accepts(&["evaluate"], "");
    engine.accepts(&["stop"], "");
    let said = |w: &EventKind| matches!(w, EventKind::Warning { message } if message.contains("not carried out, although accepted") && message.contains("roll-back 0, evaluate"));
    engine.wait_for("a warning", seq, said)?;
    Ok(())
}

/// A run that was changed after a few steps and stopped after some more.
fn changed_and_stopped(place: &Place) -> Result<(), Box<dyn std::error::Error>> {
    let engine = Background::start(place, &ENDLESS)?;
    engine.wait_for("a step", 0, is_step)?;
    engine.accepts(&["set", "distill.step=0.12"], "0.06 → 0.12");
    let seq = place.events("r")?.len() as u64;
    engine.wait_for("a step", seq, is_step)?;
    let last = engine.wait_for("another", seq + 1, is_step)?.seq;
    engine.wait_for("a third", last + 1, is_step)?;
    Ok(())
}

#[test]
fn edits_that_steps_were_computed_with_cannot_change_between_two_engines() -> Outcome {
    let place = Place::new()?;
    changed_and_stopped(&place)?;
    let (edits, before) = (place.path("runs/r/edits.json"), place.events("r")?.len());
    let written = std::fs::read_to_string(&edits)?;
    let said = [
        (
            Some(written.replace("0.12", "0.3")),
            "expected nothing, found distill.step=0.3",
        ),
        (
            Some("[]".into()),
            "expected distill.step=0.12, found nothing",
        ),
        (None, "expected distill.step=0.12, found nothing"),
    ];
    for (text_now, message) in said {
        match text_now {
            Some(text) => std::fs::write(&edits, text)?,
            None => std::fs::remove_file(&edits)?,
        }
        let refused = place.run(&["resume", "r", "--headless"])?;
        assert_status(&refused, 2);
        assert!(
            text(&refused.stderr).contains(message),
            "{}",
            text(&refused.stderr)
        );
        assert_eq!(place.events("r")?.len(), before);
    }
    std::fs::write(&edits, written)?;
    let resumed = Background::of(&place, "r");
    assert_status(&place.run(&["resume", "r", "--detach"])?, 0);
    resumed.wait_for("a step", before as u64, is_step)?;
    Ok(())
}

#[test]
fn a_learned_rate_that_was_set_twice_without_an_engine_is_told_as_it_was_set() -> Outcome {
    let place = Place::new()?;
    changed_and_stopped(&place)?;
    let run = Background::of(&place, "r");
    run.accepts(&["set", "distill.lr_student=0.5"], "→ 0.5");
    run.accepts(&["set", "distill.lr_student=0.4"], "0.5 → 0.4");
    Ok(())
}
