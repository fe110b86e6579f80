//! A process for each of several devices, which train experts side by side and share them out by
//! their claims.

use crate::process::by_signal;
use astill_core::cli::{DeviceChoice, ExpertsArgs};
use astill_core::console::to_stderr;
use astill_core::program;
use astill_core::signals::engine_signals;
use astill_core::{Error, Result, cores};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it is looked whether a process has ended or a signal has come.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// What limits the threads of a process, unless the user has set it.
const THREADS: &str = "OMP_NUM_THREADS";

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
            signalled = signalled.or(Some(signal));
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
    for process in &mut processes {
        if let Some(thread) = process.passes_on.take() {
            let _ = thread.join();
        }
    }
    Ok(outcome(args.any, signalled, &processes))
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
        to_stderr(format!("process {name} ended with {status}{rest}"));
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
    if *device == DeviceChoice::Cpu && std::env::var_os(THREADS).is_none_or(|v| v.is_empty()) {
        let all = cores::usable().unwrap_or(1);
        command.env(THREADS, (all / on_cpu.max(1)).max(1).to_string());
    }
    // Ctrl-C is for this process, which passes it on once
    command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0);
    // SAFETY: between fork and exec only this one system call is made, which takes no lock and no
    // memory
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?));
    }
    let mut child = command.spawn().map_err(Error::io("start", own))?;
    let reported = child.stderr.take();
    let label = name.clone();
    let pass_on = move || {
        for line in BufReader::new(reported?).lines() {
            to_stderr(format!("process {label}: {}", line.ok()?));
        }
        Some(())
    };
    let passes_on = std::thread::Builder::new()
        .name("reports".into())
        .spawn(move || {
            pass_on();
        })
        .map_err(Error::io("start a thread for", "a process"))?;
    Ok(DeviceProcess {
        name,
        child,
        passes_on: Some(passes_on),
        ended: None,
    })
}
