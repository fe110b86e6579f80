//! Keys that arrive together. A terminal that marks pasted text sends it as such; from one that does
//! not, it arrives like keys that nobody could type that fast, and must not act as commands.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// So many characters at once, so many of them different, were not typed: a key that is held down
/// repeats itself, and a slow connection delivers a few at a time.
const FEWEST: usize = 4;
const FEWEST_DIFFERENT: usize = 3;

/// The text that keys stand for, if they were pasted.
#[must_use]
pub fn pasted(inputs: &[Event]) -> Option<String> {
    let mut text = String::new();
    for input in inputs {
        match input {
            Event::Key(key) if key.kind == KeyEventKind::Release || is_control(key) => {}
            Event::Key(key) => text.push(character(key)?),
            _ => return None,
        }
    }
    let mut different: Vec<char> = text.chars().collect();
    let count = different.len();
    different.sort_unstable();
    different.dedup();
    (count >= FEWEST && different.len() >= FEWEST_DIFFERENT).then_some(text)
}

/// Whether it is a control character, or what follows an escape: neither stands in what is read of a text.
fn is_control(key: &KeyEvent) -> bool {
    let has = |modifier| key.modifiers.contains(modifier);
    // except for a line feed
    let is = |c| has(KeyModifiers::ALT) || (has(KeyModifiers::CONTROL) && c != 'j');
    matches!(key.code, KeyCode::Char(c) if is(c))
}

/// The character of a key; none for keys that no text contains.
fn character(key: &KeyEvent) -> Option<char> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Enter => Some('\n'),
        // a line feed
        KeyCode::Char('j') if control => Some('\n'),
        KeyCode::Tab => Some('\t'),
        KeyCode::Char(c) if !control && !key.modifiers.contains(KeyModifiers::ALT) => Some(c),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<Event> {
        let code = |c| match c {
            '\n' => KeyCode::Enter,
            '^' => KeyCode::Up,
            c => KeyCode::Char(c),
        };
        text.chars().map(|c| Event::Key(code(c).into())).collect()
    }

    #[test]
    fn text_that_nobody_types_so_fast_was_pasted() {
        for text in ["stop", "ex\ny\n", "100000\nyes\n", "pip install x"] {
            assert_eq!(pasted(&keys(text)).as_deref(), Some(text));
        }
        let mut with_form_feed = keys("max memory");
        let control = KeyEvent::new(KeyCode::Char('l'), KeyModifiers::CONTROL);
        with_form_feed.insert(3, Event::Key(control));
        assert_eq!(pasted(&with_form_feed).as_deref(), Some("max memory"));
        for text in [
            "", "q", "qq", "jjjjjjjj", "kkkkjjjj", "30\n", "^^^^abc", "y\n",
        ] {
            assert_eq!(pasted(&keys(text)), None, "{text:?}");
        }
        let mut resized = keys("stop");
        resized.push(Event::Resize(80, 24));
        assert_eq!(pasted(&resized), None);
    }
}
