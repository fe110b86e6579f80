//! The field's standard ConvNet: `depth` blocks of [conv 3×3, norm, activation, pool 2] and one
//! linear layer.

use super::analytic::{Analytic, CpuConvNet, GpuConvNet};
use super::batch_norm::BatchNorm;
use super::blocks::{EPS, padding};
use super::flat::{Drawn, FlatShapes, Parameter};
use super::{Mode, Network, NetworkSettings, Task};
use crate::kernels::{self, Kernels};
use astill_core::profile::{Activation, Norm, Pooling};
use astill_core::{Error, Result};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

const GROUPS: i64 = 4;

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
    /// Pixels of a side of an image.
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
    shapes: FlatShapes,
    /// One per block; none with another norm.
    batch_norms: Vec<BatchNorm>,
}

/// The side of the maps of the first convolution.
fn first_side(channels: i64, size: i64) -> i64 {
    size + 2 * (padding(0, channels) - 1)
}

/// The ConvNet that a profile describes, with this norm.
pub(super) fn build(
    norm: Norm,
    settings: &NetworkSettings,
    task: Task,
) -> Result<Box<dyn Network>> {
    let config = ConvNetConfig {
        channels: task.channels,
        classes: task.classes,
        width: settings.width,
        depth: settings.depth,
        size: task.size,
        norm,
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
        let mut parameters = Vec::new();
        let (mut side, mut fan) = (first_side(channels, size), channels);
        let mut add = |shape: &[i64], drawn| {
            let shape = shape.to_vec();
            parameters.push(Parameter { shape, drawn });
        };
        for _ in 0..depth {
            let drawn = Drawn::Uniform { fan_in: fan * 9 };
            add(&[width, fan, 3, 3], drawn);
            add(&[width], drawn);
            let affine: &[i64] = if norm == Norm::Layer {
                &[width, side, side]
            } else {
                &[width]
            };
            if norm != Norm::None {
                add(affine, Drawn::Ones);
                add(affine, Drawn::Zeros);
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
        let drawn = Drawn::Uniform { fan_in: features };
        add(&[classes, features], drawn);
        add(&[classes], drawn);
        let batch_norms = match norm {
            Norm::Batch => BatchNorm::in_a_row(&vec![width; depth]),
            _ => Vec::new(),
        };
        Some(Self {
            config,
            shapes: FlatShapes::new(parameters),
            batch_norms,
        })
    }
}

impl ConvNet {
    /// The side of the maps that the linear layer sees.
    fn last_side(&self) -> i64 {
        let ConvNetConfig {
            channels,
            size,
            depth,
            pooling,
            ..
        } = self.config;
        let first = first_side(channels, size);
        if pooling == Pooling::None {
            first
        } else {
            first >> depth
        }
    }
}

impl ConvNet {
    /// What follows the convolution of block number `block`.
    fn normalised(
        &self,
        block: usize,
        x: &Tensor,
        (scale, shift): (&Tensor, &Tensor),
        mode: Mode<'_>,
    ) -> Tensor {
        let in_groups = |groups| x.group_norm(groups, Some(scale), Some(shift), EPS, true);
        match self.config.norm {
            Norm::Layer => {
                let shape = x.size()[1..].to_vec();
                x.layer_norm(shape.as_slice(), Some(scale), Some(shift), EPS, true)
            }
            Norm::Batch => match self.batch_norms.get(block) {
                Some(norm) => norm.forward(x, (scale, shift), mode),
                None => x.shallow_clone(),
            },
            Norm::Group => in_groups(GROUPS),
            Norm::Instance => in_groups(self.config.width),
            Norm::None => x.shallow_clone(),
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

    fn shapes(&self) -> Vec<Vec<i64>> {
        self.shapes.shapes()
    }

    fn init(&self, rng: &mut ChaCha8Rng) -> Tensor {
        self.shapes.init(rng)
    }

    fn init_running(&self) -> Tensor {
        BatchNorm::init_running(&self.batch_norms)
    }

    fn forward_in(&self, mode: Mode<'_>, theta: &Tensor, images: &Tensor) -> Tensor {
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
                let affine = (next(), next());
                x = self.normalised(block, &x, affine, mode);
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

    /// Exact where pooling leaves out no column.
    fn mirrored(&self, theta: &Tensor) -> Tensor {
        self.shapes.mirrored(theta, self.last_side())
    }

    fn conv_weights(&self, flat: &Tensor) -> Vec<Tensor> {
        self.shapes.conv_weights(flat)
    }

    fn conv_outputs(&self) -> Vec<i64> {
        let ConvNetConfig {
            channels,
            width,
            size,
            depth,
            pooling,
            ..
        } = self.config;
        let first = first_side(channels, size);
        let side = |block: usize| match pooling {
            Pooling::None => first,
            Pooling::Avg | Pooling::Max => first >> block,
        };
        (0..depth).map(|b| width * side(b) * side(b)).collect()
    }

    /// For instance norm, relu and average pooling.
    fn analytic(&self, images: &Tensor) -> Option<Box<dyn Analytic + '_>> {
        if !self.is_analytic(images) {
            return None;
        }
        let ConvNetConfig { width, depth, .. } = self.config;
        match images.device() {
            Device::Cpu => Some(Box::new(CpuConvNet::new(&self.shapes, width, depth))),
            device => self.analytic_with(kernels::of(device)?, images),
        }
    }
}

impl ConvNet {
    /// [`Network::analytic`] with these kernels, which can work where the images are.
    pub fn analytic_with(
        &self,
        kernels: Arc<dyn Kernels>,
        images: &Tensor,
    ) -> Option<Box<dyn Analytic + '_>> {
        if !self.is_analytic(images) {
            return None;
        }
        let ConvNetConfig { width, depth, .. } = self.config;
        let (place, size) = ((images.kind(), images.device()), (width, depth));
        let net = GpuConvNet::new(&self.shapes, size, kernels, place);
        Some(Box::new(net))
    }

    /// Whether the analytic passes are those of this network, and of images of this kind.
    fn is_analytic(&self, images: &Tensor) -> bool {
        let ConvNetConfig {
            norm,
            activation,
            pooling,
            depth,
            ..
        } = self.config;
        let kind = matches!(images.kind(), Kind::Float | Kind::Double);
        let layers =
            norm == Norm::Instance && activation == Activation::Relu && pooling == Pooling::Avg;
        kind && layers && depth > 0
    }
}
