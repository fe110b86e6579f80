//! The panels of a run: what each chart draws.

use crate::tui::chart::plots::{OF_A_LIST, PLOTS, Plot, paragraph, unit};
use crate::tui::chart::{Chart, ChartMark, ChartView, Curve};
use crate::tui::colour::Depth;
use crate::tui::model::{AccuracyCurves, Curves, Mark, MarkKind, Model};
use crate::tui::text::{clean, fit, wrap};
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

    /// What its horizontal axis counts.
    fn unit(self) -> &'static str {
        self.plot().map_or("step", |plot| unit(plot.axis))
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
            let number = curves.len();
            let curve = if measure.is_list() {
                Curve::new(format!("{} {j}", measure.label), series, style).dim()
            } else {
                Curve::new(measure.label, series, theme.series(i))
            };
            curves.push(curve.measure(measure).number(number));
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
                let curve = Curve::new(name, series, style);
                let curve = curve.measure(measure).number(*n as usize);
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
                let number = curves.len();
                let curve = Curve::new(name.clone(), series, theme.series(number));
                curves.push(curve.measure(measure).number(number));
            }
        }
    }
    curves
}

/// The chart of a panel.
pub fn chart<'a>(panel: Panel, model: &'a Model, view: ChartView, theme: &'a Theme) -> Chart<'a> {
    let shown = curves(panel, model, theme).into_iter();
    let (mut chosen, others): (Vec<_>, Vec<_>) = shown
        .filter(|c| view.shows(c.number))
        .partition(|c| view.line == Some(c.number));
    let mut chart = Chart::new("", theme).view(view).unit(panel.unit());
    // the chosen line is drawn over the others
    chosen.iter_mut().for_each(|c| c.dim = false);
    for curve in chosen.into_iter().chain(others) {
        chart = chart.curve(curve);
    }
    if !panel.is_of_experts() {
        chart = chart.marks(marks(model, theme));
    }
    if panel.plot().is_some_and(|p| p.axis == Axis::Evaluation) {
        chart = chart.span((0., model.iterations.max(1) as f64));
        for baseline in model.baselines() {
            chart = chart.reference(baseline.labels.to_string(), baseline.mean);
        }
    }
    chart
}

/// What happened to the run, as marks of its charts.
fn marks(model: &Model, theme: &Theme) -> Vec<ChartMark> {
    let of = |mark: &Mark| ChartMark {
        step: mark.step as f64,
        letter: mark.kind.letter(),
        style: match mark.kind {
            MarkKind::Tweak | MarkKind::RollBack => theme.accent(),
            MarkKind::Resumed | MarkKind::Pause => theme.warn(),
            MarkKind::Evaluation => theme.good(),
            MarkKind::Checkpoint => theme.dim(),
        },
        rank: mark.kind as u8,
    };
    model.marks.all().iter().map(of).collect()
}

/// "marks: t tweak  e evaluation", of the kinds that a chart has; empty without any.
pub fn legend_of_marks(panel: Panel, model: &Model) -> String {
    if panel.is_of_experts() {
        return String::new();
    }
    let is_there = |kind: &MarkKind| model.marks.all().iter().any(|m| m.kind == *kind);
    let kinds = MarkKind::ALL.into_iter().filter(is_there);
    let kinds: Vec<String> = kinds
        .map(|kind| format!("{} {}", kind.letter(), kind.name()))
        .collect();
    match kinds.is_empty() {
        true => String::new(),
        false => format!("Marks: {}", kinds.join("  ")),
    }
}

/// The numbers of a panel's lines, in their order, and the name of each.
pub fn lines(panel: Panel, model: &Model, theme: &Theme) -> Vec<(usize, String)> {
    let curves = curves(panel, model, theme).into_iter();
    curves.map(|c| (c.number, c.name.into_owned())).collect()
}

/// Shown in place of a chart without points, with actions in the place of keys.
pub fn nothing_yet(panel: Panel, model: &Model, view: &ChartView) -> &'static str {
    if !view.hidden.is_empty() && !curves(panel, model, &Theme::new(Depth::Never, true)).is_empty()
    {
        return "All lines are hidden: `next-line` chooses one, `hide-line` shows it.";
    }
    match panel.plot().map(|p| p.axis) {
        Some(Axis::Evaluation) => "No evaluation yet.",
        Some(Axis::Epoch) if model.experts.is_empty() => "No expert epoch yet.",
        Some(Axis::Epoch) => "Available from an expert's second epoch.",
        _ => "No distillation step yet.",
    }
}

/// What the chosen line of a chart shows, else all of them, in lines of `width` cells: whole paragraphs,
/// at most `rows` lines; `more` is in the place of what has no room.
pub fn explanation(
    panel: Panel,
    (model, theme): (&Model, &Theme),
    line: Option<usize>,
    (width, rows): (u16, u16),
    more: &str,
) -> Vec<String> {
    let chosen = line.and_then(|line| {
        let mut curves = curves(panel, model, theme).into_iter();
        curves.find(|c| c.number == line)?.measure
    });
    let paragraphs = match chosen {
        Some(measure) => vec![paragraph(measure)],
        None => panel.plot().map(Plot::explanation).unwrap_or_default(),
    };
    let mut lines: Vec<String> = Vec::new();
    for (i, paragraph) in paragraphs.iter().enumerate() {
        let wrapped = wrap(&clean(paragraph), width.into());
        let is_last = i + 1 == paragraphs.len();
        // the hint needs a row unless nothing is left out
        let room = usize::from(rows).saturating_sub((!is_last).into());
        if lines.len() + wrapped.len() > room {
            lines.push(fit(more, width.into()));
            break;
        }
        lines.extend(wrapped);
    }
    lines
}

/// "step 57: tweak distill.lr_images: 500 -> 30; total 0.81, final 0.4": what happened within `around`
/// steps of the cursor, and the values there.
pub fn reading(panel: Panel, model: &Model, theme: &Theme, (cursor, around): (f64, f64)) -> String {
    let of = panel.unit();
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
    if panel.is_of_experts() {
        return format!("{of} {at}: {}", values.join(", "));
    }
    let near = model.marks.within((cursor - around, cursor + around));
    // what a user changed comes before what the run does by itself, and both before the values, which
    // the legend has too
    let mut near: Vec<&Mark> = near.iter().collect();
    near.sort_by_key(|m| m.kind);
    let mut text = format!("{of} {at}: ");
    for mark in near {
        text += &mark.in_words();
        if mark.step as f64 != at {
            text += &format!(" at {}", mark.step);
        }
        text += "; ";
    }
    text + &values.join(", ")
}
