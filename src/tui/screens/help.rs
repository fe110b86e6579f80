//! The keys of the screen that was on top, and of all others.

use super::super::app::{Context, Next};
use super::super::keys::{self, Action, Scope};
use super::super::text::{pad, width, wrap};
use super::{popup, put};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

#[derive(Debug)]
pub struct Help {
    scope: Scope,
    first: usize,
}

const COLUMNS: u16 = 96;

impl Help {
    /// Help for a place.
    pub fn new(scope: Scope) -> Self {
        Self { scope, first: 0 }
    }

    pub fn act(&mut self, action: Action, context: &mut Context) -> Next {
        let page = usize::from(context.size.1 / 2).max(1);
        let total = self
            .lines(usize::from(COLUMNS.min(context.size.0)).saturating_sub(4))
            .len();
        let most = total.saturating_sub(usize::from(context.size.1).saturating_sub(3));
        self.first = match action {
            Action::Up => self.first.saturating_sub(1),
            Action::Down => self.first + 1,
            Action::PageUp => self.first.saturating_sub(page),
            Action::PageDown => self.first + page,
            Action::First => 0,
            Action::Last => usize::MAX,
            _ => return Next::Close,
        }
        .min(most);
        Next::Stay
    }

    /// Whether a line is a heading, and its text.
    fn lines(&self, cells: usize) -> Vec<(bool, String)> {
        let others = Scope::ALL.into_iter().filter(|p| *p != self.scope);
        let mut lines = Vec::new();
        for scope in std::iter::once(self.scope).chain(others) {
            if !lines.is_empty() {
                lines.push((false, String::new()));
            }
            lines.push((true, scope.name().to_string()));
            let keys = keys::at(scope)
                .map(|b| width(&b.names()))
                .max()
                .unwrap_or(0)
                .min(cells / 2);
            for binding in keys::at(scope) {
                let help = wrap(binding.help, cells.saturating_sub(keys + 3));
                for (i, part) in help.iter().enumerate() {
                    let names = if i == 0 {
                        binding.names()
                    } else {
                        String::new()
                    };
                    lines.push((false, format!(" {}  {part}", pad(&names, keys))));
                }
            }
        }
        lines
    }

    pub fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let columns = COLUMNS.min(area.width);
        let lines = self.lines(usize::from(columns).saturating_sub(4));
        let inner = popup(
            buf,
            area,
            &context.look,
            "Keys",
            columns,
            lines.len() as u16 + 2,
        );
        let first = self
            .first
            .min(lines.len().saturating_sub(inner.height.into()));
        for (row, (heading, line)) in (0..inner.height).zip(&lines[first..]) {
            let style = if *heading {
                context.look.theme.title().patch(Style::new().bold())
            } else {
                context.look.theme.text()
            };
            put(buf, inner, row, line, style);
        }
        None
    }
}
