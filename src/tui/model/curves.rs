//! The measured numbers of a run over its steps, epochs or evaluations, as charts need them.

use crate::tui::chart::plots;
use crate::tui::series::Series;
use astill_core::measures::{Axis, Measure, MeasuredEvent, Reading, of_axis};

/// More curves of one list than any profile makes are not kept.
const MOST_CURVES: usize = 1000;

/// One or several series per measure of an axis; only those that a chart shows are kept.
#[derive(Debug)]
pub struct Curves {
    kept: Vec<(&'static Measure, Vec<Series>)>,
}

impl Curves {
    pub fn new(axis: Axis) -> Self {
        Self::with(axis, plots::shows)
    }

    /// Without the measures of which an event holds a list: several runs are kept in little memory.
    pub fn without_lists(axis: Axis) -> Self {
        Self::with(axis, |measure| plots::shows(measure) && !measure.is_list())
    }

    fn with(axis: Axis, is_kept: impl Fn(&Measure) -> bool) -> Self {
        let kept = of_axis(axis).filter(|measure| is_kept(measure));
        Self {
            kept: kept
                .map(|m| {
                    (
                        m,
                        if m.is_list() {
                            Vec::new()
                        } else {
                            vec![Series::new()]
                        },
                    )
                })
                .collect(),
        }
    }

    /// Takes the numbers of an event, which happened at `x`. One that was there already, or that is
    /// before the last, takes the place of everything from it on.
    pub fn push(&mut self, x: f64, event: MeasuredEvent<'_>) {
        for (measure, series) in &mut self.kept {
            match measure.read(event) {
                Reading::One(value) => series.iter_mut().for_each(|s| s.push(x, value)),
                Reading::Each(values) => push_each(series, x, values),
                Reading::Missing => series.iter_mut().for_each(|s| s.truncate_from(x)),
            }
        }
    }

    /// The series of a measure: one, or for a list one per entry. Empty for a measure that no chart
    /// shows.
    pub fn of(&self, name: &str) -> &[Series] {
        let found = self.kept.iter().find(|(m, _)| m.name == name);
        found.map_or(&[], |(_, series)| series)
    }

    /// The latest value of a measure.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.of(name).first()?.last().map(|(_, value)| value)
    }

    /// How many events were taken, those that were taken back aside.
    pub fn points(&self) -> usize {
        let lengths = self
            .kept
            .iter()
            .flat_map(|(_, s)| s.iter().map(Series::len));
        lengths.max().unwrap_or(0)
    }

    /// Forgets what was measured at `x` and after it.
    pub fn truncate_from(&mut self, x: f64) {
        let all = self.kept.iter_mut().flat_map(|(_, series)| series);
        all.for_each(|s| s.truncate_from(x));
    }
}

fn push_each(series: &mut Vec<Series>, x: f64, values: &[f64]) {
    let values = &values[..values.len().min(MOST_CURVES)];
    if series.len() < values.len() {
        series.resize_with(values.len(), Series::new);
    }
    series
        .iter_mut()
        .zip(values)
        .for_each(|(s, v)| s.push(x, *v));
}
