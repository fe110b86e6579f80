//! The passes between two convolutions, whichever device runs them: the CPU (`cpu_passes`), or a GPU
//! with astill's own kernels (`gpu_passes`).

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

/// The passes of a block; `planes` has the formulas. All tensors are contiguous.
pub(super) trait Passes: Debug {
    /// z (N, C, H, W) becomes n; returns a (N, C, H/2, W/2), and 1/s (N · C).
    fn forward(&self, block: &BlockParameters, z: &mut Tensor) -> (Tensor, Tensor);

    /// d_z (N, C, H, W), and the gradients of γ and β.
    fn backward(&self, block: &BlockParameters, kept: Kept<'_>) -> (Tensor, AffineTensors);

    /// z_dot becomes n_dot; returns [a, a_dot] in the layout of `along`, and s_dot (N · C).
    fn forward_tangent(&self, along: &BlockDirection<'_>, z_dot: &mut Tensor) -> (Tensor, Tensor);

    /// [d_z_dot, d_z] in the layout of `along`, and the derivatives of the gradients of γ and β.
    fn backward_tangent(
        &self,
        along: &BlockDirection<'_>,
        moved: Moved<'_>,
    ) -> (Tensor, AffineTensors);
}

/// What the forward pass has left of a block, and what comes back to it: n, 1/s, and d_a.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept<'a> {
    pub n: &'a Tensor,
    pub scales: &'a Tensor,
    pub d_a: &'a Tensor,
}

/// A block, and the direction that its passes are differentiated along.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockDirection<'a> {
    pub block: &'a BlockParameters,
    /// The direction of its parameters; none if they do not move.
    pub dot: Option<&'a BlockParameters>,
    pub kept: Kept<'a>,
    pub layout: PairLayout,
}

/// What the forward pass along a direction has left of a block, and what comes back to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved<'a> {
    pub n_dot: &'a Tensor,
    pub s_dots: &'a Tensor,
    pub d_a_dot: &'a Tensor,
}
