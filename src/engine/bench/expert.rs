//! One step of an expert.

use super::{Peak, at_least_one, images, median, network, prepare, rounded};
use crate::data::augment;
use crate::device;
use crate::distill::expert::expert_gradient;
use crate::distill::{ExpertBatch, ExpertSettings, Labels};
use crate::network::Mode;
use crate::random;
use astill_core::Result;
use astill_core::cli::bench::ExpertOptions;
use serde::Serialize;
use std::time::Instant;
use tch::Tensor;

/// The cross-entropy has its full weight from the tenth epoch on.
const EPOCH: usize = 12;

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct ExpertReport {
    #[serde(flatten)]
    pub options: ExpertOptions,
    /// Median.
    pub seconds_per_step: f64,
    pub images_per_second: f64,
    #[serde(flatten)]
    pub peak: Peak,
}

/// Times steps of SGD with momentum and weight decay on the cross-entropy of flipped images plus
/// the gradient penalty.
///
/// # Errors
/// [`Error::Usage`] for an option out of its range or a device that does not exist.
pub fn expert(options: ExpertOptions) -> Result<ExpertReport> {
    let device = prepare(&options.machine)?;
    let net = network(&options.network)?;
    at_least_one(&[
        ("batch", options.batch as i64),
        ("steps", options.steps as i64),
    ])?;
    let settings = ExpertSettings {
        batch: options.batch,
        lr: 1e-3,
        momentum: 0.9,
        weight_decay: 1e-3,
        clipping: true,
        gradient_penalty: 2.,
        ..ExpertSettings::default()
    };
    let mut rng = random::generator(0, "bench", &[]);
    let mut theta = net.init(&mut rng).to_device(device);
    let mut velocity = theta.zeros_like();
    let mut seconds = Vec::new();
    for _ in 0..=options.steps {
        let images = images(&mut rng, options.batch, options.network.size).to_device(device);
        let u = random::uniform(&mut rng, options.batch).to_device(device);
        let labels: Vec<i64> = (0..options.batch)
            .map(|_| random::below(&mut rng, options.network.classes as u64) as i64)
            .collect();
        let labels = Labels::Hard(Tensor::from_slice(&labels).to_device(device));
        device::synchronize(device);
        let begin = Instant::now();
        let batch = ExpertBatch {
            augmented: &augment::flip(&images, &u),
            images: &images,
            labels: &labels,
            mode: Mode::Train,
        };
        let g = expert_gradient(net.as_ref(), &theta, batch, &settings, EPOCH).gradient;
        velocity = velocity * settings.momentum + g + &theta * settings.weight_decay;
        theta -= &velocity * settings.lr;
        device::synchronize(device);
        seconds.push(begin.elapsed().as_secs_f64());
    }
    let median = median(&mut seconds[1..]);
    let images_per_second = (options.batch as f64 / median * 10.).round() / 10.;
    Ok(ExpertReport {
        options,
        seconds_per_step: rounded(median),
        images_per_second,
        peak: Peak::on(device),
    })
}
