//! Runs that are compared in the app.

use crate::app;
use crate::place::{Outcome, Place, assert_status};
use crate::screen::{DOWN, LEFT, Terminal};

#[test]
fn finished_runs_are_marked_and_compared() -> Outcome {
    let place = Place::new()?;
    for (name, rate) in [("one", "10"), ("two", "20")] {
        let set = format!("distill.lr_images={rate}");
        let arguments = [
            "run",
            "tiny.yaml",
            "--name",
            name,
            "--headless",
            "--set",
            &set,
        ];
        assert_status(&place.run(&arguments)?, 0);
    }
    let mut terminal = app(&place, &[])?;
    terminal.shows(&["Earlier runs"])?;
    // the later run is listed first
    select(&mut terminal, ">two")?;
    terminal.press(" ")?;
    terminal.shows(&[">[A] two"])?;
    select(&mut terminal, ">one")?;
    terminal.press(" ")?;
    terminal.shows(&[">[B] one"])?;
    terminal.press("c")?;
    terminal.shows(&[
        "Compare: 2 runs",
        ">A two",
        "B one",
        "done 5/5",
        "Matching loss (1 of",
    ])?;
    terminal.press("p")?;
    terminal.shows(&["pinned"])?;
    terminal.press(LEFT)?;
    terminal.shows(&["@ 5"])?;
    terminal.press("t")?;
    terminal.shows(&["Results", "distill.lr_images", "10", "20"])?;
    terminal.press("q")?;
    terminal.shows(&["Earlier runs", "[A] two", ">[B] one"])?;
    terminal.press("q")?;
    assert_eq!(terminal.ended()?.code(), Some(0));
    terminal.assert_given_back();
    Ok(())
}

/// Moves the cursor of the menu down to a row.
fn select(terminal: &mut Terminal, row: &str) -> Outcome {
    let mut last = String::new();
    terminal.wait_until(&format!("the cursor on {row}"), |t| {
        let text = t.text();
        let is_there = text.contains(row);
        // a key when the last one has been seen
        if !is_there && text != last {
            t.press(DOWN).ok()?;
            last = text;
        }
        is_there.then_some(())
    })
}
