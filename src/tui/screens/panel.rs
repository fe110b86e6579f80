//! The panels of a run: what each chart draws.

use crate::tui::chart::{Chart, ChartView, Curve};
use crate::tui::model::{Expert, Model};
use crate::tui::series::Series;
use crate::tui::text::{clean, number};
use crate::tui::theme::Theme;
use astill_core::run::event::Split;

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
    pub fn is_of_experts(self) -> bool {
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

/// The charts in the order in which they are shown: those of the experts come first while these
/// are being trained.
pub fn in_order(experts_first: bool) -> Vec<Panel> {
    let (of_steps, of_experts) = CHARTS.split_at(OF_STEPS);
    if experts_first {
        [of_experts, of_steps].concat()
    } else {
        CHARTS.to_vec()
    }
}

/// The lines of a panel's chart.
fn curves<'a>(panel: Panel, model: &'a Model, theme: &Theme) -> Vec<Curve<'a>> {
    let steps = &model.steps;
    let line =
        |i: usize, name: &'a str, series: &'a Series| Curve::new(name, series, theme.series(i));
    match panel {
        Panel::Loss => {
            let between = steps.intermediate.iter().enumerate().take(4);
            let between = between
                .map(|(j, s)| Curve::new(format!("epoch {}", j + 1), s, theme.series(2 + j)).dim());
            // the last one is drawn over the others
            between
                .chain([
                    line(1, "final", &steps.final_ratio),
                    line(0, "total", &steps.matching_loss),
                ])
                .collect()
        }
        Panel::Accuracy => {
            let accuracy = model.accuracy.iter().enumerate();
            let named = accuracy.map(|(i, a)| {
                let split = if a.split == Split::Test {
                    "test"
                } else {
                    "validation"
                };
                let name = format!("{} {split}", clean(&a.network));
                Curve::new(name, &a.series, theme.series(i))
            });
            named.collect()
        }
        Panel::Reach => vec![
            line(0, "reach", &steps.reach),
            line(1, "alignment", &steps.alignment),
        ],
        Panel::Curvature | Panel::StepLength | Panel::Turn | Panel::ExpertAccuracy => {
            let experts = &model.experts;
            let skip = experts.len().saturating_sub(EXPERTS);
            let shown = experts.iter().skip(skip);
            let last = experts.keys().next_back().copied();
            let curve = |(n, expert): (&u64, &'a Expert)| {
                let i = *n as usize;
                let curve = Curve::new(
                    format!("expert {}", n + 1),
                    panel.of(expert),
                    theme.series(i),
                );
                if last == Some(*n) { curve } else { curve.dim() }
            };
            shown.map(curve).collect()
        }
        Panel::Gradient => vec![line(0, "norm", &steps.image_gradient)],
        Panel::Perturbation => {
            let layers = steps.layers.iter().enumerate().take(8);
            let layers = layers
                .map(|(i, s)| Curve::new(format!("layer {}", i + 1), s, theme.series(1 + i)).dim());
            layers
                .chain([line(0, "all", &steps.perturbation)])
                .collect()
        }
        Panel::StudentRate => vec![line(0, "rate", &steps.student_lr)],
        Panel::Pictures | Panel::Log => Vec::new(),
    }
}

/// The chart of a panel.
pub fn chart<'a>(panel: Panel, model: &'a Model, view: ChartView, theme: &'a Theme) -> Chart<'a> {
    let mut chart = Chart::new("", theme).view(view);
    for curve in curves(panel, model, theme) {
        chart = chart.curve(curve);
    }
    if panel == Panel::Accuracy {
        for baseline in model.baselines() {
            chart = chart.reference(baseline.labels.to_string(), baseline.mean);
        }
    }
    chart
}

/// Shown in place of a chart without points.
pub fn nothing_yet(panel: Panel) -> &'static str {
    match panel {
        Panel::Accuracy => "No evaluation yet.",
        Panel::Curvature | Panel::Turn => "Available from an expert's second epoch.",
        _ if panel.is_of_experts() => "No expert epoch yet.",
        _ => "No distillation step yet.",
    }
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
    for curve in curves(panel, model, theme).iter().rev() {
        if let Some((x, y)) = curve.series.nearest(cursor) {
            if values.is_empty() {
                at = x;
            }
            values.push(format!("{} {}", curve.name, number(y)));
        }
    }
    format!("{of} {at}: {}", values.join(", "))
}
