//! Evaluation: how good a fresh network becomes that is trained on the synthetic images alone.

use super::one_copy::move_together;
use super::operations::{Operations, SgdStep};
use super::student::StepLoss;
use super::{Labels, StudentStep, TrainingSet};
use crate::data::{Augmentation, DataSplit};
use crate::network::{Analytic, Mode, Network, Weights};
use crate::progress::{Watch, report};
use crate::{gpu_pieces, random};
use astill_core::Result;
use astill_core::profile::AugmentFamily;
use astill_core::statistics;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

/// Images per step, at most.
pub const BATCH: usize = 256;
pub const MOMENTUM: f64 = 0.9;
pub const WEIGHT_DECAY: f64 = 5e-4;
/// The learning rate is multiplied by this at the half, with a fresh optimiser.
pub const LR_DECAY: f64 = 0.1;
/// The random numbers of so many epochs are drawn together, and go to a GPU as one copy.
const DRAWN_TOGETHER: usize = 50;
/// Real images per forward pass: on the CPU without the analytic passes, few enough to stay in the
/// caches.
pub fn test_batch(device: Device, analytic: bool) -> usize {
    if device == Device::Cpu && !analytic {
        32
    } else {
        1024
    }
}

/// How long a network is trained, and on what.
#[derive(Debug, Clone, Copy)]
pub struct Course<'a> {
    pub epochs: usize,
    /// Families of augmentation; may be empty.
    pub augment: &'a [AugmentFamily],
}

/// Trains a fresh network on `set` alone and returns its weights.
///
/// SGD with [`MOMENTUM`] and [`WEIGHT_DECAY`], augmentation (DSA). `index` names the network: the
/// same index gives the same initialisation, order and augmentation. Source: evaluation protocol of
/// DC, DSA and MTT.
///
/// # Errors
/// [`Error::Interrupted`](astill_core::Error::Interrupted) if `watch` asks to stop.
pub fn train(
    net: &dyn Network,
    set: &TrainingSet<'_>,
    course: Course<'_>,
    seed: u64,
    index: &[u64],
    watch: &mut Watch<'_>,
) -> Result<Weights> {
    let size = set.images.size();
    let (device, n, side) = (set.images.device(), size[0] as usize, size[3]);
    let mut rng = random::generator(seed, "evaluation", index);
    let mut learner = Learner::fresh(net, &mut rng, device);
    let analytic = net.analytic(set.images);
    let operations = Operations {
        set,
        classes: net.classes(),
        momentum: MOMENTUM,
        kernels: analytic.as_deref().and_then(Analytic::kernels),
    };
    let labels = operations.labels();
    let epochs = course.epochs;
    for first in (0..epochs).step_by(DRAWN_TOGETHER) {
        let together = first..epochs.min(first + DRAWN_TOGETHER);
        let mut drawn: Vec<Vec<StudentStep>> = Vec::new();
        for _ in together.clone() {
            let order = random::permutation(&mut rng, n);
            let step = |rows: &[i64]| StudentStep {
                rows: Tensor::from_slice(rows),
                augmentation: Augmentation::draw(&mut rng, course.augment, rows.len(), side),
            };
            drawn.push(order.chunks(BATCH).map(step).collect());
        }
        let steps = drawn.iter_mut().flatten();
        move_together(steps.flat_map(StudentStep::tensors_mut).collect(), device);
        for (epoch, steps) in together.zip(&drawn) {
            report(watch, "epochs", epoch as u64, epochs as u64)?;
            let lr = learner.begin_epoch(epoch, epochs, set.lr);
            for step in steps {
                let images = operations.seen(step, false).images;
                let labels = labels.index_select(&step.rows);
                learner.step(net, analytic.as_deref(), (&images, &labels), lr);
            }
        }
    }
    Ok(learner.weights)
}

/// How a batch of images (n, C, H, W) is augmented.
pub type Augment<'a> = dyn Fn(&mut ChaCha8Rng, Tensor) -> Tensor + 'a;

/// As [`train`], with any augmentation.
///
/// # Errors
/// As [`train`].
pub fn train_augmented(
    net: &dyn Network,
    set: &TrainingSet<'_>,
    epochs: usize,
    augment: &Augment<'_>,
    seed: u64,
    index: &[u64],
    watch: &mut Watch<'_>,
) -> Result<Weights> {
    let (device, n) = (set.images.device(), set.images.size()[0] as usize);
    let mut rng = random::generator(seed, "evaluation", index);
    let mut learner = Learner::fresh(net, &mut rng, device);
    let analytic = net.analytic(set.images);
    for epoch in 0..epochs {
        report(watch, "epochs", epoch as u64, epochs as u64)?;
        let lr = learner.begin_epoch(epoch, epochs, set.lr);
        for rows in random::permutation(&mut rng, n).chunks(BATCH) {
            let rows = Tensor::from_slice(rows).to_device(device);
            let augmented = augment(&mut rng, set.images.index_select(0, &rows));
            let labels = set.labels.index_select(&rows);
            learner.step(net, analytic.as_deref(), (&augmented, &labels), lr);
        }
    }
    Ok(learner.weights)
}

/// A network that is being trained.
#[derive(Debug)]
pub struct Learner {
    pub weights: Weights,
    /// (P); none before the first step.
    pub velocity: Option<Tensor>,
}

impl Learner {
    /// A fresh network on `device`.
    pub fn fresh(net: &dyn Network, rng: &mut ChaCha8Rng, device: Device) -> Self {
        Self {
            weights: Weights::fresh(net, rng).to_device(device),
            velocity: None,
        }
    }

    /// The learning rate of this epoch, which falls once, at the half, where the velocity starts
    /// afresh.
    pub fn begin_epoch(&mut self, epoch: usize, epochs: usize, lr: f64) -> f64 {
        if epoch == epochs / 2 {
            self.velocity = None;
        }
        match epoch < epochs / 2 {
            true => lr,
            false => lr * LR_DECAY,
        }
    }

    /// One step of SGD on images (n, C, H, W) and their labels.
    pub fn step(
        &mut self,
        net: &dyn Network,
        analytic: Option<&dyn Analytic>,
        (images, labels): (&Tensor, &Labels),
        lr: f64,
    ) {
        let Weights { theta, running } = &mut self.weights;
        let loss = StepLoss {
            images,
            labels,
            factor: 1.,
            mode: Mode::Track(running),
        };
        let g = loss.gradient(net, analytic, theta);
        if let Some(kernels) = analytic.and_then(Analytic::kernels) {
            let step = SgdStep {
                momentum: MOMENTUM,
                decay: WEIGHT_DECAY,
                lr,
            };
            let before = self.velocity.take();
            step.launch(kernels, (before.as_ref(), &g), theta, (&g, theta));
            self.velocity = Some(g);
            return;
        }
        let g = g + &*theta * WEIGHT_DECAY;
        let v = match self.velocity.take() {
            Some(before) => before * MOMENTUM + g,
            None => g,
        };
        *theta -= &v * lr;
        self.velocity = Some(v);
    }
}

/// The share of `split` that the network with these weights labels correctly, in per cent.
///
/// # Errors
/// [`Error::Interrupted`](astill_core::Error::Interrupted) if `watch` asks to stop.
pub fn accuracy(
    net: &dyn Network,
    weights: &Weights,
    split: &DataSplit,
    watch: &mut Watch<'_>,
) -> Result<f64> {
    let total = split.len() as u64;
    let mut correct = Tensor::zeros([], (Kind::Int64, weights.theta.device()));
    in_batches(net, weights, split, watch, |logits, labels| {
        correct += logits.argmax(1, false).eq_tensor(labels).sum(Kind::Int64)
    })?;
    Ok(100. * correct.int64_value(&[]) as f64 / total.max(1) as f64)
}

/// Logits (N, K) of all images of `split`, f32 on the CPU.
///
/// # Errors
/// [`Error::Interrupted`](astill_core::Error::Interrupted) if `watch` asks to stop.
pub fn logits(
    net: &dyn Network,
    weights: &Weights,
    split: &DataSplit,
    watch: &mut Watch<'_>,
) -> Result<Tensor> {
    let mut parts = Vec::new();
    in_batches(net, weights, split, watch, |logits, _| {
        parts.push(logits.to_device(Device::Cpu))
    })?;
    Ok(Tensor::cat(&parts, 0))
}

/// Gives `each` the logits (n, K) and the labels (n) of all images of `split`, batch after batch.
fn in_batches(
    net: &dyn Network,
    weights: &Weights,
    split: &DataSplit,
    watch: &mut Watch<'_>,
    mut each: impl FnMut(&Tensor, &Tensor),
) -> Result<()> {
    let total = split.len() as i64;
    let analytic = match total {
        0 => None,
        _ => net.analytic(&split.range(0, 1).0),
    };
    let batch = test_batch(weights.theta.device(), analytic.is_some());
    for from in (0..total).step_by(batch) {
        report(watch, "images", from as u64, total as u64)?;
        let (images, labels) = split.range(from, (total - from).min(batch as i64));
        let logits = match &analytic {
            // which cut it themselves
            Some(analytic) => net.tested(weights, Some(analytic.as_ref()), &images),
            None => in_pieces(net, weights, &images),
        };
        each(&logits, &labels);
    }
    Ok(())
}

/// The logits of `images`, as many at a time as there is memory for on a GPU.
fn in_pieces(net: &dyn Network, weights: &Weights, images: &Tensor) -> Tensor {
    let (n, on) = (images.size()[0], images.device());
    // of the largest layer: its input, its output, and one more
    let largest = net.conv_outputs().into_iter().max().unwrap_or(0) * 3;
    let bytes = (largest as usize * images.kind().elt_size_in_bytes()) as f64;
    gpu_pieces::until_it_fits(on, gpu_pieces::planned(on, n, bytes), |piece| {
        if piece >= n {
            return net.tested(weights, None, images);
        }
        let parts: Vec<Tensor> = (0..n)
            .step_by(piece.max(1) as usize)
            .map(|from| images.narrow(0, from, piece.min(n - from)))
            .map(|images| net.tested(weights, None, &images))
            .collect();
        Tensor::cat(&parts, 0)
    })
    .0
}

/// Mean and sample standard deviation (n − 1; 0 for a single value) of accuracies in per cent.
pub fn mean_std(values: &[f64]) -> (f64, f64) {
    let (mean, sd) = (statistics::mean(values), statistics::sd(values));
    (mean.unwrap_or(0.), sd.unwrap_or(0.))
}
