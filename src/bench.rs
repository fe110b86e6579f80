//! One iteration of distillation, or one step of an expert, on random data, timed: the measure for comparing with other programs.

use crate::cli::{ExpertOptions, StudentOptions as Options};
use crate::data::augment;
use crate::distill::expert::{Recipe, expert_gradient};
use crate::distill::iteration::{Draw, Settings, align};
use crate::distill::{Intermediate, TrainingSet, evaluate};
use crate::engine::device;
use crate::network::{Activation, ConvNet, Norm, Pooling};
use crate::{Error, Result, random};
use serde::Serialize;
use std::ops::ControlFlow;
use std::time::Instant;
use tch::Tensor;

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    #[serde(flatten)]
    pub options: Options,
    /// Median.
    pub seconds_per_iteration: f64,
    pub seconds_min: f64,
    pub peak_rss_mib: u64,
}

/// Times iterations with momentum 0.9, augmentation, two expert epochs and intermediate matching, as the plain PyTorch loop
/// that astill is compared with does.
pub fn student(options: Options) -> Result<Report> {
    let device = device::choose(&options.device)?;
    if options.threads < 1 || options.iterations < 1 || options.syn_steps < 2 || options.ipc < 1 || options.classes < 1 || options.width < 1
    {
        return Err(Error::Usage(
            "--ipc, --classes, --width, --iterations and --threads must be at least 1, --syn-steps at least 2".into(),
        ));
    }
    tch::set_num_threads(options.threads);
    let Options { size, depth, width, classes, .. } = options;
    let net = network(size, depth, width, classes)?;
    let mut rng = random::generator(0, "bench", &[]);
    let mut checkpoints = vec![net.init(&mut rng)];
    for _ in 0..2 {
        let step = random::normal(&mut rng, net.parameters() as usize) * 0.003;
        let next = &checkpoints[checkpoints.len() - 1] + step;
        checkpoints.push(next);
    }
    let checkpoints: Vec<Tensor> = checkpoints.into_iter().map(|c| c.to_device(device)).collect();
    let n = options.ipc * classes;
    let images = random::normal(&mut rng, n * 3 * (size * size) as usize).view([n as i64, 3, size, size]).to_device(device);
    let labels: Vec<i64> = (0..n).map(|i| (i / options.ipc) as i64).collect();
    let labels = Tensor::from_slice(&labels).to_device(device);
    let settings = Settings {
        syn_steps: options.syn_steps,
        expert_epochs: 2,
        max_start_epoch: 1,
        batch: (options.batch > 0).then_some(options.batch),
        momentum: 0.9,
        balance: false,
        intermediate: Intermediate::Sum,
        perturbation: 0.,
    };
    let set = TrainingSet { images: &images, labels: &labels, lr: 0.01 };
    let mut seconds = Vec::new();
    for iteration in 0..=options.iterations {
        device::synchronize(device);
        let begin = Instant::now();
        let draw = Draw::new(&settings, &net, 0, iteration, 1, &images);
        align(&net, &checkpoints, &set, &settings, &draw, &mut |_| ControlFlow::Continue(()))?;
        device::synchronize(device);
        seconds.push(begin.elapsed().as_secs_f64());
    }
    let (median, least) = median_and_least(&mut seconds[1..]);
    Ok(Report { options, seconds_per_iteration: rounded(median), seconds_min: rounded(least), peak_rss_mib: device::peak_resident_mib() })
}

/// What was measured of an expert.
#[derive(Debug, Clone, Serialize)]
pub struct ExpertReport {
    #[serde(flatten)]
    pub options: ExpertOptions,
    /// Median.
    pub seconds_per_step: f64,
    pub images_per_second: f64,
    pub peak_rss_mib: u64,
}

/// Times steps of SGD with momentum and weight decay on the cross-entropy of flipped images plus the gradient penalty.
pub fn expert(options: ExpertOptions) -> Result<ExpertReport> {
    let device = device::choose(&options.device)?;
    let least = [options.batch as i64, options.steps as i64, options.classes as i64, options.width, options.threads.into()];
    if least.iter().any(|&n| n < 1) {
        return Err(Error::Usage("--batch, --steps, --classes, --width and --threads must be at least 1".into()));
    }
    tch::set_num_threads(options.threads);
    let net = network(options.size, options.depth, options.width, options.classes)?;
    let recipe =
        Recipe { epochs: 50, batch: options.batch, lr: 1e-3, momentum: 0.9, weight_decay: 1e-3, clipping: true, gradient_penalty: 2. };
    let mut rng = random::generator(0, "bench", &[]);
    let mut theta = net.init(&mut rng).to_device(device);
    let mut velocity = theta.zeros_like();
    let n = options.batch as i64;
    let mut seconds = Vec::new();
    for _ in 0..=options.steps {
        let size = [n, 3, options.size, options.size];
        let images = random::normal(&mut rng, size.iter().product::<i64>() as usize).view(size).to_device(device);
        let u = random::uniform(&mut rng, options.batch).to_device(device);
        let labels: Vec<i64> = (0..n).map(|_| random::below(&mut rng, options.classes as u64) as i64).collect();
        let labels = Tensor::from_slice(&labels).to_device(device);
        device::synchronize(device);
        let begin = Instant::now();
        let g = expert_gradient(&net, &theta, &augment::flip(&images, &u), &images, &labels, 12, &recipe).gradient;
        velocity = velocity * recipe.momentum + g + &theta * recipe.weight_decay;
        theta -= &velocity * recipe.lr;
        device::synchronize(device);
        seconds.push(begin.elapsed().as_secs_f64());
    }
    let (median, _) = median_and_least(&mut seconds[1..]);
    let images_per_second = (options.batch as f64 / median * 10.).round() / 10.;
    Ok(ExpertReport { options, seconds_per_step: rounded(median), images_per_second, peak_rss_mib: device::peak_resident_mib() })
}

fn network(size: i64, depth: usize, width: i64, classes: usize) -> Result<ConvNet> {
    ConvNet::new(3, classes as i64, width, depth, size, Norm::Instance, Activation::Relu, Pooling::Avg)
        .ok_or_else(|| Error::Usage(format!("--size {size}: too small for --depth {depth}, every block halves it")))
}

/// Of at least one time; sorts them.
fn median_and_least(seconds: &mut [f64]) -> (f64, f64) {
    seconds.sort_by(f64::total_cmp);
    (evaluate::mean_std(&seconds[(seconds.len() - 1) / 2..=seconds.len() / 2]).0, seconds[0])
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1e4).round() / 1e4
}
