//! Line charts over the steps of a run.

use super::series::Series;
use super::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::Widget;
use std::borrow::Cow;

/// What a user has chosen to see of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ChartView {
    /// The first and the last step shown; none for all of them.
    pub window: Option<(f64, f64)>,
    /// Whether the window keeps its width and moves with the end of the lines.
    pub follow: bool,
    pub log_y: bool,
    /// Smoothing: 0 for none, up to [`ChartView::MAX_SMOOTH`].
    pub smooth: u8,
    /// The step whose values are read out.
    pub cursor: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zoom {
    In,
    Out,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scroll {
    Left,
    Right,
}

/// `extent` is everywhere the first and the last step of the chart's lines ([`Chart::extent`]).
impl ChartView {
    pub const MAX_SMOOTH: u8 = 5;

    /// The steps that are on the screen.
    pub fn shown(&self, extent: (f64, f64)) -> (f64, f64) {
        self.window.unwrap_or(extent)
    }
    /// Half or twice as many steps, around the cursor or the middle.
    pub fn zoom(self, zoom: Zoom, extent: (f64, f64)) -> Self {
        let _ = (zoom, extent);
        self
    }
    /// A quarter of the window to one side; ends at the extent.
    pub fn scroll(self, scroll: Scroll, extent: (f64, f64)) -> Self {
        let _ = (scroll, extent);
        self
    }
    /// Follows the end, at the width that the window has.
    pub fn tail(self) -> Self {
        self
    }
    /// All steps again.
    pub fn all(self) -> Self {
        self
    }
    /// Moves the cursor a hundredth of the window, which follows it; the first move puts it at the end.
    pub fn move_cursor(self, scroll: Scroll, extent: (f64, f64)) -> Self {
        let _ = (scroll, extent);
        self
    }
    /// The next strength of smoothing, none after the last.
    pub fn next_smooth(self) -> Self {
        self
    }
    pub fn toggle_log(self) -> Self {
        Self { log_y: !self.log_y, ..self }
    }
}

/// A named line of a chart.
#[derive(Debug, Clone)]
pub struct Curve<'a> {
    pub name: Cow<'a, str>,
    pub series: &'a Series,
    pub style: Style,
    /// Drawn behind the others and left out of the legend: an older line of the same kind.
    pub dim: bool,
}

impl<'a> Curve<'a> {
    pub fn new(name: impl Into<Cow<'a, str>>, series: &'a Series, style: Style) -> Self {
        Self { name: name.into(), series, style, dim: false }
    }
    pub fn dim(self) -> Self {
        Self { dim: true, ..self }
    }
}

/// A chart without a frame; it fills its area.
#[derive(Debug, Clone)]
pub struct Chart<'a> {
    title: Cow<'a, str>,
    theme: &'a Theme,
    view: ChartView,
    curves: Vec<Curve<'a>>,
    references: Vec<(Cow<'a, str>, f64)>,
}

impl<'a> Chart<'a> {
    pub fn new(title: impl Into<Cow<'a, str>>, theme: &'a Theme) -> Self {
        Self { title: title.into(), theme, view: ChartView::default(), curves: Vec::new(), references: Vec::new() }
    }
    pub fn view(self, view: ChartView) -> Self {
        Self { view, ..self }
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
    /// The first and the last step of all curves.
    pub fn extent(&self) -> Option<(f64, f64)> {
        None
    }
}

impl Widget for Chart<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        (&self).render(area, buf);
    }
}

impl Widget for &Chart<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let _ = (area, buf, &self.title, self.theme, self.view, &self.references);
    }
}
