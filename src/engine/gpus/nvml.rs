//! What NVIDIA's management library knows of a GPU: its memory, load and temperature. libtorch could
//! tell the memory too, but only after it has made a context on the GPU.

use astill_core::run::event::{GpuUsage, gib};
use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use std::ffi::OsStr;

/// The name under which every driver installs it; the crate's own is that of a developer's package.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// None where the machine has no such library, or no driver that it works with.
fn load() -> Option<Nvml> {
    Nvml::builder().lib_path(OsStr::new(LIBRARY)).init().ok()
}

/// The bytes that are free on the GPU of this UUID; none where the library is missing or does not say.
pub fn free_bytes(uuid: &str) -> Option<u64> {
    let library = load()?;
    let gpu = library.device_by_uuid(uuid).ok()?;
    gpu.memory_info().ok().map(|memory| memory.free)
}

/// Reads what is in use on a GPU, again and again.
#[derive(Debug)]
pub struct GpuMonitor {
    library: Nvml,
    uuid: String,
}

impl GpuMonitor {
    /// Of the GPU of this UUID; none where the library is missing or does not know it.
    pub fn new(uuid: String) -> Option<Self> {
        let library = load()?;
        library.device_by_uuid(uuid.as_str()).ok()?;
        Some(Self { library, uuid })
    }

    /// What is in use now. What the GPU does not report is unknown; a part of a GPU (MIG) reports no
    /// load, for example.
    pub fn read(&self) -> GpuUsage {
        let Ok(gpu) = self.library.device_by_uuid(self.uuid.as_str()) else {
            return GpuUsage::default();
        };
        let memory = gpu.memory_info().ok();
        let load = gpu.utilization_rates().ok();
        let temperature = gpu.temperature(TemperatureSensor::Gpu).ok();
        GpuUsage {
            used_gib: memory.as_ref().map(|m| gib(m.used)),
            total_gib: memory.as_ref().map(|m| gib(m.total)),
            load: load.map(|l| f64::from(l.gpu)),
            temperature: temperature.map(f64::from),
        }
    }
}
