//! Images that the terminal draws itself, where it answers that it can.

use crate::app;
use crate::place::{Outcome, Place, assert_status};
use crate::screen::Terminal;

/// What the app asks, and the answers of a terminal with kitty's graphics and of one without.
const QUESTION: &str = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c";
const YES: &str = "\x1b_Gi=31;OK\x1b\\\x1b[?62;22c";
const NO: &str = "\x1b[?62;22c";
/// The beginning of an image that is sent.
const IMAGE: &str = "\x1b_Gq=2,a=T,U=1,i=";

#[test]
fn the_terminal_is_asked_and_draws_the_images_itself_if_it_can() -> Outcome {
    let place = Place::new()?;
    assert_status(
        &place.run(&["run", "tiny.yaml", "--name", "r", "--headless"])?,
        0,
    );
    for (answer, notice) in [
        (YES, "Images are drawn by the terminal itself."),
        (NO, "This terminal did not report graphics support"),
    ] {
        let mut terminal = app(&place, &["attach", "r"])?;
        terminal.shows(&["done"])?;
        terminal.press("s")?;
        terminal.shows(&["latest"])?;
        assert!(!sent(&terminal, QUESTION), "nobody has asked for graphics");
        for notice in ["in quadrants", "in sextants", "in half blocks"] {
            terminal.press("b")?;
            terminal.shows(&[notice])?;
        }
        terminal.wait_until("the question", |t| sent(t, QUESTION).then_some(()))?;
        // keys that are typed before the answer act at once, and those beside it are not lost
        terminal.press("a")?;
        terminal.shows(&["in ASCII characters"])?;
        terminal.press(&format!("\x1b[B{answer}"))?;
        terminal.shows(&[notice])?;
        if answer == YES {
            terminal.wait_until("an image", |t| sent(t, IMAGE).then_some(()))?;
        } else {
            assert!(!sent(&terminal, IMAGE));
        }
        terminal.press("q")?;
        terminal.press("q")?;
        assert_eq!(terminal.ended()?.code(), Some(0));
        terminal.assert_given_back();
    }
    Ok(())
}

fn sent(terminal: &Terminal, text: &str) -> bool {
    let text = text.as_bytes();
    terminal.sent().windows(text.len()).any(|part| part == text)
}
