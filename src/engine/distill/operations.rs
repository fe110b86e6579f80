//! What lies between the derivatives of two student steps: augmentation, and updates of flat vectors.
//! On a GPU each is a single launch of one of astill's kernels; elsewhere libtorch computes it.

use super::{Labels, TrainingSet};
use crate::data::Augmentation;
use crate::data::augment::{add_gradient, augmented_rows};
use crate::kernels::Argument::{Double, Int, Null, Values};
use crate::kernels::{Argument, Kernels, for_each_value};
use tch::Tensor;

/// One student step: which synthetic images it sees and how they are augmented.
#[derive(Debug)]
pub struct StudentStep {
    /// Rows of the synthetic set, i64 (batch), each at most once.
    pub rows: Tensor,
    pub augmentation: Option<Augmentation>,
}

impl StudentStep {
    /// Its tensors, to be moved.
    pub(super) fn tensors_mut(&mut self) -> Vec<&mut Tensor> {
        let numbers = self.augmentation.iter_mut();
        let mut all: Vec<&mut Tensor> = numbers.flat_map(Augmentation::numbers_mut).collect();
        all.push(&mut self.rows);
        all
    }
}

/// The operations on one set of images.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operations<'a> {
    /// The synthetic images, with α as their learning rate.
    pub set: &'a TrainingSet<'a>,
    /// K.
    pub classes: i64,
    /// μ.
    pub momentum: f64,
    pub kernels: Option<&'a dyn Kernels>,
}

/// The images that a step sees.
#[derive(Debug)]
pub(super) struct Seen {
    /// (N, C, H, W), augmented, without a graph.
    pub images: Tensor,
    /// The batch before the augmentation and after it, with a graph, where libtorch differentiates it.
    graph: Option<(Tensor, Tensor)>,
}

impl Operations<'_> {
    /// The labels of the whole set, from which steps select theirs.
    pub fn labels(&self) -> Labels {
        let set = self.set;
        match self.kernels {
            // converted once instead of in every step
            Some(_) => {
                let kind = set.images.kind();
                Labels::Soft(set.labels.probabilities(self.classes, kind))
            }
            None => set.labels.shallow_clone(),
        }
    }

    /// What a step sees; `differentiable` if [`Self::add_image_gradient`] follows.
    pub fn seen(&self, step: &StudentStep, differentiable: bool) -> Seen {
        let images = self.set.images;
        if let Some(kernels) = self.kernels {
            let drawn = step.augmentation.as_ref();
            return Seen {
                images: augmented_rows(kernels, drawn, images, &step.rows),
                graph: None,
            };
        }
        let batch = images.index_select(0, &step.rows).detach();
        let Some(augmentation) = &step.augmentation else {
            return Seen {
                images: batch,
                graph: None,
            };
        };
        if !differentiable {
            return Seen {
                images: augmentation.apply(&batch),
                graph: None,
            };
        }
        let batch = batch.set_requires_grad(true);
        let seen = augmentation.apply(&batch);
        Seen {
            images: seen.detach(),
            graph: Some((batch, seen)),
        }
    }

    /// A gradient of 0 with respect to all images.
    pub fn no_image_gradient(&self) -> Tensor {
        let images = self.set.images;
        match self.kernels {
            // which may not be contiguous; kernels need that
            Some(_) => Tensor::zeros(images.size(), (images.kind(), images.device())),
            None => images.zeros_like(),
        }
    }

    /// Adds the gradient of a step with respect to what it has seen to that of all images.
    ///
    /// The augmentation is differentiated on its own, outside the step's double backward.
    pub fn add_image_gradient(
        &self,
        step: &StudentStep,
        seen: &Seen,
        d: Tensor,
        d_images: &mut Tensor,
    ) {
        if let Some(kernels) = self.kernels {
            let drawn = step.augmentation.as_ref();
            return add_gradient(kernels, drawn, &d, &step.rows, d_images);
        }
        let d_batch = match &seen.graph {
            Some((batch, seen)) => {
                let [d] = gradient(&(seen * d).sum(None), [batch], false);
                d
            }
            None => d,
        };
        let _ = d_images.index_add_(0, &step.rows, &d_batch);
    }

    /// v = μ `before` + g into `v`, and `theta` − α v into `next`; all (P).
    pub fn advance(
        &self,
        (before, g): (Option<&Tensor>, Tensor),
        theta: &Tensor,
        (v, next): (&mut Tensor, &mut Tensor),
    ) {
        let (momentum, lr) = (self.momentum, self.set.lr);
        if let Some(kernels) = self.kernels {
            let g = g.contiguous();
            let step = SgdStep {
                momentum,
                decay: 0.,
                lr,
            };
            return step.launch(kernels, (before, &g), theta, (v, next));
        }
        let new = match before {
            Some(before) => before * momentum + g,
            None => g,
        };
        next.copy_(&(theta - &new * lr));
        v.copy_(&new);
    }

    /// ν ← ν − α λ.
    pub fn back(&self, lambda: &Tensor, nu: &mut Tensor) {
        let lr = self.set.lr;
        let Some(kernels) = self.kernels else {
            *nu -= lambda * lr;
            return;
        };
        let n = Int(lambda.numel() as i64);
        let arguments = [n, Double(lr), Values(lambda), Values(nu)];
        for_each(kernels, "student_back", lambda, &arguments);
    }

    /// λ ← λ + `d`, ν ← μ ν.
    pub fn before(&self, d: &Tensor, lambda: &mut Tensor, nu: &mut Tensor) {
        let momentum = self.momentum;
        let Some(kernels) = self.kernels else {
            *lambda += d;
            *nu *= momentum;
            return;
        };
        let n = Int(lambda.numel() as i64);
        let arguments = [n, Double(momentum), Values(d), Values(lambda), Values(nu)];
        for_each(kernels, "student_before", lambda, &arguments);
    }
}

/// A step of SGD on flat vectors (P), by one kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct SgdStep {
    pub momentum: f64,
    /// Weight decay.
    pub decay: f64,
    pub lr: f64,
}

impl SgdStep {
    /// From `theta`, with the velocity `before` and the gradient `g`: the new velocity and the next
    /// point into `v` and `next`, which may be the old ones.
    pub fn launch(
        self,
        kernels: &dyn Kernels,
        (before, g): (Option<&Tensor>, &Tensor),
        theta: &Tensor,
        (v, next): (&Tensor, &Tensor),
    ) {
        let arguments = [
            Int(theta.numel() as i64),
            Double(self.momentum),
            Double(self.decay),
            Double(self.lr),
            before.map_or(Null, Values),
            Values(g),
            Values(theta),
            Values(v),
            Values(next),
        ];
        for_each(kernels, "sgd_step", theta, &arguments);
    }
}

fn for_each(
    kernels: &dyn Kernels,
    kernel: &'static str,
    vector: &Tensor,
    arguments: &[Argument<'_>],
) {
    let of = (vector.kind(), vector.numel() as i64);
    for_each_value(kernels, kernel, of, arguments);
}

/// ∂`scalar`/∂`inputs`; with `graph`, the results can be differentiated again.
pub(super) fn gradient<const N: usize>(
    scalar: &Tensor,
    inputs: [&Tensor; N],
    graph: bool,
) -> [Tensor; N] {
    let mut gradients = Tensor::run_backward(&[scalar], &inputs, graph, graph).into_iter();
    inputs.map(|input| gradients.next().unwrap_or_else(|| input.zeros_like()))
}
