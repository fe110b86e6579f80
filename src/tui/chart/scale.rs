//! The vertical axis: from values to heights, and the labels beside it.

use astill_core::text::{DIGITS, number, significant};

/// A linear or logarithmic axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    /// An axis that shows `bounds` (finite, and above zero for a logarithmic one) with a little
    /// room around.
    pub fn new(bounds: (f64, f64), log: bool) -> Self {
        let (low, high) = if log {
            (bounds.0.log10(), bounds.1.log10())
        } else {
            bounds
        };
        let room = match high - low {
            0. if log => 0.5,
            0. => (low.abs() * 0.1).max(1e-6),
            span => span * 0.03,
        };
        Self {
            low: low - room,
            high: high + room,
            log,
        }
    }

    /// An axis that shows these values and no others.
    pub fn exactly((low, high): (f64, f64), log: bool) -> Self {
        let (low, high) = if log {
            (low.log10(), high.log10())
        } else {
            (low, high)
        };
        Self { low, high, log }
    }

    /// 0 at the bottom, 1 at the top, outside of these where the axis does not reach that far. What a
    /// logarithmic axis cannot show is at the bottom.
    pub fn height(&self, value: f64) -> f64 {
        if self.log && value <= 0. {
            return 0.;
        }
        let value = if self.log { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// At most about `most` round values inside, with their labels.
    pub fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        let most = most.max(1);
        if self.log {
            let decades = self.high.floor() - self.low.ceil();
            if decades >= 1. {
                let every = (decades / most as f64).ceil().max(1.);
                return steps(self.low, self.high, every)
                    .map(|e| 10f64.powf(e))
                    .map(|v| (v, number(v)))
                    .collect();
            }
        }
        let (low, high) = if self.log {
            (10f64.powf(self.low), 10f64.powf(self.high))
        } else {
            (self.low, self.high)
        };
        let mut every = round_step((high - low) / most as f64);
        // one label alone does not tell the scale
        let wanted = most.min(2);
        while steps(low, high, every).count() < wanted && every > (high - low) / 100. {
            every = round_step(every / 2.5);
        }
        steps(low, high, every)
            .map(|v| (v, label(v, every)))
            .collect()
    }
}

/// Multiples of `every` from `low` to `high`.
fn steps(low: f64, high: f64, every: f64) -> impl Iterator<Item = f64> {
    let first = (low / every).ceil();
    let count = ((high / every).floor() - first + 1.).clamp(0., 100.) as usize;
    (0..count).map(move |i| {
        let value = (first + i as f64) * every;
        // no "-0"
        if value == 0. { 0. } else { value }
    })
}

/// The next of 1, 2, 5, 10 … times a power of ten.
fn round_step(at_least: f64) -> f64 {
    let power = 10f64.powf(at_least.log10().floor());
    [1., 2., 5.]
        .into_iter()
        .map(|f| f * power)
        .find(|&s| s >= at_least * (1. - 1e-9))
        .unwrap_or(10. * power)
}

/// A multiple of `every`, spelled like any number, with the digits that tell it from its neighbours.
fn label(value: f64, every: f64) -> String {
    let digits = (value.abs() / every).max(1.).log10().ceil() as usize + 1;
    significant(value, digits.max(DIGITS))
}

/// A step, or a fraction of one where the window is narrow.
pub fn step_label(step: f64, width: f64) -> String {
    if width >= 4. || step.fract() == 0. {
        format!("{:.0}", step.round())
    } else {
        format!("{step:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(bounds: (f64, f64), log: bool, most: usize) -> Vec<String> {
        Scale::new(bounds, log)
            .ticks(most)
            .into_iter()
            .map(|t| t.1)
            .collect()
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(labels((0., 100.), false, 5), ["0", "50", "100"]);
        assert_eq!(labels((0.12, 0.47), false, 5), ["0.2", "0.3", "0.4"]);
        // never one alone
        assert_eq!(labels((0.005, 0.024), false, 2), ["0.01", "0.02"]);
        assert_eq!(labels((0.011, 0.029), false, 2), ["0.015", "0.02", "0.025"]);
        assert_eq!(labels((-1., 1.), false, 4), ["-1", "0", "1"]);
        assert_eq!(labels((0.001, 900.), true, 4), ["0.01", "1", "100"]);
        assert_eq!(labels((2., 7.), true, 3), ["2", "4", "6"]);
        assert!(
            labels((3e-7, 9e-7), false, 3)
                .iter()
                .all(|l| l.ends_with("e-7"))
        );
        for bounds in [
            (5., 5.),
            (0., 0.),
            (-3., -3.),
            (1e30, 1e30),
            (f64::from(f32::MIN), f64::from(f32::MAX)),
        ] {
            assert!(labels(bounds, false, 4).len() < 12, "{bounds:?}");
        }
    }

    #[test]
    fn heights_stay_on_the_chart() {
        let scale = Scale::new((0.01, 100.), true);
        assert!((scale.height(1.) - 0.5).abs() < 1e-9);
        assert_eq!(
            [scale.height(0.), scale.height(-5.)],
            [0., 0.],
            "there is no place for these on the axis"
        );
        assert!(scale.height(1e9) > 1. && scale.height(1e-9) < 0.);
        let flat = Scale::new((7., 7.), false);
        assert!((flat.height(7.) - 0.5).abs() < 1e-9);
    }
}
