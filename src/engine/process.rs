//! The engine as a process: in the foreground, in a session of its own, and what signals do to it.

use astill_core::cli::out;
use astill_core::console::to_stderr;
use astill_core::files::untrusted;
use astill_core::run::command::Command;
use astill_core::run::event::EventKind;
use astill_core::run::{RunDir, socket};
use astill_core::signals::{ONE_REQUEST, stop_signals};
use astill_core::{Error, Result};
use astill_engine::keeper::{Keeper, Kept};
use astill_engine::reporter::Reporter;
use astill_engine::server::Server;
use astill_engine::trainer::{CommandRequest, Engine, RunPlan};
use crossbeam_channel::Sender;
use signal_hook::consts::{SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// A larger log is not searched for the engine's last message.
const LARGEST_LOG: u64 = 64 << 20;
/// How often a parent checks whether the engine that it started has begun to work.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// An engine that has not written its first event for this long cannot write it (the disk is full,
/// for example) and keeps trying by itself.
const SILENT: Duration = Duration::from_secs(20);

/// Makes a limit on the size of files an error of the write that exceeds it, like a full disk,
/// instead of the end of the process.
pub fn survive_file_size_limit() -> Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))
        .map(|_| ())
        .map_err(Error::io("catch", "SIGXFSZ"))
}

/// Starts the engine of a run in a session of its own, so that it outlives this process and its
/// terminal, waits until it has begun to work, and prints the run's path. `arguments` are those of
/// `astill resume`.
pub fn detach(run: &RunDir, profile: &str, arguments: &[OsString]) -> Result<ExitCode> {
    let own = std::env::current_exe().map_err(Error::io("find", "/proc/self/exe"))?;
    let log = || {
        untrusted::open_own(&run.log(), OpenOptions::new().create(true).append(true))
            .map_err(Error::io("open", run.log()))
    };
    let path = std::path::absolute(run.path()).map_err(Error::io("find", run.path()))?;
    let mut command = std::process::Command::new(&own);
    command.arg("resume").arg(&path);
    command.arg("--engine-of").arg(profile);
    command.args(arguments);
    command.stdin(Stdio::null()).stdout(log()?).stderr(log()?);
    // SAFETY: between fork and exec only this one system call is made, which takes no lock and no
    // memory
    unsafe { command.pre_exec(|| Ok(rustix::process::setsid().map(|_| ())?)) };
    let written = || std::fs::metadata(run.events()).map_or(0, |m| m.len());
    let before = written();
    let mut engine = command.spawn().map_err(Error::io("start", &own))?;
    wait_until_at_work(run, &mut engine, || written() > before)?;
    // the sockets are there before the first event
    if let Err(error) = socket::connect(run)
        && run.has_engine()
    {
        to_stderr(format!("astill: {error}"));
    }
    out(run.path().display())?;
    Ok(ExitCode::SUCCESS)
}

/// Waits until an engine has written its first event.
///
/// # Errors
/// The engine has exited before that.
fn wait_until_at_work(
    run: &RunDir,
    engine: &mut Child,
    has_written: impl Fn() -> bool,
) -> Result<()> {
    let begin = Instant::now();
    while !has_written() {
        if begin.elapsed() > SILENT && run.has_engine() {
            to_stderr(format!(
                "the engine is running but has written nothing yet; see {} for the reason",
                run.log().display()
            ));
            break;
        }
        let ended = engine
            .try_wait()
            .map_err(Error::io("wait for", "the engine"))?;
        if let Some(status) = ended {
            return Err(early_exit(run, status));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// Why an engine has exited before it began to work, from the end of its log.
fn early_exit(run: &RunDir, status: ExitStatus) -> Error {
    let log = untrusted::read_text(&run.log(), LARGEST_LOG).unwrap_or_default();
    let last = log.lines().rev().find(|l| !l.trim().is_empty());
    let message = match last {
        Some(line) => format!(
            "the engine exited immediately ({status}): {}",
            line.trim_start_matches("astill: ")
        ),
        None => format!("the engine exited immediately ({status}) and logged nothing"),
    };
    if status.code() == Some(2) {
        Error::Usage(message)
    } else {
        Error::file(run.log(), message)
    }
}

/// Runs an engine in this process until it ends. A signal asks it to stop after a checkpoint; a
/// second one ends it at once.
///
/// `run` is the run as the user named it.
pub fn run_engine(
    run: &RunDir,
    mut plan: RunPlan,
    mut reporter: Option<Reporter>,
) -> Result<ExitCode> {
    // before the engine starts, so that none is missed
    let signals = stop_signals()?;
    let (held, profile) = (Arc::clone(&plan.held), plan.profile.clone());
    let own = plan.run.clone();
    let (requests, request_out) = crossbeam_channel::unbounded();
    let (server, unreachable) = Server::start(&own, &held, requests.clone());
    plan.warnings.extend(unreachable);
    let engine = Engine::start(plan, (requests.clone(), request_out))?;
    let kept = Kept {
        run: own,
        held,
        profile,
        server,
        requests,
    };
    let keeper = Keeper::start(kept)?;
    let caught = stop_on_signal(signals, engine.requests.clone(), reporter.is_some());
    let mut last = None;
    for event in &engine.events {
        reporter.iter_mut().for_each(|r| r.report(&event));
        last = Some(event.what);
    }
    reporter.iter().for_each(Reporter::finish);
    let ended = engine.join();
    drop(keeper);
    match ended {
        Ok(()) => {
            if let Some(done) = last.as_ref().filter(|_| reporter.is_some()) {
                print_result(done, run)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(Error::Interrupted) => {
            if reporter.is_some() {
                to_stderr(format!("resume with: astill resume {}", run.reference()));
            }
            // a stop requested over the socket exits as one by SIGTERM does
            let signal = match caught.load(Ordering::SeqCst) {
                0 => SIGTERM,
                signal => signal,
            };
            Ok(ExitCode::from(128u8.saturating_add(signal as u8)))
        }
        Err(error) => Err(error),
    }
}

/// Prints the table of a finished run, and where the run is.
pub fn print_result(done: &EventKind, run: &RunDir) -> Result<()> {
    if let Some(table) = astill_core::run::result::table(done) {
        out(format!("\n{table} in {}", run.path().display()))?;
    }
    Ok(())
}

/// Passes the first signal on to the trainer as a request to stop, and exits on the second. What
/// comes back holds the first signal, or 0 as long as there was none.
fn stop_on_signal(
    mut signals: Signals,
    requests: Sender<CommandRequest>,
    is_reported: bool,
) -> Arc<AtomicI32> {
    let caught = Arc::new(AtomicI32::new(0));
    let first_signal = Arc::clone(&caught);
    std::thread::spawn(move || {
        let mut first: Option<Instant> = None;
        for signal in signals.forever() {
            match first {
                Some(begin) if begin.elapsed() < ONE_REQUEST => continue,
                // at once, and without the clean-up of libraries that another thread is using
                Some(_) => low_level::exit(128 + signal),
                None => first = Some(Instant::now()),
            }
            first_signal.store(signal, Ordering::SeqCst);
            let name = low_level::signal_name(signal).unwrap_or("signal");
            if is_reported {
                to_stderr(format!(
                    "{name}: writing a checkpoint, then stopping; send it again to stop at once"
                ));
            }
            // an engine that has ended meanwhile has nothing left to stop
            let _ = requests.send(CommandRequest {
                command: Command::Stop {
                    reason: name.into(),
                },
                answer: None,
            });
        }
    });
    caught
}
