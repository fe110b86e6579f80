//! Bytes from the terminal as keys, mouse events and pasted text.

use super::answers::{Answers, Taken};
use crate::tui::capabilities::Answer;
use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use termina::Parser;
use termina::event as input;

/// The beginning of pasted text.
const PASTE: &[u8] = b"\x1b[200~";

/// What the terminal has sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    Input(Event),
    Answer(Answer),
}

/// Puts keys together from bytes as they come.
#[derive(Debug, Default)]
pub struct Decoder {
    answers: Answers,
    parser: Parser,
    /// The first bytes of what is no whole key yet.
    begun: Vec<u8>,
}

impl Decoder {
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Received> {
        let mut received = Vec::new();
        for byte in bytes {
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
        !self.begun.is_empty() || !self.answers.is_empty()
    }

    /// Nothing has come for a moment: what has begun is whole, as the Escape key is.
    pub fn settle(&mut self) -> Vec<Received> {
        let mut received = Vec::new();
        if !self.answers.is_in_answer() {
            let held = self.answers.give_up();
            self.keys(&held, false, &mut received);
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

    fn keys(&mut self, bytes: &[u8], maybe_more: bool, received: &mut Vec<Received>) {
        let more = PASTE.len().saturating_sub(self.begun.len());
        self.begun.extend(bytes.iter().take(more));
        self.parser.parse(bytes, maybe_more);
        while let Some(event) = self.parser.pop() {
            self.begun.clear();
            received.extend(event_of(event).map(Received::Input));
        }
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
