//! How long a profile takes and how much memory, before it is started: its steps are timed on a few images and counted.

use crate::data::{Augmentation, Inventory};
use crate::distill::expert::expert_gradient;
use crate::distill::{Recipe, Step, Student, TrainingSet};
use crate::engine::{device, network};
use crate::profile::Profile;
use crate::{Result, random};
use serde::Serialize;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Images times pixels times channels of a step that is timed: about a tenth of a second on a CPU.
const TIMED: f64 = 20. * 32. * 32. * 128.;
/// Every step is timed so often, after one that is not; the least counts.
const TIMES: usize = 2;
/// Student steps that are timed together.
const STEPS: usize = 2;
const MIB: f64 = (1 << 20) as f64;
/// Eigenvalues and products of an n × n matrix take about so many n³ multiplications, as long as those of a product would.
const EIGEN: f64 = 60.;

/// An estimate, for a run that finds no experts in the store and no fitted whitening.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// "cpu", "cuda:0".
    pub device: String,
    /// Wall time: all of it, and that of its parts.
    pub seconds: f64,
    pub data_seconds: f64,
    pub experts_seconds: f64,
    pub distill_seconds: f64,
    pub evaluate_seconds: f64,
    /// One iteration of distillation.
    pub iteration_seconds: f64,
    /// The most resident memory of the engine on the host.
    pub host_mib: f64,
    /// The same on a GPU, none on a CPU.
    pub device_mib: Option<f64>,
    /// The memory that decides: that of the device, or of the host where that is the device.
    pub memory_mib: f64,
    /// What is free of it now, where the system says.
    pub free_mib: Option<f64>,
}

/// What is measured: seconds per image.
struct Rates {
    /// A student step forward, which is also a step of an evaluation.
    gradient: f64,
    /// A student step back.
    adjoint: f64,
    expert: f64,
    /// A forward pass alone.
    forward: f64,
    /// A multiplication and addition of a matrix product.
    product: f64,
}

impl Estimate {
    /// For `profile` on `device`, with data as in `inventory`. Takes some tenths of a second on the device.
    pub fn measure(profile: &Profile, inventory: &Inventory, on: Device) -> Result<Self> {
        let count = |split: &[usize]| split.iter().sum::<usize>() as f64;
        let (train, validation, test) = (count(&inventory.train), count(&inventory.validation), count(&inventory.test));
        let classes = inventory.classes.len();
        let net = network(profile, classes)?;
        let rates = Rates::measure(profile, classes, on)?;
        let (distill, expert, evaluation) = (&profile.distill, &profile.expert, &profile.evaluate);
        let pixels = (3 * profile.dataset.size * profile.dataset.size) as f64;
        let synthetic = (classes * distill.ipc) as f64;
        let batch = distill.batch.map_or(synthetic, |b| (b as f64).min(synthetic));

        let whitening = if profile.dataset.zca { (2. * train + validation + test + EIGEN * pixels) * pixels * pixels } else { 0. };
        let data_seconds = whitening * rates.product;
        let experts_seconds = (expert.count * expert.epochs) as f64 * (train * rates.expert + test * rates.forward);
        let iteration_seconds = distill.syn_steps as f64 * batch * (rates.gradient + rates.adjoint);
        let distill_seconds = distill.iterations as f64 * iteration_seconds;
        let networks = (evaluation.repeats * evaluation.networks.len()) as f64;
        let training = networks * evaluation.epochs as f64 * synthetic * rates.gradient;
        // the baselines before, those on the way, and the three of the headline without a validation share
        let on_the_way = 2. + distill.iterations.div_ceil(evaluation.every) as f64;
        let evaluate_seconds = (on_the_way + 3.) * (training + networks * test * rates.forward)
            + on_the_way * networks * validation * rates.forward
            + train * rates.forward;

        let parameters = net.parameters() as f64 * 4.;
        let of_image = if profile.dataset.zca { 4. } else { 1. } * pixels;
        let images = (train + validation + test) * of_image;
        // decoded, and once more while they are split; covariance, transform and inverse
        let loading = (train + validation + test) * pixels * 2. + if profile.dataset.zca { 4. * pixels * pixels * 4. } else { 0. };
        let rollout = (2 * distill.syn_steps + distill.expert_epochs + 12) as f64 * parameters;
        let workspace = device::peak_resident_mib() as f64;
        let (host_mib, device_mib, free_mib) = match on {
            Device::Cpu => (workspace + (loading.max(rollout) + images) / MIB, None, device::free_host_mib()),
            _ => {
                let side = |block: usize| (profile.dataset.size >> block) as f64;
                let outputs: f64 = (0..profile.network.depth).map(|block| profile.network.width as f64 * side(block).powi(2)).sum();
                let activations = batch * outputs * 4. * GRAPH;
                (workspace + loading / MIB, Some((images + rollout + activations) / MIB), None)
            }
        };
        Ok(Self {
            device: device::name(on),
            seconds: data_seconds + experts_seconds + distill_seconds + evaluate_seconds,
            data_seconds,
            experts_seconds,
            distill_seconds,
            evaluate_seconds,
            iteration_seconds,
            host_mib,
            device_mib,
            memory_mib: device_mib.unwrap_or(host_mib),
            free_mib,
        })
    }

    /// What to say where the memory that is free is not enough.
    pub fn warning(&self) -> Option<String> {
        let free = self.free_mib.filter(|free| *free < self.memory_mib)?;
        Some(format!(
            "it needs about {:.0} MiB on {}, where {free:.0} MiB are free: lower distill.batch, distill.syn_steps or dataset.train_limit",
            self.memory_mib, self.device
        ))
    }
}

impl Rates {
    fn measure(profile: &Profile, classes: usize, on: Device) -> Result<Self> {
        let net = network(profile, classes)?;
        let size = profile.dataset.size;
        let n = (TIMED / (size * size * profile.network.width) as f64).round().clamp(2., 256.) as usize;
        let mut rng = random::generator(0, "estimate", &[]);
        let theta = net.init(&mut rng).to_device(on);
        let images = random::normal(&mut rng, n * 3 * (size * size) as usize).view([n as i64, 3, size, size]).to_device(on);
        let labels = Tensor::zeros([n as i64], (Kind::Int64, on));
        let set = TrainingSet { images: &images, labels: &labels, lr: 0.01 };
        let student = Student { net: &net, set: &set, momentum: 0.9, loss_factor: 1. };
        let steps: Vec<Step> = (0..STEPS)
            .map(|_| Step { rows: Tensor::arange(n as i64, (Kind::Int64, on)), augmentation: Some(Augmentation::draw(&mut rng, n, size)) })
            .collect();
        let recipe = Recipe {
            epochs: 1,
            batch: n,
            lr: 0.01,
            momentum: 0.9,
            weight_decay: 0.,
            clipping: true,
            gradient_penalty: profile.expert.gradient_penalty,
        };
        let square = Tensor::zeros([SIDE, SIDE], (Kind::Float, on));

        let per_image = |seconds: f64, steps: usize| seconds / (n * steps) as f64;
        let both = timed(on, || {
            let mut rollout = student.unroll(&theta, &steps, &mut |_| Ok(()))?;
            student.adjoint(&mut rollout, &steps, &[(STEPS, theta.shallow_clone())], &mut |_| Ok(())).map(|_| ())
        })?;
        let forth = timed(on, || student.unroll(&theta, &steps, &mut |_| Ok(())).map(|_| ()))?;
        let expert = timed(on, || {
            expert_gradient(&net, &theta, &images, &images, &labels, 0, &recipe);
            Ok(())
        })?;
        let forward = timed(on, || {
            let _ = tch::no_grad(|| net.forward(&theta, &images));
            Ok(())
        })?;
        let product = timed(on, || {
            let _ = square.matmul(&square);
            Ok(())
        })?;
        let gradient = per_image(forth, STEPS);
        Ok(Self {
            gradient,
            adjoint: (per_image(both, STEPS) - gradient).max(0.),
            expert: per_image(expert, 1),
            forward: per_image(forward, 1),
            product: product / (SIDE as f64).powi(3),
        })
    }
}

/// Side of the matrices whose product is timed.
const SIDE: i64 = 512;
/// Memory of a step that autograd takes back, as a multiple of its convolutions' outputs: 1.15 GB were seen for 100 images of
/// 32 × 32 at width 128 and depth 3.
const GRAPH: f64 = 16.;

/// The least wall time of some.
fn timed(on: Device, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    work()?;
    let mut least = f64::INFINITY;
    for _ in 0..TIMES {
        device::synchronize(on);
        let begin = Instant::now();
        work()?;
        device::synchronize(on);
        least = least.min(begin.elapsed().as_secs_f64());
    }
    Ok(least)
}
