//! Matching loss: how far the student still is from the expert's later checkpoints, as a share of
//! the distance that it started from.

use astill_core::profile::Intermediate;
use tch::{Kind, Tensor};

/// After how many of the N = `syn_steps` student steps the student is compared with expert epoch t
/// + j, for j = 1 … M − 1.
pub fn intermediate_steps(syn_steps: usize, expert_epochs: usize) -> Vec<usize> {
    (1..expert_epochs)
        .map(|j| syn_steps / expert_epochs * j)
        .collect()
}

/// The matching loss of one iteration with its derivative at the student points where it is taken.
#[derive(Debug)]
pub struct Matching {
    /// Final ratio plus weighted intermediate ratios (scalar).
    pub total: Tensor,
    /// ‖θ_N − θ*_{t+M}‖² / ‖θ_0 − θ*_{t+M}‖² (scalar).
    pub final_ratio: Tensor,
    /// The unweighted intermediate ratios, M − 1 or none.
    pub intermediate: Vec<Tensor>,
    /// ∂total/∂θ_i (P) for every student point i that enters the loss; the last entry is i = N.
    pub derivatives: Vec<(usize, Tensor)>,
    /// ‖θ_N − θ_0‖ / ‖θ*_{t+M} − θ_0‖: did the student go far enough?
    pub reach: Tensor,
    /// cos(θ_N − θ_0, θ*_{t+M} − θ_0): did it go the right way? final_ratio = 1 − 2 · reach ·
    /// alignment + reach².
    pub alignment: Tensor,
}

/// Compares the student points θ_0 … θ_N (θ_0 perturbed) with the expert's checkpoints θ*_{t+1} …
/// θ*_{t+M}.
///
/// A normaliser that is zero, or too small to divide by, counts as the smallest normal number of
/// its kind, so that a ratio is huge but never a division by zero. Source: arXiv 2310.10541; MTT,
/// arXiv 2203.11932.
pub fn matching_loss(
    students: &[Tensor],
    targets: &[Tensor],
    intermediate: Intermediate,
) -> Matching {
    let (syn_steps, expert_epochs) = (students.len() - 1, targets.len());
    let (start, end, target) = (
        &students[0],
        &students[syn_steps],
        &targets[expert_epochs - 1],
    );
    let smallest = if start.kind() == Kind::Double {
        f64::MIN_POSITIVE
    } else {
        f32::MIN_POSITIVE as f64
    };
    let square = |t: &Tensor| t.dot(t);
    let ratio = |student: &Tensor, target: &Tensor, weight: f64| {
        let difference = student - target;
        let normaliser = square(&(start - target)).clamp_min(smallest);
        (
            square(&difference) / &normaliser,
            difference * (2. * weight) / normaliser,
        )
    };
    let mut total = Tensor::zeros([], (start.kind(), start.device()));
    let (mut ratios, mut derivatives) = (Vec::new(), Vec::new());
    if intermediate != Intermediate::Off {
        for (j, step) in (1..).zip(intermediate_steps(syn_steps, expert_epochs)) {
            let weight = if intermediate == Intermediate::Sum {
                1.
            } else {
                j as f64 / expert_epochs as f64
            };
            let (value, derivative) = ratio(&students[step], &targets[j - 1], weight);
            total += &value * weight;
            ratios.push(value);
            derivatives.push((step, derivative));
        }
    }
    let (final_ratio, derivative) = ratio(end, target, 1.);
    total += &final_ratio;
    derivatives.push((syn_steps, derivative));

    let (moved, wanted) = (end - start, target - start);
    let (moved_length, wanted_length) = (moved.norm(), wanted.norm().clamp_min(smallest));
    let alignment = moved.dot(&wanted) / (&moved_length * &wanted_length).clamp_min(smallest);
    Matching {
        total,
        final_ratio,
        intermediate: ratios,
        derivatives,
        reach: moved_length / wanted_length,
        alignment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_student_is_compared_at_equal_shares_of_its_steps() {
        assert_eq!(intermediate_steps(20, 2), [10]);
        assert_eq!(intermediate_steps(8, 3), [2, 4]);
        assert_eq!(intermediate_steps(5, 1), [0; 0]);
    }

    #[test]
    fn reach_and_alignment_explain_the_final_ratio() {
        let point = |values: [f64; 3]| Tensor::from_slice(&values);
        let students = [point([0., 0., 1.]), point([1., 2., 0.5])];
        let m = matching_loss(&students, &[point([2., 1., 4.])], Intermediate::Sum);
        let (reach, alignment) = (m.reach.double_value(&[]), m.alignment.double_value(&[]));
        assert!(
            (m.final_ratio.double_value(&[]) - (1. - 2. * reach * alignment + reach * reach)).abs()
                < 1e-12
        );
    }

    #[test]
    fn a_start_on_the_target_gives_a_finite_loss() {
        let p = Tensor::from_slice(&[1f32, 2.]);
        let m = matching_loss(
            &[p.shallow_clone(), p.shallow_clone()],
            &[p],
            Intermediate::Off,
        );
        assert_eq!(m.total.double_value(&[]), 0.);
    }
}
