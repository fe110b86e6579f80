//! Networks over one flat parameter vector, and the register of those that a profile can name.

mod alexnet;
pub(crate) mod analytic;
mod batch_norm;
mod blocks;
mod convnet;
mod flat;
mod layers;
mod resnet;
mod vgg;

pub use analytic::{
    Analytic, CachedForward, DirectionalDerivative, LossGradient, PIECE_THREAD, WORKING,
    WeightedBatch,
};
pub use astill_core::profile::{Activation, Norm, Pooling};
pub(crate) use blocks::padding;
pub use convnet::{ConvNet, ConvNetConfig};

use astill_core::profile::{NetworkKind, NetworkSettings};
use astill_core::{Error, Result};
use layers::MapNorm;
use rand_chacha::ChaCha8Rng;
use std::fmt::Debug;
use tch::{Device, Kind, Tensor};

/// Which statistics batch norm normalises with. Every other layer does the same in all modes.
#[derive(Debug, Clone, Copy)]
pub enum Mode<'a> {
    /// Those of the batch.
    Train,
    /// Those of the batch, which also move the running ones (S), in place.
    Track(&'a Tensor),
    /// The running ones (S).
    Test(&'a Tensor),
}

/// All numbers of a trained network.
#[derive(Debug)]
pub struct Weights {
    /// The flat vector (P).
    pub theta: Tensor,
    /// The running statistics (S); empty without batch norm.
    pub running: Tensor,
}

impl Weights {
    /// Those of a fresh network, f32 on the CPU.
    pub fn fresh(net: &dyn Network, rng: &mut ChaCha8Rng) -> Self {
        Self {
            theta: net.init(rng),
            running: net.init_running(),
        }
    }

    pub fn to_device(&self, device: Device) -> Self {
        Self {
            theta: self.theta.to_device(device),
            running: self.running.to_device(device),
        }
    }

    /// Another handle to the same numbers.
    pub fn shallow_clone(&self) -> Self {
        Self {
            theta: self.theta.shallow_clone(),
            running: self.running.shallow_clone(),
        }
    }
}

/// A network without its numbers: they come as one flat vector of P values.
///
/// All methods work on whole batches, so a call through the trait costs nothing beside the work.
pub trait Network: Debug {
    /// P, the length of the flat vector of weights.
    fn parameters(&self) -> i64;

    /// The shapes of the tensors that make up the flat vector, in PyTorch's module order.
    fn shapes(&self) -> Vec<Vec<i64>>;

    /// K, the number of logits.
    fn classes(&self) -> i64;

    /// A fresh flat vector (P), f32 on the CPU.
    fn init(&self, rng: &mut ChaCha8Rng) -> Tensor;

    /// The running statistics (S) of a network that has seen no batch yet, f32 on the CPU; empty
    /// without batch norm.
    fn init_running(&self) -> Tensor {
        Tensor::zeros([0], (Kind::Float, Device::Cpu))
    }

    /// Whether an image's logits depend on the other images of its batch, in training.
    fn has_batch_norm(&self) -> bool {
        self.init_running().numel() > 0
    }

    /// Images (N, C, H, W) and the flat vector `theta` (P), of the same kind and device → logits
    /// (N, K); differentiable with respect to both, twice.
    fn forward_in(&self, mode: Mode<'_>, theta: &Tensor, images: &Tensor) -> Tensor;

    /// [`Self::forward_in`] as in training.
    fn forward(&self, theta: &Tensor, images: &Tensor) -> Tensor {
        self.forward_in(Mode::Train, theta, images)
    }

    /// The logits (N, K) of a trained network in testing, without a graph: `analytic` is
    /// [`Self::analytic`] for these images.
    fn tested(
        &self,
        weights: &Weights,
        analytic: Option<&dyn Analytic>,
        images: &Tensor,
    ) -> Tensor {
        tch::no_grad(|| match analytic {
            Some(analytic) => analytic.logits(&weights.theta, images),
            None => self.forward_in(Mode::Test(&weights.running), &weights.theta, images),
        })
    }

    /// Outputs per image of every convolution, which determine time and memory.
    fn conv_outputs(&self) -> Vec<i64>;

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
const REGISTER: &[(NetworkKind, Build)] = &[
    (NetworkKind::Convnet, |settings, task| {
        convnet::build(settings.norm, settings, task)
    }),
    (NetworkKind::ConvnetBn, |settings, task| {
        convnet::build(Norm::Batch, settings, task)
    }),
    (NetworkKind::Resnet18, |_, task| {
        resnet::build(MapNorm::Instance, task)
    }),
    (NetworkKind::Resnet18Bn, |_, task| {
        resnet::build(MapNorm::Batch, task)
    }),
    (NetworkKind::Vgg11, |_, task| {
        vgg::build(MapNorm::Instance, task)
    }),
    (NetworkKind::Vgg11Bn, |_, task| {
        vgg::build(MapNorm::Batch, task)
    }),
    (NetworkKind::Alexnet, |_, task| alexnet::build(task)),
];

/// The network of this kind. Where it has the settings of a profile's section `network`, such as a
/// width, it takes those.
///
/// # Errors
/// The images are too small for it.
pub fn build(
    kind: NetworkKind,
    settings: &NetworkSettings,
    task: Task,
) -> Result<Box<dyn Network>> {
    let found = REGISTER.iter().find(|(registered, _)| *registered == kind);
    let (_, build) = found.ok_or_else(|| Error::Usage(format!("there is no network {kind}")))?;
    build(settings, task)
}

/// Of a network that needs images of at least `smallest` pixels a side.
fn too_small(name: &str, task: Task, smallest: i64) -> Error {
    Error::Usage(format!(
        "found dataset.size {}, but {name} needs images of at least {smallest}×{smallest} pixels; \
         raise dataset.size, or choose other networks",
        task.size
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    const TASK: Task = Task {
        channels: 3,
        size: 32,
        classes: 4,
    };

    #[test]
    fn every_network_that_a_profile_can_name_is_registered() -> Result<()> {
        assert_eq!(REGISTER.len(), NetworkKind::ALL.len());
        for kind in NetworkKind::ALL {
            let net = build(*kind, &NetworkSettings::default(), TASK)?;
            let numbers = |shape: &Vec<i64>| shape.iter().product::<i64>();
            assert_eq!(net.classes(), TASK.classes);
            assert_eq!(
                net.parameters(),
                net.shapes().iter().map(numbers).sum::<i64>()
            );
        }
        Ok(())
    }

    #[test]
    fn images_that_are_too_small_are_refused_with_the_size_that_is_needed() {
        for (kind, size) in [
            (NetworkKind::Resnet18, 15),
            (NetworkKind::Vgg11, 31),
            (NetworkKind::Alexnet, 7),
        ] {
            let of = |size| build(kind, &NetworkSettings::default(), Task { size, ..TASK });
            let refused = of(size).map(|_| ()).expect_err("is too small").to_string();
            assert!(refused.contains(&format!("at least {0}×{0}", size + 1)));
            assert!(of(size + 1).is_ok(), "{kind}");
        }
        let tiny = Task { size: 4, ..TASK };
        let refused = build(NetworkKind::Convnet, &NetworkSettings::default(), tiny).map(|_| ());
        assert!(refused.is_err_and(|e| e.to_string().contains("too small for 3 blocks")));
    }

    #[test]
    fn grey_and_larger_images_go_through_every_network() -> Result<()> {
        let mut rng = random::generator(0, "test", &[]);
        let settings = NetworkSettings {
            width: 4,
            ..NetworkSettings::default()
        };
        for (channels, size) in [(1, 28), (3, 48)] {
            let task = Task {
                channels,
                size,
                ..TASK
            };
            for kind in NetworkKind::ALL {
                let net = build(*kind, &settings, task)?;
                let images = random::normal(&mut rng, (2 * channels * size * size) as usize);
                let images = images.view([2, channels, size, size]);
                let logits = tch::no_grad(|| net.forward(&net.init(&mut rng), &images));
                assert_eq!(logits.size(), [2, TASK.classes], "{kind} {size}");
            }
        }
        Ok(())
    }

    #[test]
    fn mirrored_weights_see_mirrored_images_as_the_weights_see_the_images() -> Result<()> {
        let mut rng = random::generator(0, "test", &[]);
        for kind in [NetworkKind::Vgg11Bn, NetworkKind::Alexnet] {
            let net = build(kind, &NetworkSettings::default(), TASK)?;
            let theta = net.init(&mut rng).to_kind(Kind::Double);
            let images = random::normal(&mut rng, 2 * 3 * 32 * 32).view([2, 3, 32, 32]);
            let images = images.to_kind(Kind::Double);
            let mirrored = net.forward(&net.mirrored(&theta), &images.flip([3]));
            assert!(mirrored.allclose(&net.forward(&theta, &images), 1e-9, 1e-12, false));
        }
        Ok(())
    }
}
