//! A further process of this program that helps the engine of a run on this machine, and ends with it.

use super::RunPlan;
use crate::threads::CHOSEN_BY_USER;
use astill_core::cli::DeviceChoice;
use astill_core::files::untrusted;
use astill_core::{Error, Result, program};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Starts a command of this program on a device, with as many threads as this process has. What it
/// says goes into the run's log.
///
/// # Errors
/// It cannot be started.
pub fn start(plan: &RunPlan, device: &DeviceChoice, arguments: &[&OsStr]) -> Result<Child> {
    let own = program::own()?;
    let log = untrusted::open_own(
        &plan.run.log(),
        OpenOptions::new().create(true).append(true),
    )
    .map_err(Error::io("open", plan.run.log()))?;
    let mut command = Command::new(own);
    command.arg("--data").arg(&plan.data);
    command.args(arguments).arg(format!("--device={device}"));
    command.env(CHOSEN_BY_USER, tch::get_num_threads().to_string());
    // Ctrl-C is for the engine, which writes a checkpoint first
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0);
    program::tied(&mut command, Signal::TERM);
    command.spawn().map_err(Error::io("start", own))
}
