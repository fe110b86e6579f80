//! The whole log, with a filter.

use crate::tui::clock;
use crate::tui::context::Context;
use crate::tui::input_line::{InputLine, Search};
use crate::tui::keys::{Action, Scope};
use crate::tui::model::LogLine;
use crate::tui::screen::{Response, Screen};
use crate::tui::text::{clean, width, wrap};
use crate::tui::widgets::{frame, put, put_lines, weight_style};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::text::Line;

const PROMPT: &str = "Filter: ";

/// Which lines are shown, and from where.
#[derive(Debug, Default)]
pub struct LogScreen {
    filter: Search,
    /// The event of the lowest line and which of its lines that is: it stays there while the log goes
    /// on; none follows the run.
    lowest: Option<(u64, usize)>,
}

impl Screen for LogScreen {
    fn scope(&self) -> Scope {
        if self.filter.is_edited() {
            Scope::Line
        } else {
            Scope::Log
        }
    }

    fn act(&mut self, action: Action, context: &mut Context) -> Response {
        let page = usize::from(context.size.1).saturating_sub(4).max(1);
        let lines = self.lines(context);
        let below = lines.iter().take_while(|l| !self.reaches(l)).count();
        let from_end = match action {
            Action::Up => below.saturating_add(1),
            Action::Down => below.saturating_sub(1),
            Action::PageUp => below.saturating_add(page),
            Action::PageDown => below.saturating_sub(page),
            Action::First => usize::MAX,
            Action::Last => 0,
            _ => below,
        };
        match action {
            Action::Search => self.filter.edit(),
            Action::Open => self.filter.accept(),
            Action::Escape if self.filter.is_shown() => {
                self.filter.clear();
                self.lowest = None;
            }
            Action::Up
            | Action::Down
            | Action::PageUp
            | Action::PageDown
            | Action::First
            | Action::Last => {
                let from_end = from_end.min(most_from_end(&lines, page, context));
                let lowest = lines.get(from_end).filter(|_| from_end > 0);
                self.lowest = lowest.map(place);
            }
            _ => return Response::Close,
        }
        Response::Handled
    }

    fn line(&mut self) -> Option<&mut InputLine> {
        self.filter.line()
    }

    fn line_changed(&mut self) {
        self.filter.line_changed();
        self.lowest = None;
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let session = context.session.as_ref()?;
        let theme = &context.appearance.theme;
        let name = clean(&session.run.name());
        let title = match clock::offset(&context.zone, context.now) {
            offset if offset.is_empty() => format!("Log of {name}"),
            offset => format!("Log of {name}, times at UTC{offset}"),
        };
        let inner = frame(buf, area, &context.appearance, &title, true);
        let [lines, foot] = Layout::vertical([
            Constraint::Fill(1),
            Constraint::Length(self.filter.is_shown().into()),
        ])
        .areas(inner);
        let shown: Vec<LogLine> = session
            .model
            .log
            .backwards()
            .map(|l| l.in_keys(&context.keys))
            .filter(|l| self.shows(l))
            .skip_while(|l| !self.reaches(l))
            .take(lines.height.into())
            .collect();
        draw_log_lines(buf, lines, context, &shown, true);
        if shown.is_empty() {
            let text = if self.filter.is_shown() {
                "No matches."
            } else {
                "No log entries yet."
            };
            put(buf, lines, 0, text, theme.dim());
        }
        if foot.is_empty() {
            return None;
        }
        self.filter.draw(buf, foot, PROMPT, theme.accent())
    }
}

impl LogScreen {
    fn shows(&self, line: &LogLine) -> bool {
        let contains = |filter: &str| line.text.to_lowercase().contains(filter);
        let filter = self.filter.text();
        filter.is_empty() || contains(&filter.to_lowercase())
    }

    /// Whether a line is the lowest one on the screen, or earlier.
    fn reaches(&self, line: &LogLine) -> bool {
        self.lowest.is_none_or(|lowest| place(line) <= lowest)
    }

    /// The lines that the filter lets through, the latest first.
    fn lines(&self, context: &Context) -> Vec<LogLine> {
        let session = context.session.iter();
        let lines = session.flat_map(|s| s.model.log.backwards());
        let lines = lines.map(|l| l.in_keys(&context.keys));
        lines.filter(|l| self.shows(l)).collect()
    }
}

/// Where a line is in the log.
fn place(line: &LogLine) -> (u64, usize) {
    (line.seq, line.part)
}

/// How far up the log goes: as many lines as there are below those that fill the first `rows`.
fn most_from_end(latest_first: &[LogLine], rows: usize, context: &Context) -> usize {
    let cells = usize::from(context.size.0).saturating_sub(2);
    let mut taken = 0;
    let is_on_first_page = |line: &&LogLine| {
        taken += in_rows(line, cells, context).len();
        taken <= rows
    };
    let first_page = latest_first.iter().rev().take_while(is_on_first_page);
    latest_first.len() - first_page.count()
}

/// A line of the log after its time, in as many rows of `cells` cells as it needs.
fn in_rows(line: &LogLine, cells: usize, context: &Context) -> Vec<String> {
    let time = clock::time(&line.time, &context.zone, context.now);
    let under = " ".repeat(width(&time));
    let parts = wrap(&line.text, cells.saturating_sub(width(&time) + 1));
    parts
        .iter()
        .enumerate()
        .map(|(i, part)| format!("{} {part}", if i == 0 { &time } else { &under }))
        .collect()
}

/// As many of the parts between commas as fit into `cells`, and at least the first.
fn whole_parts(text: &str, cells: usize) -> &str {
    let mut shown = text;
    while width(shown) > cells
        && let Some((before, _)) = shown.rsplit_once(", ")
    {
        shown = before;
    }
    shown
}

/// Lines from the bottom up, the first of `latest_first` lowest; fewer lines than rows begin at the
/// top. With `whole`, a line takes as many rows as it needs, otherwise one.
pub fn draw_log_lines(
    buf: &mut Buffer,
    area: Rect,
    context: &Context,
    latest_first: &[LogLine],
    whole: bool,
) {
    if !whole {
        let time = |l: &LogLine| clock::time(&l.time, &context.zone, context.now);
        let shown = latest_first.iter().take(area.height.into());
        for (row, line) in (0..area.height).zip(shown.rev()) {
            let text = format!("{} {}", time(line), line.text);
            let text = match line.is_list {
                true => whole_parts(&text, area.width.into()),
                false => &text,
            };
            let style = weight_style(&context.appearance, line.weight);
            put(buf, area, row, text, style);
        }
        return;
    }
    let rows = latest_first.iter().flat_map(|line| {
        let style = weight_style(&context.appearance, line.weight);
        in_rows(line, area.width.into(), context)
            .into_iter()
            .rev()
            .map(move |row| Line::styled(row, style))
    });
    let mut rows: Vec<Line> = rows.take(area.height.into()).collect();
    rows.reverse();
    put_lines(buf, area, rows, 0);
}
