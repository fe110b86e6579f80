//! A line of text that is being edited.

use crate::tui::text::{clean, width};
use crate::tui::widgets::put;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use tui_input::{Input, InputRequest};

/// The most bytes a line holds.
const LONGEST: usize = 1000;

/// The text, and where in it the cursor stands.
#[derive(Debug, Clone, Default)]
pub struct InputLine {
    input: Input,
}

impl InputLine {
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            input: Input::new(text.into()),
        }
    }

    pub fn text(&self) -> &str {
        self.input.value()
    }

    /// Takes a key; keys that mean nothing in a line are ignored.
    pub fn key(&mut self, key: &KeyEvent) {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let request = match key.code {
            KeyCode::Char('w') if control => InputRequest::DeletePrevWord,
            KeyCode::Char('u') if control => InputRequest::DeleteLine,
            KeyCode::Char('a') if control => InputRequest::GoToStart,
            KeyCode::Char('e') if control => InputRequest::GoToEnd,
            KeyCode::Char(c) if !control && !c.is_control() && self.text().len() < LONGEST => {
                InputRequest::InsertChar(c)
            }
            KeyCode::Backspace => InputRequest::DeletePrevChar,
            KeyCode::Delete => InputRequest::DeleteNextChar,
            KeyCode::Left => InputRequest::GoToPrevChar,
            KeyCode::Right => InputRequest::GoToNextChar,
            KeyCode::Home => InputRequest::GoToStart,
            KeyCode::End => InputRequest::GoToEnd,
            _ => return,
        };
        self.input.handle(request);
    }

    /// Inserts the first line of pasted text.
    pub fn paste(&mut self, text: &str) {
        let first = text.lines().next().unwrap_or_default();
        for c in clean(first)
            .chars()
            .take(LONGEST.saturating_sub(self.text().len()))
        {
            self.input.handle(InputRequest::InsertChar(c));
        }
    }

    /// The part that `cells` cells show, and the cell of the cursor.
    pub fn shown(&self, cells: usize) -> (String, usize) {
        let before: String = self.text().chars().take(self.input.cursor()).collect();
        let skip = (width(&before) + 1).saturating_sub(cells);
        let mut skipped = 0;
        let visible: String = self
            .text()
            .chars()
            .skip_while(|c| {
                let skips = skipped < skip;
                if skips {
                    skipped += width(c.encode_utf8(&mut [0; 4]));
                }
                skips
            })
            .collect();
        (
            crate::tui::text::fit_plain(&visible, cells),
            width(&before).saturating_sub(skipped),
        )
    }
}

/// A text that is searched for: edited in a line, and kept after that.
#[derive(Debug, Default)]
pub struct Search {
    line: Option<InputLine>,
    text: String,
}

impl Search {
    /// Edits the text, or goes on with that.
    pub fn edit(&mut self) {
        let text = self.text.clone();
        self.line.get_or_insert_with(|| InputLine::new(text));
    }

    /// Keeps the text as it is.
    pub fn accept(&mut self) {
        self.line = None;
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn line(&mut self) -> Option<&mut InputLine> {
        self.line.as_mut()
    }

    /// Takes what the line holds by now.
    pub fn line_changed(&mut self) {
        self.text = self.line.as_ref().map_or("", InputLine::text).into();
    }

    /// What is searched for.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_edited(&self) -> bool {
        self.line.is_some()
    }

    /// Whether it is edited, or there is something to search for.
    pub fn is_shown(&self) -> bool {
        self.is_edited() || !self.text.is_empty()
    }

    /// Draws it after a prompt; the position of the text cursor while it is edited.
    pub fn draw(
        &self,
        buf: &mut Buffer,
        area: Rect,
        prompt: &str,
        style: Style,
    ) -> Option<Position> {
        let cells = usize::from(area.width).saturating_sub(prompt.len());
        let kept = InputLine::new(self.text.clone());
        let (text, at) = self.line.as_ref().unwrap_or(&kept).shown(cells);
        put(buf, area, 0, &format!("{prompt}{text}"), style);
        let cursor = Position::new(area.x + (prompt.len() + at) as u16, area.y);
        self.is_edited().then_some(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &mut InputLine, text: &str) {
        text.chars()
            .for_each(|c| line.key(&KeyEvent::from(KeyCode::Char(c))));
    }

    #[test]
    fn keys_edit_where_the_cursor_stands() {
        let mut line = InputLine::new("30");
        typed(&mut line, "0");
        line.key(&KeyEvent::from(KeyCode::Home));
        typed(&mut line, "-");
        line.key(&KeyEvent::from(KeyCode::Delete));
        assert_eq!(line.text(), "-00");
        line.paste("1\x1b\n2");
        assert_eq!(line.text(), "-1?00");
    }

    #[test]
    fn the_cursor_stays_in_sight() {
        let line = InputLine::new("abcdef");
        assert_eq!(line.shown(10), ("abcdef".into(), 6));
        assert_eq!(line.shown(4), ("def".into(), 3));
        assert_eq!(line.shown(0), (String::new(), 0));
    }
}
