//! One iteration of distillation on random data, timed: the measure for comparing with other programs.

use crate::cli::BenchOptions as Options;
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
    let net = ConvNet::new(3, classes as i64, width, depth, size, Norm::Instance, Activation::Relu, Pooling::Avg)
        .ok_or_else(|| Error::Usage(format!("--size {size}: too small for --depth {depth}, every block halves it")))?;
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
    let timed = &mut seconds[1..];
    timed.sort_by(f64::total_cmp);
    let (median, least) = (evaluate::mean_std(&timed[(timed.len() - 1) / 2..=timed.len() / 2]).0, timed[0]);
    let rounded = |s: f64| (s * 1e4).round() / 1e4;
    Ok(Report { options, seconds_per_iteration: rounded(median), seconds_min: rounded(least), peak_rss_mib: device::peak_resident_mib() })
}
