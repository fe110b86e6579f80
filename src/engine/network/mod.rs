//! Networks over one flat parameter vector, and the register of those that a profile can name.

pub(crate) mod analytic;
mod blocks;
mod convnet;
mod flat;

pub use analytic::{
    Analytic, CachedForward, DirectionalDerivative, LossGradient, PIECE_THREAD, WeightedBatch,
};
pub use astill_core::profile::{Activation, Norm, Pooling};
pub(crate) use blocks::padding;
pub use convnet::{ConvNet, ConvNetConfig};

use astill_core::profile::{EvalNetwork, NetworkSettings};
use astill_core::{Error, Result};
use rand_chacha::ChaCha8Rng;
use std::fmt::Debug;
use tch::Tensor;

/// A network without its numbers: they come as one flat vector of P values.
///
/// All methods work on whole batches, so a call through the trait costs nothing beside the work.
pub trait Network: Debug {
    /// P, the length of the flat vector. It holds weights only: a network that keeps statistics of
    /// its batches, as batch norm does, has no place for them yet.
    fn parameters(&self) -> i64;

    /// K, the number of logits.
    fn classes(&self) -> i64;

    /// A fresh flat vector (P), f32 on the CPU.
    fn init(&self, rng: &mut ChaCha8Rng) -> Tensor;

    /// Images (N, C, H, W) and the flat vector `theta` (P), of the same kind and device → logits
    /// (N, K); differentiable with respect to both, twice.
    fn forward(&self, theta: &Tensor, images: &Tensor) -> Tensor;

    /// The weights of the convolutions in a flat vector (P), as views (C', C, H, W), first layer
    /// first.
    fn conv_weights(&self, flat: &Tensor) -> Vec<Tensor>;

    /// The network that does with images flipped left to right what `theta` (P) does with them as
    /// they are, as a flat vector (P).
    fn mirrored(&self, theta: &Tensor) -> Tensor;

    /// The derivatives of this network without autograd, if they are known for images of this shape
    /// and kind on this device.
    fn analytic(&self, _images: &Tensor) -> Option<Box<dyn Analytic + '_>> {
        None
    }
}

/// The size of a network's inputs and outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Of an image: 3, or 1 for grey ones.
    pub channels: i64,
    /// Pixels of a side of an image.
    pub size: i64,
    /// K.
    pub classes: i64,
}

type Build = fn(&NetworkSettings, Task) -> Result<Box<dyn Network>>;

/// Every network, by its name in a profile.
const REGISTER: &[(&str, Build)] = &[("convnet", convnet::build)];

/// The network of experts and students.
///
/// # Errors
/// The images are too small for the depth.
pub fn distilled_with(settings: &NetworkSettings, task: Task) -> Result<Box<dyn Network>> {
    let name = serde_json::json!(settings.kind);
    named(name.as_str().unwrap_or_default(), settings, task)
}

/// A network that judges a distilled set. Where it has the settings of the profile's network, such
/// as a width, it takes those.
///
/// # Errors
/// The images are too small for it.
pub fn evaluated_with(
    name: EvalNetwork,
    settings: &NetworkSettings,
    task: Task,
) -> Result<Box<dyn Network>> {
    named(&name.to_string(), settings, task)
}

fn named(name: &str, settings: &NetworkSettings, task: Task) -> Result<Box<dyn Network>> {
    let (_, build) = REGISTER
        .iter()
        .find(|(registered, _)| *registered == name)
        .ok_or_else(|| {
            let names: Vec<&str> = REGISTER.iter().map(|(name, _)| *name).collect();
            Error::Usage(format!(
                "found network {name}, expected one of: {}",
                names.join(", ")
            ))
        })?;
    build(settings, task)
}

#[cfg(test)]
mod tests {
    use super::*;
    use astill_core::profile::NetworkKind;

    const TASK: Task = Task {
        channels: 3,
        size: 16,
        classes: 4,
    };

    #[test]
    fn a_profile_can_judge_with_every_registered_network() {
        for (name, _) in REGISTER {
            let name: EvalNetwork =
                serde_json::from_value((*name).into()).expect("a profile knows it");
            let net = evaluated_with(name, &NetworkSettings::default(), TASK).expect("is built");
            assert_eq!(net.classes(), TASK.classes);
        }
    }

    #[test]
    fn every_network_that_a_profile_can_name_is_registered() {
        for name in NetworkKind::NAMES.iter().chain(EvalNetwork::NAMES) {
            let net = named(name, &NetworkSettings::default(), TASK).expect("is registered");
            assert_eq!(net.classes(), TASK.classes);
        }
    }

    #[test]
    fn a_name_that_nothing_is_registered_under_is_refused_with_the_names_there_are() {
        let refused = named("lenet", &NetworkSettings::default(), TASK).map(|_| ());
        let text = refused.expect_err("is unknown").to_string();
        assert!(text.contains("lenet") && text.contains("convnet"), "{text}");
    }

    #[test]
    fn images_too_small_for_the_depth_are_refused() {
        let tiny = Task { size: 4, ..TASK };
        let refused = distilled_with(&NetworkSettings::default(), tiny).map(|_| ());
        assert!(refused.is_err_and(|e| e.to_string().contains("too small for 3 blocks")));
    }
}
