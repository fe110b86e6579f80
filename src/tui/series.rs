//! A measured quantity over the steps of a run, kept so that a million points are drawn in a
//! moment.
//!
//! Above the values stands a pyramid of summaries, each of [`BLOCK`] entries of the level below, so
//! that the summary of any stretch takes a few hundred operations. A million evenly spaced points
//! take about 5 MB.

/// Entries of one level in an entry of the next.
const BLOCK: usize = 32;

/// Up to so many points of a bucket are smoothed one by one, more of them by their mean.
const EXACT: usize = 64;

/// So many points tell the quantiles of any number of them.
const SAMPLE: usize = 4096;

/// Points in the order of their steps. Values are kept in single precision.
#[derive(Debug, Clone, Default)]
pub struct Series {
    steps: Steps,
    values: Vec<f32>,
    /// `levels[k][j]` sums up the values from j · BLOCK^(k+1) on; only whole blocks are there.
    levels: Vec<Vec<Summary>>,
}

/// Most quantities have a point every step or every so many, which takes no memory.
#[derive(Debug, Clone)]
enum Steps {
    Even { first: f64, stride: f64 },
    Listed(Vec<f64>),
}

impl Default for Steps {
    fn default() -> Self {
        Self::Even {
            first: 0.,
            stride: 1.,
        }
    }
}

/// Of the finite values of a stretch, and whether there are others.
#[derive(Debug, Clone, Copy)]
struct Summary {
    min: f32,
    max: f32,
    /// The smallest above zero; infinite if there is none.
    least_positive: f32,
    any_nan: bool,
    finite: u32,
    sum: f64,
}

impl Summary {
    const EMPTY: Self = Self {
        min: f32::INFINITY,
        max: f32::NEG_INFINITY,
        least_positive: f32::INFINITY,
        any_nan: false,
        finite: 0,
        sum: 0.,
    };

    fn add(&mut self, value: f32) {
        if !value.is_finite() {
            self.any_nan = true;
            return;
        }
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if value > 0. {
            self.least_positive = self.least_positive.min(value);
        }
        self.finite += 1;
        self.sum += f64::from(value);
    }

    fn join(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.least_positive = self.least_positive.min(other.least_positive);
        self.any_nan |= other.any_nan;
        self.finite += other.finite;
        self.sum += other.sum;
    }
}

/// An exponential moving average: e ← w e + (1 − w) x, divided by the same average of ones, so that the
/// start is not drawn to zero.
#[derive(Debug, Clone, Copy)]
pub struct MovingAverage {
    weight: f64,
    sum: f64,
    mass: f64,
}

impl MovingAverage {
    /// With `weight` w in [0, 1).
    pub fn new(weight: f64) -> Self {
        Self {
            weight,
            sum: 0.,
            mass: 0.,
        }
    }

    /// Takes a value, which counts as so many.
    pub fn add(&mut self, value: f64, times: f64) {
        let kept = match times {
            1. => self.weight,
            _ => self.weight.powf(times),
        };
        self.sum = kept * self.sum + (1. - kept) * value;
        self.mass = kept * self.mass + (1. - kept);
    }

    /// NaN before the first value.
    pub fn value(&self) -> f64 {
        match self.mass > 0. {
            true => self.sum / self.mass,
            false => f64::NAN,
        }
    }
}

/// What a stretch of steps holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Smallest and greatest finite value; NaN where there is none.
    pub min: f32,
    pub max: f32,
    /// The values at its first and its last step, finite or not; NaN where the bucket is empty.
    pub first: f32,
    pub last: f32,
    /// Whether any value is NaN or infinite.
    pub any_nan: bool,
    /// Points, finite or not.
    pub count: usize,
}

impl Series {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a point. A step that was there already, or that is before the last, takes the place of
    /// everything from it on: a run that was resumed or rolled back does these steps again. A step
    /// that is NaN or infinite is passed over.
    pub fn push(&mut self, step: f64, value: f64) {
        if !step.is_finite() {
            return;
        }
        if self.last().is_some_and(|(last, _)| step <= last) {
            self.truncate_from(step);
        }
        let len = self.values.len();
        match &mut self.steps {
            steps if len == 0 => {
                *steps = Steps::Even {
                    first: step,
                    stride: 1.,
                }
            }
            Steps::Even { first, stride } if len == 1 => *stride = step - *first,
            Steps::Even { first, stride } if *first + *stride * len as f64 == step => {}
            Steps::Even { first, stride } => {
                let mut listed: Vec<f64> = (0..len).map(|i| *first + *stride * i as f64).collect();
                listed.push(step);
                self.steps = Steps::Listed(listed);
            }
            Steps::Listed(listed) => listed.push(step),
        }
        self.values.push(value as f32);
        self.sum_up();
    }

    /// Adds the summaries that the last value completed.
    fn sum_up(&mut self) {
        if !self.values.len().is_multiple_of(BLOCK) {
            return;
        }
        let mut summary = Summary::EMPTY;
        self.values[self.values.len() - BLOCK..]
            .iter()
            .for_each(|&v| summary.add(v));
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let entries = &mut self.levels[level];
            entries.push(summary);
            if !entries.len().is_multiple_of(BLOCK) {
                return;
            }
            summary = Summary::EMPTY;
            entries[entries.len() - BLOCK..]
                .iter()
                .for_each(|s| summary.join(s));
        }
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The latest point.
    pub fn last(&self) -> Option<(f64, f64)> {
        self.len().checked_sub(1).map(|i| self.point(i))
    }

    /// All points in order.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        (0..self.len()).map(|i| self.point(i))
    }

    /// Forgets the points at `step` and after it.
    pub fn truncate_from(&mut self, step: f64) {
        let keep = self.before(step);
        self.values.truncate(keep);
        if let Steps::Listed(listed) = &mut self.steps {
            listed.truncate(keep);
        }
        let mut whole = keep;
        for level in &mut self.levels {
            whole /= BLOCK;
            level.truncate(whole);
        }
    }

    /// The point whose step is nearest.
    pub fn nearest(&self, step: f64) -> Option<(f64, f64)> {
        let after = self.before(step).min(self.len().checked_sub(1)?);
        let (right, left) = (self.point(after), self.point(after.saturating_sub(1)));
        Some(if step - left.0 < right.0 - step {
            left
        } else {
            right
        })
    }

    /// First and last step.
    pub fn extent(&self) -> Option<(f64, f64)> {
        Some((self.step(0), self.last()?.0))
    }

    /// Smallest and greatest finite value at steps in `range`, ends included.
    pub fn bounds(&self, range: (f64, f64)) -> Option<(f64, f64)> {
        let all = self.summary(self.before(range.0), self.until(range.1));
        (all.finite > 0).then_some((all.min.into(), all.max.into()))
    }

    /// Smallest and greatest finite value above zero at steps in `range`, ends included: for a
    /// logarithmic axis.
    pub fn positive_bounds(&self, range: (f64, f64)) -> Option<(f64, f64)> {
        let all = self.summary(self.before(range.0), self.until(range.1));
        (all.max > 0.).then_some((all.least_positive.into(), all.max.into()))
    }

    /// Between which values all but a share of `outside` at each end lie, at steps in `range`; of many
    /// points, a sample is looked at. With `positive`, of values above zero.
    pub fn quantiles(&self, range: (f64, f64), outside: f64, positive: bool) -> Option<(f64, f64)> {
        let (from, to) = (self.before(range.0), self.until(range.1));
        let stride = to.saturating_sub(from).div_ceil(SAMPLE).max(1);
        let shown = |v: &f32| v.is_finite() && (!positive || *v > 0.);
        let mut values: Vec<f32> = (from..to)
            .step_by(stride)
            .map(|i| self.values[i])
            .filter(shown)
            .collect();
        values.sort_by(f32::total_cmp);
        let last = values.len().checked_sub(1)?;
        let low = (outside * last as f64).round() as usize;
        Some((values[low].into(), values[last - low].into()))
    }

    /// Cuts `range` into `buckets` equal stretches; the last includes its end.
    pub fn decimate(&self, range: (f64, f64), buckets: usize) -> impl Iterator<Item = Bucket> + '_ {
        self.cut(range, buckets).map(|(from, to)| {
            let all = self.summary(from, to);
            let (min, max) = if all.finite > 0 {
                (all.min, all.max)
            } else {
                (f32::NAN, f32::NAN)
            };
            let (first, last) = if from < to {
                (self.values[from], self.values[to - 1])
            } else {
                (f32::NAN, f32::NAN)
            };
            Bucket {
                min,
                max,
                first,
                last,
                any_nan: all.any_nan,
                count: to - from,
            }
        })
    }

    /// The exponential moving average at the end of each of the buckets of [`Series::decimate`],
    /// NaN where a bucket is empty.
    ///
    /// With `weight` in [0, 1), as [`MovingAverage`]. What is not finite is left out. Where a bucket holds more
    /// than [`EXACT`] points, they enter as that many times their mean, and points so far before
    /// `range` that their weight is below 10⁻⁹ do not enter at all.
    pub fn smoothed(
        &self,
        range: (f64, f64),
        buckets: usize,
        weight: f64,
    ) -> impl Iterator<Item = f64> + '_ {
        let keep = weight.clamp(0., 0.999_999);
        let memory = if keep > 0. {
            (1e-9f64.ln() / keep.ln()).ceil() as usize
        } else {
            0
        };
        let begin = self.before(range.0);
        let mut average = MovingAverage::new(keep);
        let mut enter = move |from: usize, to: usize| {
            if to - from > EXACT {
                let all = self.summary(from, to);
                if all.finite > 0 {
                    average.add(all.sum / f64::from(all.finite), f64::from(all.finite));
                }
            } else {
                self.values[from..to]
                    .iter()
                    .filter(|v| v.is_finite())
                    .for_each(|&v| average.add(v.into(), 1.));
            }
            average.value()
        };
        let mut from = begin.saturating_sub(memory);
        while from < begin {
            let to = (from + EXACT).min(begin);
            enter(from, to);
            from = to;
        }
        self.cut(range, buckets)
            .map(move |(from, to)| if from < to { enter(from, to) } else { f64::NAN })
    }

    /// The points of each of `buckets` equal stretches of `range`, as indices from and up to.
    fn cut(
        &self,
        (begin, end): (f64, f64),
        buckets: usize,
    ) -> impl Iterator<Item = (usize, usize)> + '_ {
        let valid = begin <= end;
        let mut from = if valid { self.before(begin) } else { 0 };
        (1..=buckets).map(move |bucket| {
            let to = match bucket {
                _ if !valid => from,
                _ if bucket == buckets => self.until(end),
                _ => self.before(begin + (end - begin) * bucket as f64 / buckets as f64),
            };
            let stretch = (from, to.max(from));
            from = stretch.1;
            stretch
        })
    }

    /// Sums up the points `from` … `to` − 1.
    fn summary(&self, from: usize, to: usize) -> Summary {
        let mut all = Summary::EMPTY;
        let mut at = from;
        while at < to {
            let mut size = 1;
            let mut best = None;
            for level in &self.levels {
                let larger = size * BLOCK;
                if !at.is_multiple_of(larger) || at + larger > to {
                    break;
                }
                (size, best) = (larger, level.get(at / larger));
            }
            match best {
                Some(summary) => all.join(summary),
                None => {
                    size = (BLOCK - at % BLOCK).min(to - at);
                    self.values[at..at + size].iter().for_each(|&v| all.add(v));
                }
            }
            at += size;
        }
        all
    }

    fn point(&self, index: usize) -> (f64, f64) {
        (self.step(index), self.values[index].into())
    }

    fn step(&self, index: usize) -> f64 {
        match &self.steps {
            Steps::Even { first, stride } => first + stride * index as f64,
            Steps::Listed(listed) => listed[index],
        }
    }

    /// How many points are before `step`.
    fn before(&self, step: f64) -> usize {
        self.count(step, |s| s < step)
    }

    /// How many points are before or at `step`.
    fn until(&self, step: f64) -> usize {
        self.count(step, |s| s <= step)
    }

    /// How many steps are `inside`, which holds up to about `near` and no further.
    fn count(&self, near: f64, inside: impl Fn(f64) -> bool) -> usize {
        match &self.steps {
            Steps::Listed(listed) => listed.partition_point(|&s| inside(s)),
            Steps::Even { first, stride } => {
                // the division may be off by a rounding; the comparison decides
                let mut count = (((near - first) / stride).ceil().max(0.) as usize).min(self.len());
                while count > 0 && !inside(self.step(count - 1)) {
                    count -= 1;
                }
                while count < self.len() && inside(self.step(count)) {
                    count += 1;
                }
                count
            }
        }
    }
}

#[cfg(test)]
mod tests;
