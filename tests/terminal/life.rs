//! A run after its end, by keys: changed without an engine, repeated, extended.

use crate::place::{Background, Outcome, Place, assert_status, last_step, text, wait_until};
use crate::screen::{BACKSPACE, ENTER, ESC, UP};
use crate::{LONG, app, change};
use astill_core::run::RunDir;
use astill_core::run::event::{CommandStatus, EventKind};

#[test]
fn a_stopped_run_is_changed_and_rolled_back_without_an_engine() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(&place, &LONG)?;
    engine.wait_for("a step", 0, |w| matches!(w, EventKind::DistillStep { .. }))?;
    engine.accepts(&["stop"], "");
    let run = RunDir::open(&place.path("runs/r")).ok_or("no run")?;
    wait_until("the engine ends", || (!run.has_engine()).then_some(()))?;
    let stopped = last_step(&place, "r");

    let mut terminal = app(&place, &["attach", "r"])?;
    terminal.shows(&["stopped", "tweak", "roll back"])?;
    terminal.press("t")?;
    terminal.shows(&["when the run is resumed", "distill.lr_images"])?;
    change(&mut terminal, "distill.lr_images", "30")?;
    terminal.shows(&["set distill.lr_images=30: accepted: 10 -> 30"])?;
    terminal.press(ESC)?;
    terminal.wait_for("the screen of the run", |s| !s.contains("Tweak"))?;
    terminal.press("r")?;
    terminal.shows(&["Roll back to a checkpoint", ">step"])?;
    terminal.press("G")?;
    terminal.shows(&[">step 0 "])?;
    terminal.press(ENTER)?;
    terminal.shows(&["to 0?"])?;
    terminal.press("y")?;
    terminal.shows(&["roll-back 0: accepted"])?;
    assert!(!run.has_engine());
    let edits = std::fs::read_to_string(run.edits())?;
    assert!(edits.contains("distill.lr_images=30"), "{edits}");
    let events = place.events("r")?;
    let rolled_back = events.iter().find_map(|e| match e.what {
        EventKind::RolledBack { from, to } => Some((from, to)),
        _ => None,
    });
    assert_eq!(rolled_back, Some((stopped, 0)));
    assert!(events.windows(2).all(|e| e[0].seq + 1 == e[1].seq));

    // the same from outside, and what needs an engine says so
    let (status, said) = engine.send(&["set", "distill.lr_images=20"])?;
    assert_eq!((status, said.trim()), (Some(0), "accepted: 30 → 20"));
    engine.rejects(&["roll-back", "3"], "no checkpoint of step 3");
    engine.rejects(&["set", "distill.ipc=3"], "distill.ipc");
    let (status, said) = engine.send(&["checkpoint"])?;
    assert!(status == Some(2) && said.contains("no engine"), "{said}");

    // the next engine begins there, with the changed setting
    terminal.press(" ")?;
    let again = engine.wait_for("the next engine", events.len() as u64, |w| {
        matches!(w, EventKind::RunStarted { .. })
    })?;
    assert!(matches!(&again.what, EventKind::RunStarted(s) if s.step == 0));
    engine.wait_for(
        "its first step",
        again.seq,
        |w| matches!(w, EventKind::DistillStep(s) if s.step == 1),
    )?;
    let accepted = |e: &&astill_core::run::event::Event| matches!(&e.what, EventKind::Command(c) if c.answer.status == CommandStatus::Accepted);
    // stop, two settings, one step back
    assert_eq!(place.events("r")?.iter().filter(accepted).count(), 4);
    terminal.press("q")?;
    assert_eq!(terminal.ended()?.code(), Some(0));
    Ok(())
}

#[test]
fn a_finished_run_is_repeated_with_a_change_and_extended() -> Outcome {
    let place = Place::new()?;
    let first = place.run(&["run", "tiny.yaml", "--name", "abc", "--headless"])?;
    assert_status(&first, 0);
    let _engine = Background::of(&place, "abc-2");
    let mut terminal = app(&place, &["attach", "abc"])?;
    terminal.shows(&["done", "Result"])?;
    terminal.press("n")?;
    terminal.shows(&["New run like abc", "abc-2", ">[ Start ]", "classes"])?;
    terminal.press(UP)?;
    terminal.shows(&[">Settings"])?;
    terminal.press(ENTER)?;
    terminal.shows(&["KEY=VALUE"])?;
    // at once, as pasted text
    terminal.press("distill.iterations=7")?;
    terminal.shows(&[">Settings distill.iterations=7"])?;
    terminal.press(ENTER)?;
    terminal.shows(&[" Setting  distill.iterations=7"])?;
    terminal.press("G")?;
    terminal.shows(&[">[ Start ]"])?;
    terminal.press(ENTER)?;
    terminal.wait_for("the end of the new run", |s| {
        s.contains("abc-2  done") && s.contains("Result")
    })?;
    assert_eq!(last_step(&place, "abc-2"), 7);

    terminal.press("i")?;
    terminal.shows(&["7 iterations are done", "8 iterations in all"])?;
    terminal.press(BACKSPACE)?;
    terminal.press("2")?;
    terminal.shows(&["9 iterations in all"])?;
    terminal.press(ENTER)?;
    terminal.wait_until("two steps more", |_| {
        (last_step(&place, "abc-2") == 9).then_some(())
    })?;
    terminal.shows(&["done", "9/9", "Result"])?;
    terminal.press("q")?;
    assert_eq!(terminal.ended()?.code(), Some(0));
    Ok(())
}

#[test]
fn the_end_of_a_run_is_told_by_a_command_and_by_the_terminal() -> Outcome {
    let place = Place::new()?;
    let command = "printf %s \"$ASTILL_STATUS $ASTILL_RUN\" > told";
    let arguments = [
        "run",
        "tiny.yaml",
        "--name",
        "r",
        "--headless",
        "--on-finish",
    ];
    assert_status(&place.run(&[&arguments[..], &[command]].concat())?, 0);
    let told = std::fs::read_to_string(place.path("told"))?;
    assert!(
        told.starts_with("done ") && told.ends_with("runs/r"),
        "{told}"
    );

    let _engine = Background::of(&place, "s");
    let mut command = vec!["run", "tiny.yaml", "--name", "s", "--notify"];
    command.extend(["--set", "distill.iterations=60"]);
    let mut terminal = app(&place, &command)?;
    terminal.wait_for("the end", |s| s.contains("Result") && s.contains("done"))?;
    let sent = text(terminal.sent());
    assert!(
        sent.contains("\x1b]9;astill: s done"),
        "no message was sent"
    );
    assert!(sent.contains("\x1b]777;notify;astill;s done"));

    let sorted = text(
        &place
            .run(&["list", "--sort", "name", "--state", "done"])?
            .stdout,
    );
    let names: Vec<&str> = sorted
        .lines()
        .filter_map(|l| l.split_whitespace().next())
        .collect();
    assert_eq!(names, ["r", "s"]);
    let none = place.run(&["list", "--state", "failed"])?;
    assert_eq!(text(&none.stdout), "");
    terminal.press("q")?;
    assert_eq!(terminal.ended()?.code(), Some(0));
    Ok(())
}
