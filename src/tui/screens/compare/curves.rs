//! Which charts a comparison has, and the lines of each run on them.

use super::{CompareScreen, ComparedRun, letter};
use crate::tui::chart::plots::{Counted, PLOTS, capitalised};
use crate::tui::chart::{Chart, ChartView, Curve};
use crate::tui::model::AccuracyCurves;
use crate::tui::series::Series;
use crate::tui::text::{clean, fit};
use crate::tui::theme::Theme;
use astill_core::measures::{Axis, Measure};
use astill_core::run::event::EvalSplit;

/// The longest name in a legend, in cells.
const LONGEST_NAME: usize = 24;

/// A chart of one measure, over all runs.
#[derive(Debug)]
pub struct ComparedChart {
    pub title: String,
    pub measure: &'static Measure,
}

impl ComparedChart {
    pub fn counted(&self) -> Counted {
        Counted::of(self.measure.axis())
    }
}

/// A chart for every measure of which there is one value at a time, in the order of a run's screen;
/// none of the machine, which says nothing about the images.
pub fn charts() -> Vec<ComparedChart> {
    let measures = PLOTS.iter().flat_map(|plot| plot.measures());
    let single = measures.filter(|m| !m.is_list() && m.axis() != Axis::Time);
    single
        .map(|measure| {
            let unit = match measure.unit {
                "" => String::new(),
                unit => format!(", {unit}"),
            };
            let title = capitalised(measure.title) + &unit;
            let title = match measure.axis() {
                Axis::Epoch => format!("{title}, latest expert"),
                Axis::Step | Axis::Evaluation | Axis::Time => title,
            };
            ComparedChart { title, measure }
        })
        .collect()
}

/// What a run has on a chart: what distinguishes its lines, and their points.
pub fn series<'a>(run: &'a ComparedRun, measure: &Measure) -> Vec<(String, &'a Series)> {
    let unnamed = |series: &'a Series| (String::new(), series);
    match measure.axis() {
        Axis::Step => {
            let series = run.model.steps.of(measure.name).iter();
            series.map(unnamed).collect()
        }
        Axis::Epoch => {
            let latest = run.model.experts.values().next_back();
            let series = latest.map_or(&[][..], |expert| expert.of(measure.name));
            series.iter().map(unnamed).collect()
        }
        Axis::Time => {
            let series = run.model.usage.of(measure.name).iter();
            series.map(unnamed).collect()
        }
        Axis::Evaluation => {
            let of = accuracy(&run.model.accuracy);
            let series = of.iter().flat_map(|of| of.curves.of(measure.name));
            let name = of.map(|of| format!("{} {}", clean(&of.network), of.split));
            let name = name.unwrap_or_default();
            series.map(|s| (name.clone(), s)).collect()
        }
    }
}

/// What stands for a run among others, whose lines have one colour each: its first network on the test
/// set, or else on the validation share.
fn accuracy(all: &[AccuracyCurves]) -> Option<&AccuracyCurves> {
    let first = all.first()?;
    let is_test = |of: &&AccuracyCurves| of.network == first.network && of.split == EvalSplit::Test;
    all.iter().find(is_test).or(Some(first))
}

/// The lines of all runs on one chart, that of the pinned run over the others.
pub fn chart<'a>(
    screen: &'a CompareScreen,
    compared: &ComparedChart,
    view: ChartView,
    theme: &'a Theme,
) -> Chart<'a> {
    let shown: Vec<usize> = screen
        .order()
        .into_iter()
        .filter(|i| view.shows(*i))
        .collect();
    let mut chart = Chart::new("", theme)
        .view(view)
        .counting(compared.counted());
    for i in shown {
        let Some(run) = screen.runs.get(i) else {
            continue;
        };
        for (name, series) in series(run, compared.measure) {
            let name = format!("{} {name}", fit(&run.name, LONGEST_NAME));
            let curve = Curve::new(name.trim_end().to_string(), series, theme.series(i));
            let curve = curve.measure(compared.measure).number(i);
            chart = chart.curve(curve.mark(letter(i)));
        }
    }
    chart
}
