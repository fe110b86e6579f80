//! What the analytic passes are given: the layers of a network, what is differentiated, and the
//! direction of a derivative.

use super::WeightedBatch;
use super::planes::Affine;
use super::real::{Real, values};
use crate::network::blocks;
use crate::network::flat::FlatShapes;
use tch::{Kind, Tensor};

/// The tensors of a flat parameter vector, or of a direction of it.
#[derive(Debug)]
pub(super) struct Layers {
    pub blocks: Vec<BlockParameters>,
    /// (K, features) and (K).
    pub weight: Tensor,
    pub bias: Tensor,
}

/// The bias of the convolution is left out: the normalisation takes it out again, so its gradient
/// is 0.
#[derive(Debug)]
pub(super) struct BlockParameters {
    /// (C', C, 3, 3).
    pub weight: Tensor,
    pub gamma: Tensor,
    pub beta: Tensor,
}

/// One gradient per tensor of the flat vector, in its order; none where it is 0.
pub(super) type ParameterGradients = Vec<Option<Tensor>>;

impl Layers {
    /// Of a network with `depth` blocks, from its flat vector (P).
    pub fn of(shapes: &FlatShapes, depth: usize, flat: &Tensor) -> Self {
        let mut tensors = shapes.unflatten(&flat.detach()).into_iter();
        let mut next = || tensors.next().unwrap_or_default();
        let block = |_| {
            let (weight, _bias) = (next(), next());
            BlockParameters {
                weight,
                gamma: next(),
                beta: next(),
            }
        };
        let blocks = (0..depth).map(block).collect();
        Self {
            blocks,
            weight: next(),
            bias: next(),
        }
    }

    pub fn share(&self) -> Self {
        let [weight, bias] = [&self.weight, &self.bias].map(Tensor::shallow_clone);
        Self {
            blocks: self.blocks.iter().map(BlockParameters::share).collect(),
            weight,
            bias,
        }
    }
}

impl BlockParameters {
    fn share(&self) -> Self {
        let [weight, gamma, beta] =
            [&self.weight, &self.gamma, &self.beta].map(Tensor::shallow_clone);
        Self {
            weight,
            gamma,
            beta,
        }
    }

    pub fn affine<T: Real>(&self) -> Affine<'_, T> {
        Affine {
            gamma: values(&self.gamma),
            beta: values(&self.beta),
        }
    }

    /// The padding of its convolution, in block number `block`.
    pub fn padding(&self, block: usize) -> i64 {
        blocks::padding(block, self.weight.size()[1])
    }
}

/// What is differentiated: a sum over the images of a piece.
#[derive(Debug)]
pub(super) enum Loss {
    /// `scale` times the cross-entropy with `targets`, probabilities (N, K).
    CrossEntropy { targets: Tensor, scale: f64 },
    /// All logits.
    Logits,
}

impl Loss {
    pub fn share(&self) -> Self {
        match self {
            Self::CrossEntropy { targets, scale } => Self::CrossEntropy {
                targets: targets.shallow_clone(),
                scale: *scale,
            },
            Self::Logits => Self::Logits,
        }
    }

    /// The loss of `length` images from number `from` on.
    pub fn rows(&self, from: i64, length: i64) -> Self {
        match self {
            Self::CrossEntropy { targets, scale } => Self::CrossEntropy {
                targets: targets.narrow(0, from, length),
                scale: *scale,
            },
            Self::Logits => Self::Logits,
        }
    }

    /// What is differentiated for every piece of a batch.
    pub fn of(batch: WeightedBatch<'_>) -> Self {
        Self::CrossEntropy {
            targets: batch.targets.shallow_clone(),
            scale: batch.factor / batch.images.size()[0] as f64,
        }
    }

    /// The gradient with respect to the logits f (N, K) with probabilities q: scale · (q −
    /// targets), or 1.
    pub fn gradient(&self, logits: &Tensor, q: &Tensor) -> Tensor {
        match self {
            Self::CrossEntropy { targets, scale } => (q - targets) * *scale,
            Self::Logits => logits.ones_like(),
        }
    }

    /// The derivative of that along f_dot, scale · q (f_dot − q · f_dot), or 0; and the gradient
    /// with respect to the targets of (that gradient) · f_dot, −scale · (f_dot − q · f_dot): minus
    /// the derivative of scale · ln q along f_dot.
    pub fn gradient_dot(&self, logits_dot: &Tensor, q: &Tensor) -> (Tensor, Option<Tensor>) {
        match self {
            Self::CrossEntropy { scale, .. } => {
                let mean = (q * logits_dot).sum_dim_intlist([1i64].as_slice(), true, None::<Kind>);
                let log_q_dot = logits_dot - mean;
                (q * &log_q_dot * *scale, Some(log_q_dot * -*scale))
            }
            Self::Logits => (logits_dot.zeros_like(), None),
        }
    }
}

/// What moves.
#[derive(Debug)]
pub(super) enum Direction {
    Parameters(ParameterDirection),
    /// (N, C, H, W).
    Images(Tensor),
}

/// A direction of the parameters, with what the convolutions along it take.
#[derive(Debug)]
pub(super) struct ParameterDirection {
    pub dot: Layers,
    /// Per block [w_dot, w] (C', 2 C, 3, 3); of the first, whose images do not move, nothing.
    pub forward: Vec<Tensor>,
    /// Per block [w, w_dot] (2 C', C, 3, 3); of the first nothing.
    pub backward: Vec<Tensor>,
}

impl ParameterDirection {
    pub fn new(layers: &Layers, dot: Layers) -> Self {
        let joined = |dim, dot_first: bool| {
            let join = |(b, b_dot): (&BlockParameters, &BlockParameters)| {
                let (w, w_dot) = (&b.weight, &b_dot.weight);
                Tensor::cat(&if dot_first { [w_dot, w] } else { [w, w_dot] }, dim)
            };
            let others = layers.blocks.iter().zip(&dot.blocks).skip(1).map(join);
            std::iter::once(Tensor::new()).chain(others).collect()
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
            Self::Parameters(parameters) => Self::Parameters(parameters.share()),
            Self::Images(dot) => Self::Images(dot.shallow_clone()),
        }
    }
}
