//! Where the parts of the screen of a run are.

use crate::tui::header;
use crate::tui::keys::{Action, Keymap};
use crate::tui::panel::{self, Panel};
use crate::tui::screens::run::log_panel::ending_lines;
use crate::tui::session::Session;
use ratatui::layout::{Constraint, Layout, Rect};

/// Smallest useful chart: columns and rows.
const SMALLEST_CHART: (u16, u16) = (38, 9);

/// The areas of the header and of the visible panels.
#[derive(Debug)]
pub struct RunLayout {
    pub header: Rect,
    pub panels: Vec<(Panel, Rect)>,
}

impl RunLayout {
    /// Whether an area is large enough for panels.
    pub fn fits(area: Rect) -> bool {
        area.width >= 40 && area.height >= 9
    }

    /// Divides the screen: the header, charts with the pictures beside them, the log below.
    pub fn new(area: Rect, session: &Session, keys: &Keymap) -> Self {
        let ending = ending_lines(session, keys, usize::from(area.width).saturating_sub(2));
        let wanted = u16::try_from(ending.len() + 2).unwrap_or(u16::MAX);
        // the end of a run may take up to half of the screen, which still shows a chart and an image
        let most = (area.height / 2).max(9);
        let log_height = match area.height {
            0..16 => 0,
            16..30 => wanted.clamp(4, most),
            30..50 => wanted.clamp(8, most),
            _ => wanted.clamp(12, most),
        };
        let [header, body, log] = Layout::vertical([
            Constraint::Length(header::rows(area.height, session)),
            Constraint::Fill(1),
            Constraint::Length(log_height),
        ])
        .areas(area);
        let pictures_width = if area.width >= 60 {
            (area.width * 7 / 20)
                .clamp(22, 68)
                .min((body.height * 3).max(22))
        } else {
            0
        };
        let [charts, pictures] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Length(pictures_width)])
                .areas(body);
        let mut panels = chart_areas(charts, session);
        let others = [(Panel::Pictures, pictures), (Panel::Log, log)];
        panels.extend(others.into_iter().filter(|(_, area)| !area.is_empty()));
        Self { header, panels }
    }

    /// The nearest panel in the direction of an arrow key.
    pub fn neighbour(&self, of: Panel, direction: Action) -> Option<Panel> {
        let (_, from) = self.panels.iter().find(|(p, _)| *p == of)?;
        let is_beyond = |r: &Rect| match direction {
            Action::Up => r.bottom() <= from.y,
            Action::Down => r.y >= from.bottom(),
            Action::Left => r.right() <= from.x,
            _ => r.x >= from.right(),
        };
        let middle = |r: &Rect| {
            (
                i32::from(r.x) + i32::from(r.width) / 2,
                i32::from(r.y) + i32::from(r.height) / 2,
            )
        };
        let (x, y) = middle(from);
        // cells are twice as high as wide, and a panel in the same column or row comes first
        let distance = |r: &Rect| {
            let (other_x, other_y) = middle(r);
            (other_y - y).abs() * 6 + (other_x - x).abs()
        };
        self.panels
            .iter()
            .filter(|(_, r)| is_beyond(r))
            .min_by_key(|(_, r)| distance(r))
            .map(|(panel, _)| *panel)
    }
}

/// As many charts as fit, the page of them that has the focus or had it last, in rows of equal height.
fn chart_areas(area: Rect, session: &Session) -> Vec<(Panel, Rect)> {
    let most_columns = usize::from(area.width / SMALLEST_CHART.0).max(1);
    let most_rows = usize::from(area.height / SMALLEST_CHART.1).max(1);
    let order = panel::in_order(session.is_learning(), &session.model);
    let slots = (most_columns * most_rows).min(order.len());
    let at = order
        .iter()
        .position(|p| Some(*p) == session.chart_in_focus());
    let first = at.map_or(0, |i| i / slots * slots);
    let shown: Vec<Panel> = order.into_iter().skip(first).take(slots).collect();
    let rows = shown.len().div_ceil(most_columns).max(1);
    let per_row = shown.len().div_ceil(rows).max(1);
    let row_areas = Layout::vertical(vec![Constraint::Fill(1); rows]).split(area);
    shown
        .chunks(per_row)
        .zip(row_areas.iter())
        .flat_map(|(of_row, area)| {
            let areas = Layout::horizontal(vec![Constraint::Fill(1); of_row.len()]).split(*area);
            of_row.iter().copied().zip(areas.to_vec())
        })
        .collect()
}
