//! A process for each of several devices, which train experts side by side and share them out by
//! their claims.

use crate::process::by_signal;
use astill_core::cli::{DeviceChoice, ExpertsArgs};
use astill_core::console::{to_stderr, to_stderr_if_read};
use astill_core::files::untrusted;
use astill_core::program;
use astill_core::signals::{Asked, engine_signals};
use astill_core::{Error, Result};
use astill_engine::threads;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it is looked whether a process has ended or a signal has come.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long the last lines of processes that a signal has ended wait for somebody who reads them.
const LAST_LINES: Duration = Duration::from_secs(1);
/// A longer line of a process is not passed on, in bytes.
const LONGEST_LINE: usize = 1 << 16;

/// A process that trains, and the thread that passes on what it reports.
struct DeviceProcess {
    name: String,
    child: Child,
    passes_on: Option<JoinHandle<()>>,
    ended: Option<ExitStatus>,
}

/// Trains what `args` ask for, with a process for each device.
///
/// # Errors
/// A process cannot be started or waited for.
pub fn train(args: &ExpertsArgs, data: &Path) -> Result<ExitCode> {
    let mut signals = engine_signals()?;
    let mut processes = Vec::new();
    for (number, device) in args.device.each().iter().enumerate() {
        let name = format!("{} ({device})", number + 1);
        processes.push(start(args, device, name, data)?);
    }
    let mut signalled = None;
    while processes.iter().any(|process| process.ended.is_none()) {
        for signal in signals.pending() {
            signalled = signalled.or(stops(signal));
            let running = processes.iter().filter(|process| process.ended.is_none());
            for process in running {
                if let Some(signal) = Signal::from_named_raw(signal) {
                    // one that has just ended needs none
                    let _ = kill_process(Pid::from_child(&process.child), signal);
                }
            }
        }
        for process in &mut processes {
            if process.ended.is_none() {
                process.ended = process
                    .child
                    .try_wait()
                    .map_err(Error::io("wait for", "a process"))?;
            }
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    // what they have reported, unless nobody reads it
    let pass_on = |process: &DeviceProcess| {
        let thread = process.passes_on.as_ref();
        thread.is_some_and(|thread| !thread.is_finished())
    };
    let ended = Instant::now();
    while processes.iter().any(pass_on) && (signalled.is_none() || ended.elapsed() < LAST_LINES) {
        signalled = signalled.or(signals.pending().find_map(stops));
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(outcome(args.any, signalled, &processes))
}

/// A signal that ends processes; none if they continue after it.
fn stops(signal: i32) -> Option<i32> {
    (Asked::by(signal) != Asked::Checkpoint).then_some(signal)
}

/// The status of all together.
fn outcome(leaves_others: bool, signalled: Option<i32>, processes: &[DeviceProcess]) -> ExitCode {
    let ends = || processes.iter().filter_map(|p| Some((&p.name, p.ended?)));
    let failed: Vec<_> = ends().filter(|(_, status)| !status.success()).collect();
    // one that waits for the others succeeds only when every expert is there
    let is_done = failed.is_empty() || (!leaves_others && failed.len() < processes.len());
    for (name, status) in &failed {
        let rest = match is_done {
            true => "; the others have trained its experts",
            false => "",
        };
        to_stderr_if_read(format!("process {name} ended with {status}{rest}"));
    }
    match (is_done, signalled, failed.first()) {
        (true, ..) => ExitCode::SUCCESS,
        (false, Some(signal), _) => by_signal(signal),
        (false, None, Some((_, status))) => match (status.code(), status.signal()) {
            (Some(code), _) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
            (None, Some(signal)) => by_signal(signal),
            (None, None) => ExitCode::FAILURE,
        },
        (false, None, None) => ExitCode::FAILURE,
    }
}

fn start(
    args: &ExpertsArgs,
    device: &DeviceChoice,
    name: String,
    data: &Path,
) -> Result<DeviceProcess> {
    let own = program::own()?;
    let mut command = Command::new(own);
    command.arg("--data").arg(data).args(args.to_arguments());
    command.arg(format!("--device={device}"));
    let on_cpu = args.device.on_cpu();
    if *device == DeviceChoice::Cpu
        && let Some(own) = threads::per_process(on_cpu)
    {
        command.env(threads::CHOSEN_BY_USER, own.to_string());
    }
    // Ctrl-C is for this process, which passes it on once
    command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0);
    program::tied(&mut command, Signal::TERM);
    let mut child = command.spawn().map_err(Error::io("start", own))?;
    let reported = child.stderr.take();
    let label = name.clone();
    let pass_on = move || {
        let Some(reported) = reported else { return };
        // what cannot be read any more is lost
        let _ = untrusted::for_each_line(reported, LONGEST_LINE, |line| {
            to_stderr(format!(
                "process {label}: {}",
                String::from_utf8_lossy(line)
            ));
        });
    };
    let passes_on = std::thread::Builder::new()
        .name("reports".into())
        .spawn(pass_on)
        .map_err(Error::io("start a thread for", "a process"))?;
    Ok(DeviceProcess {
        name,
        child,
        passes_on: Some(passes_on),
        ended: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::consts::{SIGTERM, SIGUSR1, SIGUSR2};

    #[test]
    fn a_request_for_a_checkpoint_is_not_what_stopped_a_process() {
        assert_eq!(stops(SIGUSR1), None);
        assert_eq!(stops(SIGUSR2), Some(SIGUSR2));
        assert_eq!(stops(SIGTERM), Some(SIGTERM));
    }
}
