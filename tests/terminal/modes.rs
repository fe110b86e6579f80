//! The terminal's modes, signals, keys and colours.

use crate::place::{Outcome, Place};
use crate::screen::{CTRL_Z, DOWN, Terminal, UP};
use crate::{app, shell};
use astill::tui::backend::{
    AblationSummary, Backend, DataState, Glance, NewRun, Preview, ProfileSummary, RunRequest,
    RunTemplate,
};
use astill::tui::colour::Depth;
use astill::tui::keys::Keymap;
use astill::tui::terminal::TerminalGuard;
use astill::tui::theme::ThemeSettings;
use astill::tui::{self, Options};
use astill_core::Result as AstillResult;
use astill_core::profile::Profile;
use astill_core::run::command::{Answer, Command};
use astill_core::run::list::RunSummary;
use astill_core::run::{EngineAt, RunDir};
use rustix::process::{Pid, Signal, kill_process};

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
    let mut terminal = with_a_fault(
        &place,
        "modes::a_panic_gives_every_mode_of_the_terminal_back",
    )?;
    assert_eq!(terminal.ended()?.code(), Some(101));
    assert!(String::from_utf8_lossy(terminal.sent()).contains("well"));
    terminal.assert_given_back();
    terminal.shows(&["a fault in a view"])
}

/// Almost everything that is requested of it panics.
struct Faulty;

impl Backend for Faulty {
    fn ablations(&self) -> AstillResult<Vec<AblationSummary>> {
        Ok(Vec::new())
    }

    fn profiles(&self) -> Vec<ProfileSummary> {
        vec![ProfileSummary {
            published: false,
            reference: "one".into(),
            description: "the only one".into(),
            text: String::new(),
            data: DataState::Ready,
            profile: None,
        }]
    }

    fn fetch(&self, _: &str, _: &dyn Fn(String), _: &dyn Fn() -> bool) -> AstillResult<String> {
        panic!("a fault in a fetch")
    }

    fn runs(&self) -> AstillResult<Vec<RunSummary>> {
        Ok(Vec::new())
    }
    fn preview(&self, _: &RunRequest, _: &dyn Fn() -> bool) -> Option<Preview> {
        panic!("a fault in the background")
    }
    fn start(&self, _: &NewRun) -> AstillResult<RunDir> {
        panic!("a fault at the start")
    }
    fn resume(&self, _: &RunDir, _: &[String]) -> AstillResult<()> {
        Ok(())
    }
    fn template(&self, _: &RunDir) -> AstillResult<RunTemplate> {
        panic!("a fault")
    }
    fn glance(&self, _: &RunDir) -> Glance {
        panic!("a fault")
    }
    fn delete(&self, _: &RunDir) -> AstillResult<()> {
        panic!("a fault")
    }
    fn rename(&self, _: &RunDir, _: &str) -> AstillResult<RunDir> {
        panic!("a fault")
    }
    fn write_note(&self, _: &RunDir, _: &str) -> AstillResult<()> {
        panic!("a fault")
    }
    fn run_command(&self, _: &str, _: &RunDir) -> AstillResult<()> {
        panic!("a fault")
    }
    fn profile(&self, _: &RunDir) -> AstillResult<Profile> {
        panic!("a fault")
    }
    fn checkpoints(&self, _: &RunDir) -> AstillResult<Vec<u64>> {
        Ok(Vec::new())
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
            keys: Keymap::default(),
            theme: ThemeSettings::default(),
            read_only: false,
            open: None,
            notifies: false,
            on_finish: None,
        };
        tui::run(options, Faulty)?;
        return Ok(());
    }
    let place = Place::new()?;
    let mut terminal = with_a_fault(
        &place,
        "modes::the_app_continues_after_a_panic_in_the_background",
    )?;
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
    terminal.shows(&["Compare the marked runs"])
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
    let cases: [(&[(&str, &str)], &str); 4] = [
        (
            &[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")],
            "38;2;",
        ),
        (&[("TERM", "xterm-256color")], "38;5;"),
        (&[("TERM", "xterm")], ""),
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
