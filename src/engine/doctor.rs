//! What the engine finds on this machine.

use super::{device, threads};
use serde::Serialize;
use std::path::{Path, PathBuf};
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
        let gpus = device::gpus();
        let folder = loaded_from();
        threads::limit();
        let (free, limited) = (device::free_host_mib(), device::limited_mib());
        Self {
            libtorch: folder.as_deref().and_then(version),
            devices: std::iter::once(Device::Cpu)
                .chain((0..*gpus.as_ref().unwrap_or(&0)).map(Device::Cuda))
                .map(device::name)
                .collect(),
            folder,
            no_gpu: gpus.err(),
            threads: tch::get_num_threads(),
            no_threads: threads::check().err().map(|e| e.to_string()),
            free_host_mib: free,
            is_limited: limited.is_some() && free == limited,
        }
    }
}

/// The version of the libtorch that this process runs on, where it is known.
pub fn libtorch() -> Option<String> {
    loaded_from().as_deref().and_then(version)
}

/// The folder of the libtorch that this process runs on.
fn loaded_from() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let library = maps.lines().find_map(|l| {
        l.split_whitespace()
            .last()
            .filter(|path| path.ends_with("/libtorch_cpu.so"))
    })?;
    Path::new(library).parent().map(Path::to_path_buf)
}

/// The version, from the file that states it beside the libraries of a wheel or a release.
fn version(folder: &Path) -> Option<String> {
    let root = folder.parent()?;
    if let Ok(text) = std::fs::read_to_string(root.join("version.py")) {
        let line = text.lines().find(|l| l.starts_with("__version__ ="))?;
        return line.split(['\'', '"']).nth(1).map(str::to_string);
    }
    std::fs::read_to_string(root.join("build-version"))
        .ok()
        .map(|text| text.trim().to_string())
}
