//! Everything explained: the keys of the screen that was on top, the marks of charts, what is measured,
//! the words of the field, and the keys of the other screens.

use crate::tui::chart::plots::paragraph;
use crate::tui::context::Context;
use crate::tui::glossary;
use crate::tui::input_line::{InputLine, Search};
use crate::tui::keys::{Action, BoundKeys, Keymap, Scope};
use crate::tui::model::MarkKind;
use crate::tui::screen::{Response, Screen};
use crate::tui::text::{clean, pad, width, wrap};
use crate::tui::widgets::{popup, put_lines};
use astill_core::measures::MEASURES;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::text::Line;

/// Columns inside the frame.
const COLUMNS: u16 = 92;
const PROMPT: &str = "Search: ";

#[derive(Debug)]
pub struct HelpPopup {
    scope: Scope,
    /// The first visible line.
    first: usize,
    /// Only what has this in it is listed.
    search: Search,
    /// The keys that start or change something are off.
    read_only: bool,
}

/// A part of the help, and what is in it.
struct Section {
    title: &'static str,
    entries: Vec<Entry>,
}

/// Something that is explained: the first line of it is not indented further.
struct Entry {
    lines: Vec<String>,
    /// What the search looks at.
    text: String,
}

impl HelpPopup {
    /// Help that begins with the keys of this scope.
    pub fn new(scope: Scope, read_only: bool) -> Self {
        Self {
            read_only,
            scope,
            first: 0,
            search: Search::default(),
        }
    }

    fn lines(&self, terminal_columns: u16, context: &Context) -> Vec<Line<'static>> {
        let theme = &context.appearance.theme;
        let cells = usize::from(COLUMNS.min(terminal_columns.saturating_sub(4)));
        let query = self.search.text().trim().to_lowercase();
        let mut lines = Vec::new();
        for section in self.sections(cells, &context.keys) {
            let found = section.entries.into_iter();
            let found: Vec<Entry> = found.filter(|e| e.text.contains(&query)).collect();
            if found.is_empty() {
                continue;
            }
            if !lines.is_empty() {
                lines.push(Line::default());
            }
            lines.push(Line::styled(section.title, theme.title()));
            lines.extend(found.into_iter().flat_map(|e| e.lines).map(Line::from));
        }
        if lines.is_empty() {
            lines.push(Line::styled("No matches.", theme.dim()));
        }
        lines
    }

    fn sections(&self, cells: usize, keys: &Keymap) -> Vec<Section> {
        let marks = MarkKind::ALL.map(|kind| {
            let name = format!("{}  {}", kind.letter(), kind.name());
            Entry::named(&name, 24, kind.meaning(), cells)
        });
        let measures = MEASURES.iter().map(|m| Entry::of(&paragraph(m), cells));
        let words = glossary::entries()
            .map(|(word, explanation)| Entry::of(&format!("{word}: {explanation}"), cells));
        let mut sections = vec![
            self.keys_of(keys, self.scope, cells),
            Section {
                title: "Marks under the charts",
                entries: marks.into(),
            },
            Section {
                title: "What is measured",
                entries: measures.collect(),
            },
            Section {
                title: "Words",
                entries: words.collect(),
            },
        ];
        let others = Scope::ALL.into_iter().filter(|s| *s != self.scope);
        // screens that only steer are not reached there
        let others = others.filter(|scope| {
            let steers = [Scope::Start, Scope::Tweak, Scope::RollBack, Scope::Confirm];
            !self.read_only || !steers.contains(scope)
        });
        sections.extend(others.map(|scope| self.keys_of(keys, scope, cells)));
        sections
    }

    /// The keys of a scope that do something, under its name.
    fn keys_of(&self, keys: &Keymap, scope: Scope, cells: usize) -> Section {
        let does_something = |b: &&BoundKeys| !(b.binding.steers && self.read_only);
        let keys = || keys.at(scope).filter(does_something);
        let widest = keys().map(|b| width(&b.names())).max();
        let names = widest.unwrap_or(0).min(cells / 2);
        Section {
            title: scope.name(),
            entries: keys()
                .map(|b| Entry::named(&b.names(), names, b.binding.help, cells))
                .collect(),
        }
    }
}

impl Entry {
    /// "name   explanation", the names as wide as those of the other entries.
    fn named(name: &str, names: usize, explanation: &str, cells: usize) -> Self {
        let parts = wrap(explanation, cells.saturating_sub(names + 3));
        let line = |(i, part): (usize, String)| {
            let shown = if i == 0 { name } else { "" };
            format!(" {}  {part}", pad(shown, names))
        };
        Self {
            lines: parts.into_iter().enumerate().map(line).collect(),
            text: format!("{name} {explanation}").to_lowercase(),
        }
    }

    /// "word: explanation"
    fn of(text: &str, cells: usize) -> Self {
        let parts = wrap(&clean(text), cells.saturating_sub(3));
        let line = |(i, part): (usize, String)| {
            let indent = if i == 0 { " " } else { "   " };
            format!("{indent}{part}")
        };
        Self {
            lines: parts.into_iter().enumerate().map(line).collect(),
            text: text.to_lowercase(),
        }
    }
}

impl Screen for HelpPopup {
    fn scope(&self) -> Scope {
        match self.search.is_edited() {
            true => Scope::Line,
            false => Scope::Help,
        }
    }

    fn is_popup(&self) -> bool {
        true
    }

    fn act(&mut self, action: Action, context: &mut Context) -> Response {
        let (columns, rows) = context.size;
        let page = usize::from(rows / 2).max(1);
        let total = self.lines(columns, context).len();
        let visible = usize::from(rows).saturating_sub(3 + usize::from(self.search.is_shown()));
        self.first = match action {
            Action::Search => {
                self.search.edit();
                0
            }
            Action::Open => {
                self.search.accept();
                self.first
            }
            Action::Escape if self.search.is_shown() => {
                self.search.clear();
                0
            }
            Action::Up => self.first.saturating_sub(1),
            Action::Down => self.first + 1,
            Action::PageUp => self.first.saturating_sub(page),
            Action::PageDown => self.first + page,
            Action::First => 0,
            Action::Last => usize::MAX,
            _ => return Response::Close,
        }
        .min(total.saturating_sub(visible));
        Response::Handled
    }

    fn line(&mut self) -> Option<&mut InputLine> {
        self.search.line()
    }

    fn line_changed(&mut self) {
        self.search.line_changed();
        self.first = 0;
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let theme = &context.appearance.theme;
        let lines = self.lines(area.width, context);
        // as high as without a search, so that it does not jump while somebody types
        let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        let rows = if self.search.is_shown() {
            u16::MAX
        } else {
            rows
        };
        let title = "Keys, charts and words";
        let inner = popup(buf, area, &context.appearance, title, (COLUMNS, rows));
        let foot = Constraint::Length(self.search.is_shown().into());
        let [body, foot] = Layout::vertical([Constraint::Fill(1), foot]).areas(inner);
        put_lines(buf, body, lines, self.first);
        if foot.is_empty() {
            return None;
        }
        self.search.draw(buf, foot, PROMPT, theme.accent())
    }
}
