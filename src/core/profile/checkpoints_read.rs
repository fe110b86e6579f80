//! Which checkpoints of an expert a profile reads.

use super::schema::Profile;
use std::ops::RangeInclusive;

/// The checkpoints of one expert that a run of a profile reads, counted from its initialisation (0),
/// with [`per_epoch`](super::ExpertSettings::per_epoch) to an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointsRead {
    /// From the first start to the end of the last stretch that is matched.
    matched: RangeInclusive<usize>,
    /// Every how many of these.
    every: usize,
    /// The end of its training, as far as the profile asks for it: it gives labels, chooses the
    /// initial images, and is what its training is judged by.
    last: usize,
}

impl CheckpointsRead {
    /// Whether this one is read.
    #[must_use]
    pub fn contains(&self, checkpoint: usize) -> bool {
        let is_matched = self.matched.contains(&checkpoint)
            && (checkpoint - self.matched.start()).is_multiple_of(self.every);
        is_matched || checkpoint == self.last
    }

    /// All of them, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        let end = self.last.max(*self.matched.end());
        (*self.matched.start()..=end).filter(|checkpoint| self.contains(*checkpoint))
    }

    /// Whether all that `other` reads is among these.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        other.iter().all(|checkpoint| self.contains(checkpoint))
    }
}

impl Profile {
    /// The checkpoints that are read of expert number `index` (from 0): every start and the M epochs
    /// after it, and the last.
    #[must_use]
    pub fn checkpoints_read(&self, index: u64) -> CheckpointsRead {
        let (distill, per_epoch) = (&self.distill, self.expert.per_epoch);
        // starts inside epochs lie between two starts of epochs
        let is_one_start = distill.min_start_epoch + 1 >= distill.max_start_epoch;
        CheckpointsRead {
            matched: distill.min_start_epoch * per_epoch..=self.epochs_read() * per_epoch,
            every: if is_one_start { per_epoch } else { 1 },
            last: self.epochs_trained(index) * per_epoch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Auto, Kind};

    /// That starts in these epochs and matches over so many.
    fn profile(starts: std::ops::Range<usize>, matched: usize) -> Profile {
        let mut profile = Profile::new(Kind::Shapes);
        profile.distill.min_start_epoch = starts.start;
        profile.distill.max_start_epoch = starts.end;
        profile.distill.expert_epochs = matched;
        profile
    }

    #[test]
    fn starts_and_what_follows_them_are_read_and_the_last_checkpoint() {
        let mut late = profile(3..5, 2);
        late.expert.train_epochs = Auto::Value(9);
        let read = late.checkpoints_read(1);
        assert_eq!(read.iter().collect::<Vec<_>>(), [3, 4, 5, 6, 9]);
        late.expert.per_epoch = 2;
        let read = late.checkpoints_read(1);
        assert_eq!(
            read.iter().collect::<Vec<_>>(),
            [6, 7, 8, 9, 10, 11, 12, 18]
        );
        late.distill.max_start_epoch = 4;
        let one_start = late.checkpoints_read(1);
        assert_eq!(one_start.iter().collect::<Vec<_>>(), [6, 8, 10, 18]);
        assert!(read.cover(&one_start) && !one_start.cover(&read));
    }

    #[test]
    fn of_the_expert_that_chooses_images_the_end_of_its_training_is_read() {
        let usual = profile(0..2, 1);
        let of_first = usual.checkpoints_read(0);
        assert_eq!(
            of_first.iter().collect::<Vec<_>>(),
            [0, 1, 2, usual.expert.epochs]
        );
        let of_second = usual.checkpoints_read(1);
        assert_eq!(of_second.iter().collect::<Vec<_>>(), [0, 1, 2]);
    }
}
