//! The derivatives by hand of whole batches: worked off in pieces, whose results are added up. For
//! instance norm, relu and average pooling on the CPU; every other network is left to libtorch's
//! autograd.

use super::pieces::{Piece, Workers, in_pieces, pieces};
use super::planes::Real;
use super::tangent::{
    Direction, Layers, Loss, Moving, Parts, Pass, Wanted, along, first_order, forward,
};
use super::{Activation, ConvNet, Norm, Pooling};
use std::sync::{Mutex, PoisonError};
use tch::{Device, Kind, Tensor};

/// What the pieces of a batch share, copied for every thread.
struct Shared {
    layers: Layers,
    images: Tensor,
    labels: Tensor,
    direction: Option<Direction>,
    scale: f64,
}

impl Shared {
    fn share(&self) -> Self {
        let [images, labels] = [&self.images, &self.labels].map(Tensor::shallow_clone);
        Self {
            layers: self.layers.share(),
            images,
            labels,
            direction: self.direction.as_ref().map(Direction::share),
            scale: self.scale,
        }
    }

    /// The images of a piece, and what is differentiated for them.
    fn piece(&self, piece: Piece) -> (Tensor, Loss) {
        let labels = self.labels.narrow(0, piece.from, piece.length);
        (
            self.images.narrow(0, piece.from, piece.length),
            Loss::CrossEntropy {
                labels,
                scale: self.scale,
            },
        )
    }
}

/// Adds gradients up in the parts of a flat vector.
fn add(sum: &mut [Tensor], parts: Parts) {
    for (sum, part) in sum.iter_mut().zip(parts) {
        if let Some(part) = part {
            *sum += part.view_as(sum);
        }
    }
}

/// A batch and what is differentiated: `factor` · mean cross-entropy.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// (N, C, H, W).
    pub images: &'a Tensor,
    /// i64 (N).
    pub labels: &'a Tensor,
    pub factor: f64,
}

/// The forward and backward passes of the first images of a batch, kept for
/// [`Analytic::gradient_along`].
#[derive(Debug)]
pub struct CachedForward {
    pieces: Vec<Pass>,
    /// How many images that are.
    pub images: i64,
}

/// The gradient of a batch.
#[derive(Debug)]
pub struct LossGradient {
    /// (P).
    pub parameters: Tensor,
    /// (N, K).
    pub logits: Tensor,
    /// None if there was no room for a piece.
    pub kept: Option<CachedForward>,
}

/// The derivatives of a network by hand. While it lives, libtorch's operations on its thread take
/// one thread: the others are for the pieces of its batches.
#[derive(Debug)]
pub struct Analytic<'a> {
    net: &'a ConvNet,
    workers: Workers,
}

impl ConvNet {
    /// The derivatives of this network by hand, if they are known for `images` like these.
    pub fn analytic(&self, images: &Tensor) -> Option<Analytic<'_>> {
        let kind = matches!(images.kind(), Kind::Float | Kind::Double);
        let layers = self.norm == Norm::Instance
            && self.activation == Activation::Relu
            && self.pooling == Pooling::Avg;
        (images.device() == Device::Cpu && kind && layers && self.depth > 0).then(|| Analytic {
            net: self,
            workers: Workers::new(),
        })
    }
}

impl Analytic<'_> {
    /// The gradient of `batch` in the parameters `theta` (P).
    ///
    /// As many of its passes as fit into `room` bytes are kept for the derivative of the gradient;
    /// for all, that takes [`Analytic::kept_bytes`].
    pub fn loss_gradient(&self, theta: &Tensor, batch: Batch<'_>, room: usize) -> LossGradient {
        let (n, all) = (batch.images.size()[0], self.kept_bytes(batch.images));
        let keep = room.min(all) * pieces(n) as usize / all.max(1);
        let shared = self.shared(theta, batch, None);
        let parameters = theta.zeros_like();
        let mut sum = self.net.unflatten(&parameters);
        let (mut logits, mut kept) = (
            Vec::new(),
            CachedForward {
                pieces: Vec::new(),
                images: 0,
            },
        );
        let work = |shared: &Shared, piece: Piece| {
            let (images, loss) = shared.piece(piece);
            let first = match images.kind() {
                Kind::Double => {
                    first_order::<f64>(&shared.layers, &images, &loss, Wanted::Parameters)
                }
                _ => first_order::<f32>(&shared.layers, &images, &loss, Wanted::Parameters),
            };
            (
                first.parts,
                first.logits,
                (piece.index < keep).then_some((first.pass, piece.length)),
            )
        };
        let collect = |(parts, piece, pass): (Parts, Tensor, Option<(Pass, i64)>)| {
            add(&mut sum, parts);
            logits.push(piece);
            if let Some((pass, images)) = pass {
                kept.pieces.push(pass);
                kept.images += images;
            }
        };
        in_pieces(&self.workers, n, || shared.share(), work, collect);
        LossGradient {
            parameters,
            logits: Tensor::cat(&logits, 0),
            kept: Some(kept).filter(|kept| kept.images > 0),
        }
    }

    /// `images` (N, C, H, W) → logits (N, K).
    pub fn logits(&self, theta: &Tensor, images: &Tensor) -> Tensor {
        let no_labels = Tensor::zeros([images.size()[0]], (Kind::Int64, Device::Cpu));
        let shared = self.shared(
            theta,
            Batch {
                images,
                labels: &no_labels,
                factor: 0.,
            },
            None,
        );
        let mut logits = Vec::new();
        let work = |shared: &Shared, piece| {
            let (images, _) = shared.piece(piece);
            match images.kind() {
                Kind::Double => forward::<f64>(&shared.layers, &images, |_, _, _| ()).1,
                _ => forward::<f32>(&shared.layers, &images, |_, _, _| ()).1,
            }
        };
        in_pieces(
            &self.workers,
            images.size()[0],
            || shared.share(),
            work,
            |piece| logits.push(piece),
        );
        Tensor::cat(&logits, 0)
    }

    /// The derivatives of g · `direction` (P) in the parameters (P) and in the images (N, C, H, W),
    /// where g is the [`Analytic::loss_gradient`] of the same arguments; `kept` is what that left;
    /// the rest is worked out again.
    pub fn gradient_along(
        &self,
        theta: &Tensor,
        batch: Batch<'_>,
        direction: &Tensor,
        kept: Option<CachedForward>,
    ) -> (Tensor, Tensor) {
        let shared = self.shared(theta, batch, Some(direction));
        let parameters = theta.zeros_like();
        let mut sum = self.net.unflatten(&parameters);
        let mut d_images = Vec::new();
        let kept: Mutex<Vec<_>> =
            Mutex::new(kept.map_or_else(Vec::new, |k| k.pieces.into_iter().map(Some).collect()));
        let work = |shared: &Shared, piece: Piece| {
            let (images, loss) = shared.piece(piece);
            let pass = kept
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_mut(piece.index)
                .and_then(Option::take);
            match images.kind() {
                Kind::Double => piece_along::<f64>(
                    &shared.layers,
                    &images,
                    &loss,
                    pass,
                    shared.direction.as_ref(),
                ),
                _ => piece_along::<f32>(
                    &shared.layers,
                    &images,
                    &loss,
                    pass,
                    shared.direction.as_ref(),
                ),
            }
        };
        let collect = |(parts, piece): (Parts, Option<Tensor>)| {
            add(&mut sum, parts);
            d_images.extend(piece);
        };
        in_pieces(
            &self.workers,
            batch.images.size()[0],
            || shared.share(),
            work,
            collect,
        );
        (parameters, Tensor::cat(&d_images, 0))
    }

    /// For the images' gradient g = ∂ Σ_k f_k/∂x of the sum of all logits: a function P(g), summed
    /// over the images, and its gradient in the parameters (P).
    ///
    /// `function` gets g (n, C, H, W) of some of the images and returns P(g) (scalar) and h =
    /// ∂P/∂g: d(g · h)/dθ with h fixed is the gradient of P in θ.
    pub fn input_gradient_along(
        &self,
        theta: &Tensor,
        images: &Tensor,
        function: &(dyn Fn(&Tensor) -> (Tensor, Tensor) + Sync),
    ) -> (Tensor, Tensor) {
        let no_labels = Tensor::zeros([images.size()[0]], (Kind::Int64, Device::Cpu));
        let shared = self.shared(
            theta,
            Batch {
                images,
                labels: &no_labels,
                factor: 0.,
            },
            None,
        );
        let parameters = theta.zeros_like();
        let mut sum = self.net.unflatten(&parameters);
        let mut total = Tensor::zeros([], (theta.kind(), Device::Cpu));
        let work = |shared: &Shared, piece| {
            let (images, _) = shared.piece(piece);
            match images.kind() {
                Kind::Double => piece_input_along::<f64>(&shared.layers, &images, function),
                _ => piece_input_along::<f32>(&shared.layers, &images, function),
            }
        };
        let collect = |(value, parts): (Tensor, Parts)| {
            total += value;
            add(&mut sum, parts);
        };
        in_pieces(
            &self.workers,
            images.size()[0],
            || shared.share(),
            work,
            collect,
        );
        (total, parameters)
    }

    fn shared(&self, theta: &Tensor, batch: Batch<'_>, direction: Option<&Tensor>) -> Shared {
        let layers = Layers::of(self.net, theta);
        let direction =
            direction.map(|u| Direction::Parameters(Moving::new(&layers, Layers::of(self.net, u))));
        let scale = batch.factor / batch.images.size()[0] as f64;
        Shared {
            layers,
            images: batch.images.detach().contiguous(),
            labels: batch.labels.shallow_clone(),
            direction,
            scale,
        }
    }

    /// The memory that the passes of images (N, C, H, W) take if all are kept, nearly.
    pub fn kept_bytes(&self, images: &Tensor) -> usize {
        let size = images.size();
        let padding = if size[1] == 1 { 3 } else { 1 };
        let (mut side, mut values) = (size[2] + 2 * padding - 2, 0);
        for _ in 0..self.net.depth {
            values += side * side + (side / 2) * (side / 2);
            side /= 2;
        }
        (size[0] * self.net.width * values) as usize
            * if images.kind() == Kind::Double { 8 } else { 4 }
    }
}

/// [`along`], after a first-order pass where none was kept.
fn piece_along<T: Real>(
    layers: &Layers,
    images: &Tensor,
    loss: &Loss,
    kept: Option<Pass>,
    direction: Option<&Direction>,
) -> (Parts, Option<Tensor>) {
    let pass = kept.unwrap_or_else(|| first_order::<T>(layers, images, loss, Wanted::Nothing).pass);
    direction.map_or_else(Default::default, |direction| {
        along::<T>(layers, images, loss, &pass, direction)
    })
}

/// P(g) and its gradient in the parameters, for one piece.
fn piece_input_along<T: Real>(
    layers: &Layers,
    images: &Tensor,
    function: &dyn Fn(&Tensor) -> (Tensor, Tensor),
) -> (Tensor, Parts) {
    let first = first_order::<T>(layers, images, &Loss::Logits, Wanted::Images);
    let (value, h) = function(&first.d_images.unwrap_or_default());
    (
        value,
        along::<T>(
            layers,
            images,
            &Loss::Logits,
            &first.pass,
            &Direction::Images(h),
        )
        .0,
    )
}
