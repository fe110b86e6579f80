//! How fast workers are beside the engine: who gets a segment, and when the engine computes one itself
//! that a worker has.

use std::time::Duration;

/// How long a worker takes for a segment, as far as is known.
#[derive(Debug, Default)]
pub struct Pace {
    /// How long the latest took, and in which job.
    latest: Option<(u64, Duration)>,
}

impl Pace {
    /// Notes how long a segment took.
    pub fn take(&mut self, job: u64, time: Duration) {
        self.latest = Some((job, time));
    }

    /// What the next segment should take: half as long after every job without one, so that a worker
    /// that was slow for a while is tried again.
    pub fn expected(&self, job: u64) -> Option<Duration> {
        let (at, time) = self.latest?;
        let halvings = job.saturating_sub(at + 1).min(31) as u32;
        Some(time / (1 << halvings))
    }
}

/// Whether the segments are there sooner if a worker gets one of those that are `left`, than if the
/// engine computes all of them, with `own` for each, after the rest `at_it` of the one that it is at.
pub fn is_worth_giving(
    expected: Option<Duration>,
    own: Duration,
    at_it: Duration,
    left: usize,
) -> bool {
    let alone = at_it.saturating_add(own.saturating_mul(left.try_into().unwrap_or(u32::MAX)));
    own.is_zero() || expected.is_none_or(|expected| expected <= alone)
}

/// How much longer the engine, which has nothing else to do, waits for a segment that a worker has had
/// for `elapsed`, before it spends its `own` time on it. Not at all where it is surely faster; else
/// that time longer than expected, so that it never waits longer in vain than computing takes.
pub fn patience(expected: Option<Duration>, own: Duration, elapsed: Duration) -> Duration {
    let expected = expected.unwrap_or(own);
    if expected.saturating_sub(elapsed) > own {
        return Duration::ZERO;
    }
    (expected + own).saturating_sub(elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_worker_gets_only_what_it_does_before_the_engine_would() {
        let own = seconds(1);
        // as fast as the engine, which has just begun one of two
        assert!(is_worth_giving(Some(seconds(1)), own, own, 1));
        // ten times as slow: not of two, but of thirty
        assert!(!is_worth_giving(Some(seconds(10)), own, own, 1));
        assert!(is_worth_giving(Some(seconds(10)), own, own, 29));
        // nothing is known
        assert!(is_worth_giving(None, own, own, 1));
        assert!(is_worth_giving(Some(seconds(10)), Duration::ZERO, own, 1));
    }

    #[test]
    fn the_engine_waits_at_most_as_long_in_vain_as_it_would_compute() {
        let own = seconds(2);
        // it would be faster
        assert_eq!(patience(Some(seconds(9)), own, seconds(1)), Duration::ZERO);
        // the answer comes soon
        assert_eq!(patience(Some(seconds(9)), own, seconds(8)), seconds(3));
        // it is overdue
        assert_eq!(patience(Some(seconds(9)), own, seconds(11)), Duration::ZERO);
        // nothing is known: as fast as the engine, perhaps
        assert_eq!(patience(None, own, seconds(0)), seconds(4));
        assert_eq!(patience(None, own, seconds(4)), Duration::ZERO);
    }

    #[test]
    fn a_worker_that_was_slow_is_tried_again() {
        let mut pace = Pace::default();
        assert_eq!(pace.expected(1), None);
        pace.take(5, seconds(8));
        let expected = [5, 6, 7, 8].map(|job| pace.expected(job));
        assert_eq!(expected, [8, 8, 4, 2].map(|n| Some(seconds(n))));
        assert_eq!(pace.expected(1000), Some(seconds(8) / (1 << 31)));
    }
}
