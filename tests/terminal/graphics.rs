//! Images that the terminal draws itself, where it answers that it can.

use crate::app;
use crate::place::{Outcome, Place, assert_status};
use crate::screen::Terminal;

/// What the app asks, and the answers of a terminal with kitty's graphics, of one with sixels and of one
/// with neither.
const QUESTION: &str = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c";
const YES: &str = "\x1b_Gi=31;OK\x1b\\\x1b[?62;22c";
const SIXELS: &str = "\x1b[?62;4;22c";
const NO: &str = "\x1b[?62;22c";
/// What an image contains that is sent so.
const IMAGE: &str = "\x1b_Gq=2,a=T,U=1,i=";
const SIXEL_IMAGE: &str = "q\"1;1;";

#[test]
fn the_terminal_is_asked_and_draws_the_images_itself_if_it_can() -> Outcome {
    let place = Place::new()?;
    assert_status(
        &place.run(&["run", "tiny.yaml", "--name", "r", "--headless"])?,
        0,
    );
    for (answer, notice, image) in [
        (YES, "in kitty's graphics protocol.", Some(IMAGE)),
        (
            SIXELS,
            "by the terminal itself, in sixels.",
            Some(SIXEL_IMAGE),
        ),
        (NO, "This terminal did not report graphics support", None),
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
        for kind in [IMAGE, SIXEL_IMAGE] {
            match image == Some(kind) {
                true => terminal.wait_until("an image", |t| sent(t, kind).then_some(()))?,
                false => assert!(!sent(&terminal, kind)),
            }
        }
        if image == Some(SIXEL_IMAGE) {
            sixels_give_way_to_a_popup_and_come_back(&mut terminal)?;
        }
        terminal.press("q")?;
        terminal.press("q")?;
        assert_eq!(terminal.ended()?.code(), Some(0));
        terminal.assert_given_back();
    }
    Ok(())
}

/// An image is sent once, and again when what was written over it is gone.
fn sixels_give_way_to_a_popup_and_come_back(terminal: &mut Terminal) -> Outcome {
    let images = |t: &Terminal| {
        let sent = String::from_utf8_lossy(t.sent()).into_owned();
        sent.matches(SIXEL_IMAGE).count()
    };
    terminal.press("?")?;
    terminal.shows(&["Keys, charts and words"])?;
    // what was still on its way came before the popup, and nothing comes while it is open
    let before = images(terminal);
    for key in ["/", "z"] {
        terminal.press(key)?;
    }
    terminal.shows(&["Search: z"])?;
    assert_eq!(images(terminal), before);
    terminal.press("\r")?;
    terminal.press("q")?;
    terminal.wait_until("the images again", |t| (images(t) > before).then_some(()))
}

fn sent(terminal: &Terminal, text: &str) -> bool {
    let text = text.as_bytes();
    terminal.sent().windows(text.len()).any(|part| part == text)
}
