//! The analytic derivatives on the CPU of a ConvNet with instance norm, relu and average pooling: a
//! batch is processed in pieces, whose results are added up.

use super::first_order::{CachedPiece, WithRespectTo, first_order, forward};
use super::layers::{Direction, Layers, Loss, ParameterDirection, ParameterGradients};
use super::passes::Passes;
use super::pieces::{Piece, Workers, in_pieces, pieces};
use super::tangent::{Along, along};
use super::{
    Analytic, CachedForward, DirectionalDerivative, LossGradient, WeightedBatch, cpu_passes,
    pass_bytes,
};
use crate::network::flat::FlatShapes;
use std::sync::{Mutex, PoisonError};
use tch::{Device, Tensor};

/// The derivatives of a ConvNet. While it lives, libtorch's operations on its thread take one
/// thread: the others are for the pieces of its batches.
#[derive(Debug)]
pub struct CpuConvNet<'a> {
    shapes: &'a FlatShapes,
    width: i64,
    depth: usize,
    workers: Workers,
}

/// What the pieces of a batch share, copied for every thread.
struct Shared {
    layers: Layers,
    images: Tensor,
    loss: Loss,
    direction: Option<Direction>,
}

impl Shared {
    fn share(&self) -> Self {
        Self {
            layers: self.layers.share(),
            images: self.images.shallow_clone(),
            loss: self.loss.share(),
            direction: self.direction.as_ref().map(Direction::share),
        }
    }

    /// The images of a piece, and what is differentiated for them.
    fn piece(&self, piece: Piece) -> (Tensor, Loss) {
        (
            self.images.narrow(0, piece.from, piece.length),
            self.loss.rows(piece.from, piece.length),
        )
    }
}

/// Adds gradients up in the tensors of a flat vector.
fn add(sum: &mut [Tensor], gradients: ParameterGradients) {
    for (sum, gradient) in sum.iter_mut().zip(gradients) {
        if let Some(gradient) = gradient {
            *sum += gradient.view_as(sum);
        }
    }
}

impl<'a> CpuConvNet<'a> {
    /// For a flat vector of these `shapes`, with `depth` blocks of `width` channels.
    pub fn new(shapes: &'a FlatShapes, width: i64, depth: usize) -> Self {
        Self {
            shapes,
            width,
            depth,
            workers: Workers::new(),
        }
    }

    fn shared(&self, theta: &Tensor, images: &Tensor, loss: Loss) -> Shared {
        Shared {
            layers: Layers::of(self.shapes, self.depth, theta),
            images: images.detach().contiguous(),
            loss,
            direction: None,
        }
    }
}

impl Analytic for CpuConvNet<'_> {
    fn loss_gradient(
        &self,
        theta: &Tensor,
        batch: WeightedBatch<'_>,
        budget_bytes: usize,
    ) -> LossGradient {
        let (n, all) = (batch.images.size()[0], self.cache_bytes(batch.images));
        let cached_pieces = budget_bytes.min(all) * pieces(n) as usize / all.max(1);
        let shared = self.shared(theta, batch.images, Loss::of(batch));
        let parameters = theta.zeros_like();
        let mut sum = self.shapes.unflatten(&parameters);
        let mut logits = Vec::new();
        let mut cached = CachedForward {
            pieces: Vec::new(),
            images: 0,
        };
        let work = |shared: &Shared, piece: Piece| {
            let (images, loss) = shared.piece(piece);
            let layers = &shared.layers;
            let passes = cpu_passes::of(images.kind());
            let first = first_order(passes, layers, &images, &loss, WithRespectTo::Parameters);
            let kept = (piece.index < cached_pieces).then_some((first.cached, piece.length));
            (first.parameters, first.logits, kept)
        };
        let collect = |(gradients, piece, kept): (_, Tensor, Option<(CachedPiece, i64)>)| {
            add(&mut sum, gradients);
            logits.push(piece);
            if let Some((piece, images)) = kept {
                cached.pieces.push(piece);
                cached.images += images;
            }
        };
        in_pieces(&self.workers, n, || shared.share(), work, collect);
        LossGradient {
            parameters,
            logits: Tensor::cat(&logits, 0),
            cached: Some(cached).filter(|cached| cached.images > 0),
        }
    }

    fn logits(&self, theta: &Tensor, images: &Tensor) -> Tensor {
        let shared = self.shared(theta, images, Loss::Logits);
        let mut logits = Vec::new();
        let work = |shared: &Shared, piece| {
            let (images, _) = shared.piece(piece);
            let passes = cpu_passes::of(images.kind());
            forward(passes, &shared.layers, &images, |_, _, _| ()).1
        };
        let n = images.size()[0];
        let collect = |piece| logits.push(piece);
        in_pieces(&self.workers, n, || shared.share(), work, collect);
        Tensor::cat(&logits, 0)
    }

    fn gradient_along(
        &self,
        theta: &Tensor,
        batch: WeightedBatch<'_>,
        direction: &Tensor,
        cached: Option<CachedForward>,
    ) -> DirectionalDerivative {
        let mut shared = self.shared(theta, batch.images, Loss::of(batch));
        let dot = Layers::of(self.shapes, self.depth, direction);
        let direction = ParameterDirection::new(&shared.layers, dot);
        shared.direction = Some(Direction::Parameters(direction));
        let parameters = theta.zeros_like();
        let mut sum = self.shapes.unflatten(&parameters);
        let (mut d_images, mut d_targets) = (Vec::new(), Vec::new());
        let cached = cached.map_or_else(Vec::new, |c| c.pieces.into_iter().map(Some).collect());
        let cached: Mutex<Vec<Option<CachedPiece>>> = Mutex::new(cached);
        let work = |shared: &Shared, piece: Piece| {
            let (images, loss) = shared.piece(piece);
            let cached = cached
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_mut(piece.index)
                .and_then(Option::take);
            piece_along(shared, &images, &loss, cached)
        };
        let collect = |piece: Option<Along>| {
            let Some(piece) = piece else { return };
            add(&mut sum, piece.parameters);
            d_images.extend(piece.images);
            d_targets.extend(piece.targets);
        };
        let n = batch.images.size()[0];
        in_pieces(&self.workers, n, || shared.share(), work, collect);
        DirectionalDerivative {
            parameters,
            images: Tensor::cat(&d_images, 0),
            targets: Tensor::cat(&d_targets, 0),
        }
    }

    fn input_gradient_along(
        &self,
        theta: &Tensor,
        images: &Tensor,
        function: &(dyn Fn(&Tensor) -> (Tensor, Tensor) + Sync),
    ) -> (Tensor, Tensor) {
        let shared = self.shared(theta, images, Loss::Logits);
        let parameters = theta.zeros_like();
        let mut sum = self.shapes.unflatten(&parameters);
        let mut total = Tensor::zeros([], (theta.kind(), Device::Cpu));
        let work = |shared: &Shared, piece| {
            let (images, _) = shared.piece(piece);
            let passes = cpu_passes::of(images.kind());
            piece_input_along(passes, &shared.layers, &images, function)
        };
        let collect = |(value, gradients): (Tensor, ParameterGradients)| {
            total += value;
            add(&mut sum, gradients);
        };
        let n = images.size()[0];
        in_pieces(&self.workers, n, || shared.share(), work, collect);
        (total, parameters)
    }

    fn cache_bytes(&self, images: &Tensor) -> usize {
        pass_bytes(images, self.width, self.depth)
    }
}

/// [`along`] the shared direction, after a first-order pass where none was cached.
fn piece_along(
    shared: &Shared,
    images: &Tensor,
    loss: &Loss,
    cached: Option<CachedPiece>,
) -> Option<Along> {
    let (layers, passes) = (&shared.layers, cpu_passes::of(images.kind()));
    let direction = shared.direction.as_ref()?;
    let cached = cached.unwrap_or_else(|| {
        first_order(passes, layers, images, loss, WithRespectTo::Nothing).cached
    });
    Some(along(passes, layers, images, loss, &cached, direction))
}

/// P(g) and its gradient with respect to the parameters, for one piece.
pub(super) fn piece_input_along(
    passes: &dyn Passes,
    layers: &Layers,
    images: &Tensor,
    function: &dyn Fn(&Tensor) -> (Tensor, Tensor),
) -> (Tensor, ParameterGradients) {
    let loss = &Loss::Logits;
    let first = first_order(passes, layers, images, loss, WithRespectTo::Images);
    let (value, h) = function(&first.images.unwrap_or_default());
    let direction = Direction::Images(h);
    let along = along(passes, layers, images, loss, &first.cached, &direction);
    (value, along.parameters)
}
