//! Rates that find themselves: the student's learning rate by calibration and Gauss-Newton steps,
//! the update of the synthetic images in units of the images, and the limits of both.
//!
//! With reach ρ and alignment a, the final ratio is L = 1 − 2aρ + ρ². The best student rate gives
//! ρ = a; there an update of the images does nothing but improve their alignment.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// One round of calibration changes the student rate by a factor of at most e to this.
const MOST_IN_A_ROUND: f64 = 1.6;
/// One Gauss-Newton step changes the logarithm of the student rate by at most this.
const MOST_IN_A_STEP: f64 = 0.2;
/// The share of a full Gauss-Newton step that is taken.
const GAIN: f64 = 0.3;
/// How much of the averages of slope and curvature stays from one step to the next.
const MEMORY: f64 = 0.8;
/// Momentum of the images' updates, and of the student rate's where that is learned by SGD.
pub const MOMENTUM: f64 = 0.5;
/// How much of the average squared gradient of an image stays from one update to the next.
const SCALE_MEMORY: f64 = 0.9;
/// The share that `distill.step` falls to by the last iteration.
const LAST_STEP: f64 = 0.1;
/// How many of the latest gradient norms their median is taken of.
const NORMS: usize = 50;
/// Fewer norms have no median yet.
const FEWEST_NORMS: usize = 10;
/// How many of the latest final ratios are looked at.
const RATIOS: usize = 20;

/// Where rollouts end without any update: sums over draws and matched epochs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Fit {
    /// Σ a ρ and Σ ρ².
    pub along: f64,
    pub square: f64,
}

impl Fit {
    /// Whether this factor is the largest or the smallest that a round may have.
    #[must_use]
    pub fn is_bound(factor: f64) -> bool {
        factor.ln().abs() > MOST_IN_A_ROUND - 1e-9
    }

    /// Adds one rollout's Σ a ρ and Σ ρ² over the matched epochs.
    pub fn add(&mut self, along: f64, square: f64) {
        self.along += along;
        self.square += square;
    }

    /// The factor of the student rate that minimises the mean final ratio if the student's path
    /// only grows with it: Σ a ρ / Σ ρ², at most a factor of e^1.6 up or down. Rollouts that are
    /// not finite went much too far.
    #[must_use]
    pub fn factor(self) -> f64 {
        let best = self.along / self.square;
        let least = (-MOST_IN_A_ROUND).exp();
        if best.is_finite() {
            best.clamp(least, MOST_IN_A_ROUND.exp())
        } else {
            least
        }
    }
}

/// The student rate as it is learned, besides its value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RateMemory {
    /// SGD's momentum buffer.
    pub velocity: f64,
    /// Moving averages of ∂L/∂ln α and of its Gauss-Newton curvature.
    pub slope: f64,
    pub curvature: f64,
    /// The latest final ratios.
    pub ratios: Vec<f64>,
}

impl RateMemory {
    /// The student rate after one Gauss-Newton step in its logarithm: by 0.3 · mean(α ∂L/∂α) /
    /// mean(2 Σ_j w_j ρ_j²), the means over about the last five steps, and by at most 0.2.
    ///
    /// `lr_gradient` is ∂L/∂α, `curvature` 2 Σ_j w_j ρ_j² over the matched epochs j with their
    /// weights w_j and reaches ρ_j.
    pub fn gauss_newton(&mut self, student_lr: f64, lr_gradient: f64, curvature: f64) -> f64 {
        let average = |before: &mut f64, now: f64| *before = MEMORY * *before + (1. - MEMORY) * now;
        average(&mut self.slope, student_lr * lr_gradient);
        average(&mut self.curvature, curvature);
        let step = GAIN * self.slope / self.curvature.max(f64::MIN_POSITIVE);
        student_lr * (-step.clamp(-MOST_IN_A_STEP, MOST_IN_A_STEP)).exp()
    }

    /// Forgets slope and curvature: the rate has been changed by other means, and both belong to the
    /// path that the student took before.
    pub fn forget_path(&mut self) {
        (self.slope, self.curvature) = (0., 0.);
    }

    /// Takes the final ratio of a step. True if most of the latest 20 were above 1: the student ends
    /// farther from the expert than it starts. They count no more after that.
    pub fn ends_too_far(&mut self, final_ratio: f64) -> bool {
        self.ratios.push(final_ratio);
        if self.ratios.len() > RATIOS {
            self.ratios.remove(0);
        }
        let above = self.ratios.iter().filter(|r| **r > 1.).count();
        let too_far = self.ratios.len() == RATIOS && above > RATIOS / 2;
        if too_far {
            self.ratios.clear();
        }
        too_far
    }
}

/// What the updates of the images remember, besides their momentum buffer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepMemory {
    /// Updates done.
    pub updates: u64,
    /// The latest norms of the images' gradient.
    pub norms: Vec<f64>,
}

impl StepMemory {
    /// The longest that the next gradient may be: `limit` times the median of the latest norms; none
    /// without a limit, or while there are too few norms.
    #[must_use]
    pub fn longest(&self, limit: Option<f64>) -> Option<f64> {
        let mut sorted = self.norms.clone();
        sorted.sort_by(f64::total_cmp);
        let limit = limit.filter(|_| sorted.len() >= FEWEST_NORMS)?;
        Some(limit * sorted[sorted.len() / 2])
    }

    /// Takes the norm of a gradient that the images were updated by, before it was shortened.
    pub fn take(&mut self, norm: f64) {
        self.updates += 1;
        self.norms.push(norm);
        if self.norms.len() > NORMS {
            self.norms.remove(0);
        }
    }
}

/// A gradient of this norm (scalar), shortened to `longest` if it is longer.
pub fn shortened(gradient: &Tensor, norm: &Tensor, longest: Option<f64>) -> Tensor {
    let Some(longest) = longest else {
        return gradient.shallow_clone();
    };
    let norm = norm.to_kind(Kind::Double);
    let factor = norm.full_like(longest) / &norm;
    gradient * factor.where_self(&norm.gt(longest), &norm.ones_like())
}

/// The share of the images' root mean square that an update moves them by, after `done` of
/// `iterations`: from `step` down to a tenth by a cosine.
#[must_use]
pub fn step_at(step: f64, done: u64, iterations: u64) -> f64 {
    let progress = (done as f64 / iterations.max(1) as f64).min(1.);
    let cosine = 0.5 * (1. + (std::f64::consts::PI * progress).cos());
    step * (LAST_STEP + (1. - LAST_STEP) * cosine)
}

/// √mean(x²) of all pixels (scalar).
pub fn root_mean_square(images: &Tensor) -> Tensor {
    images.square().mean(None::<Kind>).sqrt()
}

/// The momentum buffer (n, C, H, W) after `gradient`, for SGD and for normalised updates.
pub fn with_momentum(velocity: &Tensor, gradient: &Tensor) -> Tensor {
    velocity * MOMENTUM + gradient
}

/// The mean squared gradient (n, 1, 1, 1) of every image after `gradient` (n, C, H, W): a moving
/// average.
pub fn gradient_scale(before: &Tensor, gradient: &Tensor) -> Tensor {
    let now = gradient
        .square()
        .mean_dim([1i64, 2, 3].as_slice(), true, None::<Kind>);
    before * SCALE_MEMORY + now * (1. - SCALE_MEMORY)
}

/// The direction (n, C, H, W) of the update number `updates` (from 1): the gradient's moving average
/// with momentum 0.5, divided for every image by the root of its mean squared gradient. Both
/// averages are corrected for their start from 0, so that a first direction has a root mean square
/// of 1.
pub fn normalised(velocity: &Tensor, scale: &Tensor, updates: u64) -> Tensor {
    let corrected = |memory: f64| 1. - memory.powf(updates as f64);
    let mean = velocity * ((1. - MOMENTUM) / corrected(MOMENTUM));
    let size = (scale / corrected(SCALE_MEMORY)).sqrt();
    mean / size.clamp_min(f64::from(f32::MIN_POSITIVE))
}

/// The decay of the moving average of the images at its update number `updates` (from 0): `decay`,
/// but less at first, so that the average soon forgets its start.
#[must_use]
pub fn decay_at(decay: f64, updates: u64) -> f64 {
    decay.min((1. + updates as f64) / (10. + updates as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calibrated_rate_makes_reach_equal_alignment() {
        let mut fit = Fit::default();
        fit.add(0.125, 0.25);
        assert!((fit.factor() - 0.5).abs() < 1e-12);
        fit = Fit::default();
        fit.add(0.02, 4.);
        assert_eq!(fit.factor(), (-MOST_IN_A_ROUND).exp());
        assert!(Fit::is_bound(fit.factor()) && !Fit::is_bound(0.5) && !Fit::is_bound(2.));
        fit.add(f64::NAN, f64::INFINITY);
        assert_eq!(fit.factor(), (-MOST_IN_A_ROUND).exp());
        fit = Fit::default();
        fit.add(-0.5, 1.);
        assert_eq!(fit.factor(), (-MOST_IN_A_ROUND).exp());
    }

    #[test]
    fn gauss_newton_finds_the_rate_of_the_least_loss_from_far_away() {
        // L = 1 − 2 a ρ + ρ² with ρ = α and a = 0.3
        for start in [0.003, 0.3, 30.] {
            let (mut memory, mut rate) = (RateMemory::default(), start);
            for _ in 0..500 {
                rate = memory.gauss_newton(rate, 2. * (rate - 0.3), 2. * rate * rate);
            }
            assert!((rate / 0.3 - 1.).abs() < 1e-3, "from {start}: {rate}");
        }
    }

    #[test]
    fn ratios_above_one_are_noticed_when_they_are_most_of_the_latest() {
        let mut memory = RateMemory::default();
        let noticed = (0..60)
            .filter(|i| memory.ends_too_far(if i % 2 == 0 { 5. } else { 0.9 }))
            .count();
        assert_eq!(noticed, 0);
        memory = RateMemory::default();
        let noticed: Vec<usize> = (0..40).filter(|_| memory.ends_too_far(1.01)).collect();
        assert_eq!(noticed, [19, 39]);
    }

    #[test]
    fn only_a_gradient_far_above_the_median_is_shortened() {
        let mut memory = StepMemory::default();
        for i in 0..60 {
            assert_eq!(memory.longest(Some(3.)).is_some(), i >= FEWEST_NORMS);
            memory.take(1. + (i % 3) as f64);
        }
        assert_eq!((memory.updates, memory.norms.len()), (60, NORMS));
        let longest = memory.longest(Some(3.));
        assert_eq!((longest, memory.longest(None)), (Some(6.), None));
        let gradient = Tensor::from_slice(&[1f32, -2.]);
        for (norm, factor) in [(60f32, 0.1), (6., 1.), (0., 1.)] {
            let got = shortened(&gradient, &Tensor::from(norm), longest);
            assert_eq!(got, &gradient * factor, "{norm}");
        }
        assert_eq!(shortened(&gradient, &Tensor::from(60f32), None), gradient);
    }

    #[test]
    fn the_step_falls_from_its_value_to_a_tenth() {
        assert_eq!(step_at(0.06, 0, 100), 0.06);
        assert!((step_at(0.06, 50, 100) - 0.033).abs() < 1e-12);
        assert!((step_at(0.06, 100, 100) - 0.006).abs() < 1e-12);
        assert!((step_at(0.06, 900, 100) - 0.006).abs() < 1e-12);
    }

    #[test]
    fn a_direction_has_a_root_mean_square_of_one_whatever_the_gradient() {
        for size in [1e-6, 1., 1e6] {
            let gradient = Tensor::from_slice(&[3., -1., 2., 0.5]).view([2, 1, 1, 2]) * size;
            let (mut velocity, mut scale) = (
                gradient.zeros_like(),
                Tensor::zeros([2, 1, 1, 1], (Kind::Double, tch::Device::Cpu)),
            );
            for updates in 1..4 {
                velocity = with_momentum(&velocity, &gradient);
                scale = gradient_scale(&scale, &gradient);
                let direction = normalised(&velocity, &scale, updates);
                let rms = direction
                    .square()
                    .mean_dim([1i64, 2, 3].as_slice(), false, None::<Kind>);
                assert!((rms - 1.).abs().max().double_value(&[]) < 1e-9);
            }
        }
    }

    #[test]
    fn an_average_forgets_its_start_soon() {
        let left: f64 = (0..1000).map(|i| decay_at(0.999, i)).product();
        assert!(left < 1e-6, "{left} of the start is left");
    }
}
