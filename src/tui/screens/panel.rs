//! The panels of a run: what each chart draws, and one chart at full size.

use super::super::app::{Context, Next};
use super::super::chart::{Chart, Curve, Scroll, Zoom};
use super::super::keys::Action;
use super::super::model::Expert;
use super::super::series::Series;
use super::super::session::Session;
use super::super::text::{clean, number};
use super::{Appearance, frame, header, put, run};
use astill_core::run::event::Split;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::widgets::Widget;

/// A part of the screen of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    Loss,
    Accuracy,
    Reach,
    Gradient,
    Perturbation,
    StudentRate,
    Curvature,
    StepLength,
    Turn,
    ExpertAccuracy,
    Pictures,
    Log,
}

/// The panels that are charts: those of distillation, then those of the experts.
pub const CHARTS: [Panel; 10] = [
    Panel::Loss,
    Panel::Accuracy,
    Panel::Reach,
    Panel::Gradient,
    Panel::Perturbation,
    Panel::StudentRate,
    Panel::Curvature,
    Panel::StepLength,
    Panel::Turn,
    Panel::ExpertAccuracy,
];
/// So many of them are about distillation.
const OF_STEPS: usize = 6;

/// So many experts are drawn, the latest.
const EXPERTS: usize = 12;

impl Panel {
    pub fn title(self) -> &'static str {
        match self {
            Self::Loss => "Matching loss",
            Self::Accuracy => "Accuracy, %",
            Self::Reach => "Reach and alignment",
            Self::Gradient => "Image gradient",
            Self::Perturbation => "Perturbation, relative",
            Self::StudentRate => "Student rate",
            Self::Curvature => "Experts: curvature",
            Self::StepLength => "Experts: step length",
            Self::Turn => "Experts: turn (cosine)",
            Self::ExpertAccuracy => "Experts: test accuracy, %",
            Self::Pictures => "Synthetic images",
            Self::Log => "Log",
        }
    }

    /// Whether a logarithmic scale suits it best.
    pub fn is_logarithmic(self) -> bool {
        matches!(self, Self::Loss | Self::Gradient)
    }

    /// About the epochs of experts, not about steps.
    fn is_of_experts(self) -> bool {
        CHARTS[OF_STEPS..].contains(&self)
    }

    /// What it shows of an expert.
    fn of(self, expert: &Expert) -> &Series {
        match self {
            Self::StepLength => &expert.step_length,
            Self::Turn => &expert.turn,
            Self::ExpertAccuracy => &expert.test_accuracy,
            _ => &expert.curvature,
        }
    }
}

/// The charts in the order in which they are shown: what happens at the moment comes first.
pub fn in_order(session: &Session) -> Vec<Panel> {
    let (of_steps, of_experts) = CHARTS.split_at(OF_STEPS);
    if session.is_learning() {
        [of_experts, of_steps].concat()
    } else {
        CHARTS.to_vec()
    }
}

/// The lines of a panel's chart.
fn curves<'a>(panel: Panel, session: &'a Session, look: &Appearance) -> Vec<Curve<'a>> {
    let steps = &session.model.steps;
    let line = |i: usize, name: &'a str, series: &'a Series| {
        Curve::new(name, series, look.theme.series(i))
    };
    match panel {
        Panel::Loss => {
            let between = steps.intermediate.iter().enumerate().take(4);
            let between = between.map(|(j, s)| {
                Curve::new(format!("epoch {}", j + 1), s, look.theme.series(2 + j)).dim()
            });
            // the last one is drawn over the others
            between
                .chain([
                    line(1, "final", &steps.final_ratio),
                    line(0, "total", &steps.matching_loss),
                ])
                .collect()
        }
        Panel::Accuracy => {
            let accuracy = session.model.accuracy.iter().enumerate();
            let named = accuracy.map(|(i, a)| {
                let split = if a.split == Split::Test {
                    "test"
                } else {
                    "validation"
                };
                let name = format!("{} {split}", clean(&a.network));
                Curve::new(name, &a.series, look.theme.series(i))
            });
            named.collect()
        }
        Panel::Reach => vec![
            line(0, "reach", &steps.reach),
            line(1, "alignment", &steps.alignment),
        ],
        Panel::Curvature | Panel::StepLength | Panel::Turn | Panel::ExpertAccuracy => {
            let experts = &session.model.experts;
            let skip = experts.len().saturating_sub(EXPERTS);
            let shown = experts.iter().skip(skip);
            let last = experts.keys().next_back().copied();
            let curve = |(n, expert): (&u64, &'a Expert)| {
                let i = *n as usize;
                let curve = Curve::new(
                    format!("expert {}", n + 1),
                    panel.of(expert),
                    look.theme.series(i),
                );
                if last == Some(*n) { curve } else { curve.dim() }
            };
            shown.map(curve).collect()
        }
        Panel::Gradient => vec![line(0, "norm", &steps.image_gradient)],
        Panel::Perturbation => {
            let layers = steps.layers.iter().enumerate().take(8);
            let layers = layers.map(|(i, s)| {
                Curve::new(format!("layer {}", i + 1), s, look.theme.series(1 + i)).dim()
            });
            layers
                .chain([line(0, "all", &steps.perturbation)])
                .collect()
        }
        Panel::StudentRate => vec![line(0, "rate", &steps.student_lr)],
        Panel::Pictures | Panel::Log => Vec::new(),
    }
}

fn chart<'a>(panel: Panel, session: &'a Session, look: &'a Appearance) -> Chart<'a> {
    let view = CHARTS
        .iter()
        .position(|p| *p == panel)
        .map(|i| session.views[i])
        .unwrap_or_default();
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
fn extent(panel: Panel, session: &Session, look: &Appearance) -> Option<(f64, f64)> {
    chart(panel, session, look).extent()
}

/// "Experts: curvature  [zoom]": the chart itself says the latest values and its scale.
fn title(panel: Panel, session: &Session) -> String {
    let mut title = panel.title().to_string();
    if let Some(view) = CHARTS
        .iter()
        .position(|p| *p == panel)
        .map(|i| session.views[i])
    {
        for (on, name) in [(view.smooth > 0, "smooth"), (view.window.is_some(), "zoom")] {
            if on {
                title += &format!("  [{name}]");
            }
        }
    }
    title
}

/// A chart in its frame.
pub fn draw(
    buf: &mut Buffer,
    area: Rect,
    context: &Context,
    session: &Session,
    panel: Panel,
    focused: bool,
) {
    let inner = frame(buf, area, &context.look, &title(panel, session), focused);
    let chart = chart(panel, session, &context.look);
    if chart.extent().is_some() {
        chart.render(inner, buf);
    } else {
        put(buf, inner, 0, nothing_yet(panel), context.look.theme.dim());
    }
}

fn nothing_yet(panel: Panel) -> &'static str {
    match panel {
        Panel::Accuracy => "No evaluation yet.",
        Panel::Curvature | Panel::Turn => "From an expert's second epoch on.",
        _ if panel.is_of_experts() => "No expert epoch yet.",
        _ => "No distillation step yet.",
    }
}

/// One chart on the whole screen, with what stands at the cursor.
pub fn draw_full(buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
    let session = context.session.as_ref()?;
    let first = Rect { height: 1, ..area };
    put(
        buf,
        first,
        0,
        &header::in_a_line(session),
        context.look.theme.text(),
    );
    let panel = session.focus();
    let view = CHARTS
        .iter()
        .position(|p| *p == panel)
        .map(|i| session.views[i])?;
    let read = u16::from(view.cursor.is_some());
    let body = Rect {
        y: area.y + 1,
        height: area.height.saturating_sub(1 + read),
        ..area
    };
    draw(buf, body, context, session, panel, true);
    if let Some(cursor) = view.cursor {
        let row = Rect {
            y: area.bottom() - 1,
            height: 1,
            ..area
        };
        put(
            buf,
            row,
            0,
            &reading(panel, session, &context.look, cursor),
            context.look.theme.accent(),
        );
    }
    None
}

/// "step 57: total 0.81, final 0.4"
fn reading(panel: Panel, session: &Session, look: &Appearance, cursor: f64) -> String {
    let of = if panel.is_of_experts() {
        "epoch"
    } else {
        "step"
    };
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
pub fn act(action: Action, context: &mut Context) -> Next {
    let look = context.look;
    let Some(session) = &mut context.session else {
        return Next::Close;
    };
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
            let order = in_order(session);
            let at = order.iter().position(|p| *p == panel).unwrap_or(0);
            let by = if action == Action::NextPanel {
                1
            } else {
                order.len() - 1
            };
            session.chosen = Some(order[(at + by) % order.len()]);
            Next::Stay
        }
        _ => run::act(action, context),
    }
}

/// The charts over steps share a cursor, and so do those over epochs.
fn link_cursors(session: &mut Session, panel: Panel) {
    let Some(cursor) = session.view(panel).map(|v| v.cursor) else {
        return;
    };
    for other in CHARTS
        .into_iter()
        .filter(|p| p.is_of_experts() == panel.is_of_experts())
    {
        if let Some(view) = session.view(other) {
            view.cursor = cursor;
        }
    }
}
