//! The engine as a process: in the foreground, in a session of its own, and what signals do to it.

use astill_core::cli::out;
use astill_core::console::to_stderr;
use astill_core::files::untrusted;
use astill_core::on_finish;
use astill_core::program;
use astill_core::run::command::Command;
use astill_core::run::event::EventKind;
use astill_core::run::{RunDir, inbox, result, socket};
use astill_core::signals::{Asked, ONE_REQUEST};
use astill_core::{Error, Result};
use astill_engine::inbox::Inbox;
use astill_engine::keeper::{Keeper, Kept};
use astill_engine::reporter::Reporter;
use astill_engine::server::Server;
use astill_engine::trainer::{CommandRequest, Engine, RunPlan};
use crossbeam_channel::Sender;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::IsTerminal;
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
/// How long a program that a signal has stopped tries to print its last messages.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Makes a limit on the size of files an error of the write that exceeds it, like a full disk,
/// instead of the end of the process.
pub fn survive_file_size_limit() -> Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))
        .map(|_| ())
        .map_err(Error::io("catch", "SIGXFSZ"))
}

/// Starts the engine of a run in a session of its own, so that it outlives this process and its
/// terminal, waits until it has begun to work, and prints the run's path. One of the `signals`
/// meanwhile stops it again; of a run that is `new`, nothing is left then. `arguments` are those of
/// `astill resume`.
pub fn detach(
    (run, is_new): (&RunDir, bool),
    profile: &str,
    arguments: &[OsString],
    mut signals: Signals,
) -> Result<ExitCode> {
    let own = program::own()?;
    let log = || {
        untrusted::open_own(&run.log(), OpenOptions::new().create(true).append(true))
            .map_err(Error::io("open", run.log()))
    };
    let path = std::path::absolute(run.path()).map_err(Error::io("find", run.path()))?;
    let mut command = std::process::Command::new(own);
    command.arg("resume").arg(&path);
    command.arg("--engine-of").arg(profile);
    command.args(arguments);
    command.stdin(Stdio::null()).stdout(log()?).stderr(log()?);
    keep_descriptors_to_this_process();
    // SAFETY: between fork and exec only this one system call is made, which takes no lock and no
    // memory
    unsafe { command.pre_exec(|| Ok(rustix::process::setsid().map(|_| ())?)) };
    let written = || std::fs::metadata(run.events()).map_or(0, |m| m.len());
    let before = written();
    let mut engine = command.spawn().map_err(Error::io("start", own))?;
    let has_written = || written() > before;
    let stopped = wait_until_at_work(run, &mut engine, &mut signals, has_written);
    let stopped = stopped.inspect_err(|error| {
        // what it was refused is said; only another failure leaves a log to look at
        if is_new && error.exit_status() == 2 && !run.events().exists() {
            let _ = std::fs::remove_file(run.log());
            run.discard_unstarted();
        }
    })?;
    if let Some(signal) = stopped {
        let name = low_level::signal_name(signal).unwrap_or("signal");
        if is_new && !run.events().exists() {
            run.discard_unstarted();
            to_stderr(format!(
                "{name}: stopped before the run began; nothing is left of it"
            ));
        } else {
            let it = run.reference();
            to_stderr(format!(
                "{name}: the run {it} has been stopped; resume it with `astill resume {it}`"
            ));
        }
        return Ok(by_signal(signal));
    }
    // the sockets are there before the first event
    if let Err(error) = socket::connect(run)
        && run.has_engine()
        && !inbox::is_read(run)
    {
        to_stderr(format!("astill: {error}"));
    }
    out(run.path().display())?;
    Ok(ExitCode::SUCCESS)
}

/// Closes what this process has inherited, a lock or a pipe of its starter for example, in the
/// programs that it starts: they live on when the starter waits for the end of all that hold it.
fn keep_descriptors_to_this_process() {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let numbers = open
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    for number in numbers.filter(|n| *n > 2).collect::<Vec<_>>() {
        // SAFETY: it sets a flag of a descriptor, and fails for the one that was just closed
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// The exit status of a program that a signal has stopped.
pub fn by_signal(signal: i32) -> ExitCode {
    ExitCode::from(128u8.saturating_add(signal as u8))
}

/// Waits until an engine has written its first event. A signal meanwhile stops it: then that signal
/// comes back once it has ended. A second signal ends it at once.
///
/// # Errors
/// The engine has exited before that.
fn wait_until_at_work(
    run: &RunDir,
    engine: &mut Child,
    signals: &mut Signals,
    has_written: impl Fn() -> bool,
) -> Result<Option<i32>> {
    let begin = Instant::now();
    let mut stopped: Option<(i32, Instant)> = None;
    while stopped.is_some() || !has_written() {
        let asks_to_stop = |signal: &i32| Asked::by(*signal) != Asked::Checkpoint;
        for signal in signals.pending().filter(asks_to_stop).collect::<Vec<_>>() {
            let with = match stopped {
                None => Signal::TERM,
                Some((_, at)) if at.elapsed() < ONE_REQUEST => continue,
                // batch systems repeat those before a limit
                Some(_) if Asked::by(signal) == Asked::StopBeforeLimit => continue,
                Some(_) => Signal::KILL,
            };
            // one that has just ended needs none
            let _ = kill_process(Pid::from_child(engine), with);
            stopped.get_or_insert((signal, Instant::now()));
        }
        if stopped.is_none() && begin.elapsed() > SILENT && run.has_engine() {
            to_stderr(format!(
                "the engine is running but has written nothing yet; see {} for the reason",
                run.log().display()
            ));
            break;
        }
        let ended = engine
            .try_wait()
            .map_err(Error::io("wait for", "the engine"))?;
        match (ended, stopped) {
            (Some(_), Some((signal, _))) => return Ok(Some(signal)),
            (Some(status), None) => return Err(early_exit(run, status)),
            (None, _) => std::thread::sleep(POLL_INTERVAL),
        }
    }
    Ok(None)
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

/// Runs an engine in this process until it ends. What the `signals` ask is passed on to it.
///
/// `run` is the run as the user named it, and `on_finish` a command for its end.
pub fn run_engine(
    run: &RunDir,
    mut plan: RunPlan,
    is_reported: bool,
    (signals, on_finish): (Signals, Option<&str>),
) -> Result<ExitCode> {
    let (held, profile) = (Arc::clone(&plan.held), plan.profile.clone());
    let is_of_experts = plan.only_experts.is_some();
    let of_run = (!is_of_experts).then(|| profile.clone());
    let terminal = std::io::stderr().is_terminal();
    let mut reporter = is_reported.then(|| Reporter::new(terminal, of_run));
    let own = plan.run.clone();
    let place = own.clone();
    let (requests, request_out) = crossbeam_channel::unbounded();
    // nobody knows the record of an engine that only trains experts
    let server = (!is_of_experts).then(|| Server::start(&own, &held, requests.clone()));
    let (server, unreachable) = server.unzip();
    plan.warnings.extend(unreachable.flatten());
    let engine = Engine::start(plan, (requests.clone(), request_out))?;
    let keeper = match server {
        None => None,
        Some(server) => Some(Keeper::start(Kept {
            inbox: Inbox::open(&own, &held, requests.clone()),
            run: own,
            held,
            profile,
            server,
            requests,
        })?),
    };
    let caught = Arc::new(AtomicI32::new(0));
    let has_said_all = Arc::new(AtomicBool::new(false));
    let listener = SignalListener {
        requests: engine.requests.clone(),
        first: caught.clone(),
        ended: engine.ended.clone(),
        has_said_all: Arc::clone(&has_said_all),
        is_reported: reporter.is_some(),
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || listener.listen(signals))
        .map_err(Error::io("start a thread for", "signals"))?;
    let mut last = None;
    for event in &engine.events {
        reporter.iter_mut().for_each(|r| r.report(&event));
        last = Some(event.what);
    }
    reporter.iter().for_each(Reporter::finish);
    // the user's command takes as long as it takes
    has_said_all.store(true, Ordering::SeqCst);
    let ended = engine.join();
    // while the folder is held, wherever it is by now
    let place = RunDir::at(place.real_path());
    drop(keeper);
    if let (Some(command), Some(EventKind::RunFinished(finished))) = (on_finish, &last) {
        match on_finish::run(command, &place, finished) {
            Ok(status) if status.success() => {}
            Ok(status) => to_stderr(format!("--on-finish {command}: {status}")),
            Err(error) => to_stderr(format!("--on-finish {command}: {error}")),
        }
    }
    match ended {
        Ok(()) => {
            let is_reported = reporter.is_some() && !is_of_experts;
            if let Some(done) = last.as_ref().filter(|_| is_reported) {
                print_result(done, run)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(Error::Interrupted) => {
            match is_of_experts {
                true => to_stderr("what is trained so far is kept; the same command continues"),
                false if reporter.is_some() => {
                    to_stderr(format!("resume with: astill resume {}", run.reference()));
                }
                false => {}
            }
            // a stop requested over the socket exits as one by SIGTERM does
            Ok(by_signal(match caught.load(Ordering::SeqCst) {
                0 => SIGTERM,
                signal => signal,
            }))
        }
        // the reporter has said why
        Err(error) if reporter.is_some() && matches!(last, Some(EventKind::RunFinished(_))) => {
            Ok(ExitCode::from(error.exit_status()))
        }
        Err(error) => Err(error),
    }
}

/// Prints the table of a finished run, and where the run is.
pub fn print_result(done: &EventKind, run: &RunDir) -> Result<()> {
    if let Some(table) = result::table(done) {
        out(format!(
            "\n{table} in {}\n{}",
            run.path().display(),
            result::next_step(&run.reference())
        ))?;
    }
    Ok(())
}

/// Passes signals on to the trainer.
struct SignalListener {
    requests: Sender<CommandRequest>,
    /// The first signal that asked to stop, or 0 as long as there was none.
    first: Arc<AtomicI32>,
    /// Set when the trainer has ended.
    ended: Arc<AtomicBool>,
    /// Set when all its messages are printed.
    has_said_all: Arc<AtomicBool>,
    is_reported: bool,
}

impl SignalListener {
    fn listen(self, mut signals: Signals) {
        let mut insisted: Option<Instant> = None;
        for signal in signals.forever() {
            let asked = Asked::by(signal);
            let name = low_level::signal_name(signal).unwrap_or("signal");
            match (asked, insisted) {
                (Asked::Checkpoint, _) => {
                    self.request(Command::Checkpoint);
                    continue;
                }
                (Asked::Stop, Some(begin)) if begin.elapsed() < ONE_REQUEST => continue,
                // at once, and without the clean-up of libraries that another thread is using
                (Asked::Stop, Some(_)) => low_level::exit(128 + signal),
                (Asked::Stop, None) => insisted = Some(Instant::now()),
                (Asked::StopBeforeLimit, _) => {}
            }
            let order = Ordering::SeqCst;
            if self
                .first
                .compare_exchange(0, signal, order, order)
                .is_err()
            {
                continue;
            }
            // first, because a terminal that nobody reads holds up what is printed
            self.request(Command::Stop {
                reason: name.into(),
            });
            self.leave_once_ended(signal);
            if self.is_reported {
                let again = match asked {
                    Asked::Stop => "; send it again to stop at once",
                    _ => "",
                };
                to_stderr(format!(
                    "{name}: writing a checkpoint, then stopping{again}"
                ));
            }
        }
    }

    fn request(&self, command: Command) {
        // an engine that has ended meanwhile has nothing left to do
        let _ = self.requests.send(CommandRequest {
            command,
            answer: None,
        });
    }

    /// Ends this process a moment after the trainer, even if the last messages cannot be printed,
    /// because the terminal or the pipe is not being read.
    fn leave_once_ended(&self, signal: i32) {
        let (ended, has_said_all) = (self.ended.clone(), self.has_said_all.clone());
        let leave = move || {
            while !ended.load(Ordering::SeqCst) {
                std::thread::sleep(POLL_INTERVAL);
            }
            std::thread::sleep(LAST_WORDS);
            if !has_said_all.load(Ordering::SeqCst) {
                low_level::exit(128 + signal);
            }
        };
        // without a thread it ends as soon as somebody reads
        let _ = std::thread::Builder::new()
            .name("leave".into())
            .spawn(leave);
    }
}
