//! The app as people meet it: the real program on a terminal, keys in, a screen out, and engines
//! that outlive it.

mod place;
mod screen;

use astill::tui::backend::{Backend, Preview, ProfileSummary};
use astill::tui::colour::Depth;
use astill::tui::terminal::TerminalGuard;
use astill::tui::{self, Options};
use astill_core::Result as AstillResult;
use astill_core::profile::Profile;
use astill_core::run::command::{Answer, Command};
use astill_core::run::event::{CommandStatus, EventKind};
use astill_core::run::list::RunSummary;
use astill_core::run::{EngineAt, RunDir};
use place::{Background, Outcome, Place, last_step};
use rustix::process::{Pid, Signal, kill_process};
use screen::{BACKSPACE, CTRL_Z, DOWN, ENTER, ESC, LEFT, RIGHT, Terminal, UP, cpu_ticks};

use std::time::Duration;

/// A tiny run that takes longer than any test watches it, with pictures every hundredth step.
const LONG: [&str; 3] = [
    "distill.iterations=5000",
    "evaluate.every=1000000",
    "evaluate.repeats=1",
];

fn app(place: &Place, arguments: &[&str]) -> Result<Terminal, Box<dyn std::error::Error>> {
    Terminal::start(place.astill(arguments), 80, 24)
}

/// A shell with job control.
fn shell(place: &Place) -> Result<Terminal, Box<dyn std::error::Error>> {
    // bash uses bracketed paste, too; here only the app is tested
    let inputrc = place.path("inputrc");
    std::fs::write(&inputrc, "set enable-bracketed-paste off\n")?;
    let mut bash = place.command("bash");
    bash.env("INPUTRC", inputrc);
    bash.args(["--norc", "--noprofile", "-i"])
        .env("PS1", "here> ")
        .env_remove("HISTFILE")
        .env_remove("PROMPT_COMMAND");
    let mut terminal = Terminal::start(bash, 80, 24)?;
    terminal.wait_for("a prompt", |s| s.trim_end().ends_with("here>"))?;
    Ok(terminal)
}

/// Dots of a curve, and pixels of a picture, on the screen.
fn drawn(screen: &str) -> (usize, usize) {
    let dots = screen
        .chars()
        .filter(|c| ('\u{2801}'..='\u{28ff}').contains(c))
        .count();
    (dots, screen.chars().filter(|c| *c == '▀').count())
}

/// The step that the header shows.
fn step_shown(screen: &str) -> Option<u64> {
    screen
        .split_once("distill ")?
        .1
        .split_once('/')?
        .0
        .parse()
        .ok()
}

/// Changes a setting in the open list of settings.
fn change(terminal: &mut Terminal, key: &str, value: &str) -> Outcome {
    let row = format!(">{key} ");
    let mut last = String::new();
    terminal.press("g")?;
    terminal.wait_for("the cursor on the first setting", |s| {
        s.contains('>')
            && s.lines()
                .skip_while(|l| !l.contains("Tweak"))
                .nth(1)
                .is_some_and(|l| l.contains('>'))
    })?;
    terminal.wait_until(&format!("the cursor on {key}"), |t| {
        let text = t.text();
        let there = text.contains(&row);
        // a key when the last one has been seen
        if !there && text != last {
            t.press(DOWN).ok()?;
            last = text;
        }
        there.then_some(())
    })?;
    terminal.press(ENTER)?;
    terminal.shows(&["Enter", "done"])?;
    terminal.press(&BACKSPACE.repeat(12))?;
    terminal.press(value)?;
    terminal.wait_for("the value", |s| {
        s.lines().any(|l| l.contains(&row) && l.contains(value))
    })?;
    terminal.press(ENTER)
}

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

    // paused: no step, no work
    terminal.press(" ")?;
    terminal.shows(&["paused"])?;
    let stands = last_step(&place, "r");
    let started = place.events("r")?.into_iter().find_map(|e| {
        if let EventKind::RunStarted { process, .. } = e.what {
            Some(process)
        } else {
            None
        }
    });
    let process = started.ok_or("no engine")?;
    let mut before = 0;
    terminal.wait_until("the engine rests", |_| {
        let now = cpu_ticks(process)?;
        (std::mem::replace(&mut before, now) == now).then_some(())
    })?;
    terminal.observe(Duration::from_millis(500));
    assert_eq!(
        cpu_ticks(process).ok_or("no engine")?,
        before,
        "a paused engine is at work"
    );
    assert_eq!(last_step(&place, "r"), stands);

    // settings
    terminal.press("t")?;
    terminal.shows(&["Tweak", "distill.lr_images"])?;
    change(&mut terminal, "distill.lr_images", "-1")?;
    terminal.shows(&["rejected", "expected a number from 0"])?;
    change(&mut terminal, "distill.lr_images", "30")?;
    terminal.shows(&["set distill.lr_images=30: accepted", "10"])?;
    let edit = place
        .events("r")?
        .into_iter()
        .rev()
        .find_map(|e| match e.what {
            EventKind::Command {
                command,
                status,
                from,
                to,
                ..
            } if command.contains("lr_images") => Some((status, from, to)),
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
    terminal.press(" ")?;
    terminal.wait_for("steps", |s| {
        step_shown(s).is_some_and(|n| n > stands + 1) && s.contains("running")
    })?;

    // pictures, back in time and forth
    terminal.press("s")?;
    terminal.shows(&[">Step", ", latest"])?;
    let shown = |t: &Terminal| t.rows(0, 1);
    let latest = shown(&terminal);
    terminal.press(LEFT)?;
    terminal.wait_until("earlier pictures", |t| (shown(t) != latest).then_some(()))?;
    let earlier = shown(&terminal);
    terminal.press(RIGHT)?;
    terminal.wait_until("later pictures", |t| (shown(t) != earlier).then_some(()))?;
    terminal.press("q")?;
    terminal.shows(&["Log"])?;

    // the run continues without the app
    terminal.press("q")?;
    terminal.shows(&["Run r is still running; return to it with `astill attach r`"])?;
    terminal.wait_for("a prompt", |s| s.trim_end().ends_with("here>"))?;
    terminal.assert_screen_given_back();
    assert_eq!(
        drawn(&terminal.text()),
        (0, 0),
        "the shell's screen is as it was"
    );
    let left = last_step(&place, "r");
    terminal.wait_until("steps without the app", |_| {
        (last_step(&place, "r") > left + 20).then_some(())
    })?;

    // and is there again, with all its curves
    let reopen = |terminal: &mut Terminal| -> Outcome {
        // what is typed before is lost
        terminal.wait_for("a prompt", |s| s.trim_end().ends_with("here>"))?;
        terminal.press("clear; astill --data data\r")?;
        terminal.shows(&["Running", ">r", "Profiles", "Started"])?;
        terminal.press(ENTER)
    };
    reopen(&mut terminal)?;
    terminal.shows(&["distill"])?;
    terminal.press(" ")?;
    terminal.wait_for("a pause", |s| {
        s.contains("paused") && step_shown(s) == Some(last_step(&place, "r"))
    })?;
    let charts = |t: &Terminal| t.rows(3, 17);
    let seen = charts(&terminal);
    terminal.press("qq")?;
    terminal.shows(&["Run r is paused"])?;
    reopen(&mut terminal)?;
    terminal.wait_until("the same curves and pictures", |t| {
        (charts(t) == seen).then_some(())
    })?;

    // a shorter run, to its end
    terminal.press("t")?;
    change(
        &mut terminal,
        "distill.iterations",
        &(last_step(&place, "r") + 3).to_string(),
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
    let back = engine.wait_for(
        "the way back",
        0,
        |w| matches!(w, EventKind::Command { command, .. } if command.starts_with("roll_back")),
    )?;
    assert!(
        matches!(back.what, EventKind::Command { status: CommandStatus::Accepted, to: Some(to), .. } if to == checkpoint)
    );
    engine.wait_for(
        "the next step once more",
        back.seq,
        |w| matches!(w, EventKind::DistillStep { step, .. } if *step == checkpoint + 1),
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
    let EventKind::RunStarted { process, .. } = begun.what else {
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
    std::fs::write(place.path("runs/r/lock"), "node7")?;

    let mut terminal = app(&place, &["resume", "r", "--device", "cpu"])?;
    assert_eq!(terminal.ended()?.code(), Some(2));
    terminal.shows(&[
        "was on the machine node7",
        "`astill resume r --device cpu --detach`",
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
fn a_signal_gives_every_mode_of_the_terminal_back() -> Outcome {
    let place = Place::new()?;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut terminal = app(&place, &["--mouse"])?;
        terminal.shows(&[">shapes"])?;
        assert!(terminal.is_taken());
        assert_ne!(
            terminal.screen().mouse_protocol_mode(),
            vt100::MouseProtocolMode::None
        );
        let process = Pid::from_raw(i32::try_from(terminal.id())?).ok_or("no process")?;
        kill_process(process, signal)?;
        assert_eq!(terminal.ended()?.code(), Some(128 + signal.as_raw()));
        terminal.assert_given_back();
    }
    Ok(())
}

/// Starts the test of this name once more, on a terminal, where it plays the program with a fault.
fn with_a_fault(place: &Place, test: &str) -> Result<Terminal, Box<dyn std::error::Error>> {
    let mut command = place.command(
        std::env::current_exe()?
            .to_str()
            .ok_or("a name that is no text")?,
    );
    command
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(PLAYS_THE_PROGRAM, "1")
        .env("RUST_BACKTRACE", "0");
    Terminal::start(command, 80, 24)
}

const PLAYS_THE_PROGRAM: &str = "ASTILL_TEST_PLAYS_THE_PROGRAM";

fn plays_the_program() -> bool {
    std::env::var_os(PLAYS_THE_PROGRAM).is_some()
}

#[test]
fn a_panic_gives_every_mode_of_the_terminal_back() -> Outcome {
    if plays_the_program() {
        let mut guard = TerminalGuard::enter(true)?;
        guard.draw(|f| f.render_widget("well", f.area()))?;
        guard.draw(|_| panic!("a fault in a view"))?;
        return Ok(());
    }
    let place = Place::new()?;
    let mut terminal = with_a_fault(&place, "a_panic_gives_every_mode_of_the_terminal_back")?;
    assert_eq!(terminal.ended()?.code(), Some(101));
    assert!(String::from_utf8_lossy(terminal.sent()).contains("well"));
    terminal.assert_given_back();
    terminal.shows(&["a fault in a view"])
}

/// Almost everything that is requested of it panics.
struct Faulty;

impl Backend for Faulty {
    fn profiles(&self) -> Vec<ProfileSummary> {
        vec![ProfileSummary {
            reference: "one".into(),
            description: "the only one".into(),
            text: String::new(),
        }]
    }
    fn runs(&self) -> Vec<RunSummary> {
        Vec::new()
    }
    fn preview(&self, _: &str) -> Preview {
        panic!("a fault in the background")
    }
    fn start(&self, _: &str) -> AstillResult<RunDir> {
        panic!("a fault at the start")
    }
    fn resume(&self, _: &RunDir) -> AstillResult<()> {
        Ok(())
    }
    fn profile(&self, _: &RunDir) -> AstillResult<Profile> {
        panic!("a fault")
    }
    fn checkpoints(&self, _: &RunDir) -> Vec<u64> {
        Vec::new()
    }
    fn engine(&self, _: &RunDir) -> EngineAt {
        EngineAt::Nowhere
    }
    fn send(&self, _: &RunDir, _: &Command) -> AstillResult<Answer> {
        panic!("a fault")
    }
}

#[test]
fn the_app_continues_after_a_panic_in_the_background() -> Outcome {
    if plays_the_program() {
        let options = Options {
            depth: Depth::Never,
            ascii: false,
            mouse: false,
            read_only: false,
            open: None,
        };
        tui::run(options, Faulty)?;
        return Ok(());
    }
    let place = Place::new()?;
    let mut terminal = with_a_fault(&place, "the_app_continues_after_a_panic_in_the_background")?;
    terminal.shows(&[">one", "A bug in astill"])?;
    terminal.wait_until("the terminal is taken again", |t| {
        t.is_taken().then_some(())
    })?;
    terminal.press("q")?;
    assert_eq!(terminal.ended()?.code(), Some(0));
    terminal.assert_given_back();
    Ok(())
}

#[test]
fn the_app_is_suspended_and_comes_back() -> Outcome {
    let place = Place::new()?;
    let mut terminal = shell(&place)?;
    terminal.press("astill --data data\r")?;
    terminal.shows(&[">shapes"])?;
    for again in ["fg\r", "fg %1\r"] {
        terminal.press(CTRL_Z)?;
        terminal.wait_for("a stopped job", |s| {
            s.contains("Stopped") && s.trim_end().ends_with("here>")
        })?;
        terminal.assert_screen_given_back();
        terminal.press("clear\r")?;
        terminal.press(again)?;
        terminal.wait_until("the menu again", |t| {
            (t.is_taken() && t.text().contains(">shapes")).then_some(())
        })?;
    }
    terminal.press(&format!("{DOWN}q"))?;
    terminal.wait_for("a prompt", |s| s.trim_end().ends_with("here>"))?;
    terminal.assert_screen_given_back();
    Ok(())
}

#[test]
fn no_key_waits_for_another_one() -> Outcome {
    let place = Place::new()?;
    let mut terminal = app(&place, &[])?;
    terminal.shows(&[">shapes"])?;
    // keys that come together with a new size of the window
    for round in 0..20 {
        let (columns, key, row) = if round % 2 == 0 {
            (100, DOWN, ">cifar10-cpu")
        } else {
            (80, UP, ">shapes")
        };
        terminal.resize(columns, 24)?;
        terminal.press(key)?;
        terminal.shows(&[row])?;
    }
    // and more of them than are read at once
    terminal.press(&format!("{}{}?", DOWN.repeat(500), UP.repeat(500)))?;
    terminal.shows(&["Ctrl-Z", "Suspend the app"])
}

/// The parameters of every sequence that sets colours or attributes.
fn renditions(sent: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(sent).into_owned();
    let sequences = text.split("\x1b[").skip(1);
    let parameters = |s: &str| {
        s.split_once(|c: char| c.is_ascii_alphabetic())
            .map(|(p, _)| p.to_string())
    };
    sequences
        .filter(|s| {
            s.find(|c: char| c.is_ascii_alphabetic())
                .is_some_and(|at| s[at..].starts_with('m'))
        })
        .filter_map(parameters)
        .collect()
}

fn is_colour(parameters: &str) -> bool {
    parameters
        .split(';')
        .filter_map(|p| p.parse::<u32>().ok())
        .any(|p| (30..50).contains(&p) || (90..108).contains(&p))
}

#[test]
fn the_selection_is_seen_with_any_number_of_colours() -> Outcome {
    let place = Place::new()?;
    let cases: [(&[(&str, &str)], &str); 5] = [
        (
            &[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")],
            "38;2;",
        ),
        (&[("TERM", "xterm-256color")], "38;5;"),
        (&[("TERM", "xterm")], ""),
        (&[("TERM", "dumb")], "none"),
        (
            &[
                ("TERM", "xterm-256color"),
                ("COLORTERM", "truecolor"),
                ("NO_COLOR", "1"),
            ],
            "none",
        ),
    ];
    for (variables, colours) in cases {
        let mut command = place.astill(&[]);
        command.envs(variables.iter().copied());
        let mut terminal = Terminal::start(command, 80, 24)?;
        terminal.shows(&[">shapes", "1800 training", "iterations of"])?;
        let selected = |t: &Terminal| {
            let rows: Vec<u16> = (0..24)
                .filter(|r| t.screen().cell(*r, 2).is_some_and(vt100::Cell::inverse))
                .collect();
            rows.into_iter()
                .filter(|r| t.screen().cell(*r, 1).is_some_and(|c| c.contents() == ">"))
                .collect::<Vec<_>>()
        };
        let first = selected(&terminal);
        assert_eq!(first.len(), 1, "{variables:?}\n{}", terminal.text());
        terminal.press(DOWN)?;
        terminal.wait_until("the next row", |t| {
            (selected(t) == [first[0] + 1]).then_some(())
        })?;
        let renditions = renditions(terminal.sent());
        let has = |form: &str| renditions.iter().any(|r| r.contains(form));
        match colours {
            "none" => assert!(
                !renditions.iter().any(|r| is_colour(r)),
                "{variables:?}: {renditions:?}"
            ),
            "" => assert!(
                renditions.iter().any(|r| is_colour(r)) && !has("38;"),
                "{variables:?}: {renditions:?}"
            ),
            form => assert!(has(form) || !has("38;"), "{variables:?}: {renditions:?}"),
        }
    }
    Ok(())
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
