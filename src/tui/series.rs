//! A measured quantity over the steps of a run, kept so that a million points are drawn in a moment.

/// Points in the order of their steps.
#[derive(Debug, Clone, Default)]
pub struct Series {}

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

    /// Adds a point. A step that was there already, or that is before the last, takes the place of everything from it on: a run
    /// that was resumed or rolled back does these steps again. A step that is NaN or infinite is passed over.
    pub fn push(&mut self, step: f64, value: f64) {
        let _ = (step, value);
    }

    pub fn len(&self) -> usize {
        0
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The latest point.
    pub fn last(&self) -> Option<(f64, f64)> {
        None
    }

    /// Forgets the points at `step` and after it.
    pub fn truncate_from(&mut self, step: f64) {
        let _ = step;
    }

    /// The point whose step is nearest.
    pub fn nearest(&self, step: f64) -> Option<(f64, f64)> {
        let _ = step;
        None
    }

    /// First and last step.
    pub fn extent(&self) -> Option<(f64, f64)> {
        None
    }

    /// Smallest and greatest finite value at steps in `range`, ends included.
    pub fn bounds(&self, range: (f64, f64)) -> Option<(f64, f64)> {
        let _ = range;
        None
    }

    /// Smallest and greatest finite value above zero at steps in `range`, ends included: for a logarithmic axis.
    pub fn positive_bounds(&self, range: (f64, f64)) -> Option<(f64, f64)> {
        let _ = range;
        None
    }

    /// Cuts `range` into `buckets` equal stretches.
    pub fn decimate(&self, range: (f64, f64), buckets: usize) -> impl Iterator<Item = Bucket> + '_ {
        let _ = (range, buckets);
        std::iter::empty()
    }
}
