//! The passes between two convolutions, on whatever computes: the CPU, or a GPU with kernels of our
//! own.

use super::layers::BlockParameters;
use super::planes::PairLayout;
use std::fmt::Debug;
use tch::Tensor;

/// The gradients with respect to γ and β, or their derivatives: each (C).
#[derive(Debug)]
pub(super) struct AffineTensors {
    pub gamma: Tensor,
    pub beta: Tensor,
}

/// What the passes of a block compute; `planes` has the formulas. All tensors are contiguous.
pub(super) trait Passes: Debug {
    /// z (N, C, H, W) becomes n; a (N, C, H/2, W/2), and 1/s (N · C).
    fn forward(&self, block: &BlockParameters, z: &mut Tensor) -> (Tensor, Tensor);

    /// d_a → d_z (N, C, H, W), and the gradients of γ and β; `scales` are 1/s.
    fn backward(
        &self,
        block: &BlockParameters,
        n: &Tensor,
        scales: &Tensor,
        d_a: &Tensor,
    ) -> (Tensor, AffineTensors);

    /// z_dot becomes n_dot; [a, a_dot] in this layout, and s_dot (N · C). Without `dot`, γ and β do
    /// not move.
    fn forward_tangent(
        &self,
        block: &BlockParameters,
        dot: Option<&BlockParameters>,
        kept: Kept<'_>,
        z_dot: &mut Tensor,
        layout: PairLayout,
    ) -> (Tensor, Tensor);

    /// d_a_dot → [d_z_dot, d_z] in this layout, and the derivatives of the gradients of γ and β.
    fn backward_tangent(
        &self,
        block: &BlockParameters,
        dot: Option<&BlockParameters>,
        kept: Kept<'_>,
        moved: Moved<'_>,
        layout: PairLayout,
    ) -> (Tensor, AffineTensors);
}

/// What the first-order pass has left of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept<'a> {
    pub n: &'a Tensor,
    pub scales: &'a Tensor,
    pub d_a: &'a Tensor,
}

/// What the forward pass along a direction has left of a block, and what comes back to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved<'a> {
    pub n_dot: &'a Tensor,
    pub s_dots: &'a Tensor,
    pub d_a_dot: &'a Tensor,
}
