//! How long the steps of a run take on this device, measured on a few images.

use crate::data::Augmentation;
use crate::device;
use crate::distill::evaluate::Learner;
use crate::distill::expert::expert_gradient;
use crate::distill::{
    ExpertBatch, ExpertSettings, Labels, Student, StudentStep, TrainingSet, budget_on,
};
use crate::network::{Mode, Network, Weights};
use crate::random;
use crate::trainer::{evaluation_networks, network};
use astill_core::Result;
use astill_core::profile::{AugmentFamily, Profile};
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// The largest step that is timed, as images times outputs of all convolutions: about a tenth of a second
/// on a CPU.
const TIMED: f64 = 26. * 32. * 32. * 128.;
/// The same on a GPU, which less would not keep busy.
const TIMED_ON_GPU: f64 = 336. * 32. * 32. * 128.;
/// Every step is timed at least this many times, after one run that is not timed.
const TIMES: usize = 3;
/// Every step is timed for at least this many seconds.
const SECONDS: f64 = 0.15;
/// How many student steps are timed together.
const STEPS: usize = 2;
/// The side of the matrices whose product is timed.
const SIDE: i64 = 512;

/// The cost per image, in seconds unless stated otherwise.
#[derive(Debug)]
pub(super) struct Rates {
    /// A student step forward, which is also one step of an evaluation.
    pub gradient: f64,
    /// A student step backward.
    pub adjoint: f64,
    /// Extra cost of the backward step if its forward pass was not cached.
    pub again: f64,
    /// Bytes of the cached forward pass of a student step; none where autograd computes it, which
    /// caches nothing between steps.
    pub pass: Option<f64>,
    /// Bytes that an iteration has for such passes.
    pub budget: usize,
    /// An expert's training step, with its gradient penalty.
    pub expert: f64,
    /// A forward pass alone.
    pub forward: f64,
    /// Of every network of an evaluation.
    pub evaluated: Vec<NetworkRates>,
    /// Not per image: one multiplication and addition of a matrix product.
    pub product: f64,
}

/// The cost per image of a network that learns from a distilled set, in seconds.
#[derive(Debug)]
pub(super) struct NetworkRates {
    /// A step of its training.
    pub gradient: f64,
    /// A forward pass alone.
    pub forward: f64,
}

impl NetworkRates {
    /// Times the network on these images.
    fn measure(net: &dyn Network, images: &Tensor, labels: &Labels) -> Result<Self> {
        let on = images.device();
        let mut rng = random::generator(0, "estimate", &[]);
        let mut learner = Learner {
            weights: Weights::fresh(net, &mut rng).to_device(on),
            velocity: None,
        };
        let analytic = net.analytic(images);
        let gradient = timed(on, || {
            learner.step(net, analytic.as_deref(), (images, labels), 1e-3);
            Ok(())
        })?;
        let forward = timed(on, || {
            let _ = net.tested(&learner.weights, analytic.as_deref(), images);
            Ok(())
        })?;
        let images = images.size()[0] as f64;
        Ok(Self {
            gradient: gradient / images,
            forward: forward / images,
        })
    }
}

impl Rates {
    /// Times the steps of `profile`, with student steps on `batch` images of so many classes and
    /// channels, or on fewer images where that would take long.
    ///
    /// # Errors
    /// The images are too small for the network.
    pub fn measure(
        profile: &Profile,
        (classes, channels): (usize, i64),
        batch: usize,
        on: Device,
    ) -> Result<Self> {
        let net = network(profile, classes, channels)?;
        let size = profile.dataset.size;
        let timed_values = if on == Device::Cpu {
            TIMED
        } else {
            TIMED_ON_GPU
        };
        let images_timed = |net: &dyn Network| {
            let outputs = net.conv_outputs().iter().sum::<i64>().max(1);
            (timed_values / outputs as f64).round().clamp(2., 256.) as usize
        };
        let most = images_timed(net.as_ref());
        let mut rng = random::generator(0, "estimate", &[]);
        let weights = Weights::fresh(net.as_ref(), &mut rng).to_device(on);
        let theta = &weights.theta;
        let images = random::normal(&mut rng, most * (channels * size * size) as usize)
            .view([most as i64, channels, size, size])
            .to_device(on);
        let labels = Labels::Hard(Tensor::zeros([most as i64], (Kind::Int64, on)));
        let some = |n: usize| (images.narrow(0, 0, n as i64), labels.narrow(0, n as i64));

        let n = most.min(batch.max(1));
        let (synthetic, synthetic_labels) = some(n);
        let set = TrainingSet {
            images: &synthetic,
            labels: &synthetic_labels,
            lr: 0.01,
        };
        let student = Student {
            net: net.as_ref(),
            set: &set,
            momentum: 0.9,
            loss_factor: 1.,
        };
        let steps: Vec<StudentStep> = (0..STEPS)
            .map(|_| StudentStep {
                rows: Tensor::arange(n as i64, (Kind::Int64, on)),
                augmentation: Augmentation::draw(&mut rng, AugmentFamily::ALL, n, size),
            })
            .collect();
        let there_and_back = |keep: bool| {
            let mut rollout = student.unroll(theta, &steps, &mut |_| Ok(()))?;
            if !keep {
                rollout.forget();
            }
            student
                .adjoint(
                    &mut rollout,
                    &steps,
                    &[(STEPS, theta.shallow_clone())],
                    &mut |_| Ok(()),
                )
                .map(|_| ())
        };
        let per_image = |seconds: f64| seconds / (n * STEPS) as f64;
        let gradient = per_image(timed(on, || {
            student.unroll(theta, &steps, &mut |_| Ok(())).map(|_| ())
        })?);
        let kept = per_image(timed(on, || there_and_back(true))?);
        let not_kept = per_image(timed(on, || there_and_back(false))?);

        let m = most.min(profile.expert.batch);
        let (real, real_labels) = some(m);
        let expert = expert_step(profile, net.as_ref(), theta, (&real, &real_labels))?;
        let forward = timed(on, || {
            let analytic = net.analytic(&images);
            let _ = net.tested(&weights, analytic.as_deref(), &images);
            Ok(())
        })?;
        let mut evaluated = Vec::new();
        for (name, other) in evaluation_networks(profile, classes, channels)? {
            evaluated.push(if name == profile.network.kind.name() {
                NetworkRates {
                    gradient,
                    forward: forward / most as f64,
                }
            } else {
                let (images, labels) = some(images_timed(other.as_ref()).min(most));
                NetworkRates::measure(other.as_ref(), &images, &labels)?
            });
        }
        Ok(Self {
            gradient,
            adjoint: (kept - gradient).max(0.),
            again: (not_kept - kept).max(0.),
            pass: net
                .analytic(&synthetic)
                .map(|analytic| analytic.cache_bytes(&synthetic) as f64 / n as f64),
            budget: budget_on(
                on,
                profile.distill.syn_steps,
                theta.numel() * theta.kind().elt_size_in_bytes(),
            ),
            expert: expert / m as f64,
            forward: forward / most as f64,
            evaluated,
            // images are whitened on the CPU, whatever the run computes on
            product: seconds_of_multiplication(Device::Cpu)?,
        })
    }
}

/// Seconds for a step of an expert on these images.
fn expert_step(
    profile: &Profile,
    net: &dyn Network,
    theta: &Tensor,
    (images, labels): (&Tensor, &Labels),
) -> Result<f64> {
    let settings = ExpertSettings {
        batch: images.size()[0] as usize,
        weight_decay: 0.,
        ..profile.expert.clone()
    };
    timed(images.device(), || {
        let batch = ExpertBatch {
            augmented: images,
            images,
            labels,
            mode: Mode::Train,
        };
        expert_gradient(net, theta, batch, &settings, 0);
        Ok(())
    })
}

/// Of one multiplication and addition of a matrix product.
fn seconds_of_multiplication(on: Device) -> Result<f64> {
    let square = Tensor::zeros([SIDE, SIDE], (Kind::Float, on));
    let product = timed(on, || {
        let _ = square.matmul(&square);
        Ok(())
    })?;
    Ok(product / (SIDE as f64).powi(3))
}

/// The median wall time of `work`, in seconds.
fn timed(on: Device, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    work()?;
    let (mut times, since) = (Vec::new(), Instant::now());
    while times.len() < TIMES || since.elapsed().as_secs_f64() < SECONDS {
        device::synchronize(on);
        let begin = Instant::now();
        work()?;
        device::synchronize(on);
        times.push(begin.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
