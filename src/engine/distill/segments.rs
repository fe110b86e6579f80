//! The mean of an iteration's segments, in their order, whichever of them ended first.

use super::found::Outcome;
use super::perturb::PerturbationStatistics;
use tch::Tensor;

impl Outcome {
    /// The mean of what an iteration's segments found; none of no segments. That of one is itself. Of
    /// several, the length of the mean gradient is waited for.
    #[must_use]
    pub fn mean<'a>(of: impl IntoIterator<Item = &'a Outcome>) -> Option<Self> {
        let all: Vec<&Outcome> = of.into_iter().collect();
        let gradient = mean_tensor(&all.iter().map(|o| &o.gradient).collect::<Vec<_>>())?;
        let length = match all.as_slice() {
            [only] => only.image_gradient,
            _ => gradient.norm().double_value(&[]),
        };
        Self::mean_with(&all, (gradient, length))
    }

    /// The same with the mean of their gradients and its length, which are known already.
    #[must_use]
    pub fn mean_with(all: &[&Outcome], (gradient, image_gradient): (Tensor, f64)) -> Option<Self> {
        let first = *all.first()?;
        let mean = |number: fn(&Outcome) -> f64| mean_of(all.iter().map(|o| number(o)));
        let list = |numbers: fn(&Outcome) -> &[f64]| -> Vec<f64> {
            (0..numbers(first).len())
                .map(|i| {
                    mean_of(
                        all.iter()
                            .map(|o| numbers(o).get(i).copied().unwrap_or(f64::NAN)),
                    )
                })
                .collect()
        };
        let labels: Option<Vec<&Tensor>> = all.iter().map(|o| o.label_gradient.as_ref()).collect();
        Some(Self {
            matching_loss: mean(|o| o.matching_loss),
            final_ratio: mean(|o| o.final_ratio),
            intermediate: list(|o| &o.intermediate),
            reach: mean(|o| o.reach),
            alignment: mean(|o| o.alignment),
            balance_factor: mean(|o| o.balance_factor),
            perturbation: PerturbationStatistics {
                relative: mean(|o| o.perturbation.relative),
                per_layer: list(|o| &o.perturbation.per_layer),
            },
            gradient,
            label_gradient: labels.and_then(|labels| mean_tensor(&labels)),
            image_gradient,
            lr_gradient: mean(|o| o.lr_gradient),
            curvature: mean(|o| o.curvature),
            nearest: mean(|o| o.nearest),
        })
    }

    /// Whether an update by this would leave finite numbers behind.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        [self.matching_loss, self.image_gradient, self.lr_gradient]
            .iter()
            .all(|number| number.is_finite())
    }
}

fn mean_of(numbers: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = numbers.len() as f64;
    numbers.sum::<f64>() / count
}

/// The mean of tensors in their order; none of no tensors.
pub fn mean_tensor(of: &[&Tensor]) -> Option<Tensor> {
    let (first, others) = of.split_first()?;
    if others.is_empty() {
        return Some(first.shallow_clone());
    }
    let sum = others.iter().fold(first.copy(), |sum, next| sum + *next);
    Some(sum / of.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distill::to_vec;

    fn outcome(number: f64) -> Outcome {
        Outcome {
            matching_loss: number,
            final_ratio: number + 1.,
            intermediate: vec![number, 2. * number],
            reach: number,
            alignment: number,
            balance_factor: 1.,
            perturbation: PerturbationStatistics {
                relative: number,
                per_layer: vec![number; 3],
            },
            gradient: Tensor::from_slice(&[number, -number, 2.]),
            label_gradient: None,
            image_gradient: f64::NAN,
            lr_gradient: number,
            curvature: number,
            nearest: number,
        }
    }

    #[test]
    fn the_mean_of_segments_is_that_of_all_numbers_and_gradients() {
        let mean = Outcome::mean([&outcome(1.), &outcome(4.)]).expect("two");
        assert_eq!(to_vec(&mean.gradient), [2.5, -2.5, 2.]);
        assert_eq!(mean.image_gradient, (2. * 2.5_f64 * 2.5 + 4.).sqrt());
        assert_eq!((mean.matching_loss, mean.final_ratio), (2.5, 3.5));
        assert_eq!(mean.intermediate, [2.5, 5.]);
        assert_eq!(mean.perturbation.per_layer, [2.5; 3]);
        assert!(mean.is_finite() && mean.label_gradient.is_none());
        assert!(Outcome::mean([]).is_none());
        let with_nan = Outcome::mean([&outcome(1.), &outcome(f64::NAN)]).expect("two");
        assert!(!with_nan.is_finite());
    }
}
