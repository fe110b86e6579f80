//! The machine of this process, and the GPU that it computes on.

use super::Source;
use super::host::{Memory, Processors};
use crate::gpus::{GpuMonitor, identity};
use astill_core::cgroup::OomKills;
use astill_core::run::event::{HostUsage, Usage, gib};
use tch::Device;

/// Asks the system, and NVIDIA's management library where there is one.
#[derive(Debug)]
pub struct Machine {
    gpu: Option<GpuMonitor>,
    /// The times that the processors had counted when they were last read.
    processors: Option<Processors>,
    oom_kills: Option<OomKills>,
}

impl Machine {
    /// With the GPU of `device`, if it is one that can be asked.
    pub fn new(device: Device) -> Self {
        let gpu = match device {
            Device::Cuda(index) => identity(index).and_then(|gpu| GpuMonitor::new(gpu.uuid)),
            _ => None,
        };
        Self {
            gpu,
            processors: Processors::read(),
            oom_kills: OomKills::now(),
        }
    }
}

impl Source for Machine {
    fn read(&mut self) -> Usage {
        let before = std::mem::replace(&mut self.processors, Processors::read());
        let load = before
            .zip(self.processors.as_ref())
            .and_then(|(before, now)| now.load_since(&before));
        let memory = Memory::read();
        Usage {
            gpu: self.gpu.as_ref().map(GpuMonitor::read),
            host: HostUsage {
                used_gib: memory.map(|m| gib(m.used)),
                total_gib: memory.map(|m| gib(m.total)),
                load,
                oom_kills: self.oom_kills.as_ref().and_then(OomKills::current),
            },
        }
    }
}
