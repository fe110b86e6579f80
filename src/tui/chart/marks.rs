//! Marks under the lines of a chart: what happened at which step.

use super::scale::Scale;
use super::{Chart, column};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// A letter under a chart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChartMark {
    pub step: f64,
    pub letter: char,
    pub style: Style,
    /// Where two share a place, the lower one is shown.
    pub rank: u8,
}

impl Chart<'_> {
    /// The marks, in row `y` below `plot`. What happened before the first point is at the first.
    pub(super) fn draw_marks(
        &self,
        range: (f64, f64),
        extent: (f64, f64),
        plot: Rect,
        y: u16,
        buf: &mut Buffer,
    ) {
        let mut places: Vec<Option<&ChartMark>> = vec![None; plot.width.into()];
        for mark in &self.marks {
            let x = column(mark.step.max(extent.0), range, plot.width.into());
            if let Some(place) = x.and_then(|x| places.get_mut(x))
                && place.is_none_or(|other| mark.rank < other.rank)
            {
                *place = Some(mark);
            }
        }
        for (x, mark) in (plot.x..plot.right()).zip(places) {
            if let (Some(mark), Some(cell)) = (mark, buf.cell_mut((x, y))) {
                cell.set_char(mark.letter).set_style(mark.style);
            }
        }
    }

    /// The character of every line that has one of its own, at the last of its points.
    pub(super) fn draw_letters(
        &self,
        range: (f64, f64),
        scale: &Scale,
        plot: Rect,
        buf: &mut Buffer,
    ) {
        for (mark, curve) in self.bright().rev().filter(|(_, c)| c.mark.is_some()) {
            let Some((step, value)) = curve.series.nearest(range.1) else {
                continue;
            };
            let is_seen = value.is_finite() && (0. ..=1.).contains(&scale.height(value));
            let x = column(step, range, plot.width.into());
            if let Some(x) = x.filter(|_| is_seen)
                && let Some(cell) =
                    buf.cell_mut((plot.x + x as u16, self.cell_row(scale, value, plot)))
            {
                cell.set_char(mark).set_style(curve.style);
            }
        }
    }
}
