//! Networks that are a list of layers, with residual blocks: what the networks of the field have in
//! common, so that each of them is the list of its layers.

use super::batch_norm::BatchNorm;
use super::blocks::EPS;
use super::flat::{Drawn, FlatShapes, Parameter};
use super::{Mode, Network, Task};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

/// What happens to the maps; the numbers come from the flat vector in the order of the layers.
#[derive(Debug, Clone)]
enum Layer {
    Conv {
        stride: i64,
        padding: i64,
        has_bias: bool,
    },
    InstanceNorm {
        channels: i64,
    },
    BatchNorm(BatchNorm),
    Relu,
    /// 2×2, stride 2.
    MaxPool,
    /// The mean of every map.
    GlobalAverage,
    /// The sum of two paths from the same maps; an empty one leaves them as they are.
    Residual {
        main: Vec<Layer>,
        shortcut: Vec<Layer>,
    },
}

/// A convolution of square kernels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conv {
    /// Its outputs.
    pub channels: i64,
    /// The side of its kernels.
    pub kernel: i64,
    pub stride: i64,
    pub padding: i64,
    pub has_bias: bool,
}

/// The normalisations of these networks, all with learned scale and shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MapNorm {
    /// Group norm with one group per channel.
    Instance,
    Batch,
}

/// Adds layer after layer, with the size of the maps in between.
#[derive(Debug)]
pub(super) struct Builder {
    layers: Vec<Layer>,
    parameters: Vec<Parameter>,
    batch_norms: Vec<i64>,
    conv_outputs: Vec<i64>,
    channels: i64,
    side: i64,
}

impl Builder {
    /// For images of this task.
    pub fn new(task: Task) -> Self {
        Self {
            layers: Vec::new(),
            parameters: Vec::new(),
            batch_norms: Vec::new(),
            conv_outputs: Vec::new(),
            channels: task.channels,
            side: task.size,
        }
    }

    /// Of the maps so far.
    pub fn channels(&self) -> i64 {
        self.channels
    }

    fn parameter(&mut self, shape: &[i64], drawn: Drawn) {
        let shape = shape.to_vec();
        self.parameters.push(Parameter { shape, drawn });
    }

    pub fn conv(&mut self, conv: Conv) {
        let Conv {
            channels,
            kernel,
            stride,
            padding,
            has_bias,
        } = conv;
        let drawn = Drawn::Uniform {
            fan_in: self.channels * kernel * kernel,
        };
        self.parameter(&[channels, self.channels, kernel, kernel], drawn);
        if has_bias {
            self.parameter(&[channels], drawn);
        }
        self.channels = channels;
        // 0 where the kernels do not fit
        self.side = (self.side + 2 * padding - kernel + stride).max(0) / stride;
        self.conv_outputs.push(channels * self.side * self.side);
        self.layers.push(Layer::Conv {
            stride,
            padding,
            has_bias,
        });
    }

    pub fn norm(&mut self, norm: MapNorm) {
        self.parameter(&[self.channels], Drawn::Ones);
        self.parameter(&[self.channels], Drawn::Zeros);
        self.layers.push(match norm {
            MapNorm::Instance => Layer::InstanceNorm {
                channels: self.channels,
            },
            MapNorm::Batch => {
                self.batch_norms.push(self.channels);
                let placed = BatchNorm::in_a_row(&self.batch_norms);
                Layer::BatchNorm(placed[placed.len() - 1])
            }
        });
    }

    pub fn relu(&mut self) {
        self.layers.push(Layer::Relu);
    }

    pub fn max_pool(&mut self) {
        self.side /= 2;
        self.layers.push(Layer::MaxPool);
    }

    pub fn global_average(&mut self) {
        self.side = self.side.min(1);
        self.layers.push(Layer::GlobalAverage);
    }

    /// The sum of what `main` and `shortcut` make of the maps so far.
    pub fn residual(&mut self, main: impl FnOnce(&mut Self), shortcut: impl FnOnce(&mut Self)) {
        let before = std::mem::take(&mut self.layers);
        let (channels, side) = (self.channels, self.side);
        main(self);
        let main = std::mem::take(&mut self.layers);
        (self.channels, self.side) = (channels, side);
        shortcut(self);
        let shortcut = std::mem::replace(&mut self.layers, before);
        self.layers.push(Layer::Residual { main, shortcut });
    }

    /// Ends with a linear layer to `classes` logits; none where nothing is left of the maps.
    pub fn linear(mut self, classes: i64) -> Option<LayeredNet> {
        let features = self.channels * self.side * self.side;
        if features < 1 {
            return None;
        }
        let drawn = Drawn::Uniform { fan_in: features };
        self.parameter(&[classes, features], drawn);
        self.parameter(&[classes], drawn);
        Some(LayeredNet {
            layers: self.layers,
            shapes: FlatShapes::new(self.parameters),
            batch_norms: BatchNorm::in_a_row(&self.batch_norms),
            conv_outputs: self.conv_outputs,
            last_side: self.side,
            classes,
        })
    }
}

/// A network of layers. Its flat vector has PyTorch's module order; in a residual block that is the
/// main path, then the shortcut.
#[derive(Debug)]
pub(super) struct LayeredNet {
    layers: Vec<Layer>,
    shapes: FlatShapes,
    batch_norms: Vec<BatchNorm>,
    conv_outputs: Vec<i64>,
    /// The side of the maps that the linear layer sees.
    last_side: i64,
    classes: i64,
}

/// One forward pass.
struct Pass<'a> {
    /// What is left of the parameters.
    tensors: std::vec::IntoIter<Tensor>,
    mode: Mode<'a>,
}

impl Pass<'_> {
    fn next(&mut self) -> Tensor {
        self.tensors.next().unwrap_or_default()
    }

    fn through(&mut self, layers: &[Layer], images: &Tensor) -> Tensor {
        let first = images.shallow_clone();
        layers.iter().fold(first, |x, layer| self.layer(layer, x))
    }

    fn layer(&mut self, layer: &Layer, x: Tensor) -> Tensor {
        match layer {
            Layer::Conv {
                stride,
                padding,
                has_bias,
            } => {
                let weight = self.next();
                let bias = has_bias.then(|| self.next());
                let (stride, padding) = ([*stride; 2], [*padding; 2]);
                x.conv2d(&weight, bias, stride, padding, [1, 1], 1)
            }
            Layer::InstanceNorm { channels } => {
                let (scale, shift) = (self.next(), self.next());
                x.group_norm(*channels, Some(scale), Some(shift), EPS, true)
            }
            Layer::BatchNorm(norm) => {
                let (scale, shift) = (self.next(), self.next());
                norm.forward(&x, (&scale, &shift), self.mode)
            }
            Layer::Relu => x.relu(),
            Layer::MaxPool => x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false),
            Layer::GlobalAverage => x.mean_dim([2i64, 3].as_slice(), true, None),
            Layer::Residual { main, shortcut } => {
                let main = self.through(main, &x);
                main + self.through(shortcut, &x)
            }
        }
    }
}

impl Network for LayeredNet {
    fn parameters(&self) -> i64 {
        self.shapes.parameters()
    }

    fn shapes(&self) -> Vec<Vec<i64>> {
        self.shapes.shapes()
    }

    fn classes(&self) -> i64 {
        self.classes
    }

    fn init(&self, rng: &mut ChaCha8Rng) -> Tensor {
        self.shapes.init(rng)
    }

    fn init_running(&self) -> Tensor {
        BatchNorm::init_running(&self.batch_norms)
    }

    fn forward_in(&self, mode: Mode<'_>, theta: &Tensor, images: &Tensor) -> Tensor {
        let mut pass = Pass {
            tensors: self.shapes.unflatten(theta).into_iter(),
            mode,
        };
        let maps = pass.through(&self.layers, images);
        let (weight, bias) = (pass.next(), pass.next());
        maps.flatten(1, -1).linear(&weight, Some(&bias))
    }

    fn conv_weights(&self, flat: &Tensor) -> Vec<Tensor> {
        self.shapes.conv_weights(flat)
    }

    fn conv_outputs(&self) -> Vec<i64> {
        self.conv_outputs.clone()
    }

    /// Exact where every convolution has stride 1 and pooling leaves out no column.
    fn mirrored(&self, theta: &Tensor) -> Tensor {
        self.shapes.mirrored(theta, self.last_side)
    }
}
