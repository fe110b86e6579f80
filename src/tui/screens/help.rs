//! The keys of the screen that was on top, then those of all others, and the words of the field.

use crate::tui::context::Context;
use crate::tui::glossary;
use crate::tui::keys::{self, Action, Scope};
use crate::tui::screen::{Response, Screen};
use crate::tui::text::{pad, width, wrap};
use crate::tui::widgets::{popup, put_lines};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::Line;

/// Columns inside the frame.
const COLUMNS: u16 = 92;

#[derive(Debug)]
pub struct HelpPopup {
    scope: Scope,
    /// The first visible line.
    first: usize,
}

impl HelpPopup {
    /// Help that begins with the keys of this scope.
    pub fn new(scope: Scope) -> Self {
        Self { scope, first: 0 }
    }

    fn lines(&self, terminal_columns: u16, context: &Context) -> Vec<Line<'static>> {
        let theme = &context.appearance.theme;
        let cells = usize::from(COLUMNS.min(terminal_columns.saturating_sub(4)));
        let others = Scope::ALL.into_iter().filter(|p| *p != self.scope);
        let mut lines = Vec::new();
        for scope in std::iter::once(self.scope).chain(others) {
            if !lines.is_empty() {
                lines.push(Line::default());
            }
            lines.push(Line::styled(scope.name(), theme.title()));
            let widest = keys::at(scope).map(|b| width(&b.names())).max();
            let names = widest.unwrap_or(0).min(cells / 2);
            for binding in keys::at(scope) {
                let help = wrap(binding.help, cells.saturating_sub(names + 3));
                for (i, part) in help.iter().enumerate() {
                    let shown = if i == 0 {
                        binding.names()
                    } else {
                        String::new()
                    };
                    lines.push(Line::from(format!(" {}  {part}", pad(&shown, names))));
                }
            }
        }
        lines.push(Line::default());
        lines.push(Line::styled("Words", theme.title()));
        for (word, explanation) in glossary::entries() {
            let entry = wrap(&format!("{word}: {explanation}"), cells.saturating_sub(3));
            for (i, part) in entry.into_iter().enumerate() {
                let indent = if i == 0 { " " } else { "   " };
                lines.push(Line::from(format!("{indent}{part}")));
            }
        }
        lines
    }
}

impl Screen for HelpPopup {
    fn scope(&self) -> Scope {
        Scope::Help
    }

    fn is_popup(&self) -> bool {
        true
    }

    fn act(&mut self, action: Action, context: &mut Context) -> Response {
        let (columns, rows) = context.size;
        let page = usize::from(rows / 2).max(1);
        let total = self.lines(columns, context).len();
        let most = total.saturating_sub(usize::from(rows).saturating_sub(3));
        self.first = match action {
            Action::Up => self.first.saturating_sub(1),
            Action::Down => self.first + 1,
            Action::PageUp => self.first.saturating_sub(page),
            Action::PageDown => self.first + page,
            Action::First => 0,
            Action::Last => usize::MAX,
            _ => return Response::Close,
        }
        .min(most);
        Response::Handled
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let lines = self.lines(area.width, context);
        let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        let inner = popup(
            buf,
            area,
            &context.appearance,
            "Keys and words",
            (COLUMNS, rows),
        );
        put_lines(buf, inner, lines, self.first);
        None
    }
}
