//! The whole log, with a filter.

use crate::tui::clock;
use crate::tui::context::Context;
use crate::tui::input_line::InputLine;
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
    /// The filter while it is being edited.
    search: Option<InputLine>,
    filter: String,
    /// Lines between the last one and the bottom of the screen; 0 follows the run.
    from_end: usize,
}

impl Screen for LogScreen {
    fn scope(&self) -> Scope {
        if self.search.is_some() {
            Scope::Line
        } else {
            Scope::Log
        }
    }

    fn act(&mut self, action: Action, context: &mut Context) -> Response {
        let page = usize::from(context.size.1).saturating_sub(4).max(1);
        match action {
            Action::Search => self.search = Some(InputLine::new(self.filter.clone())),
            Action::Open => self.search = None,
            Action::Escape if self.is_filtered() => {
                self.search = None;
                self.line_changed();
            }
            Action::Up => self.from_end += 1,
            Action::Down => self.from_end = self.from_end.saturating_sub(1),
            Action::PageUp => self.from_end += page,
            Action::PageDown => self.from_end = self.from_end.saturating_sub(page),
            Action::First => self.from_end = usize::MAX,
            Action::Last => self.from_end = 0,
            _ => return Response::Close,
        }
        if self.from_end > 0 {
            self.from_end = self.from_end.min(self.most_from_end(page, context));
        }
        Response::Handled
    }

    fn line(&mut self) -> Option<&mut InputLine> {
        self.search.as_mut()
    }

    fn line_changed(&mut self) {
        let text = self.search.as_ref().map(InputLine::text);
        self.filter = text.unwrap_or_default().into();
        self.from_end = 0;
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
            Constraint::Length(self.is_filtered().into()),
        ])
        .areas(inner);
        let shown: Vec<LogLine> = session
            .model
            .log
            .backwards()
            .filter(|l| self.shows(l))
            .skip(self.from_end)
            .take(lines.height.into())
            .collect();
        draw_log_lines(buf, lines, context, &shown, true);
        if shown.is_empty() {
            let text = if self.is_filtered() {
                "No matches."
            } else {
                "No log entries yet."
            };
            put(buf, lines, 0, text, theme.dim());
        }
        if foot.is_empty() {
            return None;
        }
        let cells = usize::from(foot.width).saturating_sub(PROMPT.len());
        let line = self.search.clone();
        let (text, at) = line
            .unwrap_or_else(|| InputLine::new(self.filter.clone()))
            .shown(cells);
        put(buf, foot, 0, &format!("{PROMPT}{text}"), theme.accent());
        let cursor = Position::new(foot.x + (PROMPT.len() + at) as u16, foot.y);
        self.search.as_ref().map(|_| cursor)
    }
}

impl LogScreen {
    fn is_filtered(&self) -> bool {
        self.search.is_some() || !self.filter.is_empty()
    }

    fn shows(&self, line: &LogLine) -> bool {
        let contains = |filter: &str| line.text.to_lowercase().contains(filter);
        self.filter.is_empty() || contains(&self.filter.to_lowercase())
    }

    /// How far up the log goes: as many lines as there are below those that fill the first `rows`.
    fn most_from_end(&self, rows: usize, context: &Context) -> usize {
        let Some(session) = &context.session else {
            return 0;
        };
        let mut lines: Vec<LogLine> = session
            .model
            .log
            .backwards()
            .filter(|l| self.shows(l))
            .collect();
        let cells = usize::from(context.size.0).saturating_sub(2);
        let mut taken = 0;
        while let Some(line) = lines.last() {
            taken += in_rows(line, cells, context).len();
            if taken > rows {
                break;
            }
            lines.pop();
        }
        lines.len()
    }
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
            let style = weight_style(&context.appearance, line.weight);
            put(buf, area, row, &text, style);
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
