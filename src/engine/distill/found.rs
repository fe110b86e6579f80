//! What iterations find: on the device, and read.

use super::perturb::PerturbationStatistics;
use super::{Matching, nearest, to_vec};
use tch::{Kind, Tensor};

/// What one iteration found, with its numbers still on the device.
#[derive(Debug)]
pub struct Found {
    /// ∂ matching loss / ∂ synthetic images (n, C, H, W).
    pub gradient: Tensor,
    /// ∂ matching loss / ∂ soft labels (n, K); none for hard ones.
    pub label_gradient: Option<Tensor>,
    /// ‖gradient‖ (scalar).
    pub norm: Tensor,
    pub(super) balance_factor: f64,
    pub(super) matching: Matching,
    pub(super) lr_gradient: Tensor,
    /// Those of the perturbation.
    pub(super) perturbation: Tensor,
}

impl Found {
    /// Waits for the device and reads all numbers at once, with `others` (scalars) in float64.
    pub fn read(self, others: &[&Tensor]) -> (Outcome, Vec<f64>) {
        let (mut outcomes, others) = Self::read_all(vec![self], others);
        (outcomes.remove(0), others)
    }

    /// As [`Self::read`], for several at once.
    pub fn read_all(all: Vec<Self>, others: &[&Tensor]) -> (Vec<Outcome>, Vec<f64>) {
        let exact = |t: &Tensor| t.to_kind(Kind::Double);
        let numbers: Vec<[Tensor; 3]> = all.iter().map(Self::numbers).collect();
        let mut parts: Vec<Tensor> = numbers
            .iter()
            .flatten()
            .map(Tensor::shallow_clone)
            .collect();
        parts.extend(others.iter().map(|other| exact(other).view([1])));
        let mut values = to_vec(&Tensor::cat(&parts, 0)).into_iter();
        let mut next = |n: usize| -> Vec<f64> { values.by_ref().take(n).collect() };
        let outcomes = all.into_iter().zip(&numbers).map(|(found, numbers)| {
            let [scalars, distances, moved] = numbers.each_ref().map(|part| next(part.numel()));
            found.with(&scalars, &distances, &moved)
        });
        (outcomes.collect(), next(others.len()))
    }

    /// Scalars, distances to the expert's last checkpoint, and numbers of the perturbation, all in float64.
    fn numbers(&self) -> [Tensor; 3] {
        let matching = &self.matching;
        let mut scalars = vec![
            &matching.total,
            &matching.final_ratio,
            &matching.reach,
            &matching.alignment,
            &matching.curvature,
            &self.lr_gradient,
            &self.norm,
        ];
        scalars.extend(&matching.intermediate);
        [
            Tensor::stack(&scalars, 0).to_kind(Kind::Double),
            matching.distances.to_kind(Kind::Double),
            self.perturbation.shallow_clone(),
        ]
    }

    /// With the values of its numbers.
    fn with(self, scalars: &[f64], distances: &[f64], moved: &[f64]) -> Outcome {
        Outcome {
            matching_loss: scalars[0],
            final_ratio: scalars[1],
            reach: scalars[2],
            alignment: scalars[3],
            curvature: scalars[4],
            lr_gradient: scalars[5],
            image_gradient: scalars[6],
            intermediate: scalars[7..].to_vec(),
            nearest: nearest(distances) as f64,
            balance_factor: self.balance_factor,
            perturbation: PerturbationStatistics::of(moved),
            gradient: self.gradient,
            label_gradient: self.label_gradient,
        }
    }
}

/// What one iteration found.
#[derive(Debug)]
pub struct Outcome {
    pub matching_loss: f64,
    pub final_ratio: f64,
    pub intermediate: Vec<f64>,
    pub reach: f64,
    pub alignment: f64,
    pub balance_factor: f64,
    pub perturbation: PerturbationStatistics,
    /// ∂ matching loss / ∂ synthetic images (n, C, H, W).
    pub gradient: Tensor,
    /// ∂ matching loss / ∂ soft labels (n, K); none for hard ones.
    pub label_gradient: Option<Tensor>,
    /// ‖gradient‖.
    pub image_gradient: f64,
    /// ∂ matching loss / ∂ α.
    pub lr_gradient: f64,
    /// 2 Σ_j w_j ρ_j² over the matched epochs j, with their weights and reaches: the Gauss-Newton
    /// curvature of the matching loss in ln α.
    pub curvature: f64,
    /// The student step after which it is nearest to the expert's last checkpoint.
    pub nearest: f64,
}
