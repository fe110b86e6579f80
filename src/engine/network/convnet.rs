//! The field's standard ConvNet: `depth` blocks of [conv 3×3, norm, activation, pool 2] and one
//! linear layer.

use super::analytic::{Analytic, CpuConvNet};
use super::blocks::{EPS, padding};
use super::flat::FlatShapes;
use super::{Network, NetworkSettings, Task};
use crate::random;
use astill_core::profile::{Activation, Norm, Pooling};
use astill_core::{Error, Result};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

const GROUPS: i64 = 4;

/// What one tensor of the flat parameter vector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    ConvWeight,
    NormWeight,
    NormBias,
    /// A bias of a convolution, or weight or bias of the linear layer.
    Other,
}

#[derive(Debug, Clone)]
struct Parameter {
    role: Role,
    /// Inputs per output of the layer that this tensor belongs to.
    fan_in: i64,
}

/// The settings of a [`ConvNet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvNetConfig {
    /// Of an image.
    pub channels: i64,
    /// K, the number of logits.
    pub classes: i64,
    /// Channels of every layer.
    pub width: i64,
    /// Blocks.
    pub depth: usize,
    /// Pixels of a side of an image. Grey images of 28×28 count as 32×32.
    pub size: i64,
    pub norm: Norm,
    pub activation: Activation,
    pub pooling: Pooling,
}

impl Default for ConvNetConfig {
    fn default() -> Self {
        Self {
            channels: 3,
            classes: 10,
            width: 128,
            depth: 3,
            size: 32,
            norm: Norm::Instance,
            activation: Activation::Relu,
            pooling: Pooling::Avg,
        }
    }
}

/// A ConvNet. Its flat vector has PyTorch's module order: for every block conv weight, conv bias,
/// norm weight, norm bias; then linear weight, linear bias.
///
/// Source: the ConvNet of the dataset-condensation line of work (DC, DSA, MTT, AST).
#[derive(Debug, Clone)]
pub struct ConvNet {
    config: ConvNetConfig,
    parameters: Vec<Parameter>,
    shapes: FlatShapes,
}

/// The ConvNet that a profile describes.
pub(super) fn build(settings: &NetworkSettings, task: Task) -> Result<Box<dyn Network>> {
    let config = ConvNetConfig {
        channels: task.channels,
        classes: task.classes,
        width: settings.width,
        depth: settings.depth,
        size: task.size,
        norm: settings.norm,
        activation: settings.activation,
        pooling: settings.pooling,
    };
    let net = ConvNet::new(config).ok_or_else(|| {
        Error::Usage(format!(
            "images of {0}×{0} pixels are too small for {1} blocks that each halve them",
            task.size, settings.depth
        ))
    })?;
    Ok(Box::new(net))
}

impl ConvNet {
    /// Needs `size >> depth ≥ 1` unless `pooling` is none; `None` otherwise.
    pub fn new(config: ConvNetConfig) -> Option<Self> {
        let ConvNetConfig {
            channels,
            classes,
            width,
            depth,
            size,
            norm,
            pooling,
            ..
        } = config;
        let (mut parameters, mut shapes) = (Vec::new(), Vec::new());
        let (mut side, mut fan) = (size, channels);
        let mut add = |role, shape: &[i64], fan_in| {
            parameters.push(Parameter { role, fan_in });
            shapes.push(shape.to_vec());
        };
        for _ in 0..depth {
            add(Role::ConvWeight, &[width, fan, 3, 3], fan * 9);
            add(Role::Other, &[width], fan * 9);
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
        add(Role::Other, &[classes, features], features);
        add(Role::Other, &[classes], features);
        Some(Self {
            config,
            parameters,
            shapes: FlatShapes::new(shapes),
        })
    }
}

impl ConvNet {
    /// The side of the maps that the linear layer sees.
    fn last_side(&self) -> i64 {
        let ConvNetConfig {
            size,
            depth,
            pooling,
            ..
        } = self.config;
        if pooling == Pooling::None {
            size
        } else {
            size >> depth
        }
    }
}

impl Network for ConvNet {
    fn parameters(&self) -> i64 {
        self.shapes.parameters()
    }

    fn classes(&self) -> i64 {
        self.config.classes
    }

    /// Drawn as PyTorch initialises these layers by default: weights and biases of convolutions and
    /// the linear layer U(−1/√fan_in, 1/√fan_in), norm weights 1, norm biases 0.
    fn init(&self, rng: &mut ChaCha8Rng) -> Tensor {
        let parts: Vec<Tensor> = self
            .parameters
            .iter()
            .zip(self.shapes.sizes())
            .map(|(parameter, &n)| match parameter.role {
                Role::NormWeight => Tensor::ones([n], (Kind::Float, Device::Cpu)),
                Role::NormBias => Tensor::zeros([n], (Kind::Float, Device::Cpu)),
                Role::ConvWeight | Role::Other => {
                    (random::uniform(rng, n as usize) * 2. - 1.) / (parameter.fan_in as f64).sqrt()
                }
            })
            .collect();
        Tensor::cat(&parts, 0)
    }

    /// The same in both modes: no layer uses statistics of the batch.
    fn forward(&self, theta: &Tensor, images: &Tensor) -> Tensor {
        let tensors = self.shapes.unflatten(theta);
        let mut tensors = tensors.iter();
        let mut next = || tensors.next().unwrap_or(theta);
        let mut x = images.shallow_clone();
        for block in 0..self.config.depth {
            let (w, b) = (next(), next());
            let padding = padding(block, w.size()[1]);
            // (N, width, side, side)
            x = x.conv2d(w, Some(b), [1, 1], [padding, padding], [1, 1], 1);
            if self.config.norm != Norm::None {
                let (weight, bias) = (Some(next()), Some(next()));
                x = match self.config.norm {
                    Norm::Layer => {
                        let shape = x.size()[1..].to_vec();
                        x.layer_norm(shape.as_slice(), weight, bias, EPS, true)
                    }
                    Norm::Group => x.group_norm(GROUPS, weight, bias, EPS, true),
                    _ => x.group_norm(self.config.width, weight, bias, EPS, true),
                };
            }
            x = match self.config.activation {
                Activation::Relu => x.relu(),
                Activation::LeakyRelu => x.leaky_relu(),
                Activation::Sigmoid => x.sigmoid(),
            };
            x = match self.config.pooling {
                Pooling::Avg => x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None),
                Pooling::Max => x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false),
                Pooling::None => x,
            };
        }
        let (w, b) = (next(), next());
        x.flatten(1, -1).linear(w, Some(b))
    }

    /// Kernels, the affine maps of layer norm, and the linear layer's columns are flipped. Exact
    /// where pooling leaves out no column.
    fn mirrored(&self, theta: &Tensor) -> Tensor {
        let parts: Vec<Tensor> = self
            .shapes
            .unflatten(theta)
            .iter()
            .map(|part| match part.size()[..] {
                [classes, features] => {
                    let side = self.last_side();
                    let maps = part.view([classes, features / (side * side), side, side]);
                    maps.flip([3]).reshape([-1])
                }
                [_, _, _] | [_, _, _, _] => part.flip([-1]).reshape([-1]),
                _ => part.reshape([-1]),
            })
            .collect();
        Tensor::cat(&parts, 0)
    }

    fn conv_weights(&self, flat: &Tensor) -> Vec<Tensor> {
        let tensors = self.shapes.unflatten(flat).into_iter();
        tensors
            .zip(&self.parameters)
            .filter(|(_, parameter)| parameter.role == Role::ConvWeight)
            .map(|(weight, _)| weight)
            .collect()
    }

    /// For instance norm, relu and average pooling, on the CPU.
    fn analytic(&self, images: &Tensor) -> Option<Box<dyn Analytic + '_>> {
        let ConvNetConfig {
            norm,
            activation,
            pooling,
            width,
            depth,
            ..
        } = self.config;
        let kind = matches!(images.kind(), Kind::Float | Kind::Double);
        let layers =
            norm == Norm::Instance && activation == Activation::Relu && pooling == Pooling::Avg;
        if images.device() != Device::Cpu || !kind || !layers || depth == 0 {
            return None;
        }
        Some(Box::new(CpuConvNet::new(&self.shapes, width, depth)))
    }
}
