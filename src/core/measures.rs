//! Every measured number of a run, in one table: its name, what it means, how it is shown, and
//! where it stands in its event.
//!
//! The lines of the log, the series that the app keeps, its charts and the list in docs/protocol.md
//! follow from it. To add a number, add a field to its event's struct (and compute it), and an
//! entry here. The field's serde attributes are those of its neighbours: runs of earlier versions
//! lack it, and a step that cannot be read is left out.

mod table;

pub use table::MEASURES;

use crate::run::event::{DistillStep, Evaluation, EventKind, ExpertEpoch, Usage};

/// What the x axis of a measure counts, and so which event holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Axis {
    /// Steps of distillation, from 1; event `distill_step`.
    Step,
    /// Epochs of an expert, shown from 1; event `expert_epoch`.
    Epoch,
    /// Evaluations, at their steps of distillation; event `evaluation`.
    Evaluation,
    /// Seconds in which an engine was at work on the run; event `usage`.
    Time,
}

/// Which values are good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Good {
    Higher,
    Lower,
    Near(f64),
    Neither,
}

/// An event that holds measured numbers.
#[derive(Debug, Clone, Copy)]
pub enum MeasuredEvent<'a> {
    Step(&'a DistillStep),
    Epoch(&'a ExpertEpoch),
    Evaluation(&'a Evaluation),
    Usage(&'a Usage),
}

/// The value of a measure in an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading<'a> {
    /// The event does not hold it.
    Missing,
    One(f64),
    /// One value per layer, per intermediate epoch, per network.
    Each(&'a [f64]),
}

/// A number that is measured again and again.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// The key in the event; a dot leads into an object.
    pub name: &'static str,
    pub title: &'static str,
    /// What it is called beside the title of its chart.
    pub label: &'static str,
    /// "%", "s", or nothing.
    pub unit: &'static str,
    pub good: Good,
    /// Whether it is best shown on a logarithmic axis.
    pub log_y: bool,
    /// How its values are spelled, without the unit.
    pub spell: fn(f64) -> String,
    /// Whether the line of its event in the log holds it.
    pub logged: bool,
    /// One sentence for a newcomer.
    pub meaning: &'static str,
    /// Where the definition comes from.
    pub source: &'static str,
    read: Getter,
}

/// How to get a measure out of its event.
#[derive(Debug, Clone, Copy)]
enum Getter {
    Step(fn(&DistillStep) -> f64),
    StepEach(fn(&DistillStep) -> &[f64]),
    Epoch(fn(&ExpertEpoch) -> Option<f64>),
    Evaluation(fn(&Evaluation) -> f64),
    EvaluationEach(fn(&Evaluation) -> &[f64]),
    Usage(fn(&Usage) -> Option<f64>),
}

impl Reading<'_> {
    fn of(value: Option<f64>) -> Self {
        value.map_or(Self::Missing, Self::One)
    }
}

impl Measure {
    #[must_use]
    pub const fn axis(&self) -> Axis {
        match self.read {
            Getter::Step(_) | Getter::StepEach(_) => Axis::Step,
            Getter::Epoch(_) => Axis::Epoch,
            Getter::Evaluation(_) | Getter::EvaluationEach(_) => Axis::Evaluation,
            Getter::Usage(_) => Axis::Time,
        }
    }

    /// Whether an event holds a list of it.
    #[must_use]
    pub const fn is_list(&self) -> bool {
        matches!(self.read, Getter::StepEach(_) | Getter::EvaluationEach(_))
    }

    /// Its value in an event; missing where that is the event of another axis.
    #[must_use]
    pub fn read<'a>(&self, event: MeasuredEvent<'a>) -> Reading<'a> {
        match (self.read, event) {
            (Getter::Step(get), MeasuredEvent::Step(step)) => Reading::One(get(step)),
            (Getter::StepEach(get), MeasuredEvent::Step(step)) => Reading::Each(get(step)),
            (Getter::Epoch(get), MeasuredEvent::Epoch(epoch)) => Reading::of(get(epoch)),
            (Getter::Usage(get), MeasuredEvent::Usage(usage)) => Reading::of(get(usage)),
            (Getter::Evaluation(get), MeasuredEvent::Evaluation(e)) => Reading::One(get(e)),
            (Getter::EvaluationEach(get), MeasuredEvent::Evaluation(e)) => Reading::Each(get(e)),
            _ => Reading::Missing,
        }
    }

    /// A value of it, without its unit: spelled alike in legends, at axes, at the cursor and in the
    /// log.
    #[must_use]
    pub fn value(&self, value: f64) -> String {
        (self.spell)(value)
    }

    /// "matching loss 0.4157", "test accuracy 34.5 %".
    #[must_use]
    pub fn in_words(&self, value: f64) -> String {
        let unit = if self.unit.is_empty() { "" } else { " " };
        format!("{} {}{unit}{}", self.title, self.value(value), self.unit)
    }

    /// What it means and which values are good, in sentences for a newcomer.
    #[must_use]
    pub fn explanation(&self) -> String {
        let good = match self.good {
            Good::Higher => " Higher is better.".into(),
            Good::Lower => " Lower is better.".into(),
            Good::Near(best) => format!(" Best near {}.", self.value(best)),
            Good::Neither => String::new(),
        };
        format!("{}.{good}", self.meaning)
    }
}

impl<'a> MeasuredEvent<'a> {
    /// The measured numbers of an event, if it is of a kind that has some.
    #[must_use]
    pub fn of(what: &'a EventKind) -> Option<Self> {
        match what {
            EventKind::DistillStep(step) => Some(Self::Step(step)),
            EventKind::ExpertEpoch(epoch) => Some(Self::Epoch(epoch)),
            EventKind::Evaluation(evaluation) => Some(Self::Evaluation(evaluation)),
            EventKind::Usage(usage) => Some(Self::Usage(usage)),
            _ => None,
        }
    }

    #[must_use]
    pub fn axis(self) -> Axis {
        match self {
            Self::Step(_) => Axis::Step,
            Self::Epoch(_) => Axis::Epoch,
            Self::Evaluation(_) => Axis::Evaluation,
            Self::Usage(_) => Axis::Time,
        }
    }
}

/// The measures of an axis.
pub fn of_axis(axis: Axis) -> impl Iterator<Item = &'static Measure> {
    MEASURES.iter().filter(move |m| m.axis() == axis)
}

/// The measure of this name.
#[must_use]
pub fn find(axis: Axis, name: &str) -> Option<&'static Measure> {
    of_axis(axis).find(|m| m.name == name)
}

/// The line of an event in the log: "matching loss 0.4157, reach 0.55, …, time 0.5 s".
#[must_use]
pub fn in_words(event: MeasuredEvent<'_>) -> String {
    let parts: Vec<String> = of_axis(event.axis())
        .filter(|m| m.logged)
        .filter_map(|m| match m.read(event) {
            Reading::One(value) => Some(m.in_words(value)),
            _ => None,
        })
        .collect();
    parts.join(", ")
}

/// The value of one measure of an event, without its unit; "-" where there is none.
#[must_use]
pub fn value(name: &str, event: MeasuredEvent<'_>) -> String {
    one(name, event).map_or_else(|| "-".into(), |(measure, value)| measure.value(value))
}

/// One measure of an event: "test accuracy 34.5 %".
#[must_use]
pub fn in_words_of(name: &str, event: MeasuredEvent<'_>) -> String {
    one(name, event).map_or_else(String::new, |(measure, value)| measure.in_words(value))
}

fn one(name: &str, event: MeasuredEvent<'_>) -> Option<(&'static Measure, f64)> {
    let measure = find(event.axis(), name)?;
    match measure.read(event) {
        Reading::One(value) => Some((measure, value)),
        _ => None,
    }
}

#[cfg(test)]
mod manual;
#[cfg(test)]
mod tests;
