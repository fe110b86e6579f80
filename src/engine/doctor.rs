//! What the engine finds on this machine.

use super::gpus::Identity;
use super::{device, gpus, libtorch, threads};
use serde::Serialize;
use std::path::PathBuf;
use tch::Device;

/// libtorch and what it can compute on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Findings {
    /// "2.11.0+cu130", where it is known.
    pub libtorch: Option<String>,
    /// The folder of its libraries.
    pub folder: Option<PathBuf>,
    /// "cpu", "cuda:0" …
    pub devices: Vec<String>,
    /// Which GPUs those are.
    pub gpus: Vec<Identity>,
    /// Why there is no GPU, or one cannot be used.
    pub no_gpu: Option<String>,
    /// Whether there seems to be one all the same.
    pub is_gpu_overlooked: bool,
    /// Threads inside its operations.
    pub threads: i32,
    /// Why they cannot be started, if the system does not allow as many.
    pub no_threads: Option<String>,
    pub free_host_mib: Option<f64>,
    /// Whether it is a limit of the control group, not the machine, that leaves no more.
    pub is_limited: bool,
}

impl Findings {
    /// Collects them; loads libtorch's CUDA part where there is one.
    pub fn collect() -> Self {
        let count = gpus::count();
        let all = 0..count.as_ref().copied().unwrap_or(0);
        let (usable, broken): (Vec<_>, Vec<_>) = all
            .map(|index| gpus::try_out(index).map(|()| index))
            .partition(Result::is_ok);
        let usable: Vec<usize> = usable.into_iter().flatten().collect();
        let broken: Vec<String> = broken.into_iter().filter_map(Result::err).collect();
        let folder = libtorch::folder();
        threads::limit();
        let (free, limited) = (device::free_host_mib(), device::limited_mib());
        Self {
            libtorch: libtorch::version(),
            devices: std::iter::once(Device::Cpu)
                .chain(usable.iter().copied().map(Device::Cuda))
                .map(device::name)
                .collect(),
            gpus: usable.iter().copied().filter_map(gpus::identity).collect(),
            folder,
            is_gpu_overlooked: !broken.is_empty()
                || count.as_ref().is_err_and(|none| none.is_overlooked),
            no_gpu: match count {
                Ok(_) => (!broken.is_empty()).then(|| broken.join("; ")),
                Err(none) => Some(none.reason),
            },
            threads: tch::get_num_threads(),
            no_threads: threads::check().err().map(|e| e.to_string()),
            free_host_mib: free,
            is_limited: limited.is_some() && free == limited,
        }
    }
}
