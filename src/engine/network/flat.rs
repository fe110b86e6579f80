//! The flat parameter vector of a network, seen as the tensors of its layers.

use crate::random;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

/// How the numbers of a tensor are drawn: as PyTorch initialises its layers by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drawn {
    /// U(−1/√fan_in, 1/√fan_in), with the inputs per output of the layer: weights and biases of
    /// convolutions and linear layers.
    Uniform { fan_in: i64 },
    /// Weights of normalisations.
    Ones,
    /// Biases of normalisations.
    Zeros,
}

/// One tensor of the flat vector.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub shape: Vec<i64>,
    pub drawn: Drawn,
}

/// The tensors that make up a flat vector, in order.
#[derive(Debug, Clone)]
pub(super) struct FlatShapes {
    parameters: Vec<Parameter>,
    sizes: Vec<i64>,
}

impl FlatShapes {
    pub fn new(parameters: Vec<Parameter>) -> Self {
        let size = |parameter: &Parameter| parameter.shape.iter().product();
        let sizes = parameters.iter().map(size).collect();
        Self { parameters, sizes }
    }

    /// P, the length of the flat vector.
    pub fn parameters(&self) -> i64 {
        self.sizes.iter().sum()
    }

    /// The shape of every tensor.
    pub fn shapes(&self) -> Vec<Vec<i64>> {
        self.parameters.iter().map(|p| p.shape.clone()).collect()
    }

    /// The flat vector (P) as one view per tensor.
    pub fn unflatten(&self, flat: &Tensor) -> Vec<Tensor> {
        let stretches = flat.split_with_sizes(&self.sizes, 0);
        stretches
            .iter()
            .zip(&self.parameters)
            .map(|(stretch, parameter)| stretch.view(parameter.shape.as_slice()))
            .collect()
    }

    /// A fresh flat vector (P), f32 on the CPU.
    pub fn init(&self, rng: &mut ChaCha8Rng) -> Tensor {
        let draw = |(parameter, &n): (&Parameter, &i64)| match parameter.drawn {
            Drawn::Ones => Tensor::ones([n], (Kind::Float, Device::Cpu)),
            Drawn::Zeros => Tensor::zeros([n], (Kind::Float, Device::Cpu)),
            Drawn::Uniform { fan_in } => {
                (random::uniform(rng, n as usize) * 2. - 1.) / (fan_in as f64).sqrt()
            }
        };
        let parts: Vec<Tensor> = self.parameters.iter().zip(&self.sizes).map(draw).collect();
        Tensor::cat(&parts, 0)
    }

    /// The weights of the convolutions, as views (C', C, H, W).
    pub fn conv_weights(&self, flat: &Tensor) -> Vec<Tensor> {
        let tensors = self.unflatten(flat).into_iter();
        tensors.filter(|t| t.dim() == 4).collect()
    }

    /// The flat vector (P) for mirrored images: kernels, the affine maps of layer norm, and the
    /// columns of the linear layer, which sees maps of `last_side`, are flipped.
    pub fn mirrored(&self, theta: &Tensor, last_side: i64) -> Tensor {
        let mirror = |part: &Tensor| match part.size()[..] {
            [classes, features] => {
                let channels = features / (last_side * last_side);
                let maps = part.view([classes, channels, last_side, last_side]);
                maps.flip([3]).reshape([-1])
            }
            [_, _, _] | [_, _, _, _] => part.flip([-1]).reshape([-1]),
            _ => part.reshape([-1]),
        };
        let parts: Vec<Tensor> = self.unflatten(theta).iter().map(mirror).collect();
        Tensor::cat(&parts, 0)
    }
}
