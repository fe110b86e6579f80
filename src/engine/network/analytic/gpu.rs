//! The analytic derivatives on a GPU of a ConvNet with instance norm, relu and average pooling: the
//! whole batch at once, or in pieces where memory is short.

use super::cpu::piece_input_along;
use super::first_order::{WithRespectTo, first_order, forward};
use super::gpu_passes::GpuPasses;
use super::layers::{Direction, Layers, Loss, ParameterDirection, ParameterGradients};
use super::tangent::along;
use super::{
    Analytic, CachedForward, DirectionalDerivative, LossGradient, WeightedBatch, pass_bytes,
};
use crate::gpu_pieces;
use crate::kernels::Kernels;
use crate::network::flat::FlatShapes;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// The memory that a derivative along a direction takes, as a multiple of what the first-order pass
/// leaves: that, as much along the direction, and twice the largest layer with its workspace.
pub const WORKING: f64 = 6.;

/// The derivatives of a ConvNet by astill's own kernels.
#[derive(Debug)]
pub struct GpuConvNet<'a> {
    shapes: &'a FlatShapes,
    width: i64,
    depth: usize,
    passes: GpuPasses,
    /// Where the images are, and whose memory counts.
    device: Device,
    /// How many of the first batch are processed at a time; no more of any later one.
    planned: Cell<Option<i64>>,
}

impl<'a> GpuConvNet<'a> {
    /// For a flat vector of these `shapes`, with `depth` blocks of `width` channels, and images of
    /// this kind on this device.
    pub fn new(
        shapes: &'a FlatShapes,
        (width, depth): (i64, usize),
        kernels: Arc<dyn Kernels>,
        (kind, device): (Kind, Device),
    ) -> Self {
        let still = Tensor::zeros([width], (kind, device));
        Self {
            shapes,
            width,
            depth,
            passes: GpuPasses { kernels, still },
            device,
            planned: Cell::new(None),
        }
    }

    fn layers(&self, flat: &Tensor) -> Layers {
        Layers::of(self.shapes, self.depth, flat)
    }

    /// One flat vector (P) of gradients.
    fn flat(&self, gradients: &ParameterGradients) -> Tensor {
        let zeros = || self.passes.still.shallow_clone();
        // only the biases of the convolutions have none
        let parts: Vec<Tensor> = gradients
            .iter()
            .map(|gradient| gradient.as_ref().map_or_else(zeros, |g| g.reshape([-1])))
            .collect();
        Tensor::cat(&parts, 0)
    }

    /// Does `work` with the number of images to process at a time, without a graph.
    fn in_pieces<T>(&self, images: &Tensor, work: impl Fn(i64) -> T) -> T {
        let n = images.size()[0];
        let planned = self.planned.get().unwrap_or_else(|| {
            let bytes = self.cache_bytes(images) as f64 / n.max(1) as f64 * WORKING;
            gpu_pieces::planned(self.device, n, bytes)
        });
        let piece = planned.min(n);
        let (found, fitted) = tch::no_grad(|| gpu_pieces::until_it_fits(self.device, piece, work));
        // what has not fitted is not tried again
        self.planned
            .set(Some(if fitted < piece { fitted } else { planned }));
        found
    }
}

/// Adds a tensor to a sum that may not have begun.
fn add(sum: &mut Option<Tensor>, next: Tensor) {
    match sum {
        Some(sum) => *sum += next,
        None => *sum = Some(next),
    }
}

/// The first image and the length of every piece of `n` images, from number `from` on.
fn spans(from: i64, n: i64, piece: i64) -> impl Iterator<Item = (i64, i64)> {
    (from..n)
        .step_by(piece.max(1) as usize)
        .map(move |from| (from, piece.min(n - from)))
}

/// The pieces as one tensor, without a copy where there is one alone.
fn joined(mut parts: Vec<Tensor>) -> Tensor {
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(&parts, 0),
    }
}

impl Analytic for GpuConvNet<'_> {
    fn loss_gradient(
        &self,
        theta: &Tensor,
        batch: WeightedBatch<'_>,
        budget_bytes: usize,
    ) -> LossGradient {
        let images = batch.images.detach().contiguous();
        let (n, loss, layers) = (images.size()[0], Loss::of(batch), self.layers(theta));
        let of_pieces = |piece: i64| {
            let (mut sum, mut logits, mut left) = (None, Vec::new(), budget_bytes);
            let mut cached = CachedForward {
                pieces: Vec::new(),
                images: 0,
            };
            for (from, length) in spans(0, n, piece) {
                let (images, loss) = (images.narrow(0, from, length), loss.rows(from, length));
                let wanted = WithRespectTo::Parameters;
                let first = first_order(&self.passes, &layers, &images, &loss, wanted);
                add(&mut sum, self.flat(&first.parameters));
                logits.push(first.logits);
                let bytes = self.cache_bytes(&images);
                if cached.images == from && bytes <= left {
                    left -= bytes;
                    cached.pieces.push(first.cached);
                    cached.images += length;
                }
            }
            LossGradient {
                parameters: sum.unwrap_or_else(|| theta.zeros_like()),
                logits: joined(logits),
                cached: Some(cached).filter(|cached| cached.images > 0),
            }
        };
        self.in_pieces(&images, of_pieces)
    }

    fn logits(&self, theta: &Tensor, images: &Tensor) -> Tensor {
        let (images, layers) = (images.detach().contiguous(), self.layers(theta));
        let of_pieces = |piece: i64| {
            let of_piece = |(from, length)| {
                let images = images.narrow(0, from, length);
                forward(&self.passes, &layers, &images, |_, _, _| ()).1
            };
            joined(spans(0, images.size()[0], piece).map(of_piece).collect())
        };
        self.in_pieces(&images, of_pieces)
    }

    fn gradient_along(
        &self,
        theta: &Tensor,
        batch: WeightedBatch<'_>,
        direction: &Tensor,
        cached: Option<CachedForward>,
    ) -> DirectionalDerivative {
        let images = batch.images.detach().contiguous();
        let (n, loss, layers) = (images.size()[0], Loss::of(batch), self.layers(theta));
        let cached = RefCell::new(cached);
        let of_pieces = |piece: i64| {
            let dot = self.layers(direction);
            let direction = Direction::Parameters(ParameterDirection::new(&layers, dot));
            let (mut sum, mut d_images, mut d_targets) = (None, Vec::new(), Vec::new());
            // gone if memory runs out and all is done again
            let cached = cached.take();
            let mut pieces = cached.into_iter().flat_map(|cached| cached.pieces);
            let mut from = 0;
            while from < n {
                let (kept, length) = match pieces.next() {
                    Some(kept) => {
                        let length = kept.probabilities.size()[0];
                        (Some(kept), length)
                    }
                    None => (None, piece.min(n - from)),
                };
                let (images, loss) = (images.narrow(0, from, length), loss.rows(from, length));
                let kept = kept.unwrap_or_else(|| {
                    let nothing = WithRespectTo::Nothing;
                    first_order(&self.passes, &layers, &images, &loss, nothing).cached
                });
                let along = along(&self.passes, &layers, &images, &loss, &kept, &direction);
                add(&mut sum, self.flat(&along.parameters));
                d_images.extend(along.images);
                d_targets.extend(along.targets);
                from += length;
            }
            DirectionalDerivative {
                parameters: sum.unwrap_or_else(|| theta.zeros_like()),
                images: joined(d_images),
                targets: joined(d_targets),
            }
        };
        self.in_pieces(&images, of_pieces)
    }

    fn input_gradient_along(
        &self,
        theta: &Tensor,
        images: &Tensor,
        function: &(dyn Fn(&Tensor) -> (Tensor, Tensor) + Sync),
    ) -> (Tensor, Tensor) {
        let (images, layers) = (images.detach().contiguous(), self.layers(theta));
        let of_pieces = |piece: i64| {
            let (mut total, mut sum) = (None, None);
            for (from, length) in spans(0, images.size()[0], piece) {
                let images = images.narrow(0, from, length);
                let (value, gradients) =
                    piece_input_along(&self.passes, &layers, &images, function);
                add(&mut total, value);
                add(&mut sum, self.flat(&gradients));
            }
            (
                total.unwrap_or_else(|| Tensor::zeros([], (theta.kind(), self.device))),
                sum.unwrap_or_else(|| theta.zeros_like()),
            )
        };
        self.in_pieces(&images, of_pieces)
    }

    fn cache_bytes(&self, images: &Tensor) -> usize {
        pass_bytes(images, self.width, self.depth)
    }

    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self.passes.kernels.as_ref())
    }
}
