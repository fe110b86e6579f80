//! Workers on this machine, which the engine starts and ends.

use super::RunPlan;
use super::worker_server::Listener;
use astill_core::cli::DeviceChoice;
use astill_core::files::untrusted;
use astill_core::{Error, Result, program};
use rustix::process::Signal;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Which workers a run is to have.
#[derive(Debug, Clone, Default)]
pub struct WorkersPlan {
    /// A process on each of these, besides the engine.
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
        let mut workers = Self::default();
        let own = program::own()?;
        let run = plan.run.real_path();
        for device in &plan.workers.local {
            let log = untrusted::open_own(
                &plan.run.log(),
                OpenOptions::new().create(true).append(true),
            )
            .map_err(Error::io("open", plan.run.log()))?;
            let mut command = Command::new(own);
            command.arg("--data").arg(&plan.data);
            command.arg("work").arg(&run);
            command.args(["--device", &device.to_string()]);
            // Ctrl-C is for the engine, which writes a checkpoint first
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .process_group(0);
            program::tied(&mut command, Signal::TERM);
            workers.processes.push(LocalWorker {
                device: device.clone(),
                process: command.spawn().map_err(Error::io("start", own))?,
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
