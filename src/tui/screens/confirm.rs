//! A question before something that cannot be taken back; also what is too long for a line.

use super::super::app::{Context, Next};
use super::super::backend::Command;
use super::super::keys::Action;
use super::super::text::{clean, width, wrap};
use super::{popup, put};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

/// A question, and what is done if the answer is yes.
#[derive(Debug)]
pub struct Confirm {
    title: String,
    text: String,
    /// None: there is nothing to decide.
    then: Option<Then>,
    yes: bool,
}

/// What is done if the answer is yes.
#[derive(Debug)]
pub enum Then {
    Send(Command),
    /// A new engine is started.
    Resume,
}

const WIDEST: u16 = 72;

impl Confirm {
    pub fn question(title: &str, text: &str, then: Then) -> Self {
        Self {
            title: clean(title),
            text: clean(text),
            then: Some(then),
            yes: false,
        }
    }

    /// Nothing to decide.
    pub fn message(title: &str, text: &str) -> Self {
        let text = text.lines().map(clean).collect::<Vec<_>>().join("\n");
        Self {
            title: clean(title),
            text,
            then: None,
            yes: false,
        }
    }

    pub fn act(&mut self, action: Action, context: &mut Context) -> Next {
        match action {
            Action::NextPanel | Action::PreviousPanel | Action::Left | Action::Right => {
                self.yes = !self.yes && self.then.is_some();
                return Next::Stay;
            }
            Action::Yes => self.yes = true,
            Action::Open => {}
            _ => return Next::Close,
        }
        match self.then.take().filter(|_| self.yes) {
            Some(Then::Send(command)) => context.send(command),
            Some(Then::Resume) => context.resume(),
            None => {}
        }
        Next::Close
    }

    pub fn in_a_line(&self) -> String {
        let keys = if self.then.is_some() {
            "y / n"
        } else {
            "Enter"
        };
        format!("{} ({keys})", self.title)
    }

    pub fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let columns = WIDEST.min(area.width);
        let cells = usize::from(columns).saturating_sub(4);
        let lines: Vec<String> = self.text.lines().flat_map(|l| wrap(l, cells)).collect();
        let inner = popup(
            buf,
            area,
            &context.look,
            &self.title,
            columns,
            lines.len() as u16 + 4,
        );
        let inner = Rect {
            x: inner.x + 1,
            width: inner.width.saturating_sub(2),
            ..inner
        };
        let room = inner.height.saturating_sub(2);
        for (row, line) in (0..room).zip(&lines) {
            put(buf, inner, row, line, context.look.theme.text());
        }
        let choices: &[(&str, bool)] = if self.then.is_some() {
            &[("Cancel", !self.yes), ("Yes", self.yes)]
        } else {
            &[("Close", true)]
        };
        let mut x = 0;
        for (name, chosen) in choices {
            let text = if *chosen {
                format!(">[ {name} ]")
            } else {
                format!(" [ {name} ]")
            };
            let style = if *chosen {
                context.look.theme.selected()
            } else {
                Style::new()
            };
            let at = Rect {
                x: inner.x + x,
                width: inner.width.saturating_sub(x),
                ..inner
            };
            put(buf, at, inner.height.saturating_sub(1), &text, style);
            x = (x + width(&text) as u16 + 2).min(inner.width);
        }
        None
    }
}
