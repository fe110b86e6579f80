//! The gradient of a ConvNet's loss, and its derivative along a direction, by hand, for some
//! images: exact, without a graph, fused between the convolutions. For instance norm, relu and
//! average pooling on the CPU.
//!
//! With g = ∂l/∂θ and a direction u of θ, d(g · u)/dθ and d(g · u)/dx are the derivatives of ∂l/∂θ
//! and ∂l/∂x along θ + t u, and with a direction h of the images, d(∂l/∂x · h)/dθ is the derivative
//! of ∂l/∂θ along x + t h. Source: Pearlmutter 1994 (R-operator). A block takes 3 convolutions for
//! the gradient and, beside the 2 that its forward and backward pass take again, 6 for the first
//! kind of derivative: z_dot is one convolution of [a, a_dot] with [w_dot, w], the gradients in its
//! input and weight one each of [d_z_dot, d_z].

use super::ConvNet;
use super::convolution::{convolve, image_gradient, input_gradient, weight_gradient};
use super::planes::{self, Affine, Layout, Planes, Real, values, values_mut};
use tch::{Kind, Tensor};

/// The parameters of a ConvNet, or a direction of them, as views of a flat vector.
#[derive(Debug)]
pub(super) struct Layers {
    blocks: Vec<Block>,
    /// (K, features) and (K).
    weight: Tensor,
    bias: Tensor,
}

/// The bias of the convolution is not in it: the normalisation takes it out again, and its gradient
/// is 0.
#[derive(Debug)]
struct Block {
    /// (C', C, 3, 3).
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
}

/// What is differentiated: a sum over the images of a piece.
#[derive(Debug)]
pub(super) enum Loss {
    /// `scale` times the cross-entropy.
    CrossEntropy { labels: Tensor, scale: f64 },
    /// All logits.
    Logits,
}

/// What a forward and backward pass leaves for the derivative along a direction.
#[derive(Debug)]
pub(super) struct Pass {
    blocks: Vec<Kept>,
    /// Softmax of the logits (N, K).
    probabilities: Tensor,
    /// Gradient in the logits (N, K).
    d_logits: Tensor,
}

#[derive(Debug)]
struct Kept {
    /// Normalised (N, C, H, W).
    n: Tensor,
    /// 1/s (N · C).
    scales: Tensor,
    /// The gradient in the block's output (N, C, H/2, W/2).
    d_a: Tensor,
}

/// What moves.
#[derive(Debug)]
pub(super) enum Direction {
    Parameters(Moving),
    /// (N, C, H, W).
    Images(Tensor),
}

#[derive(Debug)]
pub(super) struct Moving {
    dot: Layers,
    /// Per block [w_dot, w] (C', 2 C, 3, 3).
    forward: Vec<Tensor>,
    /// Per block [w, w_dot] (2 C', C, 3, 3).
    backward: Vec<Tensor>,
}

/// One gradient per part of the flat vector, in its order; none where it is 0.
pub(super) type Parts = Vec<Option<Tensor>>;

impl Layers {
    pub fn of(net: &ConvNet, flat: &Tensor) -> Self {
        let mut parts = net.unflatten(&flat.detach()).into_iter();
        let mut next = || parts.next().unwrap_or_default();
        let block = |_| {
            let (weight, _bias) = (next(), next());
            Block {
                weight,
                gamma: next(),
                beta: next(),
            }
        };
        let blocks = (0..net.depth).map(block).collect();
        Self {
            blocks,
            weight: next(),
            bias: next(),
        }
    }

    pub fn share(&self) -> Self {
        let [weight, bias] = [&self.weight, &self.bias].map(Tensor::shallow_clone);
        Self {
            blocks: self.blocks.iter().map(Block::share).collect(),
            weight,
            bias,
        }
    }
}

impl Block {
    fn share(&self) -> Self {
        let [weight, gamma, beta] =
            [&self.weight, &self.gamma, &self.beta].map(Tensor::shallow_clone);
        Self {
            weight,
            gamma,
            beta,
        }
    }

    fn affine<T: Real>(&self) -> Affine<'_, T> {
        Affine {
            gamma: values(&self.gamma),
            beta: values(&self.beta),
        }
    }

    /// Grey images of 28×28 count as 32×32.
    fn padding(&self, block: usize) -> i64 {
        if block == 0 && self.weight.size()[1] == 1 {
            3
        } else {
            1
        }
    }
}

impl Moving {
    pub fn new(layers: &Layers, dot: Layers) -> Self {
        let joined = |dim, dot_first: bool| {
            let join = |(b, b_dot): (&Block, &Block)| {
                let (w, w_dot) = (&b.weight, &b_dot.weight);
                Tensor::cat(&if dot_first { [w_dot, w] } else { [w, w_dot] }, dim)
            };
            layers.blocks.iter().zip(&dot.blocks).map(join).collect()
        };
        let (forward, backward) = (joined(1, true), joined(0, false));
        Self {
            dot,
            forward,
            backward,
        }
    }

    fn share(&self) -> Self {
        let share = |ts: &[Tensor]| ts.iter().map(Tensor::shallow_clone).collect();
        Self {
            dot: self.dot.share(),
            forward: share(&self.forward),
            backward: share(&self.backward),
        }
    }
}

impl Direction {
    pub fn share(&self) -> Self {
        match self {
            Direction::Parameters(moving) => Direction::Parameters(moving.share()),
            Direction::Images(dot) => Direction::Images(dot.shallow_clone()),
        }
    }
}

impl Loss {
    /// The gradient in the logits f (N, K) with probabilities q: scale · (q − one-hot), or 1.
    fn gradient(&self, logits: &Tensor, q: &Tensor) -> Tensor {
        match self {
            Loss::CrossEntropy { labels, scale } => {
                let minus = Tensor::full([labels.size()[0], 1], -1., (q.kind(), q.device()));
                q.scatter_add(1, &labels.unsqueeze(1), &minus) * *scale
            }
            Loss::Logits => logits.ones_like(),
        }
    }

    /// The derivative of that along f_dot: scale · q (f_dot − q · f_dot), or 0.
    fn gradient_dot(&self, logits_dot: &Tensor, q: &Tensor) -> Tensor {
        match self {
            Loss::CrossEntropy { scale, .. } => {
                let mean = (q * logits_dot).sum_dim_intlist([1i64].as_slice(), true, None::<Kind>);
                q * (logits_dot - mean) * *scale
            }
            Loss::Logits => logits_dot.zeros_like(),
        }
    }
}

/// Which gradients a first-order pass works out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Parameters,
    Images,
    /// Only what is kept for a derivative.
    Nothing,
}

/// What a first-order pass found.
#[derive(Debug)]
pub(super) struct First {
    pub pass: Pass,
    /// (N, K).
    pub logits: Tensor,
    pub parts: Parts,
    pub d_images: Option<Tensor>,
}

/// Forward through all layers, for one piece: the last block's output (N, C, H, W) and the logits
/// (N, K).
///
/// `each` gets of every block its input, the normalised planes and their 1/s.
pub(super) fn forward<T: Real>(
    layers: &Layers,
    images: &Tensor,
    mut each: impl FnMut(&Tensor, Tensor, Vec<T>),
) -> (Tensor, Tensor) {
    let mut a = images.shallow_clone();
    for (d, block) in layers.blocks.iter().enumerate() {
        let mut n = convolve(&a, &block.weight, block.padding(d)); // z at first
        let planes = Planes::of(&n);
        let mut below = planes.pooled().empty(T::KIND);
        let scales = planes::forward::<T>(
            planes,
            block.affine(),
            values_mut(&mut n),
            values_mut(&mut below),
        );
        each(&a, n, scales);
        a = below;
    }
    let logits = a.flatten(1, -1).linear(&layers.weight, Some(&layers.bias));
    (a, logits)
}

/// Forward and backward through all layers, for one piece.
pub(super) fn first_order<T: Real>(
    layers: &Layers,
    images: &Tensor,
    loss: &Loss,
    wanted: Wanted,
) -> First {
    let (mut inputs, mut normalised) = (Vec::new(), Vec::new());
    let (output, logits) = forward::<T>(layers, images, |input, n, scales| {
        inputs.extend((wanted == Wanted::Parameters).then(|| input.shallow_clone()));
        normalised.push((n, Tensor::from_slice(&scales)));
    });
    let features = output.flatten(1, -1); // (N, features)
    let probabilities = logits.softmax(1, None::<Kind>);
    let d_logits = loss.gradient(&logits, &probabilities);
    let mut parts: Parts = Vec::new(); // last first
    if wanted == Wanted::Parameters {
        let bias = d_logits.sum_dim_intlist([0i64].as_slice(), false, None::<Kind>);
        parts.extend([Some(bias), Some(d_logits.tr().matmul(&features))]);
    }
    let mut d_a = d_logits.matmul(&layers.weight).view_as(&output);
    let (mut blocks, mut d_images) = (Vec::new(), None);
    for (d, (block, (n, scales))) in layers.blocks.iter().zip(normalised).enumerate().rev() {
        let planes = Planes::of(&n);
        let needs_d_z = d > 0 || wanted != Wanted::Nothing;
        let mut below = Tensor::default();
        if needs_d_z {
            let mut d_z = planes.empty(T::KIND);
            let affine = planes::backward::<T>(
                planes,
                block.affine(),
                values(&n),
                values(&scales),
                values(&d_a),
                values_mut(&mut d_z),
            );
            let padding = block.padding(d);
            if wanted == Wanted::Parameters {
                parts.extend([affine.beta, affine.gamma].map(|g| Some(Tensor::from_slice(&g))));
                let input = inputs.pop().unwrap_or_default();
                parts.extend([
                    None,
                    Some(weight_gradient(&d_z, &input, &block.weight, padding)),
                ]);
            }
            if d > 0 {
                // the input has the shape of the output: all blocks have the same width
                below = input_gradient(&d_z, &n, &block.weight, padding);
            } else if wanted == Wanted::Images {
                let side = [images.size()[2], images.size()[3]];
                d_images = Some(image_gradient([(&d_z, &block.weight)], side, padding));
            }
        }
        blocks.push(Kept {
            n,
            scales,
            d_a: std::mem::replace(&mut d_a, below),
        });
    }
    blocks.reverse();
    parts.reverse();
    First {
        pass: Pass {
            blocks,
            probabilities,
            d_logits,
        },
        logits,
        parts,
        d_images,
    }
}

/// The derivative of the parameters' gradient along `direction`, and, where the parameters move,
/// that of the images', for one piece.
pub(super) fn along<T: Real>(
    layers: &Layers,
    images: &Tensor,
    loss: &Loss,
    pass: &Pass,
    direction: &Direction,
) -> (Parts, Option<Tensor>) {
    let zeros = vec![T::of(0.); layers.blocks.first().map_or(0, |b| b.gamma.numel())];
    let still = Affine {
        gamma: &zeros,
        beta: &zeros,
    };
    let affine_dot = |d: usize| match direction {
        Direction::Parameters(moving) => moving.dot.blocks[d].affine(),
        Direction::Images(_) => still,
    };
    let (layout, two) = match direction {
        Direction::Parameters(_) => (Layout::ByChannel, 1),
        Direction::Images(_) => (Layout::ByBatch, 0),
    };
    // [a, a_dot] that goes into a block; none for images that do not move
    let mut input = match direction {
        Direction::Parameters(_) => None,
        Direction::Images(dot) => Some(Tensor::stack(&[images, dot], 0)),
    };
    let mut tangents = Vec::new();
    for (d, (block, kept)) in layers.blocks.iter().zip(&pass.blocks).enumerate() {
        let padding = block.padding(d);
        let mut n_dot = match (direction, &input) {
            (Direction::Parameters(moving), None) => {
                convolve(images, &moving.dot.blocks[d].weight, padding)
            }
            (Direction::Parameters(moving), Some(pair)) => {
                convolve(&pair.flatten(1, 2), &moving.forward[d], padding)
            }
            (Direction::Images(dot), None) => convolve(dot, &block.weight, padding),
            (Direction::Images(_), Some(pair)) => convolve(&pair.get(1), &block.weight, padding),
        }; // z_dot at first
        let planes = Planes::of(&n_dot);
        let mut pair = planes.pooled().empty_pair(layout, T::KIND);
        let s_dots = planes::forward_tangent::<T>(
            planes,
            block.affine(),
            affine_dot(d),
            values(&kept.n),
            values(&kept.scales),
            values_mut(&mut n_dot),
            values_mut(&mut pair),
            layout,
        );
        tangents.push((input.replace(pair), n_dot, s_dots));
    }

    let [features, features_dot] = [0, 1].map(|half| {
        input
            .as_ref()
            .map(|pair| pair.select(two, half).flatten(1, -1))
            .unwrap_or_default()
    });
    let mut logits_dot = features_dot.matmul(&layers.weight.tr());
    if let Direction::Parameters(moving) = direction {
        logits_dot += features.linear(&moving.dot.weight, Some(&moving.dot.bias));
    }
    let d_logits_dot = loss.gradient_dot(&logits_dot, &pass.probabilities);
    let mut parts: Parts = Vec::new(); // last first
    parts.push(Some(d_logits_dot.sum_dim_intlist(
        [0i64].as_slice(),
        false,
        None::<Kind>,
    )));
    parts.push(Some(
        d_logits_dot.tr().matmul(&features) + pass.d_logits.tr().matmul(&features_dot),
    ));
    let mut d_a_dot = d_logits_dot.matmul(&layers.weight);
    if let Direction::Parameters(moving) = direction {
        d_a_dot += pass.d_logits.matmul(&moving.dot.weight);
    }

    let mut d_images = None;
    for (d, ((block, kept), (input, n_dot, s_dots))) in layers
        .blocks
        .iter()
        .zip(&pass.blocks)
        .zip(tangents)
        .enumerate()
        .rev()
    {
        let (planes, padding) = (Planes::of(&n_dot), block.padding(d));
        let layout = if d > 0 { layout } else { Layout::ByBatch };
        let mut pair = planes.empty_pair(layout, T::KIND);
        let affine = planes::backward_tangent::<T>(
            planes,
            block.affine(),
            affine_dot(d).gamma,
            values(&kept.n),
            values(&n_dot),
            values(&kept.scales),
            &s_dots,
            values(&kept.d_a),
            values(&d_a_dot),
            values_mut(&mut pair),
            layout,
        );
        drop(n_dot);
        parts.extend([affine.beta, affine.gamma].map(|g| Some(Tensor::from_slice(&g))));
        let d_weight = match &input {
            Some(input) => weight_gradient(
                &pair.flatten(0, 1),
                &input.flatten(0, 1),
                &block.weight,
                padding,
            ),
            None => weight_gradient(&pair.get(0), images, &block.weight, padding),
        };
        parts.extend([None, Some(d_weight)]);
        match direction {
            Direction::Parameters(moving) if d > 0 => {
                d_a_dot =
                    input_gradient(&pair.flatten(1, 2), &kept.n, &moving.backward[d], padding);
            }
            Direction::Images(_) if d > 0 => {
                d_a_dot = input_gradient(&pair.get(0), &kept.n, &block.weight, padding)
            }
            Direction::Parameters(moving) => {
                let side = [images.size()[2], images.size()[3]];
                let pairs = [
                    (&pair.get(0), &block.weight),
                    (&pair.get(1), &moving.dot.blocks[d].weight),
                ];
                d_images = Some(image_gradient(pairs, side, padding));
            }
            Direction::Images(_) => (),
        }
    }
    parts.reverse();
    (parts, d_images)
}
