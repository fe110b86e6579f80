//! The dots of one line of a chart.

use super::dots::Dots;
use crate::tui::series::Bucket;

/// A point as a stretch of its own.
pub fn point_bucket(value: f64) -> Bucket {
    let v = value as f32;
    Bucket {
        min: v,
        max: v,
        first: v,
        last: v,
        any_nan: false,
        count: usize::from(v.is_finite()),
    }
}

/// Draws each bucket from its smallest to its greatest value, joined to the one before; the line
/// breaks where it leaves the numbers.
pub fn draw_line(
    dots: &mut Dots,
    buckets: impl Iterator<Item = Bucket>,
    row: impl Fn(f64) -> isize,
) {
    let row = |value: f32| row(value.into());
    // where the line ends that the next bucket continues, what it covers there, and whether it is a
    // lone dot so far
    let mut end: Option<(usize, isize)> = None;
    let mut covered = None;
    let mut lone = None;
    for (x, bucket) in buckets.enumerate().filter(|(_, b)| b.count > 0) {
        let joined = end
            .filter(|_| bucket.first.is_finite())
            .map(|e| (e, (x, row(bucket.first))));
        let span = bucket
            .min
            .is_finite()
            .then(|| (x, row(bucket.min), row(bucket.max)));
        match joined {
            Some(_) if touch(covered, span) => {}
            Some((from, to)) => dots.line(from, to),
            None => lone.iter().for_each(|&at| blob(dots, at)),
        }
        if let Some((x, low, high)) = span {
            dots.column(x, low, high);
        }
        lone = span
            .filter(|&(_, low, high)| joined.is_none() && low == high)
            .map(|(x, low, _)| (x, low));
        end = bucket.last.is_finite().then(|| (x, row(bucket.last)));
        covered = span;
    }
    if let Some(at) = lone {
        blob(dots, at);
    }
}

/// Whether two columns, each with its lowest and its highest dot, are side by side and no gap is
/// between them.
fn touch(left: Option<(usize, isize, isize)>, right: Option<(usize, isize, isize)>) -> bool {
    let (Some((x, low, high)), Some((next, from, to))) = (left, right) else {
        return false;
    };
    next == x + 1 && from <= high + 1 && low <= to + 1
}

/// A point without neighbours, large enough to be seen.
fn blob(dots: &mut Dots, (x, y): (usize, isize)) {
    for (dx, dy) in [(1, 0), (0, 1), (1, 1)] {
        dots.dot(x + dx, y + dy);
    }
}
