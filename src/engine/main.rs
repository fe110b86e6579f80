//! The program `astill-engine`: what `astill` hands on because it needs libtorch. Arguments → one
//! call into the library each.

use astill_core::cli::bench::{Measured, StudentOptions, Timed};
use astill_core::cli::{Cli, Cmd, ProfileArgs, RunArgs, data_folder, out};
use astill_core::console::to_stderr;
use astill_core::files::{atomic, untrusted};
use astill_core::profile::Loaded;
use astill_core::run::command::Command;
use astill_core::run::event::EventKind;
use astill_core::run::{EngineAt, EngineLock, History, RunDir, result};
use astill_core::text::duration;
use astill_core::{Error, Result};
use astill_engine::doctor::Findings;
use astill_engine::estimate::Estimate;
use astill_engine::network::PIECE_THREAD;
use astill_engine::reporter::Reporter;
use astill_engine::trainer::{self, Engine, Plan, Request, TRAINER_THREAD};
use astill_engine::{bench, data, device, memory, server};
use clap::Parser;
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs::OpenOptions;
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// Signals within this time are one request to stop.
const ONE_REQUEST: Duration = Duration::from_secs(1);
/// Of a log that is larger, the last words are not looked for.
const LARGEST_LOG: u64 = 64 << 20;
/// How long to wait before looking again whether an engine that was started is at work.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// An engine that has not written its first event for so long cannot, on a full disk say, and goes
/// on waiting by itself.
const SILENT: Duration = Duration::from_secs(20);

#[global_allocator]
static MEMORY: memory::Memory = memory::Memory;

fn main() -> ExitCode {
    memory::keep_freed();
    // a limit on the size of files is met by an error, like a full disk
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let cli = Cli::parse();
    std::panic::set_hook(Box::new(|info| {
        // a panic of the trainer comes back as an error with the run's record; any other is a fault
        // of this program
        let is_trainers = |name: &str| name == TRAINER_THREAD || name.starts_with(PIECE_THREAD);
        if !std::thread::current().name().is_some_and(is_trainers) {
            to_stderr(format!(
                "astill: a fault in the program itself, please report it: {info}"
            ));
        }
    }));
    match std::panic::catch_unwind(|| run(cli)) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            to_stderr(format!("astill: {error}"));
            ExitCode::from(error.exit_status())
        }
        Err(_) => ExitCode::FAILURE,
    }
}

/// Does what the arguments say; the exit status, or the error that ended it.
fn run(cli: Cli) -> Result<ExitCode> {
    let data = || data_folder(cli.data.clone());
    let Some(command) = &cli.command else {
        return Err(start_astill());
    };
    match command {
        Cmd::Run(args) => start(args, &data()?, &cli.runs),
        Cmd::Resume {
            run,
            headless: _,
            detach,
            device,
            engine_of,
        } => {
            let how = match (engine_of, detach) {
                (Some(profile), _) => How::Engine {
                    profile: profile.clone(),
                },
                (None, true) => How::Detached,
                (None, false) => How::Foreground,
            };
            resume(
                &RunDir::find(&cli.runs, run)?,
                device.as_deref(),
                cli.data.as_deref(),
                how,
            )
        }
        Cmd::Check {
            profile,
            device,
            json,
        } => check(profile, device, *json, &data()?),
        Cmd::Doctor { .. } => {
            out(json!(Findings::look()))?;
            Ok(ExitCode::SUCCESS)
        }
        Cmd::Bench { what, student } => timed(what.as_ref(), student, &data()?),
        Cmd::Profiles { .. } | Cmd::List { .. } | Cmd::Send { .. } | Cmd::Attach { .. } => {
            Err(start_astill())
        }
    }
}

fn start_astill() -> Error {
    Error::Usage("this is the engine of astill: start astill instead".into())
}

/// Measures, and says what came out.
fn timed(
    what: Option<&Timed>,
    student: &Measured<StudentOptions>,
    data: &Path,
) -> Result<ExitCode> {
    match what {
        None => timed_student(student),
        Some(Timed::Student(student)) => timed_student(student),
        Some(Timed::Expert(Measured { options, json })) => {
            let report = bench::expert(options.clone())?;
            let bench::ExpertReport {
                options,
                seconds_per_step,
                images_per_second,
                peak,
            } = &report;
            let text = format!(
                "{seconds_per_step} s a step (median of {}), {images_per_second} images/s, {peak}",
                options.steps
            );
            measured(json!(report), text, *json)
        }
        Some(Timed::Evaluate(Measured { options, json })) => {
            let report = bench::evaluate(options.clone())?;
            let bench::EvaluateReport {
                options,
                seconds,
                train_s,
                test_s,
                peak,
            } = &report;
            let text = format!(
                "{seconds} s for {} networks: training {train_s}, testing {test_s}; {peak}",
                options.repeats
            );
            measured(json!(report), text, *json)
        }
        Some(Timed::Data(Measured { options, json })) => {
            let report = bench::data(options.clone(), data)?;
            let bench::DataReport {
                train,
                test,
                seconds,
                load_s,
                zca_s,
                peak,
                again_s,
                ..
            } = &report;
            let text = format!(
                "{seconds} s for {train} training and {test} test images: loading {load_s}, \
                 whitening {zca_s}; with a cache {again_s}; {peak}"
            );
            measured(json!(report), text, *json)
        }
    }
}

fn timed_student(Measured { options, json }: &Measured<StudentOptions>) -> Result<ExitCode> {
    let report = bench::student(options.clone())?;
    let bench::StudentReport {
        seconds_per_iteration,
        seconds_min,
        peak,
        phases,
        convolution_floor_s,
        floor_ratio,
        ..
    } = &report;
    let bench::Phases {
        forward,
        adjoint,
        augmentation,
        update,
    } = phases;
    let text = format!(
        "{seconds_per_iteration} s an iteration (median of {}, least {seconds_min}), {peak}\n\
         forward {forward}, adjoint {adjoint}, augmentation {augmentation}, update {update}; \
         {floor_ratio} times what its convolutions take alone, {convolution_floor_s} s",
        report.options.iterations
    );
    measured(json!(report), text, *json)
}

/// Prints what was measured, as JSON or for people.
fn measured(report: serde_json::Value, text: String, json: bool) -> Result<ExitCode> {
    if json {
        out(report)?;
    } else {
        to_stderr(text);
    }
    Ok(ExitCode::SUCCESS)
}

/// Checks a profile against its data set, without creating anything.
fn checked(
    args: &ProfileArgs,
    data: &Path,
) -> Result<(Loaded, data::DatasetRequest, data::Inventory)> {
    let loaded = args.load()?;
    let folder = trainer::data_folder(&loaded.profile, data);
    // nothing has been created yet, so a broken data set is a wrong use, like a missing one
    let request = trainer::data_request(&loaded.profile, &folder, data);
    let inventory = request.inspect().map_err(|e| Error::Usage(e.to_string()))?;
    loaded.check_classes(&inventory.classes, &inventory.train)?;
    Ok((loaded, request, inventory))
}

fn check(args: &ProfileArgs, device: &str, as_json: bool, data: &Path) -> Result<ExitCode> {
    let (loaded, request, inventory) = checked(args, data)?;
    let mut estimate = Estimate::measure(&loaded.profile, &inventory, device::choose(device)?)?;
    // afterwards: the memory that it takes is none of what the run needs at the same time
    estimate.add_data_seconds(request.seconds_to_decode()?);
    let count = |split: &[usize]| split.iter().sum::<usize>();
    let (train, validation, test) = (
        count(&inventory.train),
        count(&inventory.validation),
        count(&inventory.test),
    );
    if as_json {
        let data = json!({ "classes": inventory.classes, "train": train, "validation": validation, "test": test });
        out(
            json!({ "name": loaded.name, "profile": loaded.profile, "data": data, "estimate": estimate }),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    out(loaded.profile.to_yaml().trim_end())?;
    to_stderr(format!(
        "{}: fine. {} classes, {train} training, {validation} validation and {test} test images",
        loaded.name,
        inventory.classes.len()
    ));
    let Estimate {
        data_seconds,
        experts_seconds,
        distill_seconds,
        evaluate_seconds,
        ..
    } = &estimate;
    let [all, data, experts, distill, evaluate] = [
        &estimate.seconds,
        data_seconds,
        experts_seconds,
        distill_seconds,
        evaluate_seconds,
    ]
    .map(|s| duration(*s));
    to_stderr(format!(
        "about {all} on {}: data {data}, experts {experts}, distill {distill}, evaluate \
         {evaluate}; less where the store has the experts",
        estimate.device
    ));
    to_stderr(format!("about {:.0} MiB of memory", estimate.memory_mib));
    if let Some(warning) = estimate.warning() {
        to_stderr(format!("warning: {warning}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the engine of a run is to work.
enum How {
    /// In this process, telling what happens.
    Foreground,
    /// In a process of its own that outlives this one and the terminal.
    Detached,
    /// In this process, which is that one: `events.jsonl` and `run.log` tell what happens.
    /// `profile` is the profile's name.
    Engine { profile: String },
}

fn start(args: &RunArgs, data: &Path, runs: &Path) -> Result<ExitCode> {
    let (loaded, ..) = checked(&args.profile, data)?;
    let device = device::choose(&args.device)?;
    let run = RunDir::create(runs, &loaded.name, args.name.as_deref())?;
    let begun = run.lock().and_then(|lock| {
        atomic::write_atomically(&run.profile(), loaded.profile.to_yaml().as_bytes())?;
        Ok(lock)
    });
    let lock = begun.inspect_err(|_| run.discard_unstarted())?;
    if args.detach {
        drop(lock);
        return detached(&run, &loaded.name, Some(&device::name(device)), Some(data));
    }
    let folder = trainer::data_folder(&loaded.profile, data);
    let (data, profile_name) = (data.to_path_buf(), loaded.name);
    let plan = Plan {
        run,
        profile_name,
        profile: loaded.profile,
        data,
        folder,
        device,
        threads: None,
        attended: std::io::stderr().is_terminal(),
    };
    foreground(
        plan,
        lock,
        Some(Reporter::new(std::io::stderr().is_terminal())),
    )
}

fn resume(run: &RunDir, device: Option<&str>, data: Option<&Path>, how: How) -> Result<ExitCode> {
    let profile = run.read_profile()?;
    if let (EngineAt::MaybeRemote(host), false) = (run.engine(), matches!(how, How::Engine { .. }))
    {
        to_stderr(format!(
            "astill: the latest engine of this run was on the machine {host} and has not said that \
             it ended; if it is still at work, stop one of the two, or they spoil the run"
        ));
    }
    let lock = run.lock()?;
    let history = if run.events().exists() {
        History::read(&run.events())?
    } else {
        History::default()
    };
    if let Some(done) = &history.done {
        to_stderr(format!("run {} is done already", run.name()));
        print_table(done, run)?;
        return Ok(ExitCode::SUCCESS);
    }
    let name = match &how {
        How::Engine { profile } => profile.clone(),
        _ => history.profile.unwrap_or_else(|| run.name()),
    };
    if matches!(how, How::Detached) {
        drop(lock);
        return detached(run, &name, device, data);
    }
    let device = device::choose(device.or(history.device.as_deref()).unwrap_or("auto"))?;
    // where the run found its data, unless this call says where they are now
    let (data, folder) = match (data, history.data, history.folder) {
        (None, Some(data), Some(folder)) => (data, folder),
        (given, ..) => {
            let data = data_folder(given.map(Path::to_path_buf))?;
            let folder = trainer::data_folder(&profile, &data);
            (data, folder)
        }
    };
    let attended = matches!(how, How::Engine { .. }) || std::io::stderr().is_terminal();
    let plan = Plan {
        run: run.clone(),
        profile_name: name,
        profile,
        data,
        folder,
        device,
        threads: history.threads,
        attended,
    };
    let reporter =
        matches!(how, How::Foreground).then(|| Reporter::new(std::io::stderr().is_terminal()));
    foreground(plan, lock, reporter)
}

/// Starts the engine of a run in a session of its own, so that it outlives this process and its
/// terminal, waits until it is at work, and prints the run's path.
fn detached(
    run: &RunDir,
    profile: &str,
    device: Option<&str>,
    data: Option<&Path>,
) -> Result<ExitCode> {
    let own = std::env::current_exe().map_err(Error::io("find", "/proc/self/exe"))?;
    let log = || {
        untrusted::open_own(&run.log(), OpenOptions::new().create(true).append(true))
            .map_err(Error::io("open", run.log()))
    };
    let path = std::path::absolute(run.path()).map_err(Error::io("find", run.path()))?;
    let mut command = std::process::Command::new(&own);
    command
        .arg("resume")
        .arg(&path)
        .arg("--engine-of")
        .arg(profile);
    device
        .into_iter()
        .for_each(|d| _ = command.args(["--device", d]));
    data.into_iter()
        .for_each(|d| _ = command.arg("--data").arg(d));
    command.stdin(Stdio::null()).stdout(log()?).stderr(log()?);
    // between fork and exec only this one system call is made
    unsafe {
        command.pre_exec(|| {
            if libc::setsid() < 0 {
                Err(std::io::Error::last_os_error())
            } else {
                Ok(())
            }
        })
    };
    let written = || std::fs::metadata(run.events()).map_or(0, |m| m.len());
    let before = written();
    let mut engine = command.spawn().map_err(Error::io("start", &own))?;
    let begin = Instant::now();
    while written() <= before {
        if begin.elapsed() > SILENT && run.has_engine() {
            to_stderr(format!(
                "the engine is at work but has written nothing yet; {} may say why",
                run.log().display()
            ));
            break;
        }
        if let Some(status) = engine.try_wait().map_err(Error::io("wait for", &own))? {
            let text = untrusted::read_text(&run.log(), LARGEST_LOG).unwrap_or_default();
            let last = text
                .lines()
                .rev()
                .find(|l| !l.trim().is_empty())
                .unwrap_or("it has left no word")
                .trim_start_matches("astill: ");
            let message = format!("the engine ended at once ({status}): {last}");
            return Err(if status.code() == Some(2) {
                Error::Usage(message)
            } else {
                Error::file(run.log(), message)
            });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    out(run.path().display())?;
    Ok(ExitCode::SUCCESS)
}

/// Runs an engine in this process until it ends. A signal asks it to stop after a checkpoint; a
/// second one ends it at once.
fn foreground(plan: Plan, _lock: EngineLock, mut reporter: Option<Reporter>) -> Result<ExitCode> {
    let run = plan.run.clone();
    let wanted = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|s| !is_ignored(*s));
    let mut signals = Signals::new(wanted).map_err(Error::io("wait for", "signals"))?;
    let engine = Engine::start(plan)?;
    let socket = server::serve(&run, engine.requests.clone());
    if let Err(error) = &socket {
        to_stderr(format!(
            "astill: this run cannot be reached by `astill send` and the app: {error}"
        ));
    }
    let tells = reporter.is_some();
    let caught = Arc::new(AtomicI32::new(0));
    let (seen, requests) = (Arc::clone(&caught), engine.requests.clone());
    std::thread::spawn(move || {
        let mut first: Option<Instant> = None;
        for signal in signals.forever() {
            match first {
                // the same request may come twice: a shell and a batch system signal the process
                // and its group
                Some(begin) if begin.elapsed() < ONE_REQUEST => continue,
                // at once, and without the clean-up of libraries that another thread is using
                Some(_) => unsafe { libc::_exit(128 + signal) },
                None => first = Some(Instant::now()),
            }
            seen.store(signal, Ordering::SeqCst);
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("signal");
            if tells {
                to_stderr(format!(
                    "{name}: stopping after a checkpoint; once more to stop at once"
                ));
            }
            // an engine that has ended meanwhile needs no telling
            let _ = requests.send(Request {
                command: Command::Stop {
                    reason: name.into(),
                },
                answer: None,
            });
        }
    });
    let mut last = None;
    for event in &engine.events {
        reporter.iter_mut().for_each(|r| r.report(&event));
        last = Some(event.what);
    }
    reporter.iter().for_each(Reporter::finish);
    let ended = engine.join();
    drop(socket);
    match ended {
        Ok(()) => {
            if let Some(done) = last.as_ref().filter(|_| reporter.is_some()) {
                print_table(done, &run)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(Error::Interrupted) => {
            if reporter.is_some() {
                to_stderr(format!("go on with: astill resume {}", run.reference()));
            }
            // who asks over the socket asks for what SIGTERM does
            let signal = Some(caught.load(Ordering::SeqCst))
                .filter(|s| *s > 0)
                .unwrap_or(SIGTERM);
            Ok(ExitCode::from(128u8.saturating_add(signal as u8)))
        }
        Err(error) => Err(error),
    }
}

/// Whether this process was started with `signal` ignored, as nohup does; then it stays so.
fn is_ignored(signal: libc::c_int) -> bool {
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    unsafe {
        libc::sigaction(signal, std::ptr::null(), &mut now) == 0
            && now.sa_sigaction == libc::SIG_IGN
    }
}

fn print_table(done: &EventKind, run: &RunDir) -> Result<()> {
    if let Some(table) = result::table(done) {
        out(format!("\n{table} in {}", run.path().display()))?;
    }
    Ok(())
}
