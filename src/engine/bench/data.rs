//! A data set from its files to whitened images.

use super::{Peak, at_least_one, rounded, set_threads};
use crate::data::{DatasetRequest, Kind};
use astill_core::cli::bench::DataOptions;
use astill_core::{Error, Result};
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;
use tch::Device;

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct DataReport {
    #[serde(flatten)]
    pub options: DataOptions,
    /// Images.
    pub train: usize,
    pub test: usize,
    /// All of it, the first time.
    pub seconds: f64,
    /// Of these: until the pixels are read, and from there on.
    pub load_s: f64,
    pub zca_s: f64,
    #[serde(flatten)]
    pub peak: Peak,
    /// All of it when the fitted whitening is in the cache.
    pub again_s: f64,
}

/// Times loading and whitening CIFAR-10 from `data`/cifar10, with an empty cache and with that one
/// filled.
///
/// # Errors
/// An option is out of its range, there is no CIFAR-10 below `data`, or loading it fails.
pub fn data(options: DataOptions, data: &Path) -> Result<DataReport> {
    at_least_one(&[("train-limit", options.train_limit as i64)])?;
    set_threads(options.threads)?;
    let cache = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
    let request = DatasetRequest {
        train_limit: Some(options.train_limit),
        zca: true,
        ..DatasetRequest::new(Kind::Cifar10, data.join("cifar10"), 32, cache.path())
    };
    let begin = Instant::now();
    let mut read = None;
    let loaded = request.load(&mut |progress| {
        if progress.what == "images whitened" {
            read.get_or_insert_with(|| begin.elapsed().as_secs_f64());
        }
        ControlFlow::Continue(())
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    let (train, test, peak) = (loaded.train.len(), loaded.test.len(), Peak::on(Device::Cpu));
    drop(loaded);
    let begin = Instant::now();
    request.load(&mut |_| ControlFlow::Continue(()))?;
    let again_s = rounded(begin.elapsed().as_secs_f64());
    let load_s = rounded(read.unwrap_or(seconds));
    let seconds = rounded(seconds);
    Ok(DataReport {
        options,
        train,
        test,
        seconds,
        load_s,
        zca_s: rounded(seconds - load_s),
        peak,
        again_s,
    })
}
