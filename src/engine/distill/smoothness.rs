//! Smoothness of a trajectory θ_0 … θ_E, epoch by epoch as it grows.

use tch::{Kind, Tensor};

/// The smoothness of the path so far, measured at one more point. Lengths are Euclidean, in
/// parameter space.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Smoothness {
    /// ‖θ_e+1 − θ_e‖.
    pub step_length: f64,
    /// Cosine of the angle between this step and the one before; 1 is straight on. None for the
    /// first step.
    pub turn: Option<f64>,
    /// ‖θ_e+2 − 2 θ_e+1 + θ_e‖. None for the first step.
    pub curvature: Option<f64>,
    /// Length of the path so far over the distance from its start; 1 is a straight line.
    pub tortuosity: f64,
}

/// An expert's path in parameter space, measured point by point; keeps three vectors, whatever its
/// length.
#[derive(Debug)]
pub struct ExpertPath {
    start: Tensor,
    last: Tensor,
    last_step: Option<Tensor>,
    length: f64,
}

impl ExpertPath {
    /// A path that begins at `start` (P).
    pub fn new(start: &Tensor) -> Self {
        let start = start.to_kind(Kind::Double).copy();
        Self {
            last: start.shallow_clone(),
            start,
            last_step: None,
            length: 0.,
        }
    }

    /// Extends the path to `point` (P); computed in float64.
    pub fn push(&mut self, point: &Tensor) -> Smoothness {
        let point = point.to_kind(Kind::Double).copy();
        let step = &point - &self.last;
        let step_length = norm(&step);
        self.length += step_length;
        let turn = self.last_step.as_ref().map(|before| {
            let product = before.dot(&step).double_value(&[]);
            product / (norm(before) * step_length).max(1e-8)
        });
        let curvature = self
            .last_step
            .as_ref()
            .map(|before| norm(&(&step - before)));
        let distance = norm(&(&point - &self.start));
        self.last = point;
        self.last_step = Some(step);
        Smoothness {
            step_length,
            turn,
            curvature,
            tortuosity: self.length / distance.max(f64::MIN_POSITIVE),
        }
    }
}

fn norm(t: &Tensor) -> f64 {
    t.norm().double_value(&[])
}
