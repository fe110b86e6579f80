//! [`Passes`] by astill's own kernels, each a single launch.

use super::layers::BlockParameters;
use super::passes::{AffineTensors, BlockDirection, Kept, Moved, Passes};
use super::planes::PairLayout;
use crate::kernels::Argument::{Int, Values};
use crate::kernels::{Argument, Kernels, Launch, threads_for};
use std::sync::Arc;
use tch::{Kind, Tensor};

#[derive(Debug)]
pub(super) struct GpuPasses {
    pub kernels: Arc<dyn Kernels>,
    /// Zeros (C): the direction of γ and β where they do not move.
    pub still: Tensor,
}

/// A batch of planes (N, C, H, W), which new tensors take kind and device from, and its size.
struct Batch<'a>(&'a Tensor, [i64; 4]);

impl<'a> Batch<'a> {
    fn of(t: &'a Tensor) -> Self {
        let size = t.size();
        Self(t, [size[0], size[1], size[2], size[3]])
    }

    fn empty(&self, size: &[i64]) -> Tensor {
        Tensor::empty(size, (self.0.kind(), self.0.device()))
    }

    /// A new tensor for two planes in place of each, with sides divided by `divisor`, not filled.
    fn pair(&self, layout: PairLayout, divisor: i64) -> Tensor {
        let [n, c, h, w] = self.1;
        match layout {
            PairLayout::ByBatch => self.empty(&[2, n, c, h / divisor, w / divisor]),
            PairLayout::ByChannel => self.empty(&[n, 2, c, h / divisor, w / divisor]),
        }
    }

    fn launch(
        &self,
        kernels: &dyn Kernels,
        // the second: how many sums over a plane it computes together
        (kernel, sums): (&'static str, u32),
        arguments: &[Argument<'_>],
    ) {
        let [n, c, h, w] = self.1;
        let sizes = [Int(c), Int(h), Int(w)];
        kernels.launch(&Launch {
            kernel,
            kind: self.0.kind(),
            blocks: n * c,
            threads: threads_for(h * w),
            shared: sums,
            arguments: &[&sizes[..], arguments].concat(),
        });
    }

    /// A new tensor for the gradients of γ and β of every plane, not filled.
    fn affine(&self) -> Tensor {
        let [n, c, ..] = self.1;
        self.empty(&[2, n, c])
    }
}

/// The gradients of γ and β of every plane (2, N, C), added up over the images.
fn summed(planes: &Tensor) -> AffineTensors {
    let sums = planes.sum_dim_intlist([1i64].as_slice(), false, None::<Kind>);
    AffineTensors {
        gamma: sums.get(0),
        beta: sums.get(1),
    }
}

fn by_channel(layout: PairLayout) -> Argument<'static> {
    Int(i64::from(layout == PairLayout::ByChannel))
}

impl Passes for GpuPasses {
    fn forward(&self, block: &BlockParameters, z: &mut Tensor) -> (Tensor, Tensor) {
        let batch = Batch::of(z);
        let [n, c, h, w] = batch.1;
        let (a, scales) = (batch.empty(&[n, c, h / 2, w / 2]), batch.empty(&[n * c]));
        batch.launch(
            self.kernels.as_ref(),
            ("planes_forward", 1),
            &[
                Values(&block.gamma),
                Values(&block.beta),
                Values(z),
                Values(&a),
                Values(&scales),
            ],
        );
        (a, scales)
    }

    fn backward(&self, block: &BlockParameters, kept: Kept<'_>) -> (Tensor, AffineTensors) {
        let batch = Batch::of(kept.n);
        let (d_z, affine) = (batch.empty(&batch.1), batch.affine());
        batch.launch(
            self.kernels.as_ref(),
            ("planes_backward", 2),
            &[
                Values(&block.gamma),
                Values(&block.beta),
                Values(kept.n),
                Values(kept.scales),
                Values(kept.d_a),
                Values(&d_z),
                Values(&affine),
            ],
        );
        (d_z, summed(&affine))
    }

    fn forward_tangent(&self, along: &BlockDirection<'_>, z_dot: &mut Tensor) -> (Tensor, Tensor) {
        let BlockDirection {
            block,
            dot,
            kept,
            layout,
        } = *along;
        let batch = Batch::of(z_dot);
        let [n, c, ..] = batch.1;
        let (pair, s_dots) = (batch.pair(layout, 2), batch.empty(&[n * c]));
        batch.launch(
            self.kernels.as_ref(),
            ("planes_forward_tangent", 2),
            &[
                Values(&block.gamma),
                Values(&block.beta),
                Values(dot.map_or(&self.still, |dot| &dot.gamma)),
                Values(dot.map_or(&self.still, |dot| &dot.beta)),
                Values(kept.n),
                Values(kept.scales),
                Values(z_dot),
                Values(&pair),
                by_channel(layout),
                Values(&s_dots),
            ],
        );
        (pair, s_dots)
    }

    fn backward_tangent(
        &self,
        along: &BlockDirection<'_>,
        moved: Moved<'_>,
    ) -> (Tensor, AffineTensors) {
        let BlockDirection {
            block,
            dot,
            kept,
            layout,
        } = *along;
        let batch = Batch::of(moved.n_dot);
        let (pair, affine) = (batch.pair(layout, 1), batch.affine());
        batch.launch(
            self.kernels.as_ref(),
            ("planes_backward_tangent", 4),
            &[
                Values(&block.gamma),
                Values(&block.beta),
                Values(dot.map_or(&self.still, |dot| &dot.gamma)),
                Values(kept.n),
                Values(moved.n_dot),
                Values(kept.scales),
                Values(moved.s_dots),
                Values(kept.d_a),
                Values(moved.d_a_dot),
                Values(&pair),
                by_channel(layout),
                Values(&affine),
            ],
        );
        (pair, summed(&affine))
    }
}
