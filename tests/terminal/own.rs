//! Keys and colours of the user's own, and the terminal's background.

use crate::app;
use crate::place::{Outcome, Place, assert_status, text};
use crate::screen::{ENTER, Terminal};
use std::fs;

/// The question for the background, and the answers of a light terminal and of a dark one, with that to
/// the question which every terminal answers.
const QUESTION: &str = "\x1b]11;?\x1b\\\x1b[c";
const LIGHT: &str = "\x1b]11;rgb:fdfd/f6f6/e3e3\x1b\\\x1b[?62;22c";
const DARK: &str = "\x1b]11;rgb:1e1e/1e1e/1e1e\x07\x1b[?62;22c";

#[test]
fn keys_of_ones_own_are_used_and_named() -> Outcome {
    let place = Place::new()?;
    let written = place.run(&["keys", "--write"])?;
    assert_status(&written, 0);
    let path = place.path("config/astill/keys.yaml");
    assert_eq!(text(&written.stdout).trim(), path.display().to_string());
    // all of it is comments: nothing changes
    let mut terminal = app(&place, &[])?;
    terminal.shows(&[">shapes", "/ search"])?;
    terminal.press("q")?;
    assert!(terminal.ended()?.success());

    fs::write(&path, "home:\n  search: F2\n  back: [Q, Ctrl-C]\n")?;
    let mut terminal = app(&place, &[])?;
    terminal.shows(&[">shapes", "F2 search", "Q quit"])?;
    // F2
    terminal.press("q/\x1bOQcif")?;
    terminal.shows(&["/cif", ">cifar10"])?;
    terminal.press("\x03")?;
    // what was found stays selected, in the whole list
    terminal.shows(&[" shapes", ">cifar10", "Q quit"])?;
    terminal.press("Q")?;
    assert!(terminal.ended()?.success());

    // what is there is not written over
    let again = place.run(&["keys", "--write"])?;
    assert_status(&again, 2);
    assert!(text(&again.stderr).contains("stays as it is"));
    assert!(fs::read_to_string(&path)?.starts_with("home:"));
    Ok(())
}

#[test]
fn a_wrong_file_is_refused_before_anything_starts() -> Outcome {
    let place = Place::new()?;
    fs::write(place.path("keys.yaml"), "run:\n  pause: [p\n")?;
    fs::write(place.path("theme.yaml"), "dark:\n  accent: \"#12345\"\n")?;
    for (option, name, said) in [
        ("--keys", "keys.yaml", "keys.yaml:"),
        (
            "--theme",
            "theme.yaml",
            "theme.yaml:2: dark.accent: expected",
        ),
        (
            "--keys",
            "missing.yaml",
            "missing.yaml: no such file; `astill keys`",
        ),
    ] {
        for arguments in [&[option, name][..], &["run", "tiny.yaml", option, name]] {
            let mut terminal = app(&place, arguments)?;
            assert_eq!(terminal.ended()?.code(), Some(2));
            assert!(terminal.text().contains(said), "{}", terminal.text());
            assert!(!terminal.sent().contains(&0x1b), "the screen was taken");
            assert!(!place.path("runs").exists());
        }
    }
    Ok(())
}

/// The colours with which the selected row was drawn, in the order in which they were sent.
fn accent(terminal: &Terminal) -> Option<&'static str> {
    let text = String::from_utf8_lossy(terminal.sent());
    // of the dark palette, the light one, and the one that suits both
    let all = ["38;2;88;166;255", "38;2;9;95;200", "38;2;52;132;212"];
    let last = |colour: &&str| text.rfind(*colour);
    all.into_iter()
        .filter(|c| last(c).is_some())
        .max_by_key(last)
}

#[test]
fn the_terminal_tells_whether_it_is_light_or_dark_and_no_key_is_lost() -> Outcome {
    for (answer, colour) in [
        (LIGHT, "38;2;9;95;200"),
        (DARK, "38;2;88;166;255"),
        ("", "38;2;52;132;212"),
    ] {
        let place = Place::new()?;
        let mut command = place.astill(&[]);
        command.env("COLORTERM", "truecolor");
        let mut terminal = Terminal::start(command, 80, 24)?;
        terminal.wait_until("the question", |t| {
            let text = String::from_utf8_lossy(t.sent());
            text.contains(QUESTION).then_some(())
        })?;
        // keys around the answer, some of them before the menu is there
        terminal.press(&format!("/c{answer}i"))?;
        terminal.shows(&["/ci", ">cifar10"])?;
        terminal.wait_until("the colour", |t| (accent(t) == Some(colour)).then_some(()))?;
        terminal.press(ENTER)?;
        terminal.shows(&["Start"])?;
        terminal.press("\x1b")?;
        terminal.shows(&["q quit"])?;
        terminal.press("q")?;
        assert!(terminal.ended()?.success());
        terminal.assert_given_back();
    }
    Ok(())
}

#[test]
fn a_theme_of_ones_own_decides_without_an_answer() -> Outcome {
    let place = Place::new()?;
    fs::write(
        place.path("theme.yaml"),
        "background: dark\ndark:\n  accent: \"#010203\"\n",
    )?;
    let mut command = place.astill(&["--theme", "theme.yaml"]);
    command.env("COLORTERM", "truecolor");
    let mut terminal = Terminal::start(command, 80, 24)?;
    terminal.shows(&[">shapes"])?;
    let sent = String::from_utf8_lossy(terminal.sent()).into_owned();
    assert!(sent.contains("38;2;1;2;3") && !sent.contains(QUESTION));
    Ok(())
}
