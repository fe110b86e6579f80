//! Workers on this machine, which the engine starts and ends.

use super::worker_server::Listener;
use super::{RunPlan, helper_process};
use astill_core::Result;
use astill_core::cli::DeviceChoice;
use std::ffi::OsStr;
use std::process::{Child, Stdio};

/// Which workers a run is to have.
#[derive(Debug, Clone, Default)]
pub struct WorkersPlan {
    /// A process that trains experts on each of these, besides the engine.
    pub experts: Vec<DeviceChoice>,
    /// A process that computes segments and trains networks on each of these, besides the engine.
    pub local: Vec<DeviceChoice>,
    /// Where workers connect; none where there is nothing to share.
    pub listener: Option<Listener>,
}

/// The processes, as long as this lives.
#[derive(Debug, Default)]
pub struct LocalWorkers {
    processes: Vec<LocalWorker>,
}

#[derive(Debug)]
struct LocalWorker {
    device: DeviceChoice,
    process: Child,
    has_ended: bool,
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
            workers.processes.push(LocalWorker {
                device: device.clone(),
                process: helper_process::start(
                    plan,
                    (device, &plan.workers.local),
                    (&arguments, Stdio::null()),
                )?,
                has_ended: false,
            });
        }
        Ok(workers)
    }

    /// What is to be said of those that have failed since this was asked last.
    pub fn failures(&mut self) -> Vec<String> {
        let running = self.processes.iter_mut().filter(|worker| !worker.has_ended);
        running
            .filter_map(|worker| {
                let status = worker.process.try_wait().ok()??;
                worker.has_ended = true;
                let (device, id) = (&worker.device, worker.process.id());
                (!status.success()).then(|| {
                    format!(
                        "the worker on {device} (process {id}) has ended with {status}, for the reason in \
                         run.log if it gave one; the run continues without it"
                    )
                })
            })
            .collect()
    }
}

impl Drop for LocalWorkers {
    fn drop(&mut self) {
        for worker in &mut self.processes {
            // it has nothing to lose
            let _ = worker.process.kill();
            let _ = worker.process.wait();
        }
    }
}
