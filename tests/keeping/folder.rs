//! A folder that is removed, renamed or begun anew under its engine.

use crate::place::{Background, Outcome, Place, assert_status, last_step, text, wait_until};
use crate::{ENDLESS, engine_of, is_step, wait_for_the_end_of};
use astill_core::run::checkpoints;
use astill_core::run::event::EventKind;
use std::fs;

#[test]
fn a_run_that_was_removed_and_begun_anew_is_left_alone_by_its_first_engine() -> Outcome {
    let place = Place::new()?;
    let first = Background::start(&place, &ENDLESS)?;
    first.wait_for("a step", 0, is_step)?;
    // it would write nothing for ever
    first.accepts(&["pause"], "");
    let process = engine_of(&place, "r")?;
    // its engine may make a file again meanwhile
    wait_until("the run is removed", || {
        let removed = fs::remove_dir_all(place.path("runs/r"));
        (removed.is_ok() || !place.path("runs/r").exists()).then_some(())
    })?;
    let second = Background::start(&place, &ENDLESS)?;
    second.wait_for("a step", 0, is_step)?;
    second.accepts(&["pause"], "");
    second.accepts(&["checkpoint"], "");
    let kept = checkpoints::steps(&place.path("runs/r"))?;
    wait_for_the_end_of(process)?;
    assert_eq!(checkpoints::steps(&place.path("runs/r"))?, kept);
    let events = place.events("r")?;
    assert!(events.iter().map(|e| e.seq).eq(0..events.len() as u64));
    second.accepts(&["resume"], "");
    Ok(())
}

#[test]
fn a_run_that_was_renamed_goes_on_under_its_new_name_and_spares_its_successor() -> Outcome {
    let place = Place::new()?;
    let old = Background::start(&place, &ENDLESS)?;
    old.wait_for("a step", 0, is_step)?;
    std::mem::forget(old);
    fs::rename(place.path("runs/r"), place.path("runs/renamed"))?;
    let renamed = Background::of(&place, "renamed");
    let new = Background::start(&place, &ENDLESS)?;
    new.wait_for("a step", 0, is_step)?;
    let (before, kept) = (
        last_step(&place, "renamed"),
        checkpoints::steps(&place.path("runs/r"))?,
    );
    wait_until("a step under the new name", || {
        (last_step(&place, "renamed") > before).then_some(())
    })?;
    renamed.accepts(&["stop"], "");
    wait_until("it has stopped", || {
        let listed = text(&place.run(&["list"]).ok()?.stdout);
        let line = listed.lines().find(|l| l.starts_with("renamed"))?;
        line.contains("stopped").then_some(())
    })?;
    assert!(checkpoints::steps(&place.path("runs/renamed"))?.len() > 1);
    assert_eq!(checkpoints::steps(&place.path("runs/r"))?, kept);
    new.accepts(&["checkpoint"], "");
    Ok(())
}

#[test]
fn an_engine_whose_lock_was_removed_ends_and_leaves_the_run_to_the_next() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(&place, &ENDLESS)?;
    engine.wait_for("a step", 0, is_step)?;
    engine.accepts(&["checkpoint"], "");
    let process = engine_of(&place, "r")?;
    fs::remove_file(place.path("runs/r/lock"))?;
    assert_status(&place.run(&["resume", "r", "--detach"])?, 0);
    wait_for_the_end_of(process)?;
    let log = fs::read_to_string(place.path("runs/r/run.log"))?;
    assert!(log.contains("its lock was removed"), "{log}");
    assert_ne!(engine_of(&place, "r")?, process);
    let events = place.events("r")?;
    assert!(events.iter().map(|e| e.seq).eq(0..events.len() as u64));
    engine.accepts(&["pause"], "");
    Ok(())
}

#[test]
fn files_of_a_run_that_vanish_under_its_engine_are_made_again() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(&place, &ENDLESS)?;
    engine.wait_for("a step", 0, is_step)?;
    let file = |name: &str| place.path("runs/r").join(name);
    fs::rename(file("events.jsonl"), file("events.old"))?;
    fs::rename(file("run.log"), file("run.log.1"))?;
    wait_until("a new record", || {
        (last_step(&place, "r") > 0).then_some(())
    })?;
    let old = fs::read_to_string(file("events.old"))?.lines().count() as u64;
    assert_eq!(place.events("r")?.first().map(|e| e.seq), Some(old));
    wait_until("a new log", || file("run.log").exists().then_some(()))?;

    fs::remove_file(file("profile.yaml"))?;
    wait_until("the profile", || {
        file("profile.yaml").exists().then_some(())
    })?;
    fs::remove_dir_all(file("checkpoints"))?;
    let seq = place.events("r")?.last().map_or(0, |e| e.seq);
    engine.accepts(&["checkpoint"], "");
    engine.wait_for("a checkpoint", seq, |w| {
        matches!(w, EventKind::Checkpoint { .. })
    })?;
    Ok(())
}
