//! What a user has chosen to see of a chart.

use std::collections::BTreeSet;

/// The state of a chart's controls. `extent` is everywhere the first and the last step of the
/// chart's lines.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChartView {
    /// The first and the last step shown; none for all of them.
    pub window: Option<(f64, f64)>,
    /// Whether the window keeps its width and moves with the end of the lines.
    pub follow: bool,
    pub log_y: bool,
    /// Strength of smoothing: 0 for none, up to [`ChartView::MAX_SMOOTH`].
    pub smooth: u8,
    /// The step whose values are read out.
    pub cursor: Option<f64>,
    /// The smallest and the greatest value shown; none for those that the lines have.
    pub values: Option<(f64, f64)>,
    /// Whether the vertical axis leaves out single values far from the others.
    pub is_robust: bool,
    /// The line that was chosen, by its number.
    pub line: Option<usize>,
    /// The numbers of the lines that are not drawn.
    pub hidden: BTreeSet<usize>,
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

impl Scroll {
    fn sign(self) -> f64 {
        match self {
            Self::Left => -1.,
            Self::Right => 1.,
        }
    }
}

/// A window is no narrower than this share of all steps, nor than two steps.
const NARROWEST: f64 = 1e-6;

/// The weights of the exponential moving average, by strength.
const WEIGHTS: [f64; 6] = [0., 0.6, 0.8, 0.9, 0.97, 0.99];

impl ChartView {
    pub const MAX_SMOOTH: u8 = WEIGHTS.len() as u8 - 1;

    /// The steps that are on the screen, first and last, in any case a stretch of some width.
    pub fn shown(&self, extent: (f64, f64)) -> (f64, f64) {
        let (from, to) = match self.window {
            Some((from, to)) if self.follow => (extent.1 - (to - from), extent.1),
            Some(window) => window,
            None => extent,
        };
        if to > from {
            (from, to)
        } else {
            (from - 0.5, from + 0.5)
        }
    }

    /// Half or twice as many steps, around the cursor or else the middle; a window that follows the
    /// end keeps following it.
    pub fn zoom(self, zoom: Zoom, extent: (f64, f64)) -> Self {
        let (from, to) = self.shown(extent);
        let whole = extent.1 - extent.0;
        let width = match zoom {
            Zoom::In => ((to - from) / 2.).max(2f64.max(whole * NARROWEST)),
            Zoom::Out => (to - from) * 2.,
        };
        if width >= whole {
            return self.all();
        }
        let fixed = match self.cursor {
            _ if self.follow => to,
            Some(cursor) if (from..=to).contains(&cursor) => cursor,
            _ => (from + to) / 2.,
        };
        let from = fixed - (fixed - from) * width / (to - from);
        Self {
            window: Some(within((from, from + width), extent)),
            ..self
        }
    }

    /// A quarter of the window to one side, as far as there are steps. A window that followed the
    /// end stands still from then on.
    pub fn scroll(self, scroll: Scroll, extent: (f64, f64)) -> Self {
        if self.window.is_none() {
            return self;
        }
        let (from, to) = self.shown(extent);
        let by = scroll.sign() * (to - from) / 4.;
        Self {
            window: Some(within((from + by, to + by), extent)),
            follow: false,
            ..self
        }
    }

    /// Follows the end, at the width that the window has. All steps are on the screen anyway where
    /// there is no window.
    pub fn tail(self) -> Self {
        Self {
            follow: true,
            ..self
        }
    }

    /// All steps and values again.
    pub fn all(self) -> Self {
        Self {
            window: None,
            follow: false,
            values: None,
            ..self
        }
    }

    /// Half or twice as much of the vertical axis, around the middle of the values that are shown now;
    /// all of it again once that is as much as the lines have.
    pub fn zoom_values(self, zoom: Zoom, shown: (f64, f64), whole: (f64, f64)) -> Self {
        let (low, high) = self.on_axis(shown);
        let by = if zoom == Zoom::In { 0.25 } else { 1. };
        let (middle, half) = ((low + high) / 2., (high - low) * by);
        let whole = self.on_axis(whole);
        let is_whole = half * 2. >= (whole.1 - whole.0) * (1. - 1e-9);
        let values = (middle - half, middle + half);
        Self {
            values: Some(self.off_axis(values))
                .filter(|v| !is_whole && v.1 > v.0 && v.0.is_finite() && v.1.is_finite()),
            ..self
        }
    }

    /// A quarter up or down, where not all values are shown.
    pub fn scroll_values(self, up: bool) -> Self {
        let moved = self.values.map(|values| {
            let (low, high) = self.on_axis(values);
            let by = (high - low) / if up { 4. } else { -4. };
            self.off_axis((low + by, high + by))
        });
        Self {
            values: moved.filter(|v| v.0.is_finite() && v.1.is_finite()),
            ..self
        }
    }

    fn on_axis(&self, (low, high): (f64, f64)) -> (f64, f64) {
        match self.log_y {
            true => (low.log10(), high.log10()),
            false => (low, high),
        }
    }

    fn off_axis(&self, (low, high): (f64, f64)) -> (f64, f64) {
        match self.log_y {
            true => (10f64.powf(low), 10f64.powf(high)),
            false => (low, high),
        }
    }

    pub fn toggle_robust(self) -> Self {
        Self {
            is_robust: !self.is_robust,
            values: None,
            ..self
        }
    }

    /// Chooses the line after the chosen one, of those with these numbers; none after the last.
    pub fn next_line(self, numbers: &[usize]) -> Self {
        let line = match self.line {
            None => numbers.first(),
            Some(line) => {
                let at = numbers.iter().position(|n| *n == line);
                numbers.get(at.map_or(0, |i| i + 1))
            }
        };
        Self {
            line: line.copied(),
            ..self
        }
    }

    /// Hides the chosen line, or shows it again; without a chosen one, shows all.
    pub fn toggle_line(mut self) -> Self {
        match self.line {
            Some(line) if self.hidden.remove(&line) => {}
            Some(line) => _ = self.hidden.insert(line),
            None => self.hidden.clear(),
        }
        self
    }

    /// Whether the line of this number is drawn.
    pub fn shows(&self, line: usize) -> bool {
        !self.hidden.contains(&line)
    }

    /// Puts the cursor on a step, and the window around it.
    pub fn with_cursor_at(self, step: f64, extent: (f64, f64)) -> Self {
        let (from, to) = self.shown(extent);
        let step = step.clamp(extent.0, extent.1);
        let half = (to - from) / 2.;
        let is_seen = (from..=to).contains(&step);
        Self {
            cursor: Some(step),
            window: match self.window {
                Some(_) if !is_seen => Some(within((step - half, step + half), extent)),
                window => window,
            },
            follow: self.follow && is_seen,
            ..self
        }
    }

    /// Moves the cursor by a hundredth of the window, at least one step, and the window after it.
    /// The first move puts it at the end.
    pub fn move_cursor(self, scroll: Scroll, extent: (f64, f64)) -> Self {
        let (from, to) = self.shown(extent);
        let Some(cursor) = self.cursor else {
            return Self {
                cursor: Some(to.min(extent.1)),
                ..self
            };
        };
        let by = ((to - from) / 100.).max(1.);
        let cursor = (cursor + scroll.sign() * by).clamp(extent.0, extent.1);
        let window = match self.window {
            Some(_) if cursor < from => Some(within((cursor, cursor + to - from), extent)),
            Some(_) if cursor > to => Some(within((cursor - (to - from), cursor), extent)),
            window => {
                return Self {
                    cursor: Some(cursor),
                    window,
                    ..self
                };
            }
        };
        Self {
            cursor: Some(cursor),
            window,
            follow: false,
            ..self
        }
    }

    /// The next strength of smoothing; none after the last.
    pub fn next_smooth(self) -> Self {
        Self {
            smooth: if self.smooth >= Self::MAX_SMOOTH {
                0
            } else {
                self.smooth + 1
            },
            ..self
        }
    }

    pub fn toggle_log(self) -> Self {
        Self {
            log_y: !self.log_y,
            // it may hold what the other axis cannot show
            values: None,
            ..self
        }
    }

    /// The weight of the moving average.
    pub fn weight(&self) -> f64 {
        WEIGHTS[usize::from(self.smooth.min(Self::MAX_SMOOTH))]
    }
}

/// The window, moved so that it is inside `extent`; one that is wider starts where the extent does.
fn within((from, to): (f64, f64), extent: (f64, f64)) -> (f64, f64) {
    let width = (to - from).min(extent.1 - extent.0);
    let from = from.min(extent.1 - width).max(extent.0);
    (from, from + width)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: (f64, f64) = (1., 1_001.);

    #[test]
    fn zooming_is_around_the_middle_or_the_cursor() {
        let view = ChartView::default().zoom(Zoom::In, EXTENT);
        assert_eq!(view.window, Some((251., 751.)));
        let at_cursor = ChartView {
            cursor: Some(1.),
            ..ChartView::default()
        }
        .zoom(Zoom::In, EXTENT);
        assert_eq!(at_cursor.window, Some((1., 501.)));
        assert_eq!(view.clone().zoom(Zoom::Out, EXTENT).window, None);
    }

    #[test]
    fn zooming_in_stops_at_a_few_steps() {
        let view = (0..100).fold(ChartView::default(), |v, _| v.zoom(Zoom::In, EXTENT));
        let (from, to) = view.shown(EXTENT);
        assert!((to - from - 2.).abs() < 1e-9, "{from} {to}");
    }

    #[test]
    fn scrolling_ends_where_the_steps_do() {
        let view = ChartView {
            window: Some((100., 300.)),
            ..ChartView::default()
        };
        assert_eq!(
            view.clone().scroll(Scroll::Right, EXTENT).window,
            Some((150., 350.))
        );
        let left = (0..9).fold(view.clone(), |v, _| v.scroll(Scroll::Left, EXTENT));
        assert_eq!(left.window, Some((1., 201.)));
        let right = (0..99).fold(view.clone(), |v, _| v.scroll(Scroll::Right, EXTENT));
        assert_eq!(right.window, Some((801., 1_001.)));
        assert_eq!(
            ChartView::default().scroll(Scroll::Left, EXTENT),
            ChartView::default()
        );
    }

    #[test]
    fn a_tail_follows_until_it_is_scrolled() {
        let view = ChartView {
            window: Some((100., 300.)),
            ..ChartView::default()
        }
        .tail();
        assert_eq!(view.shown(EXTENT), (801., 1_001.));
        assert_eq!(view.shown((1., 2_001.)), (1_801., 2_001.));
        assert_eq!(
            view.clone().zoom(Zoom::In, EXTENT).shown((1., 2_001.)),
            (1_901., 2_001.)
        );
        let stopped = view.clone().scroll(Scroll::Left, EXTENT);
        assert_eq!(stopped.shown((1., 2_001.)), (751., 951.));
    }

    #[test]
    fn the_cursor_starts_at_the_end_and_takes_the_window_along() {
        let view = ChartView {
            window: Some((100., 300.)),
            ..ChartView::default()
        }
        .move_cursor(Scroll::Left, EXTENT);
        assert_eq!(view.cursor, Some(300.));
        assert_eq!(
            view.clone().move_cursor(Scroll::Left, EXTENT).cursor,
            Some(298.)
        );
        let past = view.clone().move_cursor(Scroll::Right, EXTENT);
        assert_eq!((past.cursor, past.window), (Some(302.), Some((102., 302.))));
        let end = (0..1_000).fold(view.clone(), |v, _| v.move_cursor(Scroll::Right, EXTENT));
        assert_eq!(end.cursor, Some(1_001.));
    }

    #[test]
    fn the_vertical_axis_zooms_and_moves_in_its_own_scale() {
        let whole = (0., 100.);
        let view = ChartView::default().zoom_values(Zoom::In, whole, whole);
        assert_eq!(view.values, Some((25., 75.)));
        assert_eq!(view.clone().scroll_values(true).values, Some((37.5, 87.5)));
        assert_eq!(
            view.clone()
                .zoom_values(Zoom::Out, (25., 75.), whole)
                .values,
            None
        );
        let log = ChartView {
            log_y: true,
            ..ChartView::default()
        };
        let whole = (0.01, 100.);
        let (low, high) = log
            .clone()
            .zoom_values(Zoom::In, whole, whole)
            .values
            .unwrap();
        assert!((low - 0.1).abs() < 1e-9 && (high - 10.).abs() < 1e-9);
        assert_eq!(view.clone().toggle_log().values, None);
        assert_eq!(view.clone().all().values, None);
    }

    #[test]
    fn lines_are_chosen_in_turn_and_hidden() {
        let numbers = [4, 7];
        let first = ChartView::default().next_line(&numbers);
        let last = first.clone().toggle_line().next_line(&numbers);
        assert_eq!((first.line, last.line), (Some(4), Some(7)));
        assert!(!last.shows(4) && last.shows(7) && last.shows(68));
        let none = last.clone().next_line(&numbers);
        assert_eq!(none.line, None);
        assert!(none.clone().toggle_line().shows(4), "all are shown again");
    }

    #[test]
    fn a_single_step_has_a_window_too() {
        assert_eq!(ChartView::default().shown((3., 3.)), (2.5, 3.5));
        assert_eq!(ChartView::default().zoom(Zoom::In, (3., 3.)).window, None);
    }

    #[test]
    fn smoothing_comes_round_again() {
        let strengths: Vec<u8> = std::iter::successors(Some(ChartView::default()), |v| {
            Some(v.clone().next_smooth())
        })
        .take(7)
        .map(|v| v.smooth)
        .collect();
        assert_eq!(strengths, [0, 1, 2, 3, 4, 5, 0]);
        assert_eq!(ChartView::default().weight(), 0.);
    }
}
