//! Which charts there are: a title, and the measures that it shows. A chart of something in the
//! events is one line here.

use astill_core::measures::{Axis, Measure, find};

/// The first curves of a list are drawn, up to this many.
pub const OF_A_LIST: usize = 8;
/// More runs cannot be told apart by colour.
pub const MOST_RUNS: usize = 8;

/// A chart of the screen of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Plot {
    /// On the command line.
    pub name: &'static str,
    pub title: &'static str,
    pub axis: Axis,
    /// The names of its measures, the most important first: it is drawn over the others.
    names: &'static [&'static str],
}

/// What the horizontal axis of a chart counts.
pub fn unit(axis: Axis) -> &'static str {
    match axis {
        Axis::Epoch => "epoch",
        Axis::Step | Axis::Evaluation => "step",
    }
}

/// All charts in the order of the screen: those of distillation, then those of the experts.
#[rustfmt::skip]
pub const PLOTS: &[Plot] = &[
    plot("matching-loss", "Matching loss", Axis::Step, &["matching_loss", "final_ratio", "intermediate"]),
    plot("accuracy", "Accuracy, %", Axis::Evaluation, &["mean"]),
    plot("reach", "Reach and alignment", Axis::Step, &["reach", "alignment"]),
    plot("image-gradient", "Image gradient", Axis::Step, &["image_gradient"]),
    plot("perturbation", "Perturbation, relative", Axis::Step, &["perturbation.relative", "perturbation.per_layer"]),
    plot("student-rate", "Student rate", Axis::Step, &["student_lr"]),
    plot("best-ratio", "Best final ratio, by start", Axis::Step, &["best_ratio"]),
    plot("nearest-step", "Nearest student step", Axis::Step, &["nearest"]),
    plot("image-scale", "Image scale", Axis::Step, &["image_scale"]),
    plot("expert-curvature", "Experts: curvature", Axis::Epoch, &["curvature"]),
    plot("expert-step-length", "Experts: step length", Axis::Epoch, &["step_length"]),
    plot("expert-turn", "Experts: turn (cosine)", Axis::Epoch, &["turn"]),
    plot("expert-accuracy", "Experts: validation accuracy, %", Axis::Epoch, &["validation_accuracy"]),
];

const fn plot(
    name: &'static str,
    title: &'static str,
    axis: Axis,
    names: &'static [&'static str],
) -> Plot {
    Plot {
        name,
        title,
        axis,
        names,
    }
}

impl Plot {
    pub fn measures(&self) -> impl Iterator<Item = &'static Measure> + '_ {
        self.names.iter().filter_map(|name| find(self.axis, name))
    }

    /// Whether a logarithmic scale suits it best.
    pub fn is_logarithmic(&self) -> bool {
        self.measures().any(|m| m.log_y)
    }

    /// About the epochs of experts, not about steps of distillation.
    pub fn is_of_experts(&self) -> bool {
        self.axis == Axis::Epoch
    }

    /// What it shows, for a newcomer: a paragraph per measure.
    pub fn explanation(&self) -> Vec<String> {
        self.measures().map(paragraph).collect()
    }
}

/// "Reach: How far ... (defined by astill)": what a measure is, which values are good, and where its
/// definition comes from.
pub fn paragraph(measure: &Measure) -> String {
    format!(
        "{}: {} ({})",
        capitalised(measure.title),
        measure.explanation(),
        measure.source
    )
}

/// With a capital first letter.
pub fn capitalised(title: &str) -> String {
    let mut title = title.chars();
    let first = title.next().into_iter().flat_map(char::to_uppercase);
    first.chain(title).collect()
}

/// Whether any chart shows this measure.
pub fn shows(measure: &Measure) -> bool {
    let named = |plot: &Plot| plot.axis == measure.axis() && plot.names.contains(&measure.name);
    PLOTS.iter().any(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chart_shows_what_it_names() {
        for plot in PLOTS {
            assert_eq!(plot.measures().count(), plot.names.len(), "{}", plot.title);
            assert!(plot.measures().all(shows), "{}", plot.title);
            assert_eq!(plot.explanation().len(), plot.names.len());
        }
        assert!(PLOTS[0].is_logarithmic() && !PLOTS[1].is_logarithmic());
        assert!(PLOTS[0].explanation()[0].starts_with("Matching loss: How far"));
    }

    #[test]
    fn charts_of_experts_come_last() {
        assert!(PLOTS.is_sorted_by_key(Plot::is_of_experts));
    }
}
