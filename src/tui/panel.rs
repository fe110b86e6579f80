//! The panels of a run: what each chart draws.

use crate::tui::chart::plots::{Counted, OF_A_LIST, PLOTS, Plot, paragraph};
use crate::tui::chart::{Chart, ChartMark, ChartView, Curve};
use crate::tui::colour::Depth;
use crate::tui::model::{Curves, Mark, MarkKind, Model};
use crate::tui::series::Series;
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
    /// The first chart that counts this.
    pub fn first(counted: Counted) -> Self {
        let fits = |plot: &Plot| plot.counted() == counted;
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

    /// What its horizontal axis counts; pictures and log follow the steps.
    pub fn counted(self) -> Counted {
        self.plot().map_or(Counted::Steps, Plot::counted)
    }

    /// Whether the run has, or will have, something to show there: not every machine has a GPU.
    fn is_shown(self, model: &Model) -> bool {
        let has_points = |plot: &Plot| {
            let mut measures = plot.measures();
            measures.any(|m| !model.usage.of(m.name).is_empty())
        };
        self.counted() != Counted::Seconds || self.plot().is_some_and(has_points)
    }
}

/// The charts in the order in which they are shown: those of the experts come first while these
/// are being trained.
pub fn in_order(experts_first: bool, model: &Model) -> Vec<Panel> {
    let all = (0..PLOTS.len()).map(Panel::Chart);
    let mut order: Vec<Panel> = all.filter(|panel| panel.is_shown(model)).collect();
    if experts_first {
        order.sort_by_key(|p| p.counted() != Counted::Epochs);
    }
    order
}

/// The lines of a panel's chart.
fn curves<'a>(panel: Panel, model: &'a Model, theme: &Theme) -> Vec<Curve<'a>> {
    let Some(plot) = panel.plot() else {
        return Vec::new();
    };
    match plot.axis {
        Axis::Step => of_measures(plot, |name| model.steps.of(name), theme),
        Axis::Epoch => of_experts(plot, &model.experts, theme),
        Axis::Evaluation => of_evaluations(plot, model, theme),
        Axis::Time => of_measures(plot, |name| model.usage.of(name), theme),
    }
}

/// A line per measure; the entries of a list are drawn dim behind the others.
fn of_measures<'a>(
    plot: &Plot,
    of: impl Fn(&str) -> &'a [Series],
    theme: &Theme,
) -> Vec<Curve<'a>> {
    let mut curves = Vec::new();
    for (i, measure) in plot.measures().enumerate() {
        for (j, series) in (1..).zip(of(measure.name).iter().take(OF_A_LIST)) {
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
fn of_evaluations<'a>(plot: &Plot, model: &'a Model, theme: &Theme) -> Vec<Curve<'a>> {
    let mut curves = Vec::new();
    // the result is another measurement, with other networks
    let when = match model.headline_accuracy() {
        Some(_) => " during the run",
        None => "",
    };
    for measure in plot.measures() {
        for of_network in &model.accuracy {
            let name = format!("{} {}{when}", clean(&of_network.network), of_network.split);
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
    let mut chart = Chart::new("", theme).view(view).counting(panel.counted());
    // the chosen line is drawn over the others
    chosen.iter_mut().for_each(|c| c.dim = false);
    for curve in chosen.into_iter().chain(others) {
        chart = chart.curve(curve);
    }
    chart = chart.always(panel.plot().and_then(Plot::always));
    if panel.counted() == Counted::Steps {
        chart = chart.marks(marks(model, theme));
    }
    if panel.plot().is_some_and(|p| p.axis == Axis::Evaluation) {
        chart = chart.span((0., model.iterations.max(1) as f64));
        if let Some(result) = model.headline_accuracy() {
            chart = chart.reference("result", result.mean);
        }
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
    if panel.counted() != Counted::Steps {
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
        Some(Axis::Time) => "Not measured yet.",
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
    let counted = panel.counted();
    let mut text = format!("{} {}: ", counted.unit(), counted.label(at, 4.));
    if counted != Counted::Steps {
        return text + &values.join(", ");
    }
    let near = model.marks.within((cursor - around, cursor + around));
    // what a user changed comes before what the run does by itself, and both before the values, which
    // the legend has too
    let mut near: Vec<&Mark> = near.iter().collect();
    near.sort_by_key(|m| m.kind);
    for mark in near {
        text += &mark.in_words();
        if mark.step as f64 != at {
            text += &format!(" at {}", mark.step);
        }
        text += "; ";
    }
    text + &values.join(", ")
}
