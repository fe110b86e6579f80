//! The whole log, with a filter.

use super::super::app::{Context, Next};
use super::super::clock;
use super::super::keys::Action;
use super::super::line::Line;
use super::super::model::LogLine;
use super::super::text::{clean, width, wrap};
use super::{frame, put, weight_style};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

/// Which lines are shown, and from where.
#[derive(Debug, Default)]
pub struct Log {
    /// Written at the moment.
    pub search: Option<Line>,
    filter: String,
    /// Lines between the last one and the bottom of the screen; 0 follows the run.
    from_end: usize,
}

impl Log {
    pub fn act(&mut self, action: Action, context: &mut Context) -> Next {
        let page = usize::from(context.size.1).saturating_sub(4).max(1);
        match action {
            Action::Search => self.search = Some(Line::new(self.filter.clone())),
            Action::Open => self.search = None,
            Action::Escape if self.search.is_some() || !self.filter.is_empty() => {
                self.search = None;
                self.search_changed();
                self.filter.clear();
            }
            Action::Up => self.from_end += 1,
            Action::Down => self.from_end = self.from_end.saturating_sub(1),
            Action::PageUp => self.from_end += page,
            Action::PageDown => self.from_end = self.from_end.saturating_sub(page),
            Action::First => self.from_end = usize::MAX,
            Action::Last => self.from_end = 0,
            _ => return Next::Close,
        }
        if self.from_end > 0 {
            self.from_end = self.from_end.min(self.last_but(page, context));
        }
        Next::Stay
    }

    /// Lines after those that fill `rows` from the first one on.
    fn last_but(&self, rows: usize, context: &Context) -> usize {
        let Some(session) = &context.session else {
            return 0;
        };
        let mut lines: Vec<LogLine> = session
            .model
            .log
            .backwards()
            .filter(|l| self.shows(l))
            .collect();
        let mut taken = 0;
        while let Some(line) = lines.last() {
            taken += in_rows(line, usize::from(context.size.0).saturating_sub(2), context).len();
            if taken > rows {
                break;
            }
            lines.pop();
        }
        lines.len()
    }

    pub fn search_changed(&mut self) {
        self.filter = self
            .search
            .as_ref()
            .map_or(String::new(), |l| l.text().into());
        self.from_end = 0;
    }

    fn shows(&self, line: &LogLine) -> bool {
        self.filter.is_empty()
            || line
                .text
                .to_lowercase()
                .contains(&self.filter.to_lowercase())
    }

    pub fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let session = context.session.as_ref()?;
        let title = format!("Log of {}", clean(&session.run.name()));
        let inner = frame(buf, area, &context.look, &title, true);
        let filtered = self.search.is_some() || !self.filter.is_empty();
        let lines = Rect {
            height: inner.height.saturating_sub(u16::from(filtered)),
            ..inner
        };
        let shown: Vec<LogLine> = session
            .model
            .log
            .backwards()
            .filter(|l| self.shows(l))
            .skip(self.from_end)
            .take(lines.height.into())
            .collect();
        draw_lines(buf, lines, context, &shown, true);
        if shown.is_empty() {
            put(
                buf,
                lines,
                0,
                if filtered {
                    "No line contains this."
                } else {
                    "Nothing has been said yet."
                },
                context.look.theme.dim(),
            );
        }
        if !filtered || inner.height == 0 {
            return None;
        }
        let prompt = "Lines with: ";
        let row = inner.height - 1;
        let cells = usize::from(inner.width).saturating_sub(prompt.len());
        let (text, at) = self
            .search
            .clone()
            .unwrap_or_else(|| Line::new(self.filter.clone()))
            .shown(cells);
        put(
            buf,
            inner,
            row,
            &format!("{prompt}{text}"),
            context.look.theme.accent(),
        );
        self.search.as_ref()?;
        Some(Position {
            x: inner.x + (prompt.len() + at) as u16,
            y: inner.y + row,
        })
    }
}

/// A line of the log after its time, in as many rows of so many cells as it takes.
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

/// Lines, latest first, from the bottom up; fewer lines than rows begin at the top. With `whole`, a
/// line takes as many rows as it needs, otherwise one.
pub fn draw_lines(
    buf: &mut Buffer,
    area: Rect,
    context: &Context,
    latest_first: &[LogLine],
    whole: bool,
) {
    let cells = if whole {
        usize::from(area.width)
    } else {
        usize::MAX
    };
    let all = latest_first.iter().flat_map(|line| {
        in_rows(line, cells, context)
            .into_iter()
            .rev()
            .map(|row| (row, line.weight))
    });
    let rows: Vec<_> = all.take(area.height.into()).collect();
    for (row, (text, weight)) in (0..area.height).zip(rows.iter().rev()) {
        put(buf, area, row, text, weight_style(&context.look, *weight));
    }
}
