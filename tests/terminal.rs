//! The app as people meet it: the real program on a terminal, keys in, a screen out, and engines
//! that outlive it.

mod place;
mod screen;

#[path = "terminal/comparing.rs"]
mod comparing;
#[path = "terminal/graphics.rs"]
mod graphics;
#[path = "terminal/habits.rs"]
mod habits;
#[path = "terminal/life.rs"]
mod life;
#[path = "terminal/modes.rs"]
mod modes;
#[path = "terminal/own.rs"]
mod own;
#[path = "terminal/runs.rs"]
mod runs;

use place::{Outcome, Place};
use screen::{BACKSPACE, DOWN, ENTER, Terminal};

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
