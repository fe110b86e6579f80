//! Which charts there are: a title, and the measures that it shows. A chart of something in the
//! events is one line here.

use super::scale::step_label;
use astill_core::measures::{Axis, Measure, find};
use astill_core::text::duration;

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

/// What the horizontal axis of a chart counts; charts that count the same share their cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    Steps,
    /// Of experts.
    Epochs,
    /// In which an engine was at work.
    Seconds,
}

impl Counted {
    pub fn of(axis: Axis) -> Self {
        match axis {
            Axis::Step | Axis::Evaluation => Self::Steps,
            Axis::Epoch => Self::Epochs,
            Axis::Time => Self::Seconds,
        }
    }

    /// "step", as in "step 57".
    pub fn unit(self) -> &'static str {
        match self {
            Self::Steps => "step",
            Self::Epochs => "epoch",
            Self::Seconds => "time",
        }
    }

    /// A place on the axis, which shows a stretch of this width: "57", "0.5", "2 min 05 s".
    pub fn label(self, place: f64, width: f64) -> String {
        match self {
            Self::Steps | Self::Epochs => step_label(place, width),
            Self::Seconds if place < 60. => format!("{:.0} s", place.round().max(0.)),
            Self::Seconds => duration(place),
        }
    }
}

/// The chart of shares of the time, in per cent.
const LOAD: &str = "load";

/// All charts in the order of the screen: those of distillation, of the experts, of the machine.
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
    plot(LOAD, "Load of GPU and CPU, %", Axis::Time, &["gpu.load", "host.load"]),
    plot("gpu-memory", "GPU memory, GiB", Axis::Time, &["gpu.used_gib", "gpu.total_gib"]),
    plot("gpu-temperature", "GPU temperature, C", Axis::Time, &["gpu.temperature"]),
    plot("host-memory", "Host memory, GiB", Axis::Time, &["host.used_gib", "host.total_gib"]),
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
    /// The values that its vertical axis shows in any case.
    pub fn always(&self) -> Option<(f64, f64)> {
        (self.name == LOAD).then_some((0., 100.))
    }

    pub fn measures(&self) -> impl Iterator<Item = &'static Measure> + '_ {
        self.names.iter().filter_map(|name| find(self.axis, name))
    }

    /// Whether a logarithmic scale suits it best.
    pub fn is_logarithmic(&self) -> bool {
        self.measures().any(|m| m.log_y)
    }

    pub fn counted(&self) -> Counted {
        Counted::of(self.axis)
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
    fn charts_that_count_the_same_stand_together() {
        assert!(PLOTS.is_sorted_by_key(Plot::counted));
    }
}
