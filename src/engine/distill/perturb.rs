//! Weight perturbation: the student starts near the expert's checkpoint, not on it.

use crate::network::Network;
use tch::{Kind, Tensor};

/// How far a perturbation moved the starting point, as ‖moved − original‖ / ‖original‖.
#[derive(Debug, Clone, PartialEq)]
pub struct PerturbationStatistics {
    /// Over the whole parameter vector.
    pub relative: f64,
    /// Over every convolution's weight, first layer first.
    pub per_layer: Vec<f64>,
}

/// Every convolution weight w becomes w + a · (d / ‖d‖_F) ⊙ w; all else stays.
///
/// `theta` and `noise` are flat vectors (P), `noise` standard normal (only its convolution parts
/// are used), `strength` is a ≥ 0. Source: arXiv 2310.10541, weight perturbation.
pub fn perturb(net: &dyn Network, theta: &Tensor, noise: &Tensor, strength: f64) -> Tensor {
    let moved = theta.copy();
    let weights = net.conv_weights(&moved).into_iter();
    for (mut w, d) in weights.zip(net.conv_weights(noise)) {
        let new = &w + strength * (&d / d.norm()) * &w;
        w.copy_(&new);
    }
    moved
}

/// The numbers of the [`PerturbationStatistics`] of a perturbation from `theta` to `moved`, both (P), in
/// float64.
pub fn numbers(net: &dyn Network, theta: &Tensor, moved: &Tensor) -> Tensor {
    let relative = |a: &Tensor, b: &Tensor| (b - a).norm() / a.norm().clamp_min(f64::MIN_POSITIVE);
    let mut all = vec![relative(theta, moved)];
    let layers = net.conv_weights(theta).into_iter();
    all.extend(
        layers
            .zip(net.conv_weights(moved))
            .map(|(a, b)| relative(&a, &b)),
    );
    Tensor::stack(&all, 0).to_kind(Kind::Double)
}

impl PerturbationStatistics {
    /// Of the values of [`numbers`].
    #[must_use]
    pub fn of(numbers: &[f64]) -> Self {
        let (relative, per_layer) = numbers.split_first().unwrap_or((&0., &[]));
        Self {
            relative: *relative,
            per_layer: per_layer.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{ConvNet, ConvNetConfig};
    use crate::random;

    #[test]
    fn only_convolution_weights_move_and_by_the_size_of_the_noise() {
        let net = ConvNet::new(ConvNetConfig {
            width: 8,
            depth: 2,
            size: 16,
            ..ConvNetConfig::default()
        })
        .expect("fits");
        let mut rng = random::generator(0, "test", &[]);
        let theta = net.init(&mut rng);
        let noise = random::normal(&mut rng, net.parameters() as usize);
        let moved = perturb(&net, &theta, &noise, 1.0);
        let weights = net.conv_weights(&moved);
        assert_eq!(weights.len(), 2);
        for (a, mut b) in net.conv_weights(&theta).into_iter().zip(weights) {
            assert!(!a.equal(&b));
            b.copy_(&a);
        }
        // nothing else had moved
        assert!(moved.equal(&theta));
        let moved = perturb(&net, &theta, &noise, 1.0);
        let numbers = crate::distill::to_vec(&numbers(&net, &theta, &moved));
        let statistics = PerturbationStatistics::of(&numbers);
        assert_eq!(statistics.per_layer.len(), 2);
        assert!(
            statistics.relative > 0. && statistics.per_layer.iter().all(|r| *r > 0. && *r < 1.)
        );
        assert!(perturb(&net, &theta, &noise, 0.0).equal(&theta));
    }
}
