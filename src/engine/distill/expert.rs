//! Smooth, high-quality experts: SGD on the real data with the clipping loss and the gradient
//! penalty.

use super::Labels;
use super::one_copy::move_together;
use super::operations::{StudentStep, gradient};
use super::student::StepLoss;
use crate::data::{Augmentation, DataSplit};
use crate::network::{Analytic, LossGradient, Mode, Network, Weights};
use crate::progress::{Watch, report};
use crate::{gpu_pieces, random};
use astill_core::Result;
use astill_core::profile::AugmentFamily;
pub use astill_core::profile::ExpertSettings;
use tch::{Device, Kind, Tensor};

/// On the CPU a batch is processed in pieces of this many images, whose activations stay in the
/// caches (measured: 1.8 times as fast as 256 at once). The gradient of a mean over the batch is
/// the sum of those of the pieces, each weighted by its share.
pub const CPU_PIECE: i64 = 32;
/// The memory of a step that autograd differentiates, as a multiple of its convolutions' outputs:
/// 1.15 GB were measured for 100 images of 32 × 32 at width 128 and depth 3.
pub const GRAPH: f64 = 16.;

/// The learning rate of epoch index `epoch` (from 0).
fn lr_at(settings: &ExpertSettings, epoch: usize) -> f64 {
    if epoch > decay_epoch(settings) {
        settings.lr * settings.lr_decay
    } else {
        settings.lr
    }
}

/// The epoch index, E/2 + 1, after which the learning rate falls and the momentum restarts.
fn decay_epoch(settings: &ExpertSettings) -> usize {
    settings.epochs / 2 + 1
}

/// Clipping loss: the factor of the cross-entropy in epoch index e is 0.5 + 0.05 e for e < 10, then
/// 1. Source: arXiv 2310.10541.
pub fn clip_factor(epoch: usize) -> f64 {
    (0.5 + 0.05 * epoch as f64).min(1.)
}

/// The factor of the cross-entropy in epoch index `epoch` under these settings.
pub fn loss_factor(settings: &ExpertSettings, epoch: usize) -> f64 {
    if settings.clipping {
        clip_factor(epoch)
    } else {
        1.
    }
}

/// A batch of real images.
#[derive(Debug, Clone, Copy)]
pub struct ExpertBatch<'a> {
    /// What the cross-entropy sees (N, C, H, W).
    pub augmented: &'a Tensor,
    /// The same images without augmentation, which the gradient penalty sees.
    pub images: &'a Tensor,
    pub labels: &'a Labels,
    /// Of the cross-entropy's pass; the penalty's pass leaves running statistics alone.
    pub mode: Mode<'a>,
}

/// λ · mean over batch and pixels of (‖∂ Σ_k f_k(x)/∂x‖₂ over channels − 1)², differentiable with
/// respect to `theta`.
///
/// `images` (N, C, H, W) are the un-augmented ones. Source: arXiv 2310.10541; gradient penalty of
/// WGAN-GP.
pub fn gradient_penalty(net: &dyn Network, theta: &Tensor, images: &Tensor, weight: f64) -> Tensor {
    let x = images.detach().set_requires_grad(true);
    let [g] = gradient(&net.forward(theta, &x).sum(None), [&x], true); // (N, C, H, W)
    let norm = g.norm_scalaropt_dim(2, [1], false); // (N, H, W)
    (norm - 1.).square().mean(None) * weight
}

/// The parts of an expert's loss on one batch.
#[derive(Debug)]
pub struct ExpertLoss {
    /// What is minimised (scalar, with a graph to theta).
    pub total: Tensor,
    /// Plain mean cross-entropy (scalar).
    pub cross_entropy: Tensor,
    /// The gradient penalty, λ included (scalar; 0 when off).
    pub penalty: Tensor,
    /// Logits of the augmented images (N, K).
    pub logits: Tensor,
}

/// The loss of one batch in epoch index `epoch`: clipped cross-entropy of the augmented images plus
/// the gradient penalty.
pub fn expert_loss(
    net: &dyn Network,
    theta: &Tensor,
    batch: ExpertBatch<'_>,
    settings: &ExpertSettings,
    epoch: usize,
) -> ExpertLoss {
    let logits = net.forward_in(batch.mode, theta, batch.augmented);
    let cross_entropy = batch.labels.cross_entropy(&logits);
    let clipped = &cross_entropy * loss_factor(settings, epoch);
    let (total, penalty) = match settings.gradient_penalty {
        0. => (clipped, cross_entropy.zeros_like()),
        weight => {
            let penalty = gradient_penalty(net, theta, batch.images, weight);
            (clipped + &penalty, penalty)
        }
    };
    ExpertLoss {
        total,
        cross_entropy,
        penalty,
        logits,
    }
}

/// The gradient of an expert's loss on one batch, and what is reported of it.
#[derive(Debug)]
pub struct ExpertGradient {
    /// (P).
    pub gradient: Tensor,
    /// Plain mean cross-entropy (scalar).
    pub cross_entropy: Tensor,
    /// The gradient penalty, λ included (scalar; 0 when off).
    pub penalty: Tensor,
    /// Logits of the augmented images (N, K).
    pub logits: Tensor,
}

/// The gradient of [`expert_loss`] with respect to `theta` (P).
pub fn expert_gradient(
    net: &dyn Network,
    theta: &Tensor,
    batch: ExpertBatch<'_>,
    settings: &ExpertSettings,
    epoch: usize,
) -> ExpertGradient {
    match net.analytic(batch.images) {
        Some(analytic) => {
            analytic_expert_gradient(net, analytic.as_ref(), theta, batch, settings, epoch)
        }
        None => graph_expert_gradient(net, theta, batch, settings, epoch),
    }
}

fn analytic_expert_gradient(
    net: &dyn Network,
    analytic: &dyn Analytic,
    theta: &Tensor,
    batch: ExpertBatch<'_>,
    settings: &ExpertSettings,
    epoch: usize,
) -> ExpertGradient {
    let ExpertBatch {
        augmented,
        images,
        labels,
        mode,
    } = batch;
    let loss = StepLoss {
        images: augmented,
        labels,
        factor: loss_factor(settings, epoch),
        mode,
    };
    let LossGradient {
        parameters, logits, ..
    } = loss.analytic_gradient(net, analytic, theta, 0);
    let cross_entropy = labels.cross_entropy(&logits);
    let (penalty, gradient) = match settings.gradient_penalty {
        0. => (cross_entropy.zeros_like(), parameters),
        weight => {
            let pixels = (images.numel() as i64 / images.size()[1]) as f64;
            let penalty_of_piece = |g: &Tensor| penalty_of(g, weight / pixels);
            let (penalty, d) = analytic.input_gradient_along(theta, images, &penalty_of_piece);
            (penalty, parameters + d)
        }
    };
    ExpertGradient {
        gradient,
        cross_entropy,
        penalty,
        logits,
    }
}

fn graph_expert_gradient(
    net: &dyn Network,
    theta: &Tensor,
    batch: ExpertBatch<'_>,
    settings: &ExpertSettings,
    epoch: usize,
) -> ExpertGradient {
    let (n, on) = (batch.images.size()[0], batch.images.device());
    // batch norm needs the statistics of the whole batch
    if net.has_batch_norm() {
        return graph_gradient_in_pieces(net, theta, batch, (settings, epoch), n);
    }
    let piece = match on {
        Device::Cpu => CPU_PIECE,
        _ => {
            let outputs = net.conv_outputs().iter().sum::<i64>() as f64;
            let bytes = outputs * GRAPH * theta.kind().elt_size_in_bytes() as f64;
            gpu_pieces::planned(on, n, bytes)
        }
    };
    gpu_pieces::until_it_fits(on, piece, |piece| {
        graph_gradient_in_pieces(net, theta, batch, (settings, epoch), piece)
    })
    .0
}

fn graph_gradient_in_pieces(
    net: &dyn Network,
    theta: &Tensor,
    batch: ExpertBatch<'_>,
    (settings, epoch): (&ExpertSettings, usize),
    piece: i64,
) -> ExpertGradient {
    let point = theta.detach().set_requires_grad(true);
    let n = batch.images.size()[0];
    let mut sum = theta.zeros_like();
    let [mut cross_entropy, mut penalty] =
        [0, 1].map(|_| Tensor::zeros([], (theta.kind(), theta.device())));
    let mut logits = Vec::new();
    for from in (0..n).step_by(piece.max(1) as usize) {
        let length = piece.min(n - from);
        let batch = ExpertBatch {
            augmented: &batch.augmented.narrow(0, from, length),
            images: &batch.images.narrow(0, from, length),
            labels: &batch.labels.narrow(from, length),
            mode: batch.mode,
        };
        let loss = expert_loss(net, &point, batch, settings, epoch);
        let share = length as f64 / n as f64;
        let [d] = gradient(&(&loss.total * share), [&point], false);
        sum += d;
        cross_entropy += loss.cross_entropy.detach() * share;
        penalty += loss.penalty.detach() * share;
        logits.push(loss.logits.detach());
    }
    ExpertGradient {
        gradient: sum,
        cross_entropy,
        penalty,
        logits: Tensor::cat(&logits, 0),
    }
}

/// Σ w (‖g‖ − 1)² over the pixels of g (n, C, H, W), and its gradient 2 w (‖g‖ − 1) g / ‖g‖, which
/// counts as 0 where g is 0.
fn penalty_of(g: &Tensor, w: f64) -> (Tensor, Tensor) {
    let norm = g.norm_scalaropt_dim(2, [1], true); // (n, 1, H, W)
    let above = &norm - 1.;
    let slope = (&above / &norm * (2. * w)).masked_fill(&norm.eq(0.), 0.);
    (above.square().sum(None::<Kind>) * w, g * slope)
}

/// The direction (P) of a step of GSAM at `theta`, from the gradient `g` (P) there; `gradient_at`
/// gives that of the same loss elsewhere.
///
/// With w the parameters: ε = ρ w² ⊙ g / ‖|w| ⊙ g‖ leads to the sharpest point nearby, whose gradient
/// g′ flattens the minimum; the part of g that is perpendicular to g′ closes the gap between the two
/// losses: g′ − α (g − cos(g, g′) ‖g‖ g′/‖g′‖). Source: GSAM, arXiv 2203.08065, made adaptive as in
/// FTD, arXiv 2211.11004.
pub fn gsam_direction(
    theta: &Tensor,
    g: &Tensor,
    (rho, alpha): (f64, f64),
    gradient_at: impl FnOnce(&Tensor) -> Tensor,
) -> Tensor {
    let smallest = f64::from(f32::MIN_POSITIVE);
    let length = (theta.abs() * g).norm().clamp_min(smallest);
    let sharpest = theta + theta.square() * g * (rho / length);
    let there = gradient_at(&sharpest);
    // g's part along g′ is ⟨g, g′⟩ / ‖g′‖² g′
    let along = g.dot(&there) / there.dot(&there).clamp_min(smallest);
    let perpendicular = g - &there * along;
    there - perpendicular * alpha
}

/// An expert between two epochs.
#[derive(Debug)]
pub struct Expert {
    pub weights: Weights,
    /// SGD's momentum buffer (P); none before the first step and after the learning rate fell.
    pub velocity: Option<Tensor>,
}

/// Which epoch of which expert: it names the random order and augmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochId {
    pub seed: u64,
    pub expert: u64,
    /// From 0.
    pub epoch: usize,
}

/// Means over one epoch of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochMeans {
    /// Cross-entropy on augmented images, before clipping.
    pub loss: f64,
    /// Per cent, on augmented images, as they were trained on.
    pub accuracy: f64,
    pub gradient_penalty: f64,
}

/// A trained epoch.
#[derive(Debug)]
pub struct TrainedEpoch {
    pub means: EpochMeans,
    /// The parameters (P) at equal shares of the epoch's batches: per_epoch − 1 of them.
    pub inside: Vec<Tensor>,
}

impl Expert {
    /// The fresh network number `index`, on the CPU.
    pub fn new(net: &dyn Network, seed: u64, index: u64) -> Self {
        let mut rng = random::generator(seed, "expert initialisation", &[index]);
        Self {
            weights: Weights::fresh(net, &mut rng),
            velocity: None,
        }
    }

    /// The same expert on `device`.
    #[must_use]
    pub fn to_device(&self, device: Device) -> Self {
        Self {
            weights: self.weights.to_device(device),
            velocity: self.velocity.as_ref().map(|v| v.to_device(device)),
        }
    }

    /// Trains one epoch on `train`, augmented by these families: SGD with momentum and weight decay over a random
    /// permutation cut into batches, one DSA draw each. An epoch has at least `per_epoch` batches.
    ///
    /// # Errors
    /// [`Error::Interrupted`](astill_core::Error::Interrupted) if `watch` asks to stop; the expert
    /// is then as before the epoch.
    pub fn train_epoch(
        &mut self,
        net: &dyn Network,
        settings: &ExpertSettings,
        (train, augment): (&DataSplit, &[AugmentFamily]),
        id: EpochId,
        watch: &mut Watch<'_>,
    ) -> Result<TrainedEpoch> {
        let epoch = id.epoch;
        let order = random::permutation(
            &mut random::generator(id.seed, "expert order", &[id.expert, epoch as u64]),
            train.len(),
        );
        let batches = order.len().div_ceil(settings.batch) as u64;
        // drawn together, so that they go to a GPU as one copy
        let mut drawn: Vec<StudentStep> = Vec::new();
        let side = train.side();
        for (b, rows) in (0..).zip(order.chunks(settings.batch)) {
            let index = [id.expert, epoch as u64, b];
            let mut rng = random::generator(id.seed, "expert augmentation", &index);
            drawn.push(StudentStep {
                rows: Tensor::from_slice(rows),
                augmentation: Augmentation::draw(&mut rng, augment, rows.len(), side),
            });
        }
        let tensors = drawn.iter_mut().flat_map(StudentStep::tensors_mut);
        move_together(tensors.collect(), train.device());
        let (mut theta, mut velocity) = (
            self.weights.theta.detach(),
            self.velocity.as_ref().map(Tensor::shallow_clone),
        );
        let running = self.weights.running.copy();
        let mut sums = Tensor::zeros([3], (Kind::Double, theta.device()));
        let mut inside = Vec::new();
        for (b, step) in (0..).zip(&drawn) {
            report(watch, "batches", b, batches)?;
            let (x, y) = train.batch_at(&step.rows);
            let augmented = match &step.augmentation {
                Some(augmentation) => augmentation.apply(&x),
                None => x.shallow_clone(),
            };
            let labels = Labels::Hard(y.shallow_clone());
            let batch = ExpertBatch {
                augmented: &augmented,
                images: &x,
                labels: &labels,
                mode: Mode::Track(&running),
            };
            let ExpertGradient {
                gradient: mut g,
                cross_entropy,
                penalty,
                logits,
            } = expert_gradient(net, &theta, batch, settings, epoch);
            if settings.gsam_rho > 0. {
                let (rho, alpha) = (settings.gsam_rho, settings.gsam_alpha);
                let batch = ExpertBatch {
                    mode: Mode::Train,
                    ..batch
                };
                g = gsam_direction(&theta, &g, (rho, alpha), |theta| {
                    expert_gradient(net, theta, batch, settings, epoch).gradient
                });
            }
            let correct = logits.argmax(1, false).eq_tensor(&y).sum(Kind::Double);
            let [loss, penalty] =
                [cross_entropy, penalty].map(|t| t.to_kind(Kind::Double) * y.size()[0] as f64);
            sums += Tensor::stack(&[loss, correct, penalty], 0);
            if settings.weight_decay > 0. {
                g += &theta * settings.weight_decay;
            }
            let v = match velocity {
                Some(before) => before * settings.momentum + g,
                None => g,
            };
            theta = &theta - &v * lr_at(settings, epoch);
            velocity = Some(v);
            if (1..settings.per_epoch as u64)
                .any(|part| part * batches / settings.per_epoch as u64 == b + 1)
            {
                inside.push(theta.to_device(Device::Cpu).copy());
            }
        }
        self.weights = Weights { theta, running };
        self.velocity = if epoch == decay_epoch(settings) && settings.lr_decay != 1. {
            None
        } else {
            velocity
        };
        let means = super::to_vec(&(sums / order.len().max(1) as f64));
        Ok(TrainedEpoch {
            means: EpochMeans {
                loss: means[0],
                accuracy: 100. * means[1],
                gradient_penalty: means[2],
            },
            inside,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cross_entropy_reaches_full_weight_in_epoch_ten() {
        assert_eq!(clip_factor(0), 0.5);
        assert!((clip_factor(9) - 0.95).abs() < 1e-12);
        assert_eq!(clip_factor(10), 1.);
        assert_eq!(clip_factor(40), 1.);
    }

    #[test]
    fn gsam_steps_by_the_gradient_of_the_sharpest_point_and_against_the_gap() {
        // L = x² + 10 y² at (1, 0.5): g = (2, 10), |w| ⊙ g = (2, 5)
        let theta = Tensor::from_slice(&[1., 0.5]);
        let gradient = |t: &Tensor| t * Tensor::from_slice(&[2., 20.]);
        let g = gradient(&theta);
        let (rho, alpha, length) = (0.1, 0.3, 29f64.sqrt());
        let sharpest = [1. + rho * 2. / length, 0.5 + rho * 2.5 / length];
        let there = [2. * sharpest[0], 20. * sharpest[1]];
        let dot = 2. * there[0] + 10. * there[1];
        let square = there[0] * there[0] + there[1] * there[1];
        let wanted = [0, 1].map(|i| {
            let here = [2., 10.][i];
            there[i] - alpha * (here - dot / square * there[i])
        });
        let got = super::super::to_vec(&gsam_direction(&theta, &g, (rho, alpha), gradient));
        assert!((got[0] - wanted[0]).abs() < 1e-12 && (got[1] - wanted[1]).abs() < 1e-12);
        let plain = gsam_direction(&theta, &g, (0., 0.), gradient);
        assert!(plain.equal(&g), "without a radius it is the gradient");
    }

    #[test]
    fn the_learning_rate_falls_once_after_the_middle() {
        let settings = ExpertSettings {
            epochs: 10,
            lr: 1.,
            ..ExpertSettings::default()
        };
        let rates: Vec<f64> = (0..10).map(|epoch| lr_at(&settings, epoch)).collect();
        assert_eq!(rates, [1., 1., 1., 1., 1., 1., 1., 0.6, 0.6, 0.6]);
    }
}
