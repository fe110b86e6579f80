//! The panels of a run: what each chart draws.

use crate::tui::chart::plots::{PLOTS, Plot};
use crate::tui::chart::{Chart, ChartView, Curve};
use crate::tui::model::{AccuracyCurves, Curves, Model};
use crate::tui::text::{clean, wrap};
use crate::tui::theme::Theme;
use astill_core::measures::Axis;
use std::collections::BTreeMap;

/// A part of the screen of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    /// The chart of this index in [`PLOTS`].
    Chart(usize),
    Pictures,
    Log,
}

/// The latest experts are drawn, up to this many.
const EXPERTS: usize = 12;
/// The first curves of a list are drawn, up to this many.
const OF_A_LIST: usize = 8;

impl Panel {
    /// The first chart of experts, or of distillation.
    pub fn first(of_experts: bool) -> Self {
        let fits = |plot: &Plot| plot.is_of_experts() == of_experts;
        Self::Chart(PLOTS.iter().position(fits).unwrap_or(0))
    }

    /// What it shows, if it is a chart.
    pub fn plot(self) -> Option<&'static Plot> {
        match self {
            Self::Chart(index) => PLOTS.get(index),
            Self::Pictures | Self::Log => None,
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Chart(_) => self.plot().map_or("", |p| p.title),
            Self::Pictures => "Synthetic images",
            Self::Log => "Log",
        }
    }

    /// About the epochs of experts, not about steps.
    pub fn is_of_experts(self) -> bool {
        self.plot().is_some_and(Plot::is_of_experts)
    }
}

/// The charts in the order in which they are shown: those of the experts come first while these
/// are being trained.
pub fn in_order(experts_first: bool) -> Vec<Panel> {
    let mut order: Vec<Panel> = (0..PLOTS.len()).map(Panel::Chart).collect();
    if experts_first {
        order.sort_by_key(|p| !p.is_of_experts());
    }
    order
}

/// The lines of a panel's chart.
fn curves<'a>(panel: Panel, model: &'a Model, theme: &Theme) -> Vec<Curve<'a>> {
    let Some(plot) = panel.plot() else {
        return Vec::new();
    };
    match plot.axis {
        Axis::Step => of_steps(plot, &model.steps, theme),
        Axis::Epoch => of_experts(plot, &model.experts, theme),
        Axis::Evaluation => of_evaluations(plot, &model.accuracy, theme),
    }
}

/// A line per measure; the entries of a list are drawn dim behind the others.
fn of_steps<'a>(plot: &Plot, steps: &'a Curves, theme: &Theme) -> Vec<Curve<'a>> {
    let mut curves = Vec::new();
    for (i, measure) in plot.measures().enumerate() {
        for (j, series) in (1..).zip(steps.of(measure.name).iter().take(OF_A_LIST)) {
            let style = theme.series(curves.len());
            curves.push(if measure.is_list() {
                let name = format!("{} {j}", measure.label);
                Curve::new(name, series, style).spell(measure.spell).dim()
            } else {
                let style = theme.series(i);
                Curve::new(measure.label, series, style).spell(measure.spell)
            });
        }
    }
    curves
}

/// A line per expert; the latest is drawn over the others, which are dim.
fn of_experts<'a>(
    plot: &Plot,
    experts: &'a BTreeMap<u64, Curves>,
    theme: &Theme,
) -> Vec<Curve<'a>> {
    let skip = experts.len().saturating_sub(EXPERTS);
    let last = experts.keys().next_back();
    let mut curves = Vec::new();
    for measure in plot.measures() {
        for (n, expert) in experts.iter().skip(skip) {
            for series in expert.of(measure.name) {
                let (name, style) = (format!("expert {}", n + 1), theme.series(*n as usize));
                let curve = Curve::new(name, series, style).spell(measure.spell);
                curves.push(if last == Some(n) { curve } else { curve.dim() });
            }
        }
    }
    curves
}

/// A line per network and split.
fn of_evaluations<'a>(
    plot: &Plot,
    accuracy: &'a [AccuracyCurves],
    theme: &Theme,
) -> Vec<Curve<'a>> {
    let mut curves = Vec::new();
    for measure in plot.measures() {
        for of_network in accuracy {
            let name = format!("{} {}", clean(&of_network.network), of_network.split);
            for series in of_network.curves.of(measure.name) {
                let style = theme.series(curves.len());
                curves.push(Curve::new(name.clone(), series, style).spell(measure.spell));
            }
        }
    }
    curves
}

/// The chart of a panel.
pub fn chart<'a>(panel: Panel, model: &'a Model, view: ChartView, theme: &'a Theme) -> Chart<'a> {
    let unit = if panel.is_of_experts() {
        "epoch"
    } else {
        "step"
    };
    let mut chart = Chart::new("", theme).view(view).unit(unit);
    for curve in curves(panel, model, theme) {
        chart = chart.curve(curve);
    }
    if panel.plot().is_some_and(|p| p.axis == Axis::Evaluation) {
        for baseline in model.baselines() {
            chart = chart.reference(baseline.labels.to_string(), baseline.mean);
        }
    }
    chart
}

/// Shown in place of a chart without points.
pub fn nothing_yet(panel: Panel, model: &Model) -> &'static str {
    match panel.plot().map(|p| p.axis) {
        Some(Axis::Evaluation) => "No evaluation yet.",
        Some(Axis::Epoch) if model.experts.is_empty() => "No expert epoch yet.",
        Some(Axis::Epoch) => "Available from an expert's second epoch.",
        _ => "No distillation step yet.",
    }
}

/// What a chart shows, in lines of `width` cells: whole paragraphs, at most `rows` lines.
pub fn explanation(panel: Panel, width: u16, rows: u16) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in panel.plot().map(Plot::explanation).unwrap_or_default() {
        let wrapped = wrap(&clean(&paragraph), width.into());
        if lines.len() + wrapped.len() > usize::from(rows) {
            break;
        }
        lines.extend(wrapped);
    }
    lines
}

/// "step 57: total 0.81, final 0.4"
pub fn reading(panel: Panel, model: &Model, theme: &Theme, cursor: f64) -> String {
    let of = if panel.is_of_experts() {
        "epoch"
    } else {
        "step"
    };
    let mut at = cursor;
    let mut values = Vec::new();
    for curve in curves(panel, model, theme) {
        if let Some((x, y)) = curve.series.nearest(cursor) {
            if values.is_empty() {
                at = x;
            }
            values.push(format!("{} {}", curve.name, (curve.spell)(y)));
        }
    }
    format!("{of} {at}: {}", values.join(", "))
}
