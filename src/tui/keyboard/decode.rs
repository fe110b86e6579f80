//! Bytes from the terminal as keys, mouse events and pasted text.

use super::answers::{Answers, Taken};
use crate::tui::capabilities::Answer;
use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use termina::Parser;
use termina::event as input;

/// The beginning and the end of pasted text.
const PASTE: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";
/// Longer pasted text is ignored. So is one whose end does not come: after so many moments without
/// input, since every key that is pressed meanwhile is taken for a part of it.
const LONGEST_PASTE: usize = 1 << 20;
const MOST_MOMENTS: u32 = 100;

/// What the terminal has sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    Input(Event),
    Answer(Answer),
    /// Something was ignored, and why.
    Ignored(&'static str),
}

/// Puts keys together from bytes as they come.
#[derive(Debug, Default)]
pub struct Decoder {
    answers: Answers,
    parser: Parser,
    /// The first bytes of what is no whole key yet.
    begun: Vec<u8>,
    /// Of pasted text that has no end yet: its bytes, and the moments without input.
    pasted: usize,
    moments: u32,
    /// The last bytes of pasted text that is ignored up to its end.
    skipped: Option<Vec<u8>>,
}

impl Decoder {
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Received> {
        let mut received = Vec::new();
        for byte in bytes {
            if let Some(last) = &mut self.skipped {
                last.push(*byte);
                last.drain(..last.len().saturating_sub(PASTE_END.len()));
                if last == PASTE_END {
                    self.skipped = None;
                }
                continue;
            }
            match self.answers.take(*byte) {
                Taken::Held => {}
                Taken::Keys(bytes) => self.keys(&bytes, true, &mut received),
                Taken::Answer(answer) => received.push(Received::Answer(answer)),
            }
        }
        received
    }

    /// Whether something has begun whose end is still to come.
    pub fn is_partial(&self) -> bool {
        !self.begun.is_empty() || !self.answers.is_empty() || self.skipped.is_some()
    }

    /// Nothing has come for a moment: what has begun is whole, as the Escape key is.
    pub fn settle(&mut self) -> Vec<Received> {
        let mut received = Vec::new();
        if !self.answers.is_in_answer() {
            let held = self.answers.give_up();
            self.keys(&held, false, &mut received);
        }
        if self.begun == PASTE {
            self.moments += 1;
            if self.moments > MOST_MOMENTS {
                *self = Self::default();
                received.push(Received::Ignored("Pasted text without an end was ignored."));
            }
        }
        received
    }

    /// Nothing has come for long: what has begun will not be whole. Pasted text will: its rest must not
    /// act as keys.
    pub fn give_up(&mut self) {
        if self.begun != PASTE {
            *self = Self::default();
        }
    }

    /// Counts what belongs to pasted text, and ignores it once that is too long.
    fn count_pasted(&mut self, bytes: usize, received: &mut Vec<Received>) {
        if self.begun != PASTE {
            (self.pasted, self.moments) = (0, 0);
            return;
        }
        self.pasted += bytes;
        if self.pasted > LONGEST_PASTE {
            *self = Self {
                skipped: Some(Vec::new()),
                ..Self::default()
            };
            received.push(Received::Ignored(
                "Pasted text of more than 1 MiB was ignored.",
            ));
        }
    }

    fn keys(&mut self, bytes: &[u8], maybe_more: bool, received: &mut Vec<Received>) {
        let more = PASTE.len().saturating_sub(self.begun.len());
        self.begun.extend(bytes.iter().take(more));
        self.parser.parse(bytes, maybe_more);
        while let Some(event) = self.parser.pop() {
            self.begun.clear();
            received.extend(event_of(event).map(Received::Input));
        }
        self.count_pasted(bytes.len(), received);
    }
}

fn event_of(event: termina::Event) -> Option<Event> {
    Some(match event {
        termina::Event::Key(key) => Event::Key(key_of(key)?),
        termina::Event::Mouse(mouse) => Event::Mouse(mouse_of(mouse)),
        termina::Event::Paste(text) => Event::Paste(text),
        _ => return None,
    })
}

fn key_of(key: input::KeyEvent) -> Option<KeyEvent> {
    let code = match key.code {
        input::KeyCode::Char(c) => KeyCode::Char(c),
        input::KeyCode::Enter => KeyCode::Enter,
        input::KeyCode::Backspace => KeyCode::Backspace,
        input::KeyCode::Tab => KeyCode::Tab,
        input::KeyCode::BackTab => KeyCode::BackTab,
        input::KeyCode::Escape => KeyCode::Esc,
        input::KeyCode::Left => KeyCode::Left,
        input::KeyCode::Right => KeyCode::Right,
        input::KeyCode::Up => KeyCode::Up,
        input::KeyCode::Down => KeyCode::Down,
        input::KeyCode::Home => KeyCode::Home,
        input::KeyCode::End => KeyCode::End,
        input::KeyCode::PageUp => KeyCode::PageUp,
        input::KeyCode::PageDown => KeyCode::PageDown,
        input::KeyCode::Insert => KeyCode::Insert,
        input::KeyCode::Delete => KeyCode::Delete,
        input::KeyCode::Function(n) => KeyCode::F(n),
        _ => return None,
    };
    let kind = match key.kind {
        input::KeyEventKind::Press => KeyEventKind::Press,
        input::KeyEventKind::Repeat => KeyEventKind::Repeat,
        input::KeyEventKind::Release => KeyEventKind::Release,
    };
    Some(KeyEvent::new_with_kind(
        code,
        modifiers_of(key.modifiers),
        kind,
    ))
}

fn modifiers_of(modifiers: input::Modifiers) -> KeyModifiers {
    let all = [
        (input::Modifiers::SHIFT, KeyModifiers::SHIFT),
        (input::Modifiers::CONTROL, KeyModifiers::CONTROL),
        (input::Modifiers::ALT, KeyModifiers::ALT),
    ];
    let held = all
        .into_iter()
        .filter(|(from, _)| modifiers.contains(*from));
    held.fold(KeyModifiers::NONE, |held, (_, to)| held | to)
}

fn mouse_of(mouse: input::MouseEvent) -> MouseEvent {
    let button = |button| match button {
        input::MouseButton::Left => MouseButton::Left,
        input::MouseButton::Right => MouseButton::Right,
        input::MouseButton::Middle => MouseButton::Middle,
    };
    let kind = match mouse.kind {
        input::MouseEventKind::Down(b) => MouseEventKind::Down(button(b)),
        input::MouseEventKind::Up(b) => MouseEventKind::Up(button(b)),
        input::MouseEventKind::Drag(b) => MouseEventKind::Drag(button(b)),
        input::MouseEventKind::Moved => MouseEventKind::Moved,
        input::MouseEventKind::ScrollDown => MouseEventKind::ScrollDown,
        input::MouseEventKind::ScrollUp => MouseEventKind::ScrollUp,
        input::MouseEventKind::ScrollLeft => MouseEventKind::ScrollLeft,
        input::MouseEventKind::ScrollRight => MouseEventKind::ScrollRight,
    };
    MouseEvent {
        kind,
        column: mouse.column,
        row: mouse.row,
        modifiers: modifiers_of(mouse.modifiers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode) -> Received {
        Received::Input(Event::Key(code.into()))
    }

    #[test]
    fn keys_around_an_answer_keep_their_order() {
        let mut decoder = Decoder::default();
        let received = decoder.take(b"s\x1b[?62;22cb\x1b[B");
        let expected = [
            key(KeyCode::Char('s')),
            Received::Answer(Answer::Attributes(vec![62, 22])),
            key(KeyCode::Char('b')),
            key(KeyCode::Down),
        ];
        assert_eq!(received, expected);
        assert!(!decoder.is_partial());
    }

    #[test]
    fn escape_is_a_key_once_nothing_follows_it() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.take(b"\x1b"), []);
        assert!(decoder.is_partial());
        assert_eq!(decoder.settle(), [key(KeyCode::Esc)]);
        assert!(!decoder.is_partial());
        // a sequence that comes in pieces is one key
        assert_eq!(decoder.take(b"\x1b"), []);
        assert_eq!(decoder.take(b"[A"), [key(KeyCode::Up)]);
        // nor is an answer in pieces taken for keys
        assert_eq!(decoder.take(b"\x1b]11;rgb:"), []);
        assert_eq!(decoder.settle(), []);
        let white = Received::Answer(Answer::Background([255; 3]));
        assert_eq!(decoder.take(b"ff/ff/ff\x1b\\"), [white]);
    }

    #[test]
    fn what_never_ends_is_given_up() {
        let mut decoder = Decoder::default();
        // Alt and ], which looks like the beginning of a sequence
        assert_eq!(decoder.take(b"\x1b]"), []);
        _ = decoder.settle();
        decoder.give_up();
        assert_eq!(decoder.take(b"q"), [key(KeyCode::Char('q'))]);
        // but the rest of pasted text is waited for
        assert_eq!(decoder.take(b"\x1b[200~rm "), []);
        _ = decoder.settle();
        decoder.give_up();
        let pasted = Received::Input(Event::Paste("rm -r".into()));
        assert_eq!(decoder.take(b"-r\x1b[201~"), [pasted]);
    }

    #[test]
    fn pasted_text_that_is_too_long_or_never_ends_leaves_the_keyboard() {
        let mut decoder = Decoder::default();
        let is_ignored = |received: &[Received]| {
            let mut all = received.iter();
            all.any(|received| matches!(received, Received::Ignored(_)))
        };
        let mut received = decoder.take(b"\x1b[200~");
        for _ in 0..=LONGEST_PASTE / 4096 {
            received.extend(decoder.take(&[b'q'; 4096]));
        }
        assert!(is_ignored(&received) && received.len() == 1);
        // its rest does not act as keys, what follows does
        assert_eq!(decoder.take(b"qqq\x1b[201~s"), [key(KeyCode::Char('s'))]);

        let mut decoder = Decoder::default();
        let mut received = decoder.take(b"\x1b[200~x");
        let mut keys = 0;
        while !is_ignored(&received) {
            keys += 1;
            assert!(keys < 1000, "the keyboard is lost");
            received.extend(decoder.take(b"\x03"));
            received.extend(decoder.settle());
            decoder.give_up();
        }
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(
            decoder.take(b"\x03"),
            [Received::Input(Event::Key(control_c))]
        );
    }

    #[test]
    fn pasted_text_and_the_mouse_are_told_from_keys() {
        let mut decoder = Decoder::default();
        let received = decoder.take(b"\x1b[200~a b\x1b[201~\x1b[<0;5;7M\x01");
        let click = MouseEvent {
            kind: MouseEventKind::Down(MouseButton::Left),
            column: 4,
            row: 6,
            modifiers: KeyModifiers::NONE,
        };
        let control_a = KeyEvent::new(KeyCode::Char('a'), KeyModifiers::CONTROL);
        let expected = [
            Event::Paste("a b".into()),
            Event::Mouse(click),
            Event::Key(control_a),
        ];
        assert_eq!(received, expected.map(Received::Input));
    }
}
