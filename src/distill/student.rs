//! The student: N steps on the synthetic images, and the exact gradient through all of them in constant memory.

use super::TrainingSet;
use crate::Result;
use crate::data::Augmentation;
use crate::network::{Batch, ConvNet, KeptPass};
use tch::Tensor;

/// One student step: which synthetic images it sees and how they are augmented.
#[derive(Debug)]
pub struct Step {
    /// Rows of the synthetic set, i64 (batch), each at most once.
    pub rows: Tensor,
    pub augmentation: Option<Augmentation>,
}

/// The inner training problem of one iteration.
#[derive(Debug)]
pub struct Student<'a> {
    pub net: &'a ConvNet,
    /// The synthetic images, with α as their learning rate.
    pub set: &'a TrainingSet<'a>,
    /// μ in [0, 1).
    pub momentum: f64,
    /// Factor of the cross-entropy (balanced inner-loop loss).
    pub loss_factor: f64,
}

/// The student's path: θ_0 … θ_N and the velocities v_0 … v_N−1, all flat vectors (P) without a graph.
#[derive(Debug)]
pub struct Rollout {
    pub points: Vec<Tensor>,
    pub velocities: Vec<Tensor>,
    /// Of every step, what need not be worked out again on the way back.
    kept: Vec<Option<KeptPass>>,
}

/// Memory for what is kept of steps. So much lets small steps go back without going forward again, and no more, so that memory does
/// not grow with N.
const KEPT_BYTES: usize = 256 << 20;

/// The derivative of a loss of the student's points.
#[derive(Debug)]
pub struct Gradient {
    /// With respect to the synthetic images (n, C, H, W).
    pub images: Tensor,
    /// With respect to α (scalar).
    pub lr: Tensor,
}

impl Rollout {
    /// Room for N steps from `start`, as views of one block: vectors that stay, allocated between large ones that go, would leave
    /// holes in the heap that add up with N.
    fn reserve(start: &Tensor, syn_steps: usize) -> Self {
        const ALIGNED: i64 = 64;
        let parameters = start.size()[0];
        let row = (parameters + ALIGNED - 1) / ALIGNED * ALIGNED;
        let block = Tensor::empty([2 * syn_steps as i64 + 1, row], (start.kind(), start.device())).narrow(1, 0, parameters);
        let views = |from: usize, to: usize| (from..to).map(|i| block.get(i as i64)).collect();
        Self { points: views(0, syn_steps + 1), velocities: views(syn_steps + 1, 2 * syn_steps + 1), kept: Vec::new() }
    }
}

impl Student<'_> {
    /// Trains from `start` (P): v_0 = g_0, v_i = μ v_i−1 + g_i, θ_i+1 = θ_i − α v_i.
    ///
    /// `between` is called before every step and may end the rollout with an error.
    pub fn unroll(&self, start: &Tensor, steps: &[Step], between: &mut dyn FnMut() -> Result<()>) -> Result<Rollout> {
        let mut rollout = Rollout::reserve(start, steps.len());
        rollout.points[0].copy_(start);
        let fast = self.net.has_tangent(self.set.images);
        for (i, step) in steps.iter().enumerate() {
            between()?;
            let theta = rollout.points[i].detach();
            let images = augmented(&self.set.images.index_select(0, &step.rows), step);
            let g = if fast {
                let labels = self.labels(step);
                // the way back begins at the last steps, and frees them one by one
                let keep = (steps.len() - i) * self.net.kept_bytes(&images) <= KEPT_BYTES;
                let gradient = self.net.loss_gradient(&theta, self.batch(&images, &labels), keep);
                rollout.kept.push(gradient.kept);
                gradient.parameters
            } else {
                self.step_gradient(&theta.set_requires_grad(true), &images, step, false)
            };
            let v = match i.checked_sub(1) {
                Some(before) => &rollout.velocities[before] * self.momentum + g,
                None => g,
            };
            let next = &rollout.points[i] - &v * self.set.lr;
            rollout.points[i + 1].copy_(&next);
            rollout.velocities[i].copy_(&v);
        }
        Ok(rollout)
    }

    /// The exact gradient of a loss L(θ_0 … θ_N) through all N steps, with the graph of one step in memory at a time.
    ///
    /// `derivatives` are the direct ∂L/∂θ_i (P) with their i. Backwards over the steps, with λ = ∂L/∂θ_i+1 and ν = ∂L/∂v_i:
    /// ∂α −= λ · v_i; ν ← ν − α λ; s = ν · g_i(θ_i, X_i); ∂X += ∂s/∂X; λ ← λ + ∂s/∂θ_i; ν ← μ ν. Every step's batch and
    /// augmentation are those of the forward pass. Source: reverse-mode differentiation of the momentum recursion.
    pub fn adjoint(
        &self,
        rollout: &mut Rollout,
        steps: &[Step],
        derivatives: &[(usize, Tensor)],
        between: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Gradient> {
        let add_direct = |lambda: &mut Tensor, point: usize| {
            for (_, derivative) in derivatives.iter().filter(|(i, _)| *i == point) {
                *lambda += derivative;
            }
        };
        let fast = self.net.has_tangent(self.set.images);
        let mut lambda = rollout.points[0].zeros_like();
        add_direct(&mut lambda, steps.len());
        let mut nu = lambda.zeros_like();
        let mut d_images = self.set.images.zeros_like();
        let mut d_lr = Tensor::zeros([], (lambda.kind(), lambda.device()));
        for (i, step) in steps.iter().enumerate().rev() {
            between()?;
            d_lr -= lambda.dot(&rollout.velocities[i]);
            nu -= &lambda * self.set.lr;

            let theta = rollout.points[i].detach();
            let batch = self.set.images.index_select(0, &step.rows).detach().set_requires_grad(step.augmentation.is_some());
            let seen = augmented(&batch, step);
            let input = seen.detach();
            let (d_theta, d_input) = if fast {
                let labels = self.labels(step);
                let kept = rollout.kept.get_mut(i).and_then(Option::take);
                self.net.gradient_along(&theta, self.batch(&input, &labels), &nu, kept)
            } else {
                let (theta, input) = (theta.set_requires_grad(true), input.set_requires_grad(true));
                let s = nu.dot(&self.step_gradient(&theta, &input, step, true));
                let [d_input, d_theta] = gradient(&s, [&input, &theta], false);
                (d_theta, d_input)
            };
            let d_batch = match step.augmentation {
                // the augmentation is differentiated on its own, outside the step's double backward
                Some(_) => {
                    let [d] = gradient(&(seen * d_input).sum(None), [&batch], false);
                    d
                }
                None => d_input,
            };
            let _ = d_images.index_add_(0, &step.rows, &d_batch);
            lambda += d_theta;
            add_direct(&mut lambda, i);
            nu *= self.momentum;
        }
        Ok(Gradient { images: d_images, lr: d_lr })
    }

    fn labels(&self, step: &Step) -> Tensor {
        self.set.labels.index_select(0, &step.rows)
    }

    fn batch<'b>(&self, images: &'b Tensor, labels: &'b Tensor) -> Batch<'b> {
        Batch { images, labels, factor: self.loss_factor }
    }

    /// g = ∂/∂θ of factor · mean cross-entropy of one batch, flat (P); with `graph`, differentiable again.
    fn step_gradient(&self, theta: &Tensor, images: &Tensor, step: &Step, graph: bool) -> Tensor {
        let loss = super::cross_entropy(&self.net.forward(theta, images), &self.labels(step)) * self.loss_factor;
        let [g] = gradient(&loss, [theta], graph);
        g
    }
}

fn augmented(images: &Tensor, step: &Step) -> Tensor {
    step.augmentation.as_ref().map_or_else(|| images.shallow_clone(), |a| a.apply(images))
}

/// ∂`scalar`/∂`inputs`; with `graph`, the results can be differentiated again.
pub(super) fn gradient<const N: usize>(scalar: &Tensor, inputs: [&Tensor; N], graph: bool) -> [Tensor; N] {
    let mut gradients = Tensor::run_backward(&[scalar], &inputs, graph, graph).into_iter();
    inputs.map(|input| gradients.next().unwrap_or_else(|| input.zeros_like()))
}
