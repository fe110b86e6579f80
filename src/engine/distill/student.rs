//! The student: N steps on the synthetic images, and the exact gradient through all of them in
//! constant memory.

use super::TrainingSet;
use crate::data::Augmentation;
use crate::network::{Analytic, Batch, CachedForward, ConvNet, LossGradient};
use astill_core::Result;
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

/// What is done next in an iteration, told to whoever lets it go on: the trainer stops between
/// steps, the benchmark takes the times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The next student step, forwards or backwards; at first with vectors (P) alone.
    Step,
    /// The augmentation, or its gradient.
    Augmentation,
    /// The gradient of a student step.
    Forward,
    /// The way back through a student step; of how many of its images the passes of the way forward
    /// were `kept`.
    Adjoint { kept: i64 },
    /// Vectors (P).
    Update,
}

/// Called before every [`Part`]; ends the work where it answers with an error.
pub type Between<'a> = dyn FnMut(Part) -> Result<()> + 'a;

/// The student's path: θ_0 … θ_N and the velocities v_0 … v_N−1, all flat vectors (P) without a
/// graph.
#[derive(Debug)]
pub struct Rollout {
    pub points: Vec<Tensor>,
    pub velocities: Vec<Tensor>,
    /// Of every step, what need not be worked out again on the way back.
    kept: Vec<Option<CachedForward>>,
}

/// Memory that a rollout fills where it can: what its points and velocities leave keeps passes of
/// the last steps. So much lets small steps go back without going forward again, and more steps do
/// not take more memory until their vectors alone do.
const ROLLOUT_BYTES: usize = 256 << 20;

/// The derivative of a loss of the student's points.
#[derive(Debug)]
pub struct Gradient {
    /// With respect to the synthetic images (n, C, H, W).
    pub images: Tensor,
    /// With respect to α (scalar).
    pub lr: Tensor,
}

/// How many vectors (P) the path of N steps has.
pub fn path_vectors(syn_steps: usize) -> usize {
    2 * syn_steps + 1
}

/// The bytes that the vectors of N steps, of so many bytes each, leave for passes.
pub fn room_for_passes(syn_steps: usize, vector_bytes: usize) -> usize {
    ROLLOUT_BYTES.saturating_sub(path_vectors(syn_steps) * vector_bytes)
}

impl Rollout {
    /// Lets the passes go that were kept: the way back works all of them out again.
    pub fn forget(&mut self) {
        self.kept.iter_mut().for_each(|kept| *kept = None);
    }

    /// Room for N steps from `start`, as views of one block: vectors that stay, allocated between
    /// large ones that go, would leave holes in the heap that add up with N.
    fn reserve(start: &Tensor, syn_steps: usize) -> Self {
        const ALIGNED: i64 = 64;
        let parameters = start.size()[0];
        let row = (parameters + ALIGNED - 1) / ALIGNED * ALIGNED;
        let block = Tensor::empty(
            [path_vectors(syn_steps) as i64, row],
            (start.kind(), start.device()),
        )
        .narrow(1, 0, parameters);
        let views = |from: usize, to: usize| (from..to).map(|i| block.get(i as i64)).collect();
        Self {
            points: views(0, syn_steps + 1),
            velocities: views(syn_steps + 1, 2 * syn_steps + 1),
            kept: (0..syn_steps).map(|_| None).collect(),
        }
    }
}

impl Student<'_> {
    /// Trains from `start` (P): v_0 = g_0, v_i = μ v_i−1 + g_i, θ_i+1 = θ_i − α v_i.
    ///
    /// `between` may end the rollout with an error.
    pub fn unroll(
        &self,
        start: &Tensor,
        steps: &[Step],
        between: &mut Between<'_>,
    ) -> Result<Rollout> {
        let mut rollout = Rollout::reserve(start, steps.len());
        rollout.points[0].copy_(start);
        let analytic = self.net.analytic(self.set.images);
        let room = room_for_passes(
            steps.len(),
            start.numel() * start.kind().elt_size_in_bytes(),
        );
        for (i, step) in steps.iter().enumerate() {
            between(Part::Step)?;
            let theta = rollout.points[i].detach();
            between(Part::Augmentation)?;
            let images = augmented(&self.set.images.index_select(0, &step.rows), step);
            let labels = self.set.labels.index_select(0, &step.rows);
            let batch = Batch {
                images: &images,
                labels: &labels,
                factor: self.loss_factor,
            };
            between(Part::Forward)?;
            let g = match &analytic {
                Some(hand) => {
                    // the way back begins at the last steps, and frees them one by one
                    let later: i64 = steps[i + 1..].iter().map(|step| step.rows.size()[0]).sum();
                    let room = room
                        .saturating_sub(later as usize * hand.kept_bytes(&images.narrow(0, 0, 1)));
                    let LossGradient {
                        parameters, kept, ..
                    } = hand.loss_gradient(&theta, batch, room);
                    rollout.kept[i] = kept;
                    parameters
                }
                None => step_gradient(self.net, None, &theta, batch),
            };
            between(Part::Update)?;
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

    /// The exact gradient of a loss L(θ_0 … θ_N) through all N steps, with one step in memory at a
    /// time. Uses up what `rollout` kept.
    ///
    /// `derivatives` are the direct ∂L/∂θ_i (P) with their i. Backwards over the steps, with λ =
    /// ∂L/∂θ_i+1 and ν = ∂L/∂v_i: ∂α −= λ · v_i; ν ← ν − α λ; s = ν · g_i(θ_i, X_i); ∂X += ∂s/∂X; λ
    /// ← λ + ∂s/∂θ_i; ν ← μ ν. Every step's batch and augmentation are those of the forward pass.
    /// Source: reverse-mode differentiation of the momentum recursion.
    pub fn adjoint(
        &self,
        rollout: &mut Rollout,
        steps: &[Step],
        derivatives: &[(usize, Tensor)],
        between: &mut Between<'_>,
    ) -> Result<Gradient> {
        let add_direct = |lambda: &mut Tensor, point: usize| {
            for (_, derivative) in derivatives.iter().filter(|(i, _)| *i == point) {
                *lambda += derivative;
            }
        };
        let analytic = self.net.analytic(self.set.images);
        let mut lambda = rollout.points[0].zeros_like();
        add_direct(&mut lambda, steps.len());
        let mut nu = lambda.zeros_like();
        let mut d_images = self.set.images.zeros_like();
        let mut d_lr = Tensor::zeros([], (lambda.kind(), lambda.device()));
        for (i, step) in steps.iter().enumerate().rev() {
            between(Part::Step)?;
            d_lr -= lambda.dot(&rollout.velocities[i]);
            nu -= &lambda * self.set.lr;

            between(Part::Augmentation)?;
            let theta = rollout.points[i].detach();
            let batch = self
                .set
                .images
                .index_select(0, &step.rows)
                .detach()
                .set_requires_grad(step.augmentation.is_some());
            let seen = augmented(&batch, step);
            let input = seen.detach();
            let labels = self.set.labels.index_select(0, &step.rows);
            let kept = rollout.kept[i].take();
            between(Part::Adjoint {
                kept: kept.as_ref().map_or(0, |kept| kept.images),
            })?;
            let (d_theta, d_input) = if let Some(hand) = &analytic {
                let batch = Batch {
                    images: &input,
                    labels: &labels,
                    factor: self.loss_factor,
                };
                hand.gradient_along(&theta, batch, &nu, kept)
            } else {
                let (theta, input) = (theta.set_requires_grad(true), input.set_requires_grad(true));
                let batch = Batch {
                    images: &input,
                    labels: &labels,
                    factor: self.loss_factor,
                };
                let s = nu.dot(&graph_gradient(self.net, &theta, batch, true));
                let [d_input, d_theta] = gradient(&s, [&input, &theta], false);
                (d_theta, d_input)
            };
            between(Part::Augmentation)?;
            let d_batch = match step.augmentation {
                // the augmentation is differentiated on its own, outside the step's double backward
                Some(_) => {
                    let [d] = gradient(&(seen * d_input).sum(None), [&batch], false);
                    d
                }
                None => d_input,
            };
            between(Part::Update)?;
            let _ = d_images.index_add_(0, &step.rows, &d_batch);
            lambda += d_theta;
            add_direct(&mut lambda, i);
            nu *= self.momentum;
        }
        Ok(Gradient {
            images: d_images,
            lr: d_lr,
        })
    }
}

/// g = ∂/∂θ (P) of factor · mean cross-entropy of a batch.
pub(super) fn step_gradient(
    net: &ConvNet,
    analytic: Option<&Analytic<'_>>,
    theta: &Tensor,
    batch: Batch<'_>,
) -> Tensor {
    match analytic {
        Some(hand) => hand.loss_gradient(theta, batch, 0).parameters,
        None => graph_gradient(net, &theta.detach().set_requires_grad(true), batch, false),
    }
}

/// The same by autograd, for `theta` that requires a gradient; with `graph`, differentiable again.
fn graph_gradient(net: &ConvNet, theta: &Tensor, batch: Batch<'_>, graph: bool) -> Tensor {
    let loss = super::cross_entropy(&net.forward(theta, batch.images), batch.labels) * batch.factor;
    let [g] = gradient(&loss, [theta], graph);
    g
}

fn augmented(images: &Tensor, step: &Step) -> Tensor {
    step.augmentation
        .as_ref()
        .map_or_else(|| images.shallow_clone(), |a| a.apply(images))
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
