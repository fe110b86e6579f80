//! Runs from the menu to their end, by keys.

use crate::place::{self, Background, Outcome, Place, last_step};
use crate::screen::{DOWN, ENTER, ESC, LEFT, RIGHT, Terminal, cpu_ticks};
use crate::{LONG, app, change, drawn, shell, step_shown};
use astill_core::run::RunDir;
use astill_core::run::event::{CommandStatus, EventKind, RunStarted};
use std::time::Duration;

#[test]
fn a_profile_is_started_from_the_menu_and_stopped() -> Outcome {
    let place = Place::new()?;
    let _engine = Background::of(&place, "shapes-001");
    let mut terminal = app(&place, &[])?;
    terminal.shows(&[
        "Profiles",
        ">shapes",
        "cifar10-ipc10",
        "Demo: ten classes",
        "1800 training",
        "iterations of 10",
    ])?;
    terminal.press(ENTER)?;
    terminal.shows(&["Start shapes", "1800 training", ">[ Start ]"])?;
    terminal.press(ENTER)?;
    terminal.shows(&["shapes-001", "running", "experts 0/2"])?;
    terminal.wait_until("the bar of the work moves", |t| {
        t.rows(2, 3).contains('█').then_some(())
    })?;
    terminal.press("x")?;
    terminal.shows(&["Stop this run?", ">[ Cancel ]"])?;
    terminal.press(ENTER)?;
    terminal.wait_for("no question", |s| !s.contains("Stop this run?"))?;
    terminal.press("x")?;
    terminal.shows(&["Stop this run?"])?;
    terminal.press("y")?;
    terminal.shows(&["stopped", "requested in the app"])?;
    terminal.press("q")?;
    terminal.shows(&["Profiles", "shapes-001", "stopped"])?;
    terminal.press("q")?;
    assert_eq!(terminal.ended()?.code(), Some(0));
    terminal.assert_given_back();
    terminal.shows(&["resume it with `astill resume shapes-001`"])?;
    let phases = place
        .events("shapes-001")?
        .into_iter()
        .filter(|e| matches!(e.what, EventKind::Phase { .. }))
        .count();
    assert_eq!(phases, 2);
    Ok(())
}

#[test]
fn a_run_is_watched_paused_changed_left_and_seen_to_its_end() -> Outcome {
    let place = Place::new()?;
    let _engine = Background::of(&place, "r");
    let mut terminal = shell(&place)?;
    let sets: String = LONG.iter().map(|s| format!(" --set {s}")).collect();
    terminal.press(&format!(
        "astill --data data run tiny.yaml --name r{sets}\r"
    ))?;
    terminal.wait_for("curves and pictures", |s| {
        let (dots, pixels) = drawn(s);
        step_shown(s).is_some_and(|n| n > 100)
            && dots > 10
            && pixels > 100
            && s.contains("Images, step 100")
    })?;
    assert!(terminal.is_taken());

    pauses_and_rests(&place, &mut terminal)?;
    let last_paused = last_step(&place, "r");
    changes_a_setting(&place, &mut terminal)?;
    terminal.press(" ")?;
    terminal.wait_for("steps", |s| {
        step_shown(s).is_some_and(|n| n > last_paused + 1) && s.contains("running")
    })?;
    shows_earlier_pictures(&mut terminal)?;
    runs_without_the_app(&place, &mut terminal)?;
    shows_the_same_again(&place, &mut terminal)?;
    ends_earlier(&place, &mut terminal)
}

/// A paused engine takes no step and does no work.
fn pauses_and_rests(place: &Place, terminal: &mut Terminal) -> Outcome {
    terminal.press(" ")?;
    terminal.shows(&["paused"])?;
    let stands = last_step(place, "r");
    let started = place.events("r")?.into_iter().find_map(|e| {
        if let EventKind::RunStarted(started) = &e.what {
            Some(started.process)
        } else {
            None
        }
    });
    let process = started.ok_or("no engine")?;
    // what looks after the run takes a tick now and then
    terminal.wait_until("the engine rests", |terminal| {
        let before = cpu_ticks(process)?;
        terminal.observe(Duration::from_millis(500));
        (cpu_ticks(process)? <= before + 1).then_some(())
    })?;
    assert_eq!(last_step(place, "r"), stands);
    Ok(())
}

/// A value that would be rejected is not sent; another is accepted and recorded.
fn changes_a_setting(place: &Place, terminal: &mut Terminal) -> Outcome {
    terminal.press("t")?;
    terminal.shows(&["Tweak", "distill.lr_images"])?;
    change(terminal, "distill.lr_images", "-1")?;
    terminal.shows(&["found -1, expected a"])?;
    terminal.press(ESC)?;
    // keys that follow at once would be read as one with it
    terminal.wait_for("the end of the line", |s| !s.contains("found -1"))?;
    change(terminal, "distill.lr_images", "30")?;
    terminal.shows(&["set distill.lr_images=30: accepted", "10"])?;
    let edit = place
        .events("r")?
        .into_iter()
        .rev()
        .find_map(|e| match e.what {
            EventKind::Command(c) if c.command.to_string().contains("lr_images") => {
                Some((c.answer.status, c.answer.from, c.answer.to))
            }
            _ => None,
        });
    assert_eq!(
        edit,
        Some((
            CommandStatus::Accepted,
            Some(10.0.into()),
            Some(30.0.into())
        ))
    );
    terminal.press(ESC)?;
    terminal.wait_for("the screen of the run", |s| !s.contains("Tweak"))?;
    Ok(())
}

/// The pictures of an earlier step, and the latest again.
fn shows_earlier_pictures(terminal: &mut Terminal) -> Outcome {
    terminal.press("s")?;
    terminal.shows(&[">Step", ", latest"])?;
    let shown = |t: &Terminal| t.rows(0, 1);
    let latest = shown(terminal);
    terminal.press(LEFT)?;
    terminal.wait_until("earlier pictures", |t| (shown(t) != latest).then_some(()))?;
    let earlier = shown(terminal);
    terminal.press(RIGHT)?;
    terminal.wait_until("later pictures", |t| (shown(t) != earlier).then_some(()))?;
    terminal.press("q")?;
    terminal.shows(&["Log"])?;
    Ok(())
}

/// The user leaves; the shell has its screen back, and the run continues.
fn runs_without_the_app(place: &Place, terminal: &mut Terminal) -> Outcome {
    terminal.press("q")?;
    terminal.shows(&["Run r is still running; return to it with `astill attach r`"])?;
    terminal.wait_for("a prompt", |s| s.trim_end().ends_with("here>"))?;
    terminal.assert_screen_given_back();
    assert_eq!(
        drawn(&terminal.text()),
        (0, 0),
        "the shell's screen is as it was"
    );
    let left = last_step(place, "r");
    terminal.wait_until("steps without the app", |_| {
        (last_step(place, "r") > left + 20).then_some(())
    })?;
    Ok(())
}

fn reopen(terminal: &mut Terminal) -> Outcome {
    // what is typed before is lost
    terminal.wait_for("a prompt", |s| s.trim_end().ends_with("here>"))?;
    terminal.press("clear; astill --data data\r")?;
    terminal.shows(&["Running", ">r", "Profiles", "Started"])?;
    terminal.press(ENTER)
}

/// Opened once more, it has all its curves.
fn shows_the_same_again(place: &Place, terminal: &mut Terminal) -> Outcome {
    reopen(terminal)?;
    terminal.shows(&["distill"])?;
    terminal.press(" ")?;
    terminal.wait_for("a pause", |s| {
        s.contains("paused") && step_shown(s) == Some(last_step(place, "r"))
    })?;
    let charts = |t: &Terminal| t.rows(3, 17);
    let seen = charts(terminal);
    terminal.press("qq")?;
    terminal.shows(&["Run r is paused"])?;
    reopen(terminal)?;
    terminal.wait_until("the same curves and pictures", |t| {
        (charts(t) == seen).then_some(())
    })?;
    Ok(())
}

/// A shorter run, to its end.
fn ends_earlier(place: &Place, terminal: &mut Terminal) -> Outcome {
    terminal.press("t")?;
    change(
        terminal,
        "distill.iterations",
        &(last_step(place, "r") + 3).to_string(),
    )?;
    terminal.shows(&["distill.iterations=", "accepted"])?;
    terminal.press(ESC)?;
    terminal.wait_for("the screen of the run", |s| !s.contains("Tweak"))?;
    terminal.press(" ")?;
    terminal.shows(&["done", "Result", "distilled", "random", "representative"])?;
    terminal.press("qq")?;
    terminal.wait_for("the table in the shell", |s| {
        s.contains("Run r is done.")
            && s.contains("representative")
            && s.trim_end().ends_with("here>")
    })?;
    terminal.assert_screen_given_back();
    Ok(())
}

#[test]
fn a_run_goes_back_to_a_chosen_checkpoint_and_gets_a_new_engine() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(&place, &LONG)?;
    let mut terminal = Terminal::start(place.astill(&["attach", "r"]), 200, 60)?;
    terminal.wait_for("all the charts", |s| {
        [
            "Matching loss",
            "Accuracy",
            "Reach and alignment",
            "Student rate",
            "Experts: curvature",
        ]
        .iter()
        .all(|t| s.contains(t))
    })?;
    terminal.wait_for("steps", |s| {
        step_shown(s).is_some_and(|n| n > 5) && drawn(s).1 > 1000
    })?;
    terminal.press("c")?;
    let written = engine.wait_for(
        "a checkpoint",
        0,
        |w| matches!(w, EventKind::Checkpoint { step, .. } if *step > 0),
    )?;
    let EventKind::Checkpoint {
        step: checkpoint, ..
    } = written.what
    else {
        return Err("another event".into());
    };
    terminal.wait_for("a later step", |s| {
        step_shown(s).is_some_and(|n| n > checkpoint + 2)
    })?;
    terminal.press("r")?;
    terminal.shows(&[
        "Roll back to a checkpoint",
        &format!(">step {checkpoint} "),
        " step 0 ",
    ])?;
    terminal.press(DOWN)?;
    terminal.shows(&[">step 0 "])?;
    terminal.press(ENTER)?;
    terminal.shows(&["Roll back from step", "to 0?", ">[ Cancel ]"])?;
    terminal.press(ENTER)?;
    terminal.press("r")?;
    terminal.shows(&[&format!(">step {checkpoint} ")])?;
    terminal.press(ENTER)?;
    terminal.shows(&[&format!("to {checkpoint}?")])?;
    terminal.press("y")?;
    let back = engine.wait_for("the way back", 0, |w| {
        matches!(w, EventKind::RolledBack { .. })
    })?;
    assert!(matches!(back.what, EventKind::RolledBack { to, .. } if to == checkpoint));
    engine.wait_for(
        "the next step once more",
        back.seq,
        |w| matches!(w, EventKind::DistillStep(s) if s.step == checkpoint + 1),
    )?;

    terminal.press("x")?;
    terminal.shows(&["Stop this run?", ">[ Cancel ]"])?;
    terminal.press("y")?;
    terminal.shows(&["stopped", "requested in the app"])?;
    let stopped = last_step(&place, "r");
    terminal.press(" ")?;
    terminal.wait_for("a new engine's steps", |s| {
        step_shown(s).is_some_and(|n| n > stopped) && s.contains("running")
    })?;
    terminal.press("q")?;
    assert_eq!(terminal.ended()?.code(), Some(0));
    terminal.shows(&["Run r is still running"])
}

#[test]
fn a_run_whose_engine_may_be_elsewhere_is_resumed_only_after_a_question() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(&place, &LONG)?;
    let begun = engine.wait_for("an engine", 0, |w| {
        matches!(w, EventKind::RunStarted { .. })
    })?;
    engine.wait_for("a step", 0, |w| matches!(w, EventKind::DistillStep { .. }))?;
    let EventKind::RunStarted(RunStarted { process, .. }) = begun.what else {
        return Err("another event".into());
    };
    assert!(
        place
            .command("kill")
            .args(["-9", &process.to_string()])
            .status()?
            .success()
    );
    let run = RunDir::open(&place.path("runs/r")).ok_or("no run")?;
    place::wait_until("the engine is gone", || (!run.has_engine()).then_some(()))?;
    // the new engine is asked for all of it
    let mut terminal = app(&place, &["resume", "r", "--workers", "3"])?;
    assert_eq!(terminal.ended()?.code(), Some(2));
    terminal.shows(&["distill.segments is 1"])?;
    std::fs::write(place.path("runs/r/lock"), "node7")?;
    // what is refused leaves the run to the other machine
    let refused = place.run(&["resume", "r", "--headless", "--set", "distill.ipc=1"])?;
    place::assert_status(&refused, 2);
    assert_eq!(std::fs::read_to_string(place.path("runs/r/lock"))?, "node7");

    let mut terminal = app(&place, &["resume", "r", "--device", "cpu"])?;
    assert_eq!(terminal.ended()?.code(), Some(2));
    terminal.shows(&[
        "was on the machine node7",
        "`astill resume r --device=cpu --detach`",
    ])?;

    let mut terminal = app(&place, &["resume", "r"])?;
    terminal.shows(&["engine may be on node7"])?;
    assert!(!run.has_engine());
    terminal.press(" ")?;
    terminal.shows(&["Start an engine here?"])?;
    terminal.press("y")?;
    let stopped = last_step(&place, "r");
    terminal.wait_for("a new engine's steps", |s| {
        step_shown(s).is_some_and(|n| n > stopped) && s.contains("running")
    })?;
    terminal.press("q")?;
    assert_eq!(terminal.ended()?.code(), Some(0));
    Ok(())
}

#[test]
fn a_terminal_that_goes_away_ends_the_app_and_not_the_run() -> Outcome {
    let place = Place::new()?;
    let _engine = Background::start(&place, &LONG)?;
    let attach = || place.astill(&["attach", "r"]);
    for mut terminal in [
        Terminal::start(attach(), 80, 24)?,
        Terminal::without_control(attach())?,
    ] {
        terminal.wait_for("steps", |s| step_shown(s).is_some())?;
        assert_eq!(terminal.hang_up()?.code(), Some(129));
    }
    let step = last_step(&place, "r");
    place::wait_until("20 steps more", || {
        (last_step(&place, "r") >= step + 20).then_some(())
    })
}

#[test]
fn read_only_mode_sends_nothing_to_the_engine() -> Outcome {
    let place = Place::new()?;
    let _engine = Background::start(&place, &LONG)?;
    let mut terminal = app(&place, &["attach", "r", "--read-only"])?;
    terminal.wait_for("steps", |s| {
        step_shown(s).is_some() && s.contains("read-only") && !s.contains("pause")
    })?;
    for key in [" ", "t", "c", "e", "r", "x"] {
        terminal.press(key)?;
        terminal.shows(&["Read-only mode"])?;
        terminal.press("?")?;
        terminal.wait_for("another screen", |s| !s.contains("Read-only mode"))?;
        terminal.press(ESC)?;
        terminal.wait_for("the run again", |s| s.contains("Matching loss"))?;
    }
    terminal.press("q")?;
    assert_eq!(terminal.ended()?.code(), Some(0));
    assert!(
        !place
            .events("r")?
            .iter()
            .any(|e| matches!(e.what, EventKind::Command { .. }))
    );
    Ok(())
}

#[test]
fn an_engine_is_controlled_from_the_app_after_the_machine_has_changed_its_name() -> Outcome {
    let possible = std::process::Command::new("unshare")
        .args(["-u", "true"])
        .status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("not tried: no namespaces here");
        return Ok(());
    }
    let place = Place::new()?;
    let engine = Background::start(&place, &LONG)?;
    engine.wait_for("a step", 0, |w| matches!(w, EventKind::DistillStep { .. }))?;
    let mut renamed = place.command("unshare");
    renamed.args(["-u", "sh", "-ec", "hostname wlan-1; exec \"$@\"", "sh"]);
    renamed.arg(env!("CARGO_BIN_EXE_astill"));
    renamed.args(["--data", "data", "--runs", "runs", "attach", "r"]);
    let mut terminal = Terminal::start(renamed, 80, 24)?;
    terminal.shows(&["running"])?;
    terminal.press(" ")?;
    terminal.shows(&["paused", "accepted"])?;
    terminal.press("q")?;
    assert_eq!(terminal.ended()?.code(), Some(0));
    Ok(())
}
