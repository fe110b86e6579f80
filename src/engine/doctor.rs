//! What the engine finds on this machine.

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
    /// Why there is no GPU, if there is none.
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
        let gpus = gpus::count();
        let folder = libtorch::folder();
        threads::limit();
        let (free, limited) = (device::free_host_mib(), device::limited_mib());
        Self {
            libtorch: libtorch::version(),
            devices: std::iter::once(Device::Cpu)
                .chain((0..gpus.as_ref().copied().unwrap_or(0)).map(Device::Cuda))
                .map(device::name)
                .collect(),
            folder,
            is_gpu_overlooked: gpus.as_ref().is_err_and(|none| none.is_overlooked),
            no_gpu: gpus.err().map(|none| none.reason),
            threads: tch::get_num_threads(),
            no_threads: threads::check().err().map(|e| e.to_string()),
            free_host_mib: free,
            is_limited: limited.is_some() && free == limited,
        }
    }
}
