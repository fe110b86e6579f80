//! What takes time and memory, measured in isolation: the numbers to compare with other programs.
//! The options and keys are those of the programs in benches/, which do the same work in plain
//! PyTorch.

mod data;
mod evaluate;
mod expert;
mod floor;
mod stopwatch;
mod student;

pub use data::{DataReport, data};
pub use evaluate::{EvaluateReport, evaluate};
pub use expert::{ExpertReport, expert};
pub use stopwatch::Phases;
pub use student::{StudentReport, student};

use crate::device;
use crate::distill::evaluate::mean_std;
use crate::network::{self, Network, Task};
use crate::random;
use astill_core::cli::bench::{MachineOptions, NetworkOptions};
use astill_core::console::to_stderr;
use astill_core::profile;
use astill_core::{Error, Result};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use tch::{Device, Tensor};

/// The most memory that a measurement took.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Peak {
    /// Resident, of this process.
    pub peak_rss_mib: u64,
    /// Of libtorch's tensors on a GPU, if it computed there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_gpu_mib: Option<u64>,
    /// Of what libtorch has reserved for them there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_gpu_reserved_mib: Option<u64>,
}

impl Peak {
    /// So far.
    fn on(device: Device) -> Self {
        Self {
            peak_rss_mib: device::peak_resident_mib(),
            peak_gpu_mib: device::peak_device_mib(device),
            peak_gpu_reserved_mib: device::peak_reserved_mib(device),
        }
    }
}

impl std::fmt::Display for Peak {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "peak memory {} MiB", self.peak_rss_mib)?;
        self.peak_gpu_mib
            .map_or(Ok(()), |gpu| write!(f, ", {gpu} MiB on the GPU"))
    }
}

/// Sets libtorch's threads and finds the device.
fn prepare(machine: &MachineOptions) -> Result<Device> {
    let chosen = device::choose(&machine.device)?;
    for warning in &chosen.warnings {
        to_stderr(format!("astill: warning: {warning}"));
    }
    let device = chosen.device;
    device::allow_tf32(machine.tf32);
    set_threads(machine.threads)?;
    Ok(device)
}

fn set_threads(threads: i32) -> Result<()> {
    at_least_one(&[("threads", threads.into())])?;
    tch::set_num_threads(threads);
    Ok(())
}

/// The default network of profiles, in another size.
fn network(options: &NetworkOptions) -> Result<Box<dyn Network>> {
    let NetworkOptions {
        width,
        size,
        depth,
        classes,
    } = *options;
    at_least_one(&[("width", width), ("classes", classes as i64)])?;
    let settings = profile::NetworkSettings {
        width,
        depth,
        ..profile::NetworkSettings::default()
    };
    let task = Task {
        channels: 3,
        size,
        classes: classes as i64,
    };
    network::build(settings.kind, &settings, task).map_err(|_| {
        Error::Usage(format!(
            "--size {size}: too small for --depth {depth}, because every block halves it"
        ))
    })
}

/// `n` random images (n, 3, size, size) on the CPU.
fn images(rng: &mut ChaCha8Rng, n: usize, size: i64) -> Tensor {
    random::normal(rng, n * 3 * (size * size) as usize).view([n as i64, 3, size, size])
}

/// The labels of `n` images, equally many of every class, in order of the classes; i64 (n).
fn labels(n: usize, classes: usize) -> Tensor {
    Tensor::from_slice(&(0..n).map(|i| (i * classes / n) as i64).collect::<Vec<_>>())
}

fn at_least_one(options: &[(&str, i64)]) -> Result<()> {
    match options.iter().find(|(_, value)| *value < 1) {
        Some((name, value)) => Err(Error::Usage(format!(
            "--{name}: found {value}, expected at least 1"
        ))),
        None => Ok(()),
    }
}

/// Of at least one time; sorts them.
fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    mean_std(&seconds[(seconds.len() - 1) / 2..=seconds.len() / 2]).0
}

/// To a tenth of a millisecond.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e4).round() / 1e4
}
