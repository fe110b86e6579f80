//! The gradient of a loss for some images: exact, without a graph, fused between the convolutions.
//! A block takes 3 convolutions.

use super::convolution::{convolve, image_gradient, input_gradient, weight_gradient};
use super::layers::{Layers, Loss, ParameterGradients};
use super::passes::{Kept, Passes};
use tch::{Kind, Tensor};

/// What a forward and backward pass leaves for the derivative along a direction.
#[derive(Debug)]
pub(super) struct CachedPiece {
    pub blocks: Vec<CachedBlock>,
    /// Softmax of the logits (N, K).
    pub probabilities: Tensor,
    /// The gradient with respect to the logits (N, K).
    pub d_logits: Tensor,
}

#[derive(Debug)]
pub(super) struct CachedBlock {
    /// Normalised (N, C, H, W).
    pub n: Tensor,
    /// 1/s (N · C).
    pub scales: Tensor,
    /// The gradient with respect to the block's output (N, C, H/2, W/2).
    pub d_a: Tensor,
}

/// Which gradients a first-order pass computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WithRespectTo {
    Parameters,
    Images,
    /// Only what is cached for a derivative along a direction.
    Nothing,
}

/// The results of a first-order pass.
#[derive(Debug)]
pub(super) struct FirstOrder {
    pub cached: CachedPiece,
    /// (N, K).
    pub logits: Tensor,
    pub parameters: ParameterGradients,
    pub images: Option<Tensor>,
}

/// Forward through all layers, for one piece: the last block's output (N, C, H, W) and the logits
/// (N, K).
///
/// `each` gets of every block its input, the normalised planes and their 1/s.
pub(super) fn forward(
    passes: &dyn Passes,
    layers: &Layers,
    images: &Tensor,
    mut each: impl FnMut(&Tensor, Tensor, Tensor),
) -> (Tensor, Tensor) {
    let mut a = images.shallow_clone();
    for (d, block) in layers.blocks.iter().enumerate() {
        let mut n = convolve(&a, &block.weight, block.padding(d)); // z at first
        let (below, scales) = passes.forward(block, &mut n);
        each(&a, n, scales);
        a = below;
    }
    let logits = a.flatten(1, -1).linear(&layers.weight, Some(&layers.bias));
    (a, logits)
}

/// Forward and backward through all layers, for one piece.
pub(super) fn first_order(
    passes: &dyn Passes,
    layers: &Layers,
    images: &Tensor,
    loss: &Loss,
    with_respect_to: WithRespectTo,
) -> FirstOrder {
    let (mut inputs, mut normalised) = (Vec::new(), Vec::new());
    let (output, logits) = forward(passes, layers, images, |input, n, scales| {
        inputs
            .extend((with_respect_to == WithRespectTo::Parameters).then(|| input.shallow_clone()));
        normalised.push((n, scales));
    });
    let features = output.flatten(1, -1); // (N, features)
    let probabilities = logits.softmax(1, None::<Kind>);
    let d_logits = loss.gradient(&logits, &probabilities);
    let mut parameters: ParameterGradients = Vec::new(); // last first
    if with_respect_to == WithRespectTo::Parameters {
        let bias = d_logits.sum_dim_intlist([0i64].as_slice(), false, None::<Kind>);
        parameters.extend([Some(bias), Some(d_logits.tr().matmul(&features))]);
    }
    let mut d_a = d_logits.matmul(&layers.weight).view_as(&output);
    let (mut blocks, mut d_images) = (Vec::new(), None);
    for (d, (block, (n, scales))) in layers.blocks.iter().zip(normalised).enumerate().rev() {
        let needs_d_z = d > 0 || with_respect_to != WithRespectTo::Nothing;
        let mut below = Tensor::default();
        if needs_d_z {
            let kept = Kept {
                n: &n,
                scales: &scales,
                d_a: &d_a,
            };
            let (d_z, affine) = passes.backward(block, kept);
            let padding = block.padding(d);
            if with_respect_to == WithRespectTo::Parameters {
                parameters.extend([affine.beta, affine.gamma].map(Some));
                let input = inputs.pop().unwrap_or_default();
                parameters.extend([
                    None,
                    Some(weight_gradient(&d_z, &input, &block.weight, padding)),
                ]);
            }
            if d > 0 {
                // the input has the shape of the output: all blocks have the same width
                below = input_gradient(&d_z, &n, &block.weight, padding);
            } else if with_respect_to == WithRespectTo::Images {
                d_images = Some(image_gradient([(&d_z, &block.weight)], images, padding));
            }
        }
        blocks.push(CachedBlock {
            n,
            scales,
            d_a: std::mem::replace(&mut d_a, below),
        });
    }
    blocks.reverse();
    parameters.reverse();
    FirstOrder {
        cached: CachedPiece {
            blocks,
            probabilities,
            d_logits,
        },
        logits,
        parameters,
        images: d_images,
    }
}
