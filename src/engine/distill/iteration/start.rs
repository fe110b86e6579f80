//! Which expert a segment follows, and from where.

use super::{Segment, Settings};
use crate::random;

/// Which expert a segment follows, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    pub expert: u64,
    /// Whether the mirror image of the expert is followed.
    pub mirrored: bool,
    /// t, the epoch that the student starts in, and how many checkpoints later.
    pub epoch: usize,
    pub part: usize,
}

impl Start {
    /// That of a segment where there are so many experts. It is stratified: every pair of expert and
    /// start comes once before any comes again.
    #[must_use]
    pub fn draw(settings: &Settings, segment: Segment, experts: u64) -> Self {
        let (starts, index) = (settings.starts, segment.index(settings));
        let followed = experts * if settings.mirror { 2 } else { 1 };
        let pairs = (followed * starts.count_at(segment.iteration)).max(1);
        let order = random::permutation(
            &mut random::generator(segment.seed, "expert and start", &[index / pairs]),
            pairs as usize,
        );
        let pair = order[(index % pairs) as usize] as u64;
        let (followed, start) = (pair % followed, (pair / followed) as usize);
        Self {
            expert: followed % experts.max(1),
            mirrored: followed >= experts,
            epoch: starts.first + start / starts.per_epoch,
            part: start % starts.per_epoch,
        }
    }
}
