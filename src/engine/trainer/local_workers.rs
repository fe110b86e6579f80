//! Workers on this machine, which the engine starts and ends.

use super::{RunPlan, helper_process};
use astill_core::Result;
use astill_core::cli::DeviceChoice;
use std::ffi::OsStr;
use std::process::Child;

/// Which workers a run is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkersPlan {
    /// A process that trains experts on each of these, besides the engine.
    pub experts: Vec<DeviceChoice>,
    /// A process that computes segments on each of these, besides the engine.
    pub local: Vec<DeviceChoice>,
    /// Where to listen for those of other machines; this machine alone if none.
    pub listen: Option<String>,
}

/// The processes, as long as this lives.
#[derive(Debug, Default)]
pub struct LocalWorkers {
    processes: Vec<Child>,
}

impl LocalWorkers {
    /// Starts the workers of a plan. They join when they are ready, and end with this process.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn start(plan: &RunPlan) -> Result<Self> {
        let run = plan.run.real_path();
        let arguments = [OsStr::new("work"), run.as_os_str()];
        let mut workers = Self::default();
        for device in &plan.workers.local {
            let process = helper_process::start(plan, device, &arguments)?;
            workers.processes.push(process);
        }
        Ok(workers)
    }
}

impl Drop for LocalWorkers {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // it has nothing to lose
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
