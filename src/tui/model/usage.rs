//! How much of the engine's machine was in use while it worked on the run.

use super::Curves;
use crate::tui::series::Series;
use astill_core::measures::{Axis, MeasuredEvent};
use astill_core::run::event::Usage;
use astill_core::run::pace::unix_seconds;

/// The records of a run over the seconds in which an engine was at work on it: the time between two
/// engines is left out.
#[derive(Debug)]
pub struct UsageHistory {
    curves: Curves,
    latest: Option<Usage>,
    /// When the latest engine started, in seconds since 1970.
    begin: Option<f64>,
    /// Seconds of work before that.
    before: f64,
    /// Seconds of work at the latest record.
    worked: f64,
}

impl Default for UsageHistory {
    fn default() -> Self {
        Self {
            curves: Curves::new(Axis::Time),
            latest: None,
            begin: None,
            before: 0.,
            worked: 0.,
        }
    }
}

impl UsageHistory {
    /// An engine has started.
    pub(super) fn start(&mut self, time: &str) {
        (self.begin, self.before) = (unix_seconds(time), self.worked);
        // it may be another machine
        self.latest = None;
    }

    pub(super) fn push(&mut self, time: &str, usage: &Usage) {
        self.latest = Some(*usage);
        let Some(since) = unix_seconds(time).zip(self.begin) else {
            return;
        };
        // also where the clock was set back
        self.worked = (self.before + (since.0 - since.1).round()).max(self.worked + 1.);
        self.curves.push(self.worked, MeasuredEvent::Usage(usage));
    }

    /// The latest record of the engine that is at work.
    pub fn latest(&self) -> Option<&Usage> {
        self.latest.as_ref()
    }

    /// The series of a measure; none where it was never recorded.
    pub fn of(&self, name: &str) -> &[Series] {
        let all = self.curves.of(name);
        match all.iter().all(Series::is_empty) {
            true => &[],
            false => all,
        }
    }
}
