//! The first row of a chart: its title, and the names and values of its lines.

use super::dots::Grain;
use super::{Chart, Curve};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

impl Chart<'_> {
    /// Title, and the legend after it as far as it fits.
    pub(super) fn heading(&self, range: Option<(f64, f64)>, area: Rect, buf: &mut Buffer) {
        let mut title = self.title.to_string();
        if self.view.log_y {
            title.push_str(" (log)");
        }
        if let Some(step) = self.view.cursor {
            title.push_str(&format!(" @ {}", self.counted.label(step, 4.)));
        }
        let (mut x, _) =
            buf.set_stringn(area.x, area.y, title, area.width.into(), self.theme.title());
        let right = area.right();
        let room = |x: u16| usize::from(right.saturating_sub(x));
        let after_title = room(x);
        let mut put = |entry: &str, style: Style| {
            let width = entry.chars().count() + 2;
            if room(x) < width {
                return false;
            }
            (x, _) = buf.set_stringn(x + 2, area.y, entry, width, style);
            true
        };
        let entries: Vec<(String, String, Style)> = self
            .bright()
            .map(|(mark, curve)| {
                let marked = match self.grain() {
                    Grain::Braille if curve.mark.is_none() => curve.name.to_string(),
                    _ => format!("{mark} {}", curve.name),
                };
                (marked, self.reading(curve, range), curve.style)
            })
            .collect();
        let behind = self.dim_name();
        let long = |(name, value, _): &(String, String, Style)| {
            name.chars().count() + value.chars().count() + 3
        };
        let whole: usize = entries.iter().map(long).sum();
        let whole = whole + behind.as_ref().map_or(0, |b| b.chars().count() + 2);
        // all names come before any value
        let with_values = whole <= after_title || entries.len() == 1;
        for (name, value, style) in &entries {
            let entry = match with_values {
                true => format!("{name} {value}"),
                false => name.clone(),
            };
            if !put(&entry, *style) {
                return;
            }
        }
        if let Some(behind) = behind {
            put(&behind, self.theme.dim());
        }
    }

    /// The last value of a curve, or the one nearest to the cursor.
    fn reading(&self, curve: &Curve, range: Option<(f64, f64)>) -> String {
        let point = self
            .view
            .cursor
            .map_or_else(|| curve.series.last(), |step| curve.series.nearest(step));
        let value = point.map_or_else(|| "-".into(), |p| (curve.spell)(p.1));
        // a quantity that is measured now and then says where its nearest point is
        let tolerance = range.map_or(0., |r| (r.1 - r.0) / 100.);
        let elsewhere = point
            .zip(self.view.cursor)
            .filter(|(p, cursor)| (p.0 - cursor).abs() > tolerance);
        let at = elsewhere.map(|(p, _)| format!(" at {}", self.counted.label(p.0, 4.)));
        value + &at.unwrap_or_default()
    }

    /// What the lines behind the others are: "layer 1 to 8".
    fn dim_name(&self) -> Option<String> {
        let mut names = self.curves.iter().filter(|c| c.dim).map(|c| &c.name);
        let first = names.next()?;
        let Some(last) = names.next_back() else {
            return Some(first.to_string());
        };
        let kind = first.rsplit_once(' ').map_or("", |(kind, _)| kind);
        Some(match last.strip_prefix(kind) {
            Some(number) if !kind.is_empty() => format!("{first} to{number}"),
            _ => format!("{first} to {last}"),
        })
    }
}
