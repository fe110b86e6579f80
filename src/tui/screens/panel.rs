//! The panels of a run: what each chart draws, and one chart at full size.

use super::super::app::{Desk, Next};
use super::super::chart::{Chart, Curve, Scroll, Zoom};
use super::super::keys::Action;
use super::super::model::Expert;
use super::super::series::Series;
use super::super::session::Session;
use super::super::text::{clean, number};
use super::{Look, frame, put, run};
use crate::run::event::Split;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::widgets::Widget;

/// A part of the screen of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    Loss,
    Accuracy,
    Reach,
    Experts,
    Gradient,
    Perturbation,
    StudentRate,
    Pictures,
    Log,
}

/// The panels that are charts, in the order in which they are shown.
pub const CHARTS: [Panel; 7] =
    [Panel::Loss, Panel::Accuracy, Panel::Reach, Panel::Experts, Panel::Gradient, Panel::Perturbation, Panel::StudentRate];

/// What is drawn of the experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    Curvature,
    StepLength,
    Turn,
    TestAccuracy,
}

/// So many experts are drawn, the latest.
const EXPERTS: usize = 12;

impl Panel {
    pub fn title(self) -> &'static str {
        match self {
            Self::Loss => "Matching loss",
            Self::Accuracy => "Accuracy, %",
            Self::Reach => "Reach and alignment",
            Self::Experts => "Experts",
            Self::Gradient => "Image gradient",
            Self::Perturbation => "Perturbation, relative",
            Self::StudentRate => "Student rate",
            Self::Pictures => "Synthetic images",
            Self::Log => "Log",
        }
    }

    /// Whether a logarithmic scale suits it best.
    pub fn is_logarithmic(self) -> bool {
        matches!(self, Self::Loss | Self::Gradient)
    }

    pub fn is_chart(self) -> bool {
        CHARTS.contains(&self)
    }
}

impl Measure {
    pub fn next(self) -> Self {
        match self {
            Self::Curvature => Self::StepLength,
            Self::StepLength => Self::Turn,
            Self::Turn => Self::TestAccuracy,
            Self::TestAccuracy => Self::Curvature,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Curvature => "curvature",
            Self::StepLength => "step length",
            Self::Turn => "turn (cosine)",
            Self::TestAccuracy => "test accuracy, %",
        }
    }

    fn of(self, expert: &Expert) -> &Series {
        match self {
            Self::Curvature => &expert.curvature,
            Self::StepLength => &expert.step_length,
            Self::Turn => &expert.turn,
            Self::TestAccuracy => &expert.test_accuracy,
        }
    }
}

/// The lines of a panel's chart.
fn curves<'a>(panel: Panel, session: &'a Session, look: &Look) -> Vec<Curve<'a>> {
    let steps = &session.model.steps;
    let line = |i: usize, name: &'a str, series: &'a Series| Curve::new(name, series, look.theme.series(i));
    match panel {
        Panel::Loss => {
            let between = steps.intermediate.iter().enumerate().take(4);
            let between = between.map(|(j, s)| Curve::new(format!("epoch {}", j + 1), s, look.theme.series(2 + j)).dim());
            // the last one is drawn over the others
            between.chain([line(1, "final", &steps.final_ratio), line(0, "total", &steps.matching_loss)]).collect()
        }
        Panel::Accuracy => {
            let accuracy = session.model.accuracy.iter().enumerate();
            let named = accuracy.map(|(i, a)| {
                let split = if a.split == Split::Test { "test" } else { "validation" };
                let name = format!("{} {split}", clean(&a.network));
                Curve::new(name, &a.series, look.theme.series(i))
            });
            named.collect()
        }
        Panel::Reach => vec![line(0, "reach", &steps.reach), line(1, "alignment", &steps.alignment)],
        Panel::Experts => {
            let experts = &session.model.experts;
            let skip = experts.len().saturating_sub(EXPERTS);
            let shown = experts.iter().skip(skip);
            let last = experts.keys().next_back().copied();
            let curve = |(n, expert): (&u64, &'a Expert)| {
                let i = *n as usize;
                let curve = Curve::new(format!("expert {}", n + 1), session.measure.of(expert), look.theme.series(i));
                if last == Some(*n) { curve } else { curve.dim() }
            };
            shown.map(curve).collect()
        }
        Panel::Gradient => vec![line(0, "norm", &steps.image_gradient)],
        Panel::Perturbation => {
            let layers = steps.layers.iter().enumerate().take(8);
            let layers = layers.map(|(i, s)| Curve::new(format!("layer {}", i + 1), s, look.theme.series(1 + i)).dim());
            layers.chain([line(0, "all", &steps.perturbation)]).collect()
        }
        Panel::StudentRate => vec![line(0, "rate", &steps.student_lr)],
        Panel::Pictures | Panel::Log => Vec::new(),
    }
}

fn chart<'a>(panel: Panel, session: &'a Session, look: &'a Look) -> Chart<'a> {
    let view = CHARTS.iter().position(|p| *p == panel).map(|i| session.views[i]).unwrap_or_default();
    let mut chart = Chart::new("", &look.theme).view(view);
    for curve in curves(panel, session, look) {
        chart = chart.curve(curve);
    }
    if panel == Panel::Accuracy {
        for baseline in session.model.baselines() {
            chart = chart.reference(baseline.labels.to_string(), baseline.mean);
        }
    }
    chart
}

/// First and last step of a panel's lines.
fn extent(panel: Panel, session: &Session, look: &Look) -> Option<(f64, f64)> {
    chart(panel, session, look).extent()
}

/// "Experts: curvature  [zoom]": the chart itself says the latest values and its scale.
fn title(panel: Panel, session: &Session) -> String {
    let mut title = panel.title().to_string();
    if panel == Panel::Experts {
        title = format!("{title}: {}", session.measure.name());
    }
    if let Some(view) = CHARTS.iter().position(|p| *p == panel).map(|i| session.views[i]) {
        for (on, name) in [(view.smooth > 0, "smooth"), (view.window.is_some(), "zoom")] {
            if on {
                title += &format!("  [{name}]");
            }
        }
    }
    title
}

/// A chart in its frame.
pub fn draw(buf: &mut Buffer, area: Rect, desk: &Desk, session: &Session, panel: Panel, focused: bool) {
    let inner = frame(buf, area, &desk.look, &title(panel, session), focused);
    let chart = chart(panel, session, &desk.look);
    if chart.extent().is_some() {
        chart.render(inner, buf);
    } else {
        put(buf, inner, 0, nothing_yet(panel), desk.look.theme.dim());
    }
}

fn nothing_yet(panel: Panel) -> &'static str {
    match panel {
        Panel::Accuracy => "No evaluation yet.",
        Panel::Experts => "No expert epoch yet.",
        _ => "No distillation step yet.",
    }
}

/// One chart on the whole screen, with what stands at the cursor.
pub fn draw_full(buf: &mut Buffer, area: Rect, desk: &Desk) -> Option<Position> {
    let session = desk.session.as_ref()?;
    let header = Rect { height: 1, ..area };
    put(buf, header, 0, &run::in_a_line(session), desk.look.theme.text());
    let panel = session.focus();
    let view = CHARTS.iter().position(|p| *p == panel).map(|i| session.views[i])?;
    let read = u16::from(view.cursor.is_some());
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1 + read), ..area };
    draw(buf, body, desk, session, panel, true);
    if let Some(cursor) = view.cursor {
        let row = Rect { y: area.bottom() - 1, height: 1, ..area };
        put(buf, row, 0, &reading(panel, session, &desk.look, cursor), desk.look.theme.accent());
    }
    None
}

/// "step 57: total 0.81, final 0.4"
fn reading(panel: Panel, session: &Session, look: &Look, cursor: f64) -> String {
    let of = if panel == Panel::Experts { "epoch" } else { "step" };
    let mut at = cursor;
    let mut values = Vec::new();
    for curve in curves(panel, session, look).iter().rev() {
        if let Some((x, y)) = curve.series.nearest(cursor) {
            if values.is_empty() {
                at = x;
            }
            values.push(format!("{} {}", curve.name, number(y)));
        }
    }
    format!("{of} {at}: {}", values.join(", "))
}

/// Keys of a chart at full size.
pub fn act(action: Action, desk: &mut Desk) -> Next {
    let look = desk.look;
    let Some(session) = &mut desk.session else { return Next::Close };
    let panel = session.focus();
    let extent = extent(panel, session, &look);
    if let (Some(view), Some(extent)) = (session.view(panel), extent) {
        let changed = match action {
            Action::ZoomIn => Some(view.zoom(Zoom::In, extent)),
            Action::ZoomOut => Some(view.zoom(Zoom::Out, extent)),
            Action::PageUp => Some(view.scroll(Scroll::Left, extent)),
            Action::PageDown => Some(view.scroll(Scroll::Right, extent)),
            Action::Left => Some(view.move_cursor(Scroll::Left, extent)),
            Action::Right => Some(view.move_cursor(Scroll::Right, extent)),
            Action::First => Some(view.all()),
            Action::Last => Some(view.tail()),
            _ => None,
        };
        if let Some(changed) = changed {
            *view = changed;
            link_cursors(session, panel);
            return Next::Stay;
        }
    }
    match action {
        Action::Escape if session.forget_cursors() => Next::Stay,
        Action::FullSize | Action::Back | Action::Escape => Next::Close,
        Action::NextPanel | Action::PreviousPanel => {
            let at = CHARTS.iter().position(|p| *p == panel).unwrap_or(0);
            let by = if action == Action::NextPanel { 1 } else { CHARTS.len() - 1 };
            session.chosen = Some(CHARTS[(at + by) % CHARTS.len()]);
            Next::Stay
        }
        _ => run::act(action, desk),
    }
}

/// The charts over distillation steps share a cursor.
fn link_cursors(session: &mut Session, panel: Panel) {
    let Some(cursor) = session.view(panel).map(|v| v.cursor) else { return };
    if panel != Panel::Experts {
        for other in CHARTS.into_iter().filter(|p| *p != Panel::Experts) {
            if let Some(view) = session.view(other) {
                view.cursor = cursor;
            }
        }
    }
}

