//! Workers on this machine, which the engine starts and ends.

use super::RunPlan;
use astill_core::cli::DeviceChoice;
use astill_core::files::untrusted;
use astill_core::{Error, Result, program};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Which workers a run is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkersPlan {
    /// A process on each of these, besides the engine.
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
            // SAFETY: between fork and exec only this one system call is made, which takes no lock and
            // no memory
            unsafe {
                command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?));
            }
            workers
                .processes
                .push(command.spawn().map_err(Error::io("start", own))?);
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
