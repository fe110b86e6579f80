//! Weight perturbation: the student starts near the expert's checkpoint, not on it.

use crate::network::ConvNet;
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
pub fn perturb(net: &ConvNet, theta: &Tensor, noise: &Tensor, strength: f64) -> Tensor {
    let moved: Vec<Tensor> = net
        .unflatten(theta)
        .iter()
        .zip(net.unflatten(noise))
        .zip(net.conv_weights())
        .map(|((w, d), is_conv)| match is_conv {
            true => (w + strength * (&d / d.norm()) * w).flatten(0, -1),
            false => w.flatten(0, -1),
        })
        .collect();
    Tensor::cat(&moved, 0)
}

/// Statistics of a perturbation from `theta` to `moved`, both (P); waits for the device.
pub fn statistics(net: &ConvNet, theta: &Tensor, moved: &Tensor) -> PerturbationStatistics {
    let relative = |a: &Tensor, b: &Tensor| (b - a).norm() / a.norm().clamp_min(f64::MIN_POSITIVE);
    let mut all = vec![relative(theta, moved)];
    let (before, after) = (net.unflatten(theta), net.unflatten(moved));
    for ((a, b), is_conv) in before.iter().zip(&after).zip(net.conv_weights()) {
        if is_conv {
            all.push(relative(a, b));
        }
    }
    let mut numbers = super::to_vec(&Tensor::stack(&all, 0).to_kind(Kind::Double)).into_iter();
    PerturbationStatistics {
        relative: numbers.next().unwrap_or(0.),
        per_layer: numbers.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Norm, Pooling};
    use crate::random;

    #[test]
    fn only_convolution_weights_move_and_by_the_size_of_the_noise() {
        let net = ConvNet::new(
            3,
            10,
            8,
            2,
            16,
            Norm::Instance,
            Activation::Relu,
            Pooling::Avg,
        )
        .expect("fits");
        let mut rng = random::generator(0, "test", &[]);
        let theta = net.init(&mut rng);
        let noise = random::normal(&mut rng, net.parameters() as usize);
        let moved = perturb(&net, &theta, &noise, 1.0);
        for ((a, b), is_conv) in net
            .unflatten(&theta)
            .iter()
            .zip(net.unflatten(&moved))
            .zip(net.conv_weights())
        {
            assert_eq!(a.equal(&b), !is_conv);
        }
        let statistics = statistics(&net, &theta, &moved);
        assert_eq!(statistics.per_layer.len(), 2);
        assert!(
            statistics.relative > 0. && statistics.per_layer.iter().all(|r| *r > 0. && *r < 1.)
        );
        assert!(perturb(&net, &theta, &noise, 0.0).equal(&theta));
    }
}
