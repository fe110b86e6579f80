//! The derivative of a gradient along a direction (Hessian-vector products), for some images:
//! exact, without a graph, fused between the convolutions.
//!
//! With g = ∂l/∂θ and a direction u of θ, d(g · u)/dθ and d(g · u)/dx are the derivatives of ∂l/∂θ
//! and ∂l/∂x along θ + t u, and with a direction h of the images, d(∂l/∂x · h)/dθ is the derivative
//! of ∂l/∂θ along x + t h. Source: Pearlmutter 1994 (R-operator). Beside the 2 convolutions of its
//! forward and backward pass, where those are not cached, a block takes 6 for the first kind of
//! derivative: z_dot is one convolution of [a, a_dot] with [w_dot, w], the gradients with respect
//! to its input and weight one each of [d_z_dot, d_z].

use super::convolution::{convolve, image_gradient, input_gradient, weight_gradient};
use super::first_order::{CachedBlock, CachedPiece};
use super::layers::{BlockParameters, Direction, Layers, Loss, ParameterGradients};
use super::passes::{BlockDirection, Kept, Moved, Passes};
use super::planes::PairLayout;
use tch::{Kind, Tensor};

/// The derivatives of a gradient along a direction, for one piece.
#[derive(Debug)]
pub(super) struct Along {
    pub parameters: ParameterGradients,
    /// Where the parameters move: with respect to the images (N, C, H, W).
    pub images: Option<Tensor>,
    /// For a cross-entropy: with respect to its targets (N, K).
    pub targets: Option<Tensor>,
}

/// What the forward pass along a direction leaves for the backward pass.
struct BlockTangent {
    /// [a, a_dot] that went into the block; none for images that do not move.
    input: Option<Tensor>,
    n_dot: Tensor,
    s_dots: Tensor,
}

/// What the linear layer leaves for the backward pass: the derivative of the gradient with respect
/// to its input (N, features), and to the targets.
struct HeadTangent {
    d_features_dot: Tensor,
    d_targets: Option<Tensor>,
}

/// The pass of one piece along a direction.
struct TangentPass<'a> {
    passes: &'a dyn Passes,
    layers: &'a Layers,
    images: &'a Tensor,
    cached: &'a CachedPiece,
    direction: &'a Direction,
}

/// The derivative of the parameters' gradient along `direction`, and, where the parameters move,
/// that of the images', for one piece; `cached` is what the first-order pass left.
pub(super) fn along(
    passes: &dyn Passes,
    layers: &Layers,
    images: &Tensor,
    loss: &Loss,
    cached: &CachedPiece,
    direction: &Direction,
) -> Along {
    let pass = TangentPass {
        passes,
        layers,
        images,
        cached,
        direction,
    };
    let mut parameters: ParameterGradients = Vec::new(); // last first
    let (tangents, output) = pass.forward();
    let head = pass.head(loss, &output, &mut parameters);
    let images = pass.backward(tangents, head.d_features_dot, &mut parameters);
    parameters.reverse();
    Along {
        parameters,
        images,
        targets: head.d_targets,
    }
}

impl CachedBlock {
    fn kept(&self) -> Kept<'_> {
        Kept {
            n: &self.n,
            scales: &self.scales,
            d_a: &self.d_a,
        }
    }
}

impl TangentPass<'_> {
    /// Block number `d`, and the direction that its passes are differentiated along.
    fn along<'a>(
        &'a self,
        d: usize,
        (block, kept): (&'a BlockParameters, &'a CachedBlock),
        layout: PairLayout,
    ) -> BlockDirection<'a> {
        BlockDirection {
            block,
            dot: match self.direction {
                Direction::Parameters(direction) => Some(&direction.dot.blocks[d]),
                Direction::Images(_) => None,
            },
            kept: kept.kept(),
            layout,
        }
    }

    fn layout(&self) -> PairLayout {
        match self.direction {
            Direction::Parameters(_) => PairLayout::ByChannel,
            Direction::Images(_) => PairLayout::ByBatch,
        }
    }

    /// Through all blocks; also the last one's output [a, a_dot].
    fn forward(&self) -> (Vec<BlockTangent>, Option<Tensor>) {
        let (direction, images, layout) = (self.direction, self.images, self.layout());
        // [a, a_dot] that goes into a block; none for images that do not move
        let mut input = match direction {
            Direction::Parameters(_) => None,
            Direction::Images(dot) => Some(Tensor::stack(&[images, dot], 0)),
        };
        let mut tangents = Vec::new();
        for (d, (block, kept)) in self
            .layers
            .blocks
            .iter()
            .zip(&self.cached.blocks)
            .enumerate()
        {
            let padding = block.padding(d);
            let mut n_dot = match (direction, &input) {
                (Direction::Parameters(u), None) => {
                    convolve(images, &u.dot.blocks[d].weight, padding)
                }
                (Direction::Parameters(u), Some(pair)) => {
                    convolve(&pair.flatten(1, 2), &u.forward[d], padding)
                }
                (Direction::Images(dot), None) => convolve(dot, &block.weight, padding),
                (Direction::Images(_), Some(pair)) => {
                    convolve(&pair.get(1), &block.weight, padding)
                }
            }; // z_dot at first
            let along = self.along(d, (block, kept), layout);
            let (pair, s_dots) = self.passes.forward_tangent(&along, &mut n_dot);
            tangents.push(BlockTangent {
                input: input.replace(pair),
                n_dot,
                s_dots,
            });
        }
        (tangents, input)
    }

    /// Through the linear layer and the loss, and back through the linear layer. `output` is the
    /// last block's [a, a_dot].
    fn head(
        &self,
        loss: &Loss,
        output: &Option<Tensor>,
        parameters: &mut ParameterGradients,
    ) -> HeadTangent {
        let (layers, cached) = (self.layers, self.cached);
        let two = match self.layout() {
            PairLayout::ByChannel => 1,
            PairLayout::ByBatch => 0,
        };
        let [features, features_dot] = [0, 1].map(|half| {
            output
                .as_ref()
                .map(|pair| pair.select(two, half).flatten(1, -1))
                .unwrap_or_default()
        });
        let mut logits_dot = features_dot.matmul(&layers.weight.tr());
        if let Direction::Parameters(u) = self.direction {
            logits_dot += features.linear(&u.dot.weight, Some(&u.dot.bias));
        }
        let (d_logits_dot, d_targets) = loss.gradient_dot(&logits_dot, &cached.probabilities);
        let d_bias = d_logits_dot.sum_dim_intlist([0i64].as_slice(), false, None::<Kind>);
        let d_weight =
            d_logits_dot.tr().matmul(&features) + cached.d_logits.tr().matmul(&features_dot);
        parameters.extend([Some(d_bias), Some(d_weight)]);
        let mut d_features_dot = d_logits_dot.matmul(&layers.weight);
        if let Direction::Parameters(u) = self.direction {
            d_features_dot += cached.d_logits.matmul(&u.dot.weight);
        }
        HeadTangent {
            d_features_dot,
            d_targets,
        }
    }

    /// Back through all blocks; where the parameters move, the derivative of the images' gradient.
    fn backward(
        &self,
        tangents: Vec<BlockTangent>,
        mut d_a_dot: Tensor,
        parameters: &mut ParameterGradients,
    ) -> Option<Tensor> {
        let (direction, images) = (self.direction, self.images);
        let mut d_images = None;
        let blocks = self.layers.blocks.iter().zip(&self.cached.blocks);
        for (d, ((block, kept), tangent)) in blocks.zip(tangents).enumerate().rev() {
            let BlockTangent {
                input,
                n_dot,
                s_dots,
            } = tangent;
            let padding = block.padding(d);
            let layout = if d > 0 {
                self.layout()
            } else {
                PairLayout::ByBatch
            };
            let moved = Moved {
                n_dot: &n_dot,
                s_dots: &s_dots,
                d_a_dot: &d_a_dot,
            };
            let along = self.along(d, (block, kept), layout);
            let (pair, affine) = self.passes.backward_tangent(&along, moved);
            drop(n_dot);
            parameters.extend([affine.beta, affine.gamma].map(Some));
            let d_weight = match &input {
                Some(input) => weight_gradient(
                    &pair.flatten(0, 1),
                    &input.flatten(0, 1),
                    &block.weight,
                    padding,
                ),
                None => weight_gradient(&pair.get(0), images, &block.weight, padding),
            };
            parameters.extend([None, Some(d_weight)]);
            match direction {
                Direction::Parameters(u) if d > 0 => {
                    d_a_dot = input_gradient(&pair.flatten(1, 2), &kept.n, &u.backward[d], padding);
                }
                Direction::Images(_) if d > 0 => {
                    d_a_dot = input_gradient(&pair.get(0), &kept.n, &block.weight, padding)
                }
                Direction::Parameters(u) => {
                    let pairs = [
                        (&pair.get(0), &block.weight),
                        (&pair.get(1), &u.dot.blocks[d].weight),
                    ];
                    d_images = Some(image_gradient(pairs, images, padding));
                }
                Direction::Images(_) => (),
            }
        }
        d_images
    }
}
