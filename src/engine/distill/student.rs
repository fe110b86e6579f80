//! The student: N steps on the synthetic images, and the exact gradient through all of them in
//! constant memory.
//!
//! The forward pass keeps the N parameter and velocity vectors, without a graph. The backward pass
//! goes from the last step to the first, with λ, the derivative with respect to the parameters, and
//! ν, that with respect to the velocity: it computes the derivatives of ν · g for one step at a
//! time, so the memory for activations and graphs does not grow with N. The augmentation is
//! differentiated separately, which keeps its graph out of the double backward. Within a fixed
//! budget the passes of the last steps are cached, so that the backward pass need not repeat them.

use super::operations::{Operations, StudentStep, gradient};
use super::{Labels, TrainingSet};
use crate::device;
use crate::network::{
    Analytic, CachedForward, DirectionalDerivative, LossGradient, Mode, Network, WeightedBatch,
};
use astill_core::Result;
use tch::{Device, Tensor};

/// The inner training problem of one iteration.
#[derive(Debug)]
pub struct Student<'a> {
    pub net: &'a dyn Network,
    /// The synthetic images, with α as their learning rate.
    pub set: &'a TrainingSet<'a>,
    /// μ in [0, 1).
    pub momentum: f64,
    /// Factor of the cross-entropy (balanced inner-loop loss).
    pub loss_factor: f64,
}

/// What an iteration does next. An observer can end the work between two operations, or time them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The next student step, forwards or backwards; at first with vectors (P) alone.
    Step,
    /// The augmentation, or its gradient.
    Augmentation,
    /// The gradient of a student step.
    Forward,
    /// The backward pass through a student step, with the forward passes of `cached` of its images
    /// in the cache.
    Adjoint { cached: i64 },
    /// Vectors (P).
    Update,
}

/// Called before every [`Operation`]; an error ends the work.
pub type Observer<'a> = dyn FnMut(Operation) -> Result<()> + 'a;

/// The student's path: θ_0 … θ_N and the velocities v_0 … v_N−1, all flat vectors (P) without a
/// graph.
#[derive(Debug)]
pub struct Rollout {
    pub points: Vec<Tensor>,
    pub velocities: Vec<Tensor>,
    /// Of every step, what the backward pass need not compute again.
    cached: Vec<Option<CachedForward>>,
}

/// The memory, in bytes, that a rollout may use. What its points and velocities leave of it caches
/// the forward passes of the last steps: those of all steps where steps are small. More steps take
/// more memory only once their vectors alone exceed this.
const ROLLOUT_BYTES: usize = 256 << 20;

/// The derivative of a loss of the student's points.
#[derive(Debug)]
pub struct Gradient {
    /// With respect to the synthetic images (n, C, H, W).
    pub images: Tensor,
    /// With respect to α (scalar).
    pub lr: Tensor,
    /// With respect to soft labels (n, K); none for hard ones.
    pub labels: Option<Tensor>,
}

/// How many vectors (P) the path of N steps has.
pub fn path_vectors(syn_steps: usize) -> usize {
    2 * syn_steps + 1
}

/// The bytes that the vectors of N steps, of `vector_bytes` each, leave to cache forward passes.
pub fn cache_budget_bytes(syn_steps: usize, vector_bytes: usize) -> usize {
    ROLLOUT_BYTES.saturating_sub(path_vectors(syn_steps) * vector_bytes)
}

/// The bytes that a rollout may use for forward passes on this device: on a GPU a share of what is
/// available, most of which is left for the passes themselves.
pub fn budget_on(device: Device, syn_steps: usize, vector_bytes: usize) -> usize {
    const SHARE: u64 = 4;
    const MOST: u64 = 2 << 30;
    match device::available_bytes(device) {
        Some(available) => (available / SHARE).min(MOST) as usize,
        None => cache_budget_bytes(syn_steps, vector_bytes),
    }
}

impl Rollout {
    /// Drops the cached forward passes: the backward pass computes all of them again.
    pub fn forget(&mut self) {
        self.cached.iter_mut().for_each(|cached| *cached = None);
    }

    /// Memory for N steps from `start`, as views of one block: vectors that stay, allocated between
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
            cached: (0..syn_steps).map(|_| None).collect(),
        }
    }
}

impl Student<'_> {
    fn operations<'a>(&'a self, analytic: Option<&'a dyn Analytic>) -> Operations<'a> {
        Operations {
            set: self.set,
            classes: self.net.classes(),
            momentum: self.momentum,
            kernels: analytic.and_then(|analytic| analytic.kernels()),
        }
    }

    /// Trains from `start` (P): v_0 = g_0, v_i = μ v_i−1 + g_i, θ_i+1 = θ_i − α v_i.
    ///
    /// # Errors
    /// What `observe` returns.
    pub fn unroll(
        &self,
        start: &Tensor,
        steps: &[StudentStep],
        observe: &mut Observer<'_>,
    ) -> Result<Rollout> {
        let mut rollout = Rollout::reserve(start, steps.len());
        rollout.points[0].copy_(start);
        let analytic = self.net.analytic(self.set.images);
        let operations = self.operations(analytic.as_deref());
        let all_labels = operations.labels();
        let vector_bytes = start.numel() * start.kind().elt_size_in_bytes();
        let budget = budget_on(start.device(), steps.len(), vector_bytes);
        for (i, step) in steps.iter().enumerate() {
            observe(Operation::Step)?;
            let theta = rollout.points[i].detach();
            observe(Operation::Augmentation)?;
            let images = operations.seen(step, false).images;
            let labels = all_labels.index_select(&step.rows);
            let loss = StepLoss {
                images: &images,
                labels: &labels,
                factor: self.loss_factor,
                mode: Mode::Train,
            };
            observe(Operation::Forward)?;
            let g = match &analytic {
                Some(analytic) => {
                    // the backward pass begins at the last steps, and frees them one by one
                    let later: i64 = steps[i + 1..].iter().map(|step| step.rows.size()[0]).sum();
                    let of_image = analytic.cache_bytes(&images.narrow(0, 0, 1));
                    let budget = budget.saturating_sub(later as usize * of_image);
                    let LossGradient {
                        parameters, cached, ..
                    } = loss.analytic_gradient(self.net, analytic.as_ref(), &theta, budget);
                    rollout.cached[i] = cached;
                    parameters
                }
                None => loss.gradient(self.net, None, &theta),
            };
            observe(Operation::Update)?;
            let (earlier, later) = rollout.velocities.split_at_mut(i);
            let (v, next) = (&mut later[0], &mut rollout.points[i + 1]);
            operations.advance((earlier.last(), g), &theta, (v, next));
        }
        Ok(rollout)
    }

    /// The exact gradient of a loss L(θ_0 … θ_N) through all N steps, with one step in memory at a
    /// time. Uses up what `rollout` has cached.
    ///
    /// `derivatives` are the direct ∂L/∂θ_i (P) with their i; steps after the last of them have no
    /// part in it. Backwards over the steps, with λ =
    /// ∂L/∂θ_i+1 and ν = ∂L/∂v_i: ∂α −= λ · v_i; ν ← ν − α λ; s = ν · g_i(θ_i, X_i, Y_i); ∂X +=
    /// ∂s/∂X; ∂Y += ∂s/∂Y, where the labels Y are soft; λ ← λ + ∂s/∂θ_i; ν ← μ ν. Every step's
    /// batch and augmentation are those of the forward pass. Source: reverse-mode differentiation
    /// of the momentum recursion.
    ///
    /// # Errors
    /// What `observe` returns.
    pub fn adjoint(
        &self,
        rollout: &mut Rollout,
        steps: &[StudentStep],
        derivatives: &[(usize, Tensor)],
        observe: &mut Observer<'_>,
    ) -> Result<Gradient> {
        let add_direct = |lambda: &mut Tensor, point: usize| {
            for (_, derivative) in derivatives.iter().filter(|(i, _)| *i == point) {
                *lambda += derivative;
            }
        };
        let analytic = self.net.analytic(self.set.images);
        let operations = self.operations(analytic.as_deref());
        let all_labels = operations.labels();
        let mut lambda = rollout.points[0].zeros_like();
        let last = derivatives.iter().map(|(i, _)| *i).max().unwrap_or(0);
        let steps = &steps[..last];
        rollout.cached[last..].iter_mut().for_each(|c| *c = None);
        add_direct(&mut lambda, last);
        let mut nu = lambda.zeros_like();
        let mut d_images = operations.no_image_gradient();
        let mut d_labels = match self.set.labels {
            Labels::Hard(_) => None,
            Labels::Soft(labels) => Some(labels.zeros_like()),
        };
        let mut d_lr = Tensor::zeros([], (lambda.kind(), lambda.device()));
        for (i, step) in steps.iter().enumerate().rev() {
            observe(Operation::Step)?;
            d_lr -= lambda.dot(&rollout.velocities[i]);
            operations.back(&lambda, &mut nu);

            observe(Operation::Augmentation)?;
            let theta = rollout.points[i].detach();
            let seen = operations.seen(step, true);
            let input = &seen.images;
            let labels = all_labels.index_select(&step.rows);
            let cached = rollout.cached[i].take();
            observe(Operation::Adjoint {
                cached: cached.as_ref().map_or(0, |cached| cached.images),
            })?;
            let loss = StepLoss {
                images: input,
                labels: &labels,
                factor: self.loss_factor,
                mode: Mode::Train,
            };
            let d = match &analytic {
                Some(analytic) => {
                    let targets = labels.probabilities(self.net.classes(), input.kind());
                    analytic.gradient_along(&theta, loss.weighted(&targets), &nu, cached)
                }
                None => loss.gradient_along(self.net, &theta, &nu),
            };
            observe(Operation::Augmentation)?;
            operations.add_image_gradient(step, &seen, d.images, &mut d_images);
            observe(Operation::Update)?;
            if let Some(d_labels) = &mut d_labels {
                let _ = d_labels.index_add_(0, &step.rows, &d.targets);
            }
            operations.before(&d.parameters, &mut lambda, &mut nu);
            add_direct(&mut lambda, i);
        }
        Ok(Gradient {
            images: d_images,
            lr: d_lr,
            labels: d_labels,
        })
    }
}

/// What a step differentiates: `factor` · mean cross-entropy of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepLoss<'a> {
    /// (N, C, H, W), augmented.
    pub images: &'a Tensor,
    pub labels: &'a Labels,
    pub factor: f64,
    pub mode: Mode<'a>,
}

impl<'a> StepLoss<'a> {
    fn weighted(&self, targets: &'a Tensor) -> WeightedBatch<'a> {
        WeightedBatch {
            images: self.images,
            targets,
            factor: self.factor,
        }
    }

    /// g = ∂/∂θ (P).
    pub fn gradient(
        &self,
        net: &dyn Network,
        analytic: Option<&dyn Analytic>,
        theta: &Tensor,
    ) -> Tensor {
        match analytic {
            Some(analytic) => self.analytic_gradient(net, analytic, theta, 0).parameters,
            None => {
                let theta = theta.detach().set_requires_grad(true);
                self.graph_gradient(net, &theta, false)
            }
        }
    }

    /// The same with the logits, and with up to `budget_bytes` of its passes cached.
    pub fn analytic_gradient(
        &self,
        net: &dyn Network,
        analytic: &dyn Analytic,
        theta: &Tensor,
        budget_bytes: usize,
    ) -> LossGradient {
        let targets = self.labels.probabilities(net.classes(), self.images.kind());
        analytic.loss_gradient(theta, self.weighted(&targets), budget_bytes)
    }

    /// The same by autograd, for `theta` that requires a gradient; with `graph`, differentiable
    /// again.
    fn graph_gradient(&self, net: &dyn Network, theta: &Tensor, graph: bool) -> Tensor {
        let logits = net.forward_in(self.mode, theta, self.images);
        let loss = self.labels.cross_entropy(&logits) * self.factor;
        let [g] = gradient(&loss, [theta], graph);
        g
    }

    /// The derivatives of g · `direction` (P) by autograd; 0 with respect to hard labels.
    fn gradient_along(
        &self,
        net: &dyn Network,
        theta: &Tensor,
        direction: &Tensor,
    ) -> DirectionalDerivative {
        let variable = |t: &Tensor| t.detach().set_requires_grad(true);
        let (theta, images) = (variable(theta), variable(self.images));
        let labels = match self.labels {
            Labels::Hard(labels) => Labels::Hard(labels.shallow_clone()),
            Labels::Soft(labels) => Labels::Soft(variable(labels)),
        };
        let loss = StepLoss {
            images: &images,
            labels: &labels,
            factor: self.factor,
            mode: self.mode,
        };
        let s = direction.dot(&loss.graph_gradient(net, &theta, true));
        let (images, parameters, targets) = match &labels {
            Labels::Hard(_) => {
                let [d_images, d_theta] = gradient(&s, [&images, &theta], false);
                (d_images, d_theta, Tensor::zeros([], (s.kind(), s.device())))
            }
            Labels::Soft(labels) => {
                let [d_images, d_theta, d_labels] = gradient(&s, [&images, &theta, labels], false);
                (d_images, d_theta, d_labels)
            }
        };
        DirectionalDerivative {
            parameters,
            images,
            targets,
        }
    }
}
