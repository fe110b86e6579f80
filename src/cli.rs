//! The command line: arguments → one call into the library each.

use astill::engine::{self, Command, Engine, History, Plan, RunDir};
use astill::headless::{self, Reporter};
use astill::profile::{self, Loaded};
use astill::{Error, Result, bench, tensor_file};
use clap::{Args, Parser, Subcommand};
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// Signals within this time are one request to stop.
const ONE_REQUEST: Duration = Duration::from_secs(1);

/// Distils an image data set into a few synthetic images per class.
///
/// The method is AST (alignment with smooth and high-quality expert trajectories, arXiv 2310.10541).
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub struct Cli {
    /// Where data sets and trajectories are [default: $XDG_DATA_HOME/astill]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where runs are
    #[arg(long, global = true, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Debug, Subcommand)]
enum Cmd {
    /// Distil as a profile says
    Run(RunArgs),
    /// Go on with a run that was stopped
    Resume {
        /// A name, a path, or the beginning of a name
        run: String,
        /// Stay in the foreground and report as text
        #[arg(long)]
        headless: bool,
        /// auto, cpu, cuda or cuda:N [default: that of the run]
        #[arg(long)]
        device: Option<String>,
    },
    /// List the built-in profiles
    Profiles {
        /// As JSON on stdout
        #[arg(long)]
        json: bool,
    },
    /// Say whether a profile can be run, and print it with every key
    Check {
        #[command(flatten)]
        profile: ProfileArgs,
        /// As JSON on stdout
        #[arg(long)]
        json: bool,
    },
    /// Time one iteration on random data
    #[command(args_conflicts_with_subcommands = true)]
    Bench {
        /// What to time [default: student]
        #[command(subcommand)]
        what: Option<Timed>,
        #[command(flatten)]
        student: StudentBench,
    },
}

#[derive(Debug, Subcommand)]
enum Timed {
    /// Time an iteration of distillation
    Student(StudentBench),
    /// Time a step of an expert
    Expert {
        #[command(flatten)]
        options: bench::ExpertOptions,
        /// As JSON on stdout
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct StudentBench {
    #[command(flatten)]
    options: bench::Options,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ProfileArgs {
    /// The name of a built-in profile, or the path of a file
    profile: String,
    /// Change a key: distill.ipc=3 (may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The seed of everything random (the same as --set seed=N)
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    profile: ProfileArgs,
    /// The name of the run [default: the profile's with a number]
    #[arg(long)]
    name: Option<String>,
    /// auto (a GPU where there is one), cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// Stay in the foreground and report as text
    #[arg(long)]
    headless: bool,
}

impl ProfileArgs {
    fn load(&self) -> Result<Loaded> {
        let mut sets = self.set.clone();
        sets.extend(self.seed.map(|s| format!("seed={s}")));
        profile::load(&self.profile, &sets)
    }
}

/// Does what the arguments say; the exit status, or the error that ended it.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let data = || data_folder(cli.data.clone());
    match &cli.command {
        Cmd::Run(args) => start(args, &data()?, &cli.runs),
        Cmd::Resume { run, device, headless: _ } => resume(run, device.as_deref(), cli.data.as_deref(), &cli.runs),
        Cmd::Profiles { json } => profiles(*json),
        Cmd::Check { profile, json } => check(profile, *json, &data()?),
        Cmd::Bench { what: Some(Timed::Expert { options, json }), .. } => {
            let report = bench::expert(options.clone())?;
            let (seconds, images, memory) = (report.seconds_per_step, report.images_per_second, report.peak_rss_mib);
            let steps = report.options.steps;
            let text = format!("{seconds} s a step (median of {steps}), {images} images/s, peak memory {memory} MiB");
            measured(json!(report), text, *json)
        }
        Cmd::Bench { what: Some(Timed::Student(student)), .. } | Cmd::Bench { what: None, student } => {
            let report = bench::student(student.options.clone())?;
            let (median, least, memory) = (report.seconds_per_iteration, report.seconds_min, report.peak_rss_mib);
            let iterations = report.options.iterations;
            let text = format!("{median} s an iteration (median of {iterations}, least {least}), peak memory {memory} MiB");
            measured(json!(report), text, student.json)
        }
    }
}

/// Prints what was measured, as JSON or for people.
fn measured(report: serde_json::Value, text: String, json: bool) -> Result<ExitCode> {
    if json {
        out(report)?;
    } else {
        headless::say(text);
    }
    Ok(ExitCode::SUCCESS)
}

/// Where data sets and trajectories are: --data, else $XDG_DATA_HOME/astill, else ~/.local/share/astill.
fn data_folder(given: Option<PathBuf>) -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    given
        .or_else(|| set("XDG_DATA_HOME").filter(|p| p.is_absolute()).map(|p| p.join("astill")))
        .or_else(|| set("HOME").map(|p| p.join(".local/share/astill")))
        .map(|p| std::path::absolute(&p).unwrap_or(p))
        .ok_or_else(|| {
            Error::Usage("neither XDG_DATA_HOME nor HOME is set: say where data sets and trajectories go with --data DIR".into())
        })
}

/// Checks a profile against its data set, without creating anything.
fn checked(args: &ProfileArgs, data: &Path) -> Result<(Loaded, astill::data::Inventory)> {
    let loaded = args.load()?;
    let folder = engine::data_folder(&loaded.profile, data);
    // nothing has been created yet, so a broken data set is a wrong use, like a missing one
    let inventory = engine::data_request(&loaded.profile, &folder, data).inspect().map_err(|e| Error::Usage(e.to_string()))?;
    loaded.check_classes(&inventory.classes, &inventory.train)?;
    Ok((loaded, inventory))
}

fn check(args: &ProfileArgs, as_json: bool, data: &Path) -> Result<ExitCode> {
    let (loaded, inventory) = checked(args, data)?;
    let count = |split: &[usize]| split.iter().sum::<usize>();
    let (train, validation, test) = (count(&inventory.train), count(&inventory.validation), count(&inventory.test));
    if as_json {
        let data = json!({ "classes": inventory.classes, "train": train, "validation": validation, "test": test });
        out(json!({ "name": loaded.name, "profile": loaded.profile, "data": data }))?;
    } else {
        out(loaded.profile.to_yaml().trim_end())?;
        headless::say(format!(
            "{}: fine. {} classes, {train} training, {validation} validation and {test} test images",
            loaded.name,
            inventory.classes.len()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn profiles(as_json: bool) -> Result<ExitCode> {
    let all = profile::builtin();
    if as_json {
        let list: Vec<_> = all.iter().map(|b| json!({ "name": b.name, "description": b.description() })).collect();
        out(json!(list))?;
    } else {
        let width = all.iter().map(|b| b.name.len()).max().unwrap_or(0);
        for b in all {
            out(format!("{:width$}  {}", b.name, b.description()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn start(args: &RunArgs, data: &Path, runs: &Path) -> Result<ExitCode> {
    let (loaded, _) = checked(&args.profile, data)?;
    let device = engine::device::choose(&args.device)?;
    let run = RunDir::create(runs, &loaded.name, args.name.as_deref())?;
    let lock = run.lock()?;
    tensor_file::write_atomically(&run.profile(), loaded.profile.to_yaml().as_bytes())?;
    let folder = engine::data_folder(&loaded.profile, data);
    let (data, profile_name) = (data.to_path_buf(), loaded.name);
    let plan = Plan { run, profile_name, profile: loaded.profile, data, folder, device, threads: None };
    foreground(plan, lock)
}

fn resume(reference: &str, device: Option<&str>, data: Option<&Path>, runs: &Path) -> Result<ExitCode> {
    let run = RunDir::find(runs, reference)?;
    let path = run.profile();
    let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let profile = profile::Profile::from_resolved(&text, &path)?;
    let lock = run.lock()?;
    let history = if run.events().exists() { History::read(&run.events())? } else { History::default() };
    if let Some(done) = &history.done {
        headless::say(format!("run {} is done already", run.name()));
        print_table(done, &run)?;
        return Ok(ExitCode::SUCCESS);
    }
    let device = engine::device::choose(device.or(history.device.as_deref()).unwrap_or("auto"))?;
    let name = history.profile.unwrap_or_else(|| run.name());
    // where the run found its data, unless this call says where they are now
    let (data, folder) = match (data, history.data, history.folder) {
        (None, Some(data), Some(folder)) => (data, folder),
        (given, ..) => {
            let data = data_folder(given.map(Path::to_path_buf))?;
            let folder = engine::data_folder(&profile, &data);
            (data, folder)
        }
    };
    let plan = Plan { run, profile_name: name, profile, data, folder, device, threads: history.threads };
    foreground(plan, lock)
}

/// Runs an engine in this process until it ends. A signal asks it to stop after a checkpoint; a second one ends it at once.
fn foreground(plan: Plan, _lock: engine::EngineLock) -> Result<ExitCode> {
    let run = plan.run.clone();
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|s| !is_ignored(*s));
    let mut signals = Signals::new(wanted).map_err(Error::io("wait for", "signals"))?;
    let engine = Engine::start(plan)?;
    let caught = Arc::new(AtomicI32::new(0));
    let (seen, commands) = (Arc::clone(&caught), engine.commands.clone());
    std::thread::spawn(move || {
        let mut first: Option<Instant> = None;
        for signal in signals.forever() {
            match first {
                // the same request may come twice: a shell and a batch system signal the process and its group
                Some(begin) if begin.elapsed() < ONE_REQUEST => continue,
                // at once, and without the clean-up of libraries that another thread is using
                Some(_) => unsafe { libc::_exit(128 + signal) },
                None => first = Some(Instant::now()),
            }
            seen.store(signal, Ordering::SeqCst);
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("signal");
            headless::say(format!("{name}: stopping after a checkpoint; once more to stop at once"));
            // an engine that has ended meanwhile needs no telling
            let _ = commands.send(Command::Stop { reason: name.into() });
        }
    });
    let mut reporter = Reporter::new(std::io::stderr().is_terminal());
    let mut last = None;
    for event in &engine.events {
        reporter.tell(&event);
        last = Some(event.what);
    }
    reporter.finish();
    match engine.join() {
        Ok(()) => {
            if let Some(done) = &last {
                print_table(done, &run)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(Error::Interrupted) => {
            headless::say(format!("go on with: astill resume {}", run.path().display()));
            Ok(ExitCode::from(128u8.saturating_add(caught.load(Ordering::SeqCst) as u8)))
        }
        Err(error) => Err(error),
    }
}

/// Whether this process was started with `signal` ignored, as nohup does; then it stays so.
fn is_ignored(signal: libc::c_int) -> bool {
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    unsafe { libc::sigaction(signal, std::ptr::null(), &mut now) == 0 && now.sa_sigaction == libc::SIG_IGN }
}

/// A line on stdout; a reader that has gone away is not an error.
fn out(text: impl std::fmt::Display) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("write to", "stdout")(e)),
        _ => Ok(()),
    }
}

fn print_table(done: &engine::event::What, run: &RunDir) -> Result<()> {
    if let Some(table) = headless::table(done) {
        out(format!("\n{table} in {}", run.path().display()))?;
    }
    Ok(())
}
