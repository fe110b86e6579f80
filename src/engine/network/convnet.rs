//! The field's standard ConvNet: `depth` blocks of [conv 3×3, norm, activation, pool 2] and one
//! linear layer.

use crate::random;
use astill_core::profile::{Activation, Norm, Pooling};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

pub(super) const EPS: f64 = 1e-5;
const GROUPS: i64 = 4;

/// What one stretch of the flat parameter vector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    ConvWeight,
    ConvBias,
    NormWeight,
    NormBias,
    LinearWeight,
    LinearBias,
}

#[derive(Debug, Clone)]
struct Part {
    role: Role,
    shape: Vec<i64>,
    /// Inputs per output of the layer that this part belongs to.
    fan_in: i64,
}

/// A ConvNet without its numbers: they come as one flat vector of `parameters()` values, in
/// PyTorch's module order (for every block conv weight, conv bias, norm weight, norm bias; then
/// linear weight, linear bias).
///
/// Source: the ConvNet of the dataset-condensation line of work (DC, DSA, MTT, AST).
#[derive(Debug, Clone)]
pub struct ConvNet {
    pub(super) norm: Norm,
    pub(super) activation: Activation,
    pub(super) pooling: Pooling,
    pub(super) width: i64,
    pub(super) depth: usize,
    classes: i64,
    parts: Vec<Part>,
    sizes: Vec<i64>,
}

impl ConvNet {
    /// `channels` and `size` (pixels of a side) of the image, `classes` of the output. Grey images
    /// of 28×28 count as 32×32: the first layer pads a single channel by 3.
    ///
    /// Needs `size >> depth ≥ 1` unless `pooling` is none; `None` otherwise.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        channels: i64,
        classes: i64,
        width: i64,
        depth: usize,
        size: i64,
        norm: Norm,
        activation: Activation,
        pooling: Pooling,
    ) -> Option<Self> {
        let (mut parts, mut side, mut fan) = (Vec::new(), size, channels);
        let mut add = |role, shape: &[i64], fan_in| {
            parts.push(Part {
                role,
                shape: shape.to_vec(),
                fan_in,
            })
        };
        for _ in 0..depth {
            add(Role::ConvWeight, &[width, fan, 3, 3], fan * 9);
            add(Role::ConvBias, &[width], fan * 9);
            let affine: &[i64] = if norm == Norm::Layer {
                &[width, side, side]
            } else {
                &[width]
            };
            if norm != Norm::None {
                add(Role::NormWeight, affine, 0);
                add(Role::NormBias, affine, 0);
            }
            if pooling != Pooling::None {
                side /= 2;
            }
            fan = width;
        }
        let features = fan * side * side;
        if features < 1 {
            return None;
        }
        add(Role::LinearWeight, &[classes, features], features);
        add(Role::LinearBias, &[classes], features);
        let sizes = parts.iter().map(|p| p.shape.iter().product()).collect();
        Some(Self {
            norm,
            activation,
            pooling,
            width,
            depth,
            classes,
            parts,
            sizes,
        })
    }

    /// P, the length of the flat parameter vector.
    pub fn parameters(&self) -> i64 {
        self.sizes.iter().sum()
    }

    /// K, the number of logits.
    pub fn classes(&self) -> i64 {
        self.classes
    }

    /// The flat vector (P) as one view per layer part, in order.
    pub fn unflatten(&self, theta: &Tensor) -> Vec<Tensor> {
        let parts = theta.split_with_sizes(&self.sizes, 0);
        parts
            .iter()
            .zip(&self.parts)
            .map(|(t, p)| t.view(p.shape.as_slice()))
            .collect()
    }

    /// For each part of `unflatten`, whether it is the weight of a convolution.
    pub fn conv_weights(&self) -> impl Iterator<Item = bool> {
        self.parts.iter().map(|p| p.role == Role::ConvWeight)
    }

    /// A fresh parameter vector (P), f32 on the CPU, drawn as PyTorch initialises these layers by
    /// default: weights and biases of convolutions and the linear layer U(−1/√fan_in, 1/√fan_in),
    /// norm weights 1, norm biases 0.
    pub fn init(&self, rng: &mut ChaCha8Rng) -> Tensor {
        let parts: Vec<Tensor> = self
            .parts
            .iter()
            .zip(&self.sizes)
            .map(|(p, &n)| match p.role {
                Role::NormWeight => Tensor::ones([n], (Kind::Float, tch::Device::Cpu)),
                Role::NormBias => Tensor::zeros([n], (Kind::Float, tch::Device::Cpu)),
                _ => (random::uniform(rng, n as usize) * 2. - 1.) / (p.fan_in as f64).sqrt(),
            })
            .collect();
        Tensor::cat(&parts, 0)
    }

    /// Images (N, C, H, W) and parameters (P) of the same kind and device → logits (N, K).
    pub fn forward(&self, theta: &Tensor, images: &Tensor) -> Tensor {
        let parts = self.unflatten(theta);
        let mut part = parts.iter();
        let mut next = || part.next().unwrap_or(theta);
        let mut x = images.shallow_clone();
        for block in 0..self.depth {
            let (w, b) = (next(), next());
            let padding = if block == 0 && w.size()[1] == 1 { 3 } else { 1 };
            // (N, width, side, side)
            x = x.conv2d(w, Some(b), [1, 1], [padding, padding], [1, 1], 1);
            if self.norm != Norm::None {
                let (weight, bias) = (Some(next()), Some(next()));
                x = match self.norm {
                    Norm::Layer => {
                        let shape = x.size()[1..].to_vec();
                        x.layer_norm(shape.as_slice(), weight, bias, EPS, true)
                    }
                    Norm::Group => x.group_norm(GROUPS, weight, bias, EPS, true),
                    _ => x.group_norm(self.width, weight, bias, EPS, true),
                };
            }
            x = match self.activation {
                Activation::Relu => x.relu(),
                Activation::LeakyRelu => x.leaky_relu(),
                Activation::Sigmoid => x.sigmoid(),
            };
            x = match self.pooling {
                Pooling::Avg => x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None),
                Pooling::Max => x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false),
                Pooling::None => x,
            };
        }
        let (w, b) = (next(), next());
        x.flatten(1, -1).linear(w, Some(b))
    }
}
