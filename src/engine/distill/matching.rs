//! Matching loss: how far the student still is from the expert's later checkpoints, as a share of
//! the distance that it started from.

use astill_core::profile::{Intermediate, MatchAt};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// After how many of the N = `syn_steps` student steps the student is compared with expert epoch t
/// + j, for j = 1 … M − 1.
pub fn intermediate_steps(syn_steps: usize, expert_epochs: usize) -> Vec<usize> {
    (1..expert_epochs)
        .map(|j| syn_steps / expert_epochs * j)
        .collect()
}

/// How the student is compared with the expert.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MatchingOptions {
    pub intermediate: Intermediate,
    pub at: MatchAt,
    /// The share of the parameters that a ratio leaves out, in [0, 1): those that differ least.
    pub drop: f64,
}

impl MatchingOptions {
    /// The end point alone, and all parameters.
    pub const END: Self = Self {
        intermediate: Intermediate::Off,
        at: MatchAt::End,
        drop: 0.,
    };
}

/// The matching loss of one iteration with its derivative at the student points where it is taken.
#[derive(Debug)]
pub struct Matching {
    /// Final ratio plus weighted intermediate ratios (scalar).
    pub total: Tensor,
    /// ‖θ_i − θ*_{t+M}‖² / ‖θ_0 − θ*_{t+M}‖² (scalar), with i = N or the nearest point.
    pub final_ratio: Tensor,
    /// The unweighted intermediate ratios, M − 1 or none.
    pub intermediate: Vec<Tensor>,
    /// ∂total/∂θ_i (P) for every student point i that enters the loss; the last entry is that of
    /// the final ratio.
    pub derivatives: Vec<(usize, Tensor)>,
    /// ‖θ_i − θ_0‖ / ‖θ*_{t+M} − θ_0‖: did the student go far enough?
    pub reach: Tensor,
    /// cos(θ_i − θ_0, θ*_{t+M} − θ_0): did it go the right way? final_ratio = 1 − 2 · reach ·
    /// alignment + reach².
    pub alignment: Tensor,
    /// 2 Σ_j w_j ρ_j² (scalar) over the matched epochs j with their weights w_j and reaches ρ_j: the
    /// Gauss-Newton curvature of the total in ln α.
    pub curvature: Tensor,
    /// Σ_j w_j a_j ρ_j (scalar), with alignments a_j: with the curvature, the best factor of α.
    pub along: Tensor,
    /// How far the points 1 … N are from θ*_{t+M} (N), by the sum of absolute differences.
    pub distances: Tensor,
}

/// One ratio ‖θ − θ*‖² / ‖θ_0 − θ*‖² with what explains it (scalars), and its derivative (P).
struct Ratio {
    value: Tensor,
    derivative: Tensor,
    reach: Tensor,
    alignment: Tensor,
}

/// Compares the student points θ_0 … θ_N (θ_0 perturbed) with the expert's checkpoints θ*_{t+1} …
/// θ*_{t+M}.
///
/// A ratio that leaves parameters out does so in numerator and denominator, and in reach and
/// alignment, so that its identity holds; each ratio chooses them by its own differences. A
/// normaliser that is zero, or too small to divide by, counts as the smallest normal number of its
/// kind, so that a ratio is huge but never a division by zero. Source: arXiv 2310.10541; MTT, arXiv
/// 2203.11932; the nearest point: ATT, arXiv 2407.14245; parameters left out: PAD, arXiv 2408.03360.
pub fn matching_loss(
    students: &[Tensor],
    targets: &[Tensor],
    options: MatchingOptions,
) -> Matching {
    let (syn_steps, expert_epochs) = (students.len() - 1, targets.len());
    let (start, target) = (&students[0], &targets[expert_epochs - 1]);
    let distances = distances(students, target);
    let end = match options.at {
        MatchAt::End => syn_steps,
        MatchAt::Nearest => nearest(&super::to_vec(&distances)),
    };
    let mut total = Tensor::zeros([], (start.kind(), start.device()));
    let [mut curvature, mut along] = [0, 1].map(|_| total.zeros_like());
    let (mut ratios, mut derivatives) = (Vec::new(), Vec::new());
    let mut add = |ratio: &Ratio, weight: f64| {
        total += &ratio.value * weight;
        curvature += ratio.reach.square() * (2. * weight);
        along += &ratio.reach * &ratio.alignment * weight;
    };
    if options.intermediate != Intermediate::Off {
        for (j, step) in (1..).zip(intermediate_steps(syn_steps, expert_epochs)) {
            let weight = if options.intermediate == Intermediate::Sum {
                1.
            } else {
                j as f64 / expert_epochs as f64
            };
            let found = ratio(start, &students[step], &targets[j - 1], options.drop);
            add(&found, weight);
            ratios.push(found.value);
            derivatives.push((step, found.derivative * weight));
        }
    }
    let found = ratio(start, &students[end], target, options.drop);
    add(&found, 1.);
    derivatives.push((end, found.derivative));
    Matching {
        total,
        final_ratio: found.value,
        intermediate: ratios,
        derivatives,
        reach: found.reach,
        alignment: found.alignment,
        curvature,
        along,
        distances,
    }
}

fn ratio(start: &Tensor, student: &Tensor, target: &Tensor, drop: f64) -> Ratio {
    let smallest = if start.kind() == Kind::Double {
        f64::MIN_POSITIVE
    } else {
        f64::from(f32::MIN_POSITIVE)
    };
    let square = |t: &Tensor| t.dot(t);
    let (mut difference, mut wanted) = (student - target, target - start);
    let mut moved = student - start;
    if let Some(kept) = kept(&difference, drop) {
        for vector in [&mut difference, &mut wanted, &mut moved] {
            *vector = &*vector * &kept;
        }
    }
    let normaliser = square(&wanted).clamp_min(smallest);
    let (moved_length, wanted_length) = (moved.norm(), wanted.norm().clamp_min(smallest));
    let alignment = moved.dot(&wanted) / (&moved_length * &wanted_length).clamp_min(smallest);
    Ratio {
        value: square(&difference) / &normaliser,
        derivative: difference * 2. / normaliser,
        reach: moved_length / wanted_length,
        alignment,
    }
}

/// 0 (P) for the share `drop` of the parameters with the smallest differences (P), 1 for the
/// others; none if none is left out.
fn kept(difference: &Tensor, drop: f64) -> Option<Tensor> {
    let dropped = (drop * difference.numel() as f64).floor() as i64;
    (dropped > 0).then(|| {
        let size = difference.abs();
        let (largest_dropped, _) = size.kthvalue(dropped, 0, false);
        size.gt_tensor(&largest_dropped).to_kind(difference.kind())
    })
}

/// How far `students` but the first are from `target`, by the sum of absolute differences. Costs three
/// passes over a vector (P) per point, about two dot products: under 1 % of an iteration with an image
/// per class on the CPU.
fn distances(students: &[Tensor], target: &Tensor) -> Tensor {
    let distances: Vec<Tensor> = students[1..]
        .iter()
        .map(|student| {
            let mut difference = student.detach() - target;
            let _ = difference.abs_();
            difference.sum(None::<Kind>)
        })
        .collect();
    Tensor::stack(&distances, 0)
}

/// Which of the points 1 … N has the smallest of these [`Matching::distances`]; the last of several.
/// Source: ATT, arXiv 2407.14245, which leaves the start out too.
#[must_use]
pub fn nearest(distances: &[f64]) -> usize {
    (1..)
        .zip(distances)
        .fold((0, f64::INFINITY), |best, (point, distance)| {
            match *distance <= best.1 {
                true => (point, *distance),
                false => best,
            }
        })
        .0
        .max(1)
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
        for drop in [0., 0.4] {
            let options = MatchingOptions {
                drop,
                ..MatchingOptions::END
            };
            let m = matching_loss(&students, &[point([2., 1., 4.])], options);
            let (reach, alignment) = (m.reach.double_value(&[]), m.alignment.double_value(&[]));
            let expected = 1. - 2. * reach * alignment + reach * reach;
            assert!((m.final_ratio.double_value(&[]) - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn a_start_on_the_target_gives_a_finite_loss() {
        let p = Tensor::from_slice(&[1f32, 2.]);
        let m = matching_loss(
            &[p.shallow_clone(), p.shallow_clone()],
            &[p],
            MatchingOptions::END,
        );
        assert_eq!(m.total.double_value(&[]), 0.);
    }

    #[test]
    fn the_nearest_point_is_matched_where_that_is_asked_for() {
        let students = [0., 2., 3.5, 3.5, 9.].map(|x| Tensor::from_slice(&[x, 0.]));
        let target = [Tensor::from_slice(&[4., 0.])];
        let at = |at| {
            let options = MatchingOptions {
                at,
                ..MatchingOptions::END
            };
            let m = matching_loss(&students, &target, options);
            let point = m.derivatives.last().map(|(point, _)| *point);
            let nearest = nearest(&super::super::to_vec(&m.distances));
            (m.final_ratio.double_value(&[]), point, nearest)
        };
        assert_eq!(at(MatchAt::End), (25. / 16., Some(4), 3));
        assert_eq!(at(MatchAt::Nearest), (0.25 / 16., Some(3), 3));
    }

    #[test]
    fn the_parameters_that_differ_least_are_left_out() {
        let students = [[0., 0., 0., 0.], [1., 1., 1., 1.]].map(|p| Tensor::from_slice(&p));
        let options = MatchingOptions {
            drop: 0.5,
            ..MatchingOptions::END
        };
        // differences 0.5, -3, 0.25 and 2: the second and the fourth count
        let target = [Tensor::from_slice(&[0.5, 4., 0.75, -1.])];
        let m = matching_loss(&students, &target, options);
        assert!((m.final_ratio.double_value(&[]) - 13. / 17.).abs() < 1e-12);
        let derivative = super::super::to_vec(&m.derivatives[0].1);
        assert_eq!(derivative, [0., -6. / 17., 0., 4. / 17.]);
    }
}
