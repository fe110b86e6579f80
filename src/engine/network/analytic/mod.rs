//! The derivatives of networks without autograd: what they are ([`Analytic`]), and the passes that
//! compute them for ConvNets.
//!
//! [`Network::analytic`](super::Network::analytic) decides where they apply; everything else is
//! differentiated by autograd. The convolutions are libtorch's (`convolution`), and all that lies
//! between two of them is one pass over a plane (`planes`). `first_order` computes the gradient,
//! `tangent` its derivative along a direction: of the parameters for the backward pass of the
//! student, of the images for the experts' gradient penalty. `cpu` runs both on a batch in small
//! `pieces`, on several threads; `gpu` runs them on as many images as there is memory for, where a
//! pass is a kernel of our own.

pub(crate) mod convolution;
mod cpu;
mod cpu_passes;
mod first_order;
mod gpu;
mod gpu_passes;
mod layers;
mod passes;
pub(crate) mod pieces;
mod planes;
mod real;
mod tangent;

pub(super) use cpu::CpuConvNet;
pub(super) use gpu::GpuConvNet;
pub use gpu::WORKING;
pub use pieces::PIECE_THREAD;

use self::first_order::CachedPiece;
use super::blocks::padding;
use crate::kernels::Kernels;
use std::fmt::Debug;
use tch::Tensor;

/// A batch and what is differentiated: `factor` · mean cross-entropy.
#[derive(Debug, Clone, Copy)]
pub struct WeightedBatch<'a> {
    /// (N, C, H, W).
    pub images: &'a Tensor,
    /// Probabilities (N, K), in the kind of the images, with a sum of 1 for every image.
    pub targets: &'a Tensor,
    pub factor: f64,
}

/// The forward and backward passes of the first images of a batch, cached for
/// [`Analytic::gradient_along`].
#[derive(Debug)]
pub struct CachedForward {
    pieces: Vec<CachedPiece>,
    /// How many images those are.
    pub images: i64,
}

/// The gradient of a batch.
#[derive(Debug)]
pub struct LossGradient {
    /// (P).
    pub parameters: Tensor,
    /// (N, K).
    pub logits: Tensor,
    /// None if the budget was too small for a piece.
    pub cached: Option<CachedForward>,
}

/// The derivatives of g · direction, where g is the gradient of a batch with respect to the
/// parameters.
#[derive(Debug)]
pub struct DirectionalDerivative {
    /// With respect to the parameters (P): a Hessian-vector product.
    pub parameters: Tensor,
    /// With respect to the images (N, C, H, W).
    pub images: Tensor,
    /// With respect to the targets (N, K).
    pub targets: Tensor,
}

/// The derivatives of a network on one device. While it lives, libtorch's operations on its thread
/// may be limited to one thread.
pub trait Analytic: Debug {
    /// The gradient of `batch` with respect to the parameters `theta` (P).
    ///
    /// As much of its passes as fits into `budget_bytes` is cached for the derivative of the
    /// gradient; all of it takes [`Analytic::cache_bytes`].
    fn loss_gradient(
        &self,
        theta: &Tensor,
        batch: WeightedBatch<'_>,
        budget_bytes: usize,
    ) -> LossGradient;

    /// `images` (N, C, H, W) → logits (N, K).
    fn logits(&self, theta: &Tensor, images: &Tensor) -> Tensor;

    /// The derivatives of g · `direction` (P), where g is the [`Analytic::loss_gradient`] of the
    /// same arguments. `cached` is what that left; what is missing is computed again.
    fn gradient_along(
        &self,
        theta: &Tensor,
        batch: WeightedBatch<'_>,
        direction: &Tensor,
        cached: Option<CachedForward>,
    ) -> DirectionalDerivative;

    /// For the images' gradient g = ∂ Σ_k f_k/∂x of the sum of all logits: a function P(g), summed
    /// over the images, and its gradient with respect to the parameters (P).
    ///
    /// `function` gets g (n, C, H, W) of some of the images and returns P(g) (scalar) and h =
    /// ∂P/∂g: d(g · h)/dθ with h fixed is the gradient of P with respect to θ.
    fn input_gradient_along(
        &self,
        theta: &Tensor,
        images: &Tensor,
        function: &(dyn Fn(&Tensor) -> (Tensor, Tensor) + Sync),
    ) -> (Tensor, Tensor);

    /// About how many bytes the passes of `images` (N, C, H, W) take if all are cached.
    fn cache_bytes(&self, images: &Tensor) -> usize;

    /// The kernels for what lies around the passes, on a GPU.
    fn kernels(&self) -> Option<&dyn Kernels> {
        None
    }
}

/// The bytes of what a first-order pass of `images` (N, C, H, W) leaves, for `depth` blocks of
/// `width` channels.
fn pass_bytes(images: &Tensor, width: i64, depth: usize) -> usize {
    let size = images.size();
    let (mut side, mut values) = (size[2] + 2 * padding(0, size[1]) - 2, 0);
    for _ in 0..depth {
        values += side * side + (side / 2) * (side / 2);
        side /= 2;
    }
    (size[0] * width * values) as usize * images.kind().elt_size_in_bytes()
}
