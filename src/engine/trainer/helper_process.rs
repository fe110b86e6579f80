//! A further process of this program that helps the engine of a run on this machine, and ends with it.

use super::RunPlan;
use crate::threads::{self, CHOSEN_BY_USER};
use astill_core::cli::DeviceChoice;
use astill_core::files::untrusted;
use astill_core::{Error, Result, program};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use tch::Device;

/// Starts a command of this program on one of the devices `all`, each of which has such a process.
/// What it says goes into the run's log. On a CPU it has as many threads as the engine; beside an
/// engine on a GPU, its share of the processors.
///
/// # Errors
/// It cannot be started.
pub fn start(
    plan: &RunPlan,
    (device, all): (&DeviceChoice, &[DeviceChoice]),
    (arguments, input): (&[&OsStr], Stdio),
) -> Result<Child> {
    let own = program::own()?;
    let log = untrusted::open_own(
        &plan.run.log(),
        OpenOptions::new().create(true).append(true),
    )
    .map_err(Error::io("open", plan.run.log()))?;
    let mut command = Command::new(own);
    command.arg("--data").arg(&plan.data);
    command.args(arguments).arg(format!("--device={device}"));
    let on_cpu = all.iter().filter(|one| **one == DeviceChoice::Cpu).count();
    let threads = match (plan.device, device) {
        (Device::Cuda(_), DeviceChoice::Cpu) => threads::per_process(on_cpu),
        _ => usize::try_from(tch::get_num_threads()).ok(),
    };
    if let Some(threads) = threads {
        command.env(CHOSEN_BY_USER, threads.to_string());
    }
    // Ctrl-C is for the engine, which writes a checkpoint first
    command
        .stdin(input)
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0);
    program::tied(&mut command, Signal::TERM);
    command.spawn().map_err(Error::io("start", own))
}
