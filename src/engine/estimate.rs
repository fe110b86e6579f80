//! How long a profile takes and how much memory, before it is started: its steps are timed on a few images and counted.

use crate::data::{Augmentation, Inventory, WHITENED_AT_ONCE};
use crate::distill::evaluate::test_batch;
use crate::distill::expert::{CPU_PIECE, expert_gradient};
use crate::distill::{Recipe, Step, Student, TrainingSet, room_for_passes, vectors};
use crate::engine::{device, network};
use crate::profile::Profile;
use crate::{Result, random};
use serde::Serialize;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Images times pixels times channels of a step that is timed, at most: about a tenth of a second on a CPU.
const TIMED: f64 = 20. * 32. * 32. * 128.;
/// The same on a GPU, which is not full with less.
const TIMED_ON_GPU: f64 = 256. * 32. * 32. * 128.;
/// Every step is timed so often, after one that is not, and until so many seconds have gone.
const TIMES: usize = 3;
const SECONDS: f64 = 0.15;
/// Student steps that are timed together.
const STEPS: usize = 2;
const MIB: f64 = (1 << 20) as f64;
/// Eigenvalues and products of an n × n matrix take about so many n³ multiplications, as long as those of a product would.
const EIGEN: f64 = 9.;

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
    /// A student step back, and what comes to that where the passes of the way forward were not kept.
    adjoint: f64,
    again: f64,
    /// Bytes of the passes of a student step, per image; none where autograd does it, which keeps none.
    pass: Option<f64>,
    expert: f64,
    /// A forward pass alone.
    forward: f64,
    /// A multiplication and addition of a matrix product.
    product: f64,
}

impl Estimate {
    /// For `profile` on `device`, with data as in `inventory`. Takes a second or two on the device.
    pub fn measure(profile: &Profile, inventory: &Inventory, on: Device) -> Result<Self> {
        let count = |split: &[usize]| split.iter().sum::<usize>() as f64;
        let (train, validation, test) = (count(&inventory.train), count(&inventory.validation), count(&inventory.test));
        let classes = inventory.classes.len();
        let net = network(profile, classes)?;
        let (distill, expert, evaluation) = (&profile.distill, &profile.expert, &profile.evaluate);
        let pixels = (3 * profile.dataset.size * profile.dataset.size) as f64;
        let synthetic = (classes * distill.ipc) as f64;
        let batch = distill.batch.map_or(synthetic, |b| (b as f64).min(synthetic));
        let rates = Rates::measure(profile, classes, batch as usize, on)?;

        let whitening = if profile.dataset.zca { (2. * train + validation + test + EIGEN * pixels) * pixels * pixels } else { 0. };
        let data_seconds = whitening * rates.product;
        let experts_seconds = (expert.count * expert.epochs) as f64 * (train * rates.expert + test * rates.forward);
        let (steps, vector) = (distill.syn_steps as f64, net.parameters() as usize * 4);
        let pass = rates.pass.map(|pass| pass * batch);
        let kept_steps = pass.map_or(0., |pass| room_for_passes(distill.syn_steps, vector) as f64 / pass).min(steps);
        let iteration_seconds = batch * (steps * (rates.gradient + rates.adjoint) + (steps - kept_steps) * rates.again);
        let distill_seconds = distill.iterations as f64 * iteration_seconds;
        let networks = (evaluation.repeats * evaluation.networks.len()) as f64;
        let training = networks * evaluation.epochs as f64 * synthetic * rates.gradient;
        // the baselines before, those on the way, and the three of the headline without a validation share
        let on_the_way = 2. + distill.iterations.div_ceil(evaluation.every) as f64;
        let evaluate_seconds = (on_the_way + 3.) * (training + networks * test * rates.forward)
            + on_the_way * networks * validation * rates.forward
            + train * rates.forward;

        // decoded, and once more while they are split; covariance, transform and inverse
        let bytes = (train + validation + test) * pixels;
        let (images, loading) = if profile.dataset.zca {
            // mean and covariance of some images, and its eigenvectors, work space, and what is made of them; then the images
            // themselves beside their bytes
            let (some, square) = (train.min(WHITENED_AT_ONCE as f64) * pixels * 4., pixels * pixels * 4.);
            (4. * bytes + 3. * square, bytes + (5. * some + 7. * square).max(4. * bytes + 3. * square))
        } else {
            (bytes, bytes)
        };
        // as they come from the files, and copied into a tensor
        let loading = loading.max(2. * (inventory.stored as f64 + test) * pixels);
        // besides the path: the expert's points, the derivatives, the gradients
        let vectors = (vectors(distill.syn_steps) + distill.expert_epochs + 12) as f64 * vector as f64;
        let side = |block: usize| (profile.dataset.size >> block) as f64;
        let outputs: f64 = (0..profile.network.depth).map(|block| profile.network.width as f64 * side(block).powi(2)).sum();
        let graph = |images: f64| images * outputs * 4. * GRAPH;
        let workspace = device::peak_resident_mib() as f64;
        let (host_mib, device_mib, free_mib) = match on {
            Device::Cpu => {
                let steps = match pass {
                    Some(pass) => vectors + kept_steps * pass,
                    None => (vectors + graph(batch)).max(graph((expert.batch as f64).min(CPU_PIECE as f64))),
                };
                // a batch of real images, and where they are kept as bytes, what they go through to become numbers
                let tested = test_batch(on, pass.is_some()) as f64 * pixels * 4. * if profile.dataset.zca { 1. } else { 5. };
                (workspace + loading.max(images + steps.max(tested)) / MIB, None, device::free_host_mib())
            }
            _ => (workspace + loading / MIB, Some((images + vectors + graph(batch)) / MIB), None),
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
    /// With student steps on so many images of `classes`, or as many as do not take long.
    fn measure(profile: &Profile, classes: usize, batch: usize, on: Device) -> Result<Self> {
        let net = network(profile, classes)?;
        let size = profile.dataset.size;
        let timed_values = if on == Device::Cpu { TIMED } else { TIMED_ON_GPU };
        let most = (timed_values / (size * size * profile.network.width) as f64).round().clamp(2., 256.) as usize;
        let mut rng = random::generator(0, "estimate", &[]);
        let theta = net.init(&mut rng).to_device(on);
        let images = random::normal(&mut rng, most * 3 * (size * size) as usize).view([most as i64, 3, size, size]).to_device(on);
        let labels = Tensor::zeros([most as i64], (Kind::Int64, on));
        let some = |n: usize| (images.narrow(0, 0, n as i64), labels.narrow(0, 0, n as i64));

        let n = most.min(batch.max(1));
        let (synthetic, synthetic_labels) = some(n);
        let set = TrainingSet { images: &synthetic, labels: &synthetic_labels, lr: 0.01 };
        let student = Student { net: &net, set: &set, momentum: 0.9, loss_factor: 1. };
        let steps: Vec<Step> = (0..STEPS)
            .map(|_| Step { rows: Tensor::arange(n as i64, (Kind::Int64, on)), augmentation: Some(Augmentation::draw(&mut rng, n, size)) })
            .collect();
        let there_and_back = |keep: bool| {
            let mut rollout = student.unroll(&theta, &steps, &mut |_| Ok(()))?;
            if !keep {
                rollout.forget();
            }
            student.adjoint(&mut rollout, &steps, &[(STEPS, theta.shallow_clone())], &mut |_| Ok(())).map(|_| ())
        };
        let per_image = |seconds: f64| seconds / (n * STEPS) as f64;
        let gradient = per_image(timed(on, || student.unroll(&theta, &steps, &mut |_| Ok(())).map(|_| ()))?);
        let kept = per_image(timed(on, || there_and_back(true))?);
        let not_kept = per_image(timed(on, || there_and_back(false))?);

        let m = most.min(profile.expert.batch);
        let recipe = Recipe {
            epochs: 1,
            batch: m,
            lr: 0.01,
            momentum: 0.9,
            weight_decay: 0.,
            clipping: true,
            gradient_penalty: profile.expert.gradient_penalty,
        };
        let (real, real_labels) = some(m);
        let expert = timed(on, || {
            expert_gradient(&net, &theta, &real, &real, &real_labels, 0, &recipe);
            Ok(())
        })?;
        let forward = timed(on, || {
            let _ = match net.by_hand(&images) {
                Some(hand) => hand.logits(&theta, &images),
                None => tch::no_grad(|| net.forward(&theta, &images)),
            };
            Ok(())
        })?;
        let square = Tensor::zeros([SIDE, SIDE], (Kind::Float, on));
        let product = timed(on, || {
            let _ = square.matmul(&square);
            Ok(())
        })?;
        Ok(Self {
            gradient,
            adjoint: (kept - gradient).max(0.),
            again: (not_kept - kept).max(0.),
            pass: net.by_hand(&synthetic).map(|hand| hand.kept_bytes(&synthetic) as f64 / n as f64),
            expert: expert / m as f64,
            forward: forward / most as f64,
            product: product / (SIDE as f64).powi(3),
        })
    }
}

/// Side of the matrices whose product is timed.
const SIDE: i64 = 512;
/// Memory of a step that autograd takes back, as a multiple of its convolutions' outputs: 1.15 GB were seen for 100 images of
/// 32 × 32 at width 128 and depth 3.
const GRAPH: f64 = 16.;

/// The median wall time of some.
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
