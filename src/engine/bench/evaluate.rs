//! The evaluation of a distilled set.

use super::{Peak, at_least_one, images, labels, network, prepare, rounded};
use crate::data::DataSplit;
use crate::device;
use crate::distill::evaluate::Course;
use crate::distill::{Labels, TrainingSet, evaluate as evaluation};
use crate::random;
use astill_core::Result;
use astill_core::cli::bench::EvaluateOptions;
use astill_core::profile::AugmentFamily;
use serde::Serialize;
use std::ops::ControlFlow;
use std::time::Instant;

/// Epochs of the training that is not timed.
const WARM_UP: usize = 5;

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct EvaluateReport {
    #[serde(flatten)]
    pub options: EvaluateOptions,
    /// All networks.
    pub seconds: f64,
    /// Of these.
    pub train_s: f64,
    pub test_s: f64,
    #[serde(flatten)]
    pub peak: Peak,
}

/// Times the training of fresh networks on random synthetic images, as [`evaluation::train`] does
/// it, and their test.
///
/// # Errors
/// [`Error::Usage`] for an option out of its range or a device that does not exist.
pub fn evaluate(options: EvaluateOptions) -> Result<EvaluateReport> {
    let device = prepare(&options.machine)?;
    let net = network(&options.network)?;
    let EvaluateOptions {
        ipc,
        epochs,
        repeats,
        test,
        ..
    } = options;
    at_least_one(&[
        ("ipc", ipc as i64),
        ("epochs", epochs as i64),
        ("repeats", repeats as i64),
        ("test", test as i64),
    ])?;
    let classes = options.network.classes;
    let mut rng = random::generator(0, "bench", &[]);
    let synthetic = images(&mut rng, ipc * classes, options.network.size).to_device(device);
    let labels = Labels::Hard(labels(ipc * classes, classes).to_device(device));
    let of_real = (0..test).map(|i| (i % classes) as i64).collect();
    let mut real = DataSplit::of_normalised(images(&mut rng, test, options.network.size), of_real);
    real.to_device(device);
    let set = TrainingSet {
        images: &synthetic,
        labels: &labels,
        lr: 0.01,
    };
    let mut watch = |_: crate::progress::Progress<'_>| ControlFlow::Continue(());
    let mut evaluated = |index: u64, epochs: usize| -> Result<[f64; 2]> {
        let begin = Instant::now();
        let course = Course {
            epochs,
            augment: AugmentFamily::ALL,
        };
        let theta = evaluation::train(net.as_ref(), &set, course, 0, &[index], &mut watch)?;
        device::synchronize(device);
        let trained = begin.elapsed().as_secs_f64();
        evaluation::accuracy(net.as_ref(), &theta, &real, &mut watch)?;
        Ok([trained, begin.elapsed().as_secs_f64() - trained])
    };
    evaluated(0, WARM_UP.min(epochs))?;
    let times = (1..=repeats)
        .map(|index| evaluated(index, epochs))
        .collect::<Result<Vec<_>>>()?;
    let [train_s, test_s] = [0, 1].map(|part| times.iter().map(|t| t[part]).sum::<f64>());
    Ok(EvaluateReport {
        options,
        seconds: rounded(train_s + test_s),
        train_s: rounded(train_s),
        test_s: rounded(test_s),
        peak: Peak::on(device),
    })
}
