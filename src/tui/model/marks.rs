//! What happened to a run at which step, as its charts mark it.

use crate::tui::text::clean;
use astill_core::run::command::Command;
use astill_core::run::edits::STUDENT_RATE;
use astill_core::run::event::CommandAnswered;

/// No run has more.
const MOST_MARKS: usize = 100_000;

/// What a mark stands for; where several share a place, the first of them is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkKind {
    Tweak,
    RollBack,
    Resumed,
    Pause,
    Evaluation,
    Checkpoint,
}

/// Something that happened to a run, not something that it measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// It happened after this number of steps.
    pub step: u64,
    pub kind: MarkKind,
    /// More than the kind says: the edit, or from where the run went back.
    pub text: String,
}

/// The marks of a run, in the order of their steps.
#[derive(Debug, Default)]
pub struct Marks {
    marks: Vec<Mark>,
}

impl MarkKind {
    pub const ALL: [Self; 6] = [
        Self::Tweak,
        Self::RollBack,
        Self::Resumed,
        Self::Pause,
        Self::Evaluation,
        Self::Checkpoint,
    ];

    /// The mark itself: mostly the key that does the same.
    pub fn letter(self) -> char {
        match self {
            Self::Tweak => 't',
            Self::RollBack => 'r',
            Self::Resumed => 's',
            Self::Pause => 'p',
            Self::Evaluation => 'e',
            Self::Checkpoint => 'c',
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Tweak => "tweak",
            Self::RollBack => "rolled back",
            Self::Resumed => "resumed",
            Self::Pause => "pause",
            Self::Evaluation => "evaluation",
            Self::Checkpoint => "checkpoint",
        }
    }

    /// For the help.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Tweak => "A setting was changed; from here on the run uses the new value.",
            Self::RollBack => {
                "The run went back to this checkpoint; its later steps were discarded."
            }
            Self::Resumed => "An engine resumed the run from this step.",
            Self::Pause => "The run was paused for a while.",
            Self::Evaluation => "Networks were trained on the images and tested.",
            Self::Checkpoint => "The state was saved; the run can be rolled back to this step.",
        }
    }
}

impl Mark {
    /// "tweak distill.lr_images: 500 -> 30"
    pub fn in_words(&self) -> String {
        match self.text.is_empty() {
            true => self.kind.name().into(),
            false => format!("{} {}", self.kind.name(), self.text),
        }
    }
}

impl Marks {
    /// Adds a mark; one that would say nothing new is left out.
    pub fn add(&mut self, step: u64, kind: MarkKind, text: String) {
        let at = step as f64;
        if text.is_empty() && self.within((at, at)).iter().any(|m| m.kind == kind) {
            return;
        }
        if self.are_full() {
            return;
        }
        let place = self.marks.partition_point(|m| m.step <= step);
        self.marks.insert(place, Mark { step, kind, text });
    }

    /// An accepted command that changes what the run does from this step on.
    pub fn command(&mut self, step: u64, answered: &CommandAnswered) {
        match &answered.command {
            Command::Set { edit } => {
                let key = edit.split('=').next().unwrap_or_default().trim();
                // some fonts lack the arrow
                let change = answered.answer.change().replace('\u{2192}', "->");
                let text = match change.is_empty() {
                    true => clean(edit),
                    false => clean(&format!("{key}{change}")),
                };
                self.add(step, MarkKind::Tweak, text);
            }
            Command::Pause => self.add(step, MarkKind::Pause, String::new()),
            _ => {}
        }
    }

    /// The run went back: what was changed later holds from here on.
    pub fn roll_back(&mut self, from: u64, to: u64) {
        self.repeat_from(to.saturating_add(1));
        // except for that of the learned rate, which is undone with the steps
        let is_undone = |m: &Mark| m.step > to && m.text.starts_with(STUDENT_RATE);
        self.marks.retain(|m| !is_undone(m));
        for mark in &mut self.marks {
            mark.step = mark.step.min(to);
        }
        self.add(to, MarkKind::RollBack, format!("from step {from}"));
    }

    /// These steps are done again, with the changes that were made at them.
    pub fn repeat_from(&mut self, step: u64) {
        self.marks
            .retain(|m| m.step < step || m.kind == MarkKind::Tweak);
    }

    /// Whether there is no room for another.
    pub fn are_full(&self) -> bool {
        self.marks.len() >= MOST_MARKS
    }

    pub fn all(&self) -> &[Mark] {
        &self.marks
    }

    /// Those at steps from `range.0` to `range.1`.
    pub fn within(&self, range: (f64, f64)) -> &[Mark] {
        let from = self.marks.partition_point(|m| (m.step as f64) < range.0);
        let to = self.marks.partition_point(|m| m.step as f64 <= range.1);
        &self.marks[from..to.max(from)]
    }

    /// The step of the next mark to one side of `step`.
    pub fn beside(&self, step: f64, forward: bool) -> Option<u64> {
        let mut steps = self.marks.iter().map(|m| m.step);
        match forward {
            true => steps.find(|s| *s as f64 > step),
            false => steps.rfind(|s| (*s as f64) < step),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use astill_core::run::command::Answer;

    fn set(edit: &str) -> CommandAnswered {
        let edit = edit.into();
        CommandAnswered::new(Command::Set { edit }, Answer::changed(500., 30.))
    }

    #[test]
    fn a_tweak_survives_repeated_steps_and_moves_back_with_the_run() {
        let mut marks = Marks::default();
        marks.add(50, MarkKind::Checkpoint, String::new());
        marks.command(60, &set("distill.lr_images=30"));
        marks.command(60, &set("distill.lr_student=30"));
        marks.add(75, MarkKind::Evaluation, String::new());
        marks.repeat_from(51);
        let kinds = |marks: &Marks| -> Vec<(u64, MarkKind)> {
            marks.all().iter().map(|m| (m.step, m.kind)).collect()
        };
        assert_eq!(
            kinds(&marks),
            [
                (50, MarkKind::Checkpoint),
                (60, MarkKind::Tweak),
                (60, MarkKind::Tweak)
            ]
        );
        marks.roll_back(80, 50);
        assert_eq!(
            kinds(&marks),
            [
                (50, MarkKind::Checkpoint),
                (50, MarkKind::Tweak),
                (50, MarkKind::RollBack)
            ]
        );
        assert_eq!(
            marks.all()[1].in_words(),
            "tweak distill.lr_images: 500 -> 30"
        );
        assert_eq!(marks.all()[2].in_words(), "rolled back from step 80");
    }

    #[test]
    fn marks_are_found_by_their_steps() {
        let mut marks = Marks::default();
        for step in [10, 30, 20] {
            marks.add(step, MarkKind::Pause, String::new());
        }
        assert_eq!(marks.within((10., 20.)).len(), 2);
        assert_eq!(marks.within((21., 5.)).len(), 0);
        assert_eq!(marks.beside(20., true), Some(30));
        assert_eq!(marks.beside(20., false), Some(10));
        assert_eq!(marks.beside(30., true), None);
    }

    #[test]
    fn every_mark_has_a_letter_of_its_own() {
        let mut letters = MarkKind::ALL.map(MarkKind::letter).to_vec();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), MarkKind::ALL.len());
    }
}
