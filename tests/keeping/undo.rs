//! Going back undoes single acts, answers hold the value as it is, and what is dropped is said.

use crate::place::{Background, Outcome, Place};
use crate::{ENDLESS, is_step};
use astill_core::run::event::{DistillStep, EventKind};

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
    // the answer holds the rate as it was learned by now, and then as it was set
    engine.accepts(&["set", "distill.lr_student=0.5"], &format!("{rate} → 0.5"));
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
    let sets = [ENDLESS[0], ENDLESS[1], ENDLESS[2], "evaluate.epochs=400"];
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
