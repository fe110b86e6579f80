//! Whether a student diverges, judged by the losses of its steps.

use super::checkpoint::StateNumbers;
use std::collections::VecDeque;

/// This many updates in a row that are not finite are too many.
pub const NOT_FINITE_IN_A_ROW: u64 = 20;
/// How many of the latest losses count.
pub const LATEST: usize = 20;
/// A median matching loss above this is far too large; 1 is that of a student that has not moved.
pub const FAR_TOO_LARGE: f64 = 10.;

/// Whether the images of a run that has no iterations left are not its result: too many of the last
/// updates, or all there were, were not finite.
pub fn is_end_diverged(numbers: &StateNumbers) -> bool {
    let too_many = NOT_FINITE_IN_A_ROW.min(numbers.step);
    too_many > 0 && numbers.not_finite >= too_many
}

/// What follows from the latest steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing, or nothing new.
    None,
    /// [`NOT_FINITE_IN_A_ROW`] updates were not finite.
    NotFinite,
    /// Matching losses are far too large. Reported once.
    TooLarge,
}

/// The steps of an engine.
#[derive(Debug, Default)]
pub struct Divergence {
    not_finite: u64,
    losses: VecDeque<f64>,
    /// Whether it has been reported that losses are too large.
    is_reported: bool,
    /// Which of the latest updates were left out for their final ratio.
    left_out: VecDeque<bool>,
    are_left_out_reported: bool,
}

impl Divergence {
    /// Takes the matching loss of the next step; none if its update was not finite.
    pub fn take(&mut self, loss: Option<f64>) -> Verdict {
        let Some(loss) = loss else {
            self.not_finite += 1;
            if self.not_finite == NOT_FINITE_IN_A_ROW {
                self.not_finite = 0;
                return Verdict::NotFinite;
            }
            return Verdict::None;
        };
        self.not_finite = 0;
        self.losses.push_back(loss);
        if self.losses.len() > LATEST {
            self.losses.pop_front();
        }
        let above = self.losses.iter().filter(|l| **l > FAR_TOO_LARGE).count();
        if self.is_reported || self.losses.len() < LATEST || above <= LATEST / 2 {
            return Verdict::None;
        }
        self.is_reported = true;
        Verdict::TooLarge
    }

    /// Takes whether the next update was left out because its final ratio is too large. True once,
    /// when most of the latest updates were.
    pub fn leaves_out_most(&mut self, is_left_out: bool) -> bool {
        self.left_out.push_back(is_left_out);
        if self.left_out.len() > LATEST {
            self.left_out.pop_front();
        }
        let count = self.left_out.iter().filter(|is| **is).count();
        let report = self.left_out.len() == LATEST && count > LATEST / 2;
        let is_new = report && !self.are_left_out_reported;
        self.are_left_out_reported |= report;
        is_new
    }

    /// The run has been rolled back: the latest steps no longer count.
    pub fn go_back(&mut self) {
        self.not_finite = 0;
        self.losses.clear();
        self.left_out.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(
        divergence: &mut Divergence,
        losses: impl IntoIterator<Item = Option<f64>>,
    ) -> Vec<Verdict> {
        losses
            .into_iter()
            .map(|loss| divergence.take(loss))
            .collect()
    }

    #[test]
    fn losses_are_far_too_large_when_most_of_the_latest_are_which_is_said_once() {
        let mut divergence = Divergence::default();
        let every_other = (0..LATEST * 2).map(|i| Some(if i % 2 == 0 { 1e6 } else { 0.9 }));
        assert!(
            takes(&mut divergence, every_other)
                .iter()
                .all(|s| *s == Verdict::None)
        );
        let said = takes(&mut divergence, [Some(11.); LATEST * 3]);
        // the first takes the place of one as large, the second makes it more than half
        assert_eq!(said.iter().position(|s| *s == Verdict::TooLarge), Some(1));
        assert_eq!(said.iter().filter(|s| **s == Verdict::TooLarge).count(), 1);
        assert!(
            takes(&mut Divergence::default(), [Some(11.); LATEST - 1])
                .iter()
                .all(|s| *s == Verdict::None),
            "too few to say"
        );
    }

    #[test]
    fn most_updates_being_left_out_is_reported_once() {
        let mut divergence = Divergence::default();
        let every_other = (0..LATEST * 2).map(|i| i % 2 == 0);
        assert!(
            !every_other
                .into_iter()
                .any(|is| divergence.leaves_out_most(is))
        );
        let reported = (0..LATEST * 2).filter(|_| divergence.leaves_out_most(true));
        assert_eq!(reported.count(), 1);
    }

    #[test]
    fn updates_that_are_not_finite_are_too_many_in_a_row_only() {
        let mut divergence = Divergence::default();
        let all_but_one = vec![None; NOT_FINITE_IN_A_ROW as usize - 1];
        assert!(
            takes(
                &mut divergence,
                [all_but_one.clone(), vec![Some(1.)], all_but_one.clone()].concat()
            )
            .iter()
            .all(|s| *s == Verdict::None)
        );
        assert_eq!(divergence.take(None), Verdict::NotFinite);
        // and again, where nothing was done about it
        assert!(
            takes(&mut divergence, all_but_one)
                .iter()
                .all(|s| *s == Verdict::None)
        );
        assert_eq!(divergence.take(None), Verdict::NotFinite);
    }

    #[test]
    fn steps_that_were_gone_back_over_do_not_count() {
        let mut divergence = Divergence::default();
        takes(
            &mut divergence,
            vec![None; NOT_FINITE_IN_A_ROW as usize - 1],
        );
        divergence.go_back();
        assert_eq!(divergence.take(None), Verdict::None);
        divergence.go_back();
        takes(&mut divergence, [Some(11.); LATEST - 1]);
        divergence.go_back();
        assert_eq!(divergence.take(Some(11.)), Verdict::None);
    }
}
