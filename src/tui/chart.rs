//! Line charts over the steps of a run, of any size and with any number of points.

mod dots;
mod legend;
mod line;
mod marks;
pub mod plots;
mod scale;
mod view;

pub use view::{ChartView, Scroll, Zoom};

use super::colour::Depth;
use super::series::{Bucket, Series};
use super::theme::Theme;
use astill_core::measures::Measure;
use astill_core::text::number;
use dots::{Dots, Grain};
use line::{draw_line, point_bucket};
pub use marks::ChartMark;
use plots::Counted;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::Widget;
use scale::Scale;
use std::borrow::Cow;
use std::collections::HashMap;

/// The marks of the lines where they are drawn in characters.
const MARKS: [char; 6] = ['*', '+', 'o', '#', '%', '='];

/// Marks on the lowest row where a value is NaN or infinite.
const NOT_A_NUMBER: &str = "!";
/// Marks on the highest row where a line goes on above it.
const ABOVE: &str = "^";

/// Rows that leave room for one of marks.
const WITH_MARKS: u16 = 7;

/// What "ignore outliers" leaves out at each end, before a margin is added again: a line that has none
/// keeps all its values.
const OUTLIERS: f64 = 0.05;
/// The margin, as a share of what is between the quantiles.
const MARGIN: f64 = 0.25;

/// A named line of a chart.
#[derive(Debug, Clone)]
pub struct Curve<'a> {
    pub name: Cow<'a, str>,
    pub series: &'a Series,
    pub style: Style,
    /// How its values are spelled.
    pub spell: fn(f64) -> String,
    /// Drawn behind the others and left out of the legend: an older line of the same kind.
    pub dim: bool,
    /// The number by which a view chooses it and hides it.
    pub number: usize,
    /// The character that draws it where there is no colour; by default it follows from its place.
    pub mark: Option<char>,
    /// What it measures.
    pub measure: Option<&'static Measure>,
}

impl<'a> Curve<'a> {
    pub fn new(name: impl Into<Cow<'a, str>>, series: &'a Series, style: Style) -> Self {
        Self {
            name: name.into(),
            series,
            style,
            spell: number,
            dim: false,
            number: 0,
            mark: None,
            measure: None,
        }
    }

    pub fn number(self, number: usize) -> Self {
        Self { number, ..self }
    }

    /// Drawn in this character, which also stands before its name.
    pub fn mark(self, mark: char) -> Self {
        Self {
            mark: Some(mark),
            ..self
        }
    }

    pub fn measure(self, measure: &'static Measure) -> Self {
        Self {
            measure: Some(measure),
            spell: measure.spell,
            ..self
        }
    }

    pub fn dim(self) -> Self {
        Self { dim: true, ..self }
    }
}

/// A chart without a frame; it fills its area.
///
/// The first row has the title and the legend: the names, and where there is room for all of them the
/// last values, or those nearest to the cursor. The last row has the steps. What does not fit is left
/// out, the lines last. The first curve is drawn over the others.
#[derive(Debug, Clone)]
pub struct Chart<'a> {
    title: Cow<'a, str>,
    theme: &'a Theme,
    view: ChartView,
    /// What the horizontal axis counts.
    counted: Counted,
    curves: Vec<Curve<'a>>,
    references: Vec<(Cow<'a, str>, f64)>,
    /// The steps that references are drawn over as long as there is no curve; the chart begins with the
    /// first of them.
    span: Option<(f64, f64)>,
    /// Values that the vertical axis shows in any case, unless it is zoomed.
    always: Option<(f64, f64)>,
    marks: Vec<ChartMark>,
}

impl<'a> Chart<'a> {
    pub fn new(title: impl Into<Cow<'a, str>>, theme: &'a Theme) -> Self {
        Self {
            title: title.into(),
            theme,
            view: ChartView::default(),
            counted: Counted::Steps,
            curves: Vec::new(),
            references: Vec::new(),
            span: None,
            always: None,
            marks: Vec::new(),
        }
    }

    /// What happened at which step, under the lines; where two share a place, the one of lower rank is
    /// shown.
    pub fn marks(self, marks: Vec<ChartMark>) -> Self {
        Self { marks, ..self }
    }

    pub fn view(self, view: ChartView) -> Self {
        Self { view, ..self }
    }

    pub fn counting(self, counted: Counted) -> Self {
        Self { counted, ..self }
    }

    pub fn curve(mut self, curve: Curve<'a>) -> Self {
        self.curves.push(curve);
        self
    }

    /// A labelled horizontal line, for a baseline.
    pub fn reference(mut self, name: impl Into<Cow<'a, str>>, value: f64) -> Self {
        self.references.push((name.into(), value));
        self
    }

    /// The values that the vertical axis shows in any case: a share in per cent says little between 99.9
    /// and 100.
    pub fn always(self, always: Option<(f64, f64)>) -> Self {
        Self { always, ..self }
    }

    /// The steps over which references are drawn as long as no curve has a point, and the first step of
    /// the chart.
    pub fn span(self, span: (f64, f64)) -> Self {
        let span = Some(span);
        Self { span, ..self }
    }

    /// The first and the last step of all curves.
    pub fn extent(&self) -> Option<(f64, f64)> {
        self.curves
            .iter()
            .filter_map(|c| c.series.extent())
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
            .map(|(first, last)| (self.span.map_or(first, |s| s.0.min(first)), last))
            .or_else(|| self.span.filter(|_| !self.references.is_empty()))
    }

    /// The values that the vertical axis shows, and those that it would show without zoom; none where
    /// there is no finite value.
    pub fn values(&self) -> Option<((f64, f64), (f64, f64))> {
        let whole = self.bounds(self.view.shown(self.extent()?))?;
        Some((self.view.values.unwrap_or(whole), whole))
    }

    /// The smallest and greatest value in `range` that the view wants to see; with a logarithmic axis,
    /// of those above zero.
    fn bounds(&self, range: (f64, f64)) -> Option<(f64, f64)> {
        let of_curve = |c: &Curve| {
            let all = if self.view.log_y {
                c.series.positive_bounds(range)?
            } else {
                c.series.bounds(range)?
            };
            Some(match self.view.is_robust {
                true => self.without_outliers(c.series, range, all),
                false => all,
            })
        };
        let shown = |v: &f64| v.is_finite() && (!self.view.log_y || *v > 0.);
        let references = self
            .references
            .iter()
            .map(|r| r.1)
            .filter(shown)
            .map(|v| (v, v));
        self.curves
            .iter()
            .filter_map(of_curve)
            .chain(references)
            .chain(self.always.filter(|_| !self.view.log_y))
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// The bounds of a line with single far values left out: between its quantiles, and some more.
    fn without_outliers(&self, series: &Series, range: (f64, f64), all: (f64, f64)) -> (f64, f64) {
        let Some((low, high)) = series.quantiles(range, OUTLIERS, self.view.log_y) else {
            return all;
        };
        let (wide_low, wide_high) = if self.view.log_y {
            let room = (high / low).powf(MARGIN);
            (low / room, high * room)
        } else {
            let room = (high - low) * MARGIN;
            (low - room, high + room)
        };
        (wide_low.max(all.0), wide_high.min(all.1))
    }

    /// Lines are told apart by characters where there is no colour to do it, and so are measured and
    /// smoothed values.
    fn grain(&self) -> Grain {
        let bright = self.curves.iter().filter(|c| !c.dim).count();
        let kinds = bright + usize::from(self.view.smooth > 0);
        if self.theme.ascii || (self.theme.depth == Depth::Never && kinds > 1) {
            Grain::Marks
        } else {
            Grain::Braille
        }
    }

    fn bright(&self) -> impl DoubleEndedIterator<Item = (char, &Curve<'a>)> {
        let marks = MARKS.iter().copied().cycle();
        let bright = self.curves.iter().filter(|c| !c.dim);
        let marked: Vec<_> = marks
            .zip(bright)
            .map(|(mark, curve)| (curve.mark.unwrap_or(mark), curve))
            .collect();
        marked.into_iter()
    }

    /// The first and the last step, and the middle one where there is room.
    fn step_labels(&self, range: (f64, f64), area: Rect, buf: &mut Buffer) {
        let label = |step: f64| self.counted.label(step, range.1 - range.0);
        let unit = self.counted.unit();
        let (mut first, last) = (label(range.0), label(range.1));
        let room = usize::from(area.width);
        let named = format!("{unit} {first}");
        if named.len() + last.len() + 4 <= room {
            first = named;
        }
        let style = self.theme.dim();
        if first.len() + last.len() + 2 > room {
            buf.set_stringn(area.x, area.y, last, room, style);
            return;
        }
        let middle = (range.0 + range.1) / 2.;
        // the room around a single step has no steps
        if range.1 - range.0 > 1. || middle.fract() != 0. {
            buf.set_string(area.x, area.y, &first, style);
            buf.set_string(area.right() - last.len() as u16, area.y, &last, style);
        } else {
            let alone = format!("{unit} {}", label(middle));
            return centred(&alone, area, style, buf);
        }
        // no step and a half
        let is_step = middle.fract() == 0. || range.1 - range.0 >= 16. || range.1 - range.0 < 1.;
        let middle = label(middle);
        if is_step && first.len().max(last.len()) + middle.len() / 2 + 2 < room / 2 {
            centred(&middle, area, style, buf);
        }
    }

    /// Values beside the plot; gives what is left of it. Narrow plots have none.
    fn value_labels(&self, scale: &Scale, plot: Rect, buf: &mut Buffer) -> Rect {
        let least = if plot.height > 1 { 2 } else { 1 };
        let ticks = scale.ticks(usize::from(plot.height / 2).clamp(least, 8));
        let width = ticks.iter().map(|t| t.1.len()).max().unwrap_or(0) as u16;
        if plot.width < 3 * (width + 1) {
            return plot;
        }
        for (value, label) in ticks {
            let y = self.cell_row(scale, value, plot);
            let x = plot.x + width - label.len() as u16;
            buf.set_string(x, y, label, self.theme.dim());
        }
        Rect {
            x: plot.x + width + 1,
            width: plot.width - width - 1,
            ..plot
        }
    }

    /// The row of cells that a line is in at `value`.
    fn cell_row(&self, scale: &Scale, value: f64, plot: Rect) -> u16 {
        let (_, per_cell) = self.grain().of_a_cell();
        let rows = usize::from(plot.height) * per_cell;
        let row = row(scale, value, rows).clamp(0, rows.saturating_sub(1) as isize);
        plot.bottom() - 1 - (row as usize / per_cell) as u16
    }

    fn plot(&self, range: (f64, f64), scale: &Scale, plot: Rect, buf: &mut Buffer) {
        let mut dots = Dots::new(plot, self.grain());
        let (width, rows) = (dots.width(), dots.height());
        let row = |value: f64| row(scale, value, rows);
        dots.pen(self.theme.dim(), '-');
        for (_, value) in self.shown_references(scale) {
            (0..width).step_by(2).for_each(|x| dots.dot(x, row(value)));
        }
        if let Some(x) = self.view.cursor.and_then(|step| column(step, range, width)) {
            dots.pen(self.theme.dim(), '|');
            dots.column(x, 0, rows.saturating_sub(1) as isize);
        }
        let mut gaps = vec![false; width];
        let mut above = vec![false; width];
        let is_cut = self.view.is_robust || self.view.values.is_some();
        for curve in self.curves.iter().filter(|c| c.dim) {
            dots.pen(self.theme.dim(), '.');
            draw_line(&mut dots, curve.series.decimate(range, width), row);
        }
        for (mark, curve) in self.bright().rev() {
            let smooth = self.view.smooth > 0;
            match smooth {
                true => dots.pen(self.theme.dim(), '.'),
                false => dots.covering_pen(curve.style, mark),
            }
            let buckets = curve
                .series
                .decimate(range, width)
                .zip(gaps.iter_mut().zip(&mut above))
                .map(|(bucket, (gap, above))| {
                    *gap |= bucket.any_nan;
                    *above |= is_cut && row(bucket.max.into()) >= rows as isize;
                    bucket
                });
            let buckets: Vec<Bucket> = buckets.collect();
            draw_line(&mut dots, buckets.into_iter(), row);
        }
        if self.view.smooth > 0 {
            for (mark, curve) in self.bright().rev() {
                dots.covering_pen(curve.style, mark);
                let smoothed = curve.series.smoothed(range, width, self.view.weight());
                draw_line(&mut dots, smoothed.map(point_bucket), row);
            }
        }
        dots.render(buf);
        self.draw_letters(range, scale, plot, buf);
        self.reference_labels(scale, plot, buf);
        let per_cell = self.grain().of_a_cell().0;
        for (x, cell) in (plot.x..plot.right()).zip(above.chunks(per_cell)) {
            if cell.contains(&true) {
                buf.set_string(x, plot.y, ABOVE, self.theme.warn());
            }
        }
        for (x, cell) in (plot.x..plot.right()).zip(gaps.chunks(per_cell)) {
            if cell.contains(&true) {
                buf.set_string(x, plot.bottom() - 1, NOT_A_NUMBER, self.theme.bad());
            }
        }
    }

    fn shown_references(&self, scale: &Scale) -> impl Iterator<Item = (&str, f64)> {
        let is_inside = |v: f64| (0. ..=1.).contains(&scale.height(v));
        let shown = move |v: f64| v.is_finite() && (!self.view.log_y || v > 0.) && is_inside(v);
        self.references
            .iter()
            .filter(move |r| shown(r.1))
            .map(|r| (r.0.as_ref(), r.1))
    }

    /// On the line at its left end; after the label that is in that row already, if there is one.
    fn reference_labels(&self, scale: &Scale, plot: Rect, buf: &mut Buffer) {
        let mut taken: HashMap<u16, u16> = HashMap::new();
        let spell = self
            .curves
            .first()
            .map_or(number as fn(f64) -> String, |c| c.spell);
        for (name, value) in self.shown_references(scale) {
            let y = self.cell_row(scale, value, plot);
            let label = format!("{name} {}", spell(value));
            let from = taken.get(&y).copied().unwrap_or(0);
            let cells = u16::try_from(label.chars().count()).unwrap_or(u16::MAX);
            if from.saturating_add(cells) > plot.width * 2 / 3 {
                continue;
            }
            taken.insert(y, from + cells + 2);
            buf.set_stringn(plot.x + from, y, label, cells.into(), self.theme.dim());
        }
    }
}

impl Widget for Chart<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        (&self).render(area, buf);
    }
}

impl Widget for &Chart<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        if area.is_empty() {
            return;
        }
        let extent = self.extent();
        self.heading(extent.map(|e| self.view.shown(e)), area, buf);
        let mut plot = Rect {
            y: area.y + 1,
            height: area.height - 1,
            ..area
        };
        if plot.is_empty() {
            return;
        }
        let Some(extent) = extent else {
            buf.set_stringn(
                plot.x,
                plot.y,
                "no data yet",
                plot.width.into(),
                self.theme.dim(),
            );
            return;
        };
        let range = self.view.shown(extent);
        let steps = (plot.height >= 3).then(|| plot.bottom() - 1);
        plot.height -= u16::from(steps.is_some());
        // the marks have a row of their own where there is room, else they share that of the steps
        let marks = match plot.height {
            WITH_MARKS.. if !self.marks.is_empty() => Some(plot.bottom() - 1),
            _ => None,
        };
        plot.height -= u16::from(marks.is_some());
        // without a finite value the marks of the others are still drawn
        let whole = self.bounds(range).unwrap_or((1., 1.));
        let scale = match self.view.values {
            Some(values) => Scale::exactly(values, self.view.log_y),
            None => Scale::new(whole, self.view.log_y),
        };
        let labelled = self.value_labels(&scale, plot, buf);
        self.plot(range, &scale, labelled, buf);
        if let Some(y) = marks.or(steps) {
            self.draw_marks(range, extent, labelled, y, buf);
        }
        if let Some(y) = steps {
            self.step_labels(
                range,
                Rect {
                    y,
                    height: 1,
                    ..labelled
                },
                buf,
            );
        }
    }
}

fn centred(text: &str, area: Rect, style: Style, buf: &mut Buffer) {
    let width = (text.len() as u16).min(area.width);
    let x = area.x + (area.width - width) / 2;
    buf.set_stringn(x, area.y, text, width.into(), style);
}

/// Which of `rows` rows of dots shows a value, from the lowest; just outside where the axis does not
/// reach that far.
fn row(scale: &Scale, value: f64, rows: usize) -> isize {
    let row = (scale.height(value) * rows.saturating_sub(1) as f64).round();
    row.clamp(-1., rows as f64) as isize
}

/// The column of dots that shows a step.
fn column(step: f64, range: (f64, f64), width: usize) -> Option<usize> {
    let share = (step - range.0) / (range.1 - range.0);
    (0. ..=1.)
        .contains(&share)
        .then(|| ((share * width as f64) as usize).min(width.saturating_sub(1)))
}

#[cfg(test)]
mod tests;
