//! The whole log, with a filter.

use super::super::app::{Desk, Next};
use super::super::keys::Action;
use super::super::line::Line;
use super::super::model::LogLine;
use super::super::text::clean;
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
    pub fn act(&mut self, action: Action, desk: &mut Desk) -> Next {
        let page = usize::from(desk.size.1).saturating_sub(4).max(1);
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
            let total = desk.session.as_ref().map_or(0, |s| s.model.log.backwards().filter(|l| self.shows(l)).count());
            self.from_end = self.from_end.min(total.saturating_sub(page));
        }
        Next::Stay
    }

    pub fn search_changed(&mut self) {
        self.filter = self.search.as_ref().map_or(String::new(), |l| l.text().into());
        self.from_end = 0;
    }

    fn shows(&self, line: &LogLine) -> bool {
        self.filter.is_empty() || line.text.to_lowercase().contains(&self.filter.to_lowercase())
    }

    pub fn draw(&self, buf: &mut Buffer, area: Rect, desk: &Desk) -> Option<Position> {
        let session = desk.session.as_ref()?;
        let title = format!("Log of {} (times are UTC)", clean(&session.run.name()));
        let inner = frame(buf, area, &desk.look, &title, true);
        let filtered = self.search.is_some() || !self.filter.is_empty();
        let lines = Rect { height: inner.height.saturating_sub(u16::from(filtered)), ..inner };
        let shown: Vec<LogLine> =
            session.model.log.backwards().filter(|l| self.shows(l)).skip(self.from_end).take(lines.height.into()).collect();
        draw_lines(buf, lines, desk, &shown);
        if shown.is_empty() {
            put(buf, lines, 0, if filtered { "No line contains this." } else { "Nothing has been said yet." }, desk.look.theme.dim());
        }
        if !filtered || inner.height == 0 {
            return None;
        }
        let prompt = "Lines with: ";
        let row = inner.height - 1;
        let cells = usize::from(inner.width).saturating_sub(prompt.len());
        let (text, at) = self.search.clone().unwrap_or_else(|| Line::new(self.filter.clone())).shown(cells);
        put(buf, inner, row, &format!("{prompt}{text}"), desk.look.theme.accent());
        self.search.as_ref()?;
        Some(Position { x: inner.x + (prompt.len() + at) as u16, y: inner.y + row })
    }
}

/// Lines, latest first, from the bottom up; fewer lines than rows begin at the top.
pub fn draw_lines(buf: &mut Buffer, area: Rect, desk: &Desk, latest_first: &[LogLine]) {
    for (row, line) in (0..area.height).zip(latest_first.iter().rev()) {
        let clock = line.time.get(11..19).unwrap_or_default();
        put(buf, area, row, &format!("{} {}", clean(clock), line.text), weight_style(&desk.look, line.weight));
    }
}
