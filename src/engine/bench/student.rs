//! One iteration of distillation.

use super::floor::{ConvolutionPass, Convolutions};
use super::stopwatch::{Phases, Stopwatch};
use super::{Peak, at_least_one, images, labels, median, network, prepare, rounded};
use crate::device;
use crate::distill::iteration::{DrawSizes, Iteration, Segment, Settings};
use crate::distill::{Intermediate, Labels, MatchingOptions, TrainingSet};
use crate::network::Network;
use crate::random;
use crate::trainer::draws_ahead::{DrawRequest, DrawsAhead};
use astill_core::cli::bench::StudentOptions;
use astill_core::profile::AugmentFamily;
use astill_core::{Error, Result};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::time::Instant;
use tch::{Device, Tensor};

/// The convolutions of at most this many steps are timed, after those of a first one.
const FLOOR_STEPS: usize = 20;

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct StudentReport {
    #[serde(flatten)]
    pub options: StudentOptions,
    /// Median.
    pub seconds_per_iteration: f64,
    pub seconds_min: f64,
    #[serde(flatten)]
    pub peak: Peak,
    /// Of the iteration with the median time; on a GPU, of another one, which waits for the device
    /// before every operation.
    pub phases: Phases,
    /// Student steps whose forward passes were cached for the backward pass; a fraction is a step
    /// where that is true of some of its images.
    pub kept_steps: f64,
    /// The time that the convolutions of an iteration take alone.
    pub convolution_floor_s: f64,
    /// An iteration's time over that.
    pub floor_ratio: f64,
}

/// One timed iteration.
struct Lap {
    seconds: f64,
    phases: Phases,
    /// Images.
    cached: i64,
}

/// The settings of the iterations that are measured.
fn settings(options: &StudentOptions) -> Settings {
    Settings {
        syn_steps: options.syn_steps,
        expert_epochs: 2,
        batch: (options.batch > 0).then_some(options.batch),
        momentum: 0.9,
        matching: MatchingOptions {
            intermediate: Intermediate::Sum,
            ..MatchingOptions::END
        },
        augment: AugmentFamily::ALL.to_vec(),
        ..Settings::plain()
    }
}

/// Times iterations with momentum 0.9, augmentation, two expert epochs and intermediate matching.
///
/// # Errors
/// [`Error::Usage`] for an option out of its range or a device that does not exist.
pub fn student(options: StudentOptions) -> Result<StudentReport> {
    let device = prepare(&options.machine)?;
    let net = network(&options.network)?;
    at_least_one(&[
        ("ipc", options.ipc as i64),
        ("iterations", options.iterations as i64),
    ])?;
    if options.syn_steps < 2 {
        return Err(Error::Usage(format!(
            "--syn-steps: found {}, expected at least 2",
            options.syn_steps
        )));
    }
    let mut rng = random::generator(0, "bench", &[]);
    let walk = random_walk(&mut rng, net.as_ref());
    let n = options.ipc * options.network.classes;
    let images = images(&mut rng, n, options.network.size).to_device(device);
    let labels = Labels::Hard(labels(n, options.network.classes).to_device(device));
    let settings = settings(&options);
    let set = TrainingSet {
        images: &images,
        labels: &labels,
        lr: 0.01,
    };
    let ahead = DrawsAhead::default();
    let request = |index: u64| DrawRequest {
        settings: settings.clone(),
        sizes: DrawSizes::of(net.as_ref(), 1, &images),
        segment: Segment::first(0, index),
    };
    let iteration = |index: u64, observed: bool| -> Result<Lap> {
        device::synchronize(device);
        let begin = Instant::now();
        let mut stopwatch = Stopwatch::new(device);
        let request = request(index);
        let mut draw = match device {
            Device::Cpu => request.draw(),
            _ => ahead.take(&request),
        };
        let mut checkpoints: Vec<Tensor> = walk.iter().map(Tensor::shallow_clone).collect();
        draw.move_with(&mut checkpoints, device);
        let iteration = Iteration {
            net: net.as_ref(),
            checkpoints: &checkpoints,
            set: &set,
            settings: &settings,
            draw: &draw,
        };
        let found = iteration.align_observed(&mut |operation| {
            if observed {
                stopwatch.enter(operation);
            }
            Ok(())
        })?;
        found.read(&[]);
        device::synchronize(device);
        let (seconds, cached) = (begin.elapsed().as_secs_f64(), stopwatch.cached);
        Ok(Lap {
            seconds,
            phases: stopwatch.stop(),
            cached,
        })
    };
    let observed = device == Device::Cpu;
    iteration(0, observed)?;
    let mut laps = (1..=options.iterations)
        .map(|index| iteration(index, observed))
        .collect::<Result<Vec<_>>>()?;
    laps.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let mut seconds: Vec<f64> = laps.iter().map(|lap| lap.seconds).collect();
    let peak = Peak::on(device);
    let middle = laps.swap_remove((laps.len() - 1) / 2);
    let Lap { phases, cached, .. } = if observed {
        middle
    } else {
        iteration(0, true)?
    };
    let steps = request(0).draw().steps;
    let seen: i64 = steps.iter().map(|step| step.rows.size()[0]).sum();
    let kept_steps = cached as f64 / seen as f64 * steps.len() as f64;
    let batch = images.narrow(0, 0, steps[0].rows.size()[0]);
    // the last of the steps that share a permutation may have fewer images
    let size = seen as f64 / (batch.size()[0] * steps.len() as i64) as f64;
    let floor = size * convolutions(net.as_ref(), &batch, steps.len() as f64, kept_steps, device);
    let median = median(&mut seconds);
    Ok(StudentReport {
        seconds_per_iteration: rounded(median),
        seconds_min: rounded(seconds[0]),
        peak,
        phases,
        kept_steps: (kept_steps * 100.).round() / 100.,
        convolution_floor_s: rounded(floor),
        floor_ratio: (median / floor * 1e3).round() / 1e3,
        options,
    })
}

/// A stand-in for an expert: an initialisation and two small random steps from it, vectors (P) on the
/// CPU.
fn random_walk(rng: &mut ChaCha8Rng, net: &dyn Network) -> Vec<Tensor> {
    let mut point = net.init(rng);
    let mut points = vec![point.copy()];
    for _ in 0..2 {
        point += random::normal(rng, net.parameters() as usize) * 0.003;
        points.push(point.copy());
    }
    points
}

/// Seconds that the convolutions of `steps` student steps on batches like `batch` take alone, where
/// the forward passes of `cached` of them were in the cache.
fn convolutions(net: &dyn Network, batch: &Tensor, steps: f64, cached: f64, device: Device) -> f64 {
    let work = Convolutions::of(net, batch);
    let of = |pass: ConvolutionPass, times: f64| {
        if times <= 0. {
            return 0.;
        }
        work.run(pass);
        device::synchronize(device);
        // one after the other, as in an iteration, so that whatever else the machine does falls on
        // both alike
        let (timed, begin) = ((times.ceil() as usize).min(FLOOR_STEPS), Instant::now());
        (0..timed).for_each(|_| work.run(pass));
        device::synchronize(device);
        begin.elapsed().as_secs_f64() * times / timed as f64
    };
    of(ConvolutionPass::Forward, steps)
        + of(ConvolutionPass::Back { cached: true }, cached)
        + of(ConvolutionPass::Back { cached: false }, steps - cached)
}
