//! Terminals that are not read, cannot place text or lack UTF-8, and the habits of their users:
//! pasting, Ctrl-C at the start, upgrading while the app is open.

use crate::place::{Background, Outcome, PATIENCE, Place, wait_until};
use crate::screen::{ENTER, ESC, Terminal};
use crate::{LONG, app, shell, step_shown};
use astill_core::run::RunDir;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const CTRL_C: &str = "\x03";

#[test]
fn a_terminal_that_nobody_reads_does_not_keep_the_app_from_a_signal() -> Outcome {
    let place = Place::new()?;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut terminal = Terminal::start(place.astill(&[]), 200, 60)?;
        terminal.shows(&[">shapes"])?;
        // more than the line between them holds
        for round in 0..40 {
            terminal.resize(180 + round % 2, 60)?;
            std::thread::sleep(Duration::from_millis(30));
        }
        let process = Pid::from_raw(i32::try_from(terminal.id())?).ok_or("no process")?;
        let begin = Instant::now();
        kill_process(process, signal)?;
        assert_eq!(terminal.ended_unread()?.code(), Some(128 + signal.as_raw()));
        assert!(begin.elapsed() < PATIENCE / 6);
        assert!(terminal.is_cooked());
    }
    Ok(())
}

#[test]
fn a_terminal_that_only_prints_lines_is_refused_with_the_way_out() -> Outcome {
    let place = Place::new()?;
    for arguments in [&[][..], &["run", "tiny.yaml"]] {
        let mut command = place.astill(arguments);
        command.env("TERM", "dumb");
        let mut terminal = Terminal::start(command, 80, 24)?;
        assert_eq!(terminal.ended()?.code(), Some(2));
        let said = terminal.text();
        assert!(said.contains("--headless"), "{said}");
        assert!(!terminal.sent().contains(&0x1b), "escape sequences");
        assert!(!place.path("runs").exists());
    }
    Ok(())
}

#[test]
fn in_tmux_without_utf_8_only_ascii_is_sent() -> Outcome {
    let place = Place::new()?;
    let mut command = place.astill(&[]);
    command
        .env("TMUX", "/tmp/tmux-0/default,1,0")
        .env("LC_ALL", "C");
    let mut terminal = Terminal::start(command, 100, 30)?;
    terminal.shows(&[">shapes"])?;
    terminal.press("q")?;
    assert!(terminal.ended()?.success());
    assert!(terminal.sent().is_ascii());
    Ok(())
}

#[test]
fn text_pasted_without_a_mark_gives_no_commands() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(&place, &LONG)?;
    let mut terminal = app(&place, &["attach", "r"])?;
    terminal.wait_for("steps", |s| step_shown(s).is_some())?;
    terminal.press("exit\ry\rdistill.iterations=7\r")?;
    terminal.shows(&["ignored as pasted"])?;
    // what one types still counts
    terminal.press("t")?;
    terminal.shows(&["lr_images"])?;
    terminal.press(ENTER)?;
    terminal.shows(&["Enter done"])?;
    terminal.press("123456789\r")?;
    terminal.shows(&["treated as pasted"])?;
    terminal.press(ESC)?;
    let is_command = |e: &astill_core::run::event::Event| {
        matches!(e.what, astill_core::run::event::EventKind::Command(_))
    };
    assert!(
        !place.events("r")?.iter().any(is_command),
        "a command was sent"
    );
    drop(engine);
    Ok(())
}

#[test]
fn ctrl_c_while_a_run_starts_stops_it_or_says_that_it_goes_on() -> Outcome {
    let place = Place::new()?;
    for (round, delay) in [0, 100, 200, 400].into_iter().enumerate() {
        let name = format!("r{round}");
        let _engine = Background::of(&place, &name);
        let mut terminal = shell(&place)?;
        let sets: String = LONG.iter().map(|s| format!(" --set {s}")).collect();
        terminal.press(&format!(
            "astill --data data run tiny.yaml --name {name}{sets}; echo status $?\r"
        ))?;
        let folder = place.path("runs").join(&name);
        wait_until("the run is made", || folder.exists().then_some(()))?;
        std::thread::sleep(Duration::from_millis(delay));
        if terminal.screen().alternate_screen() {
            continue;
        }
        terminal.press(CTRL_C)?;
        // the app may open just before the key arrives: then the key leaves it, and the run goes on
        terminal.wait_for("an answer", |s| {
            s.contains("status 130") || s.contains("status 0") || step_shown(s).is_some()
        })?;
        let said = terminal.text().replace('\n', " ");
        if said.contains("status 0") {
            assert!(said.contains("is still running"), "{said}");
            assert!(RunDir::open(&folder).is_some_and(|run| run.has_engine()));
        }
        if said.contains("status 130") {
            let goes_on = said.contains("in the background");
            let is_stopped = said.contains("has been stopped") || said.contains("nothing is left");
            assert!(goes_on != is_stopped, "{said}");
            let has_engine = RunDir::open(&folder).is_some_and(|run| run.has_engine());
            assert_eq!(has_engine, goes_on, "{said}");
        }
    }
    Ok(())
}

#[test]
fn a_program_that_was_replaced_while_it_was_open_starts_the_new_engine_and_says_so() -> Outcome {
    let place = Place::new()?;
    let _engine = Background::of(&place, "shapes-001");
    let built = Path::new(env!("CARGO_BIN_EXE_astill")).with_file_name("");
    let own = place.path("programs");
    fs::create_dir(&own)?;
    let install = || -> Outcome {
        for name in ["astill", "astill-engine"] {
            let (from, to) = (built.join(name), own.join(name));
            fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop))?;
        }
        Ok(())
    };
    install()?;
    let mut command = place.command(own.join("astill").to_str().ok_or("no text")?);
    command.args(["--data", "data", "--runs", "runs"]);
    let mut terminal = Terminal::start(command, 120, 30)?;
    terminal.shows(&[">shapes"])?;
    fs::remove_dir_all(&own)?;
    fs::create_dir(&own)?;
    terminal.press(ENTER)?;
    terminal.shows(&[">[ Start ]"])?;
    terminal.press(ENTER)?;
    terminal.shows(&["Could not start the run", "was replaced while it was open"])?;
    terminal.press(ESC)?;
    install()?;
    terminal.wait_for("the form again", |s| {
        s.contains(">[ Start ]") && !s.contains("Could not start")
    })?;
    terminal.press(ENTER)?;
    terminal.wait_for("the run, and what was replaced", |s| {
        s.contains("uses the new version")
    })?;
    Ok(())
}
