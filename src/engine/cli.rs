//! Arguments → one call into the library each, and its results printed.

mod experts;
mod from_start;
mod others;
mod preview;
mod resuming;
mod work;

use crate::check::{self, Checking};
use crate::process;
use astill_core::cli::bench::{Measured, StudentOptions, Timed};
use astill_core::cli::{
    Cli, Cmd, DeviceChoice, DeviceList, ExportArgs, Import, ProfileArgs, ResumeArgs, ResumeChanges,
    RunArgs, ScoresArgs, data_folder, out,
};
use astill_core::console::to_stderr;
use astill_core::files::check_text;
use astill_core::profile::{Loaded, Profile, Start};
use astill_core::run::edits::{Edits, Moment};
use astill_core::run::{History, RunDir};
use astill_core::scores::table;
use astill_core::signals::engine_signals;
use astill_core::text::count;
use astill_core::{Error, Result};
use astill_engine::doctor::Findings;
use astill_engine::exporting::{self, Exported};
use astill_engine::progress::Progress;
use astill_engine::scores::{self, ScoresRequest};
use astill_engine::trainer::starting_set::StartingSet;
use astill_engine::trainer::{self, RunPlan, without_engine};
use astill_engine::{bench, data, device};
use serde_json::json;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tch::Device;

/// How the engine of a run is to work.
enum Launch {
    /// In this process, reporting what happens.
    Foreground {
        /// A batch system has queued its job again.
        is_requeued: bool,
        /// Somebody can answer.
        is_attended: bool,
    },
    /// In a process of its own that outlives this one and the terminal.
    Detached,
    /// In this process, which [`Self::Detached`] started: only `events.jsonl` and `run.log` report
    /// what happens.
    Background {
        /// The name of the run's profile.
        profile: String,
    },
}

/// Carries out the command line; the exit status, or the error that ended it.
pub fn run(cli: &Cli) -> Result<ExitCode> {
    let data = || data_folder(cli.data.clone());
    let Some(command) = &cli.command else {
        return Err(not_for_the_engine());
    };
    match command {
        Cmd::Run(args) => start(args, &data()?, &cli.runs),
        Cmd::Resume(ResumeArgs {
            run,
            headless: _,
            detach,
            changes,
            engine_of,
            is_requeued,
            unattended,
        }) => {
            let launch = match (engine_of, detach) {
                (Some(profile), _) => Launch::Background {
                    profile: profile.clone(),
                },
                (None, true) => Launch::Detached,
                (None, false) => Launch::Foreground {
                    is_requeued: *is_requeued,
                    is_attended: !unattended && std::io::stderr().is_terminal(),
                },
            };
            let run = RunDir::find_exactly(&cli.runs, run)?;
            resuming::resume(&run, changes, cli.data.as_deref(), launch)
        }
        Cmd::Work(args) => work::work(args, cli.data.as_deref(), &cli.runs),
        Cmd::Check {
            profile,
            device,
            preview: true,
            ..
        } => preview::preview(profile, &data()?, device),
        Cmd::Check {
            profile,
            device,
            preview: false,
            no_estimate,
            no_images,
            json,
        } => {
            let check = || {
                let data = data()?;
                let (loaded, request, inventory) = checked(profile, &data)?;
                let checking = Checking {
                    loaded: &loaded,
                    request: &request,
                    inventory: &inventory,
                    device: choose(device)?,
                    is_timed: !no_estimate,
                    is_surveyed: !no_images,
                };
                check::check(&checking, *json)
            };
            let result = check();
            if let (Err(problem), true) = (&result, *json) {
                out(json!({ "problem": problem.to_string() }))?;
            }
            result
        }
        Cmd::Experts(args) => experts::train(args, &data()?),
        Cmd::Evaluate(args) => others::evaluate(args, cli.data.as_deref(), &cli.runs),
        Cmd::Import {
            what: Import::Experts(args),
        } => others::import_experts(args, &data()?),
        Cmd::Scores(args) => score(args, cli.data.as_deref(), &cli.runs),
        Cmd::Export(args) => export(args, &data()?, &cli.runs),
        Cmd::Doctor { .. } => {
            out(json!(Findings::collect()))?;
            Ok(ExitCode::SUCCESS)
        }
        Cmd::Bench { what, student } => measure(what.as_ref(), student, &data()?),
        Cmd::Send { run, what } => {
            let run = RunDir::find_exactly(&cli.runs, run)?;
            out(json!(without_engine::change(&run, &what.clone().into())?))?;
            Ok(ExitCode::SUCCESS)
        }
        Cmd::Profiles { .. }
        | Cmd::List(_)
        | Cmd::Attach { .. }
        | Cmd::Compare(_)
        | Cmd::Plot(_)
        | Cmd::Keys(_)
        | Cmd::Theme(_)
        | Cmd::Completions { .. }
        | Cmd::Man { .. }
        | Cmd::Fetch(_)
        | Cmd::Ablate(_)
        | Cmd::Slurm(_)
        | Cmd::Tune(_) => Err(not_for_the_engine()),
    }
}

fn not_for_the_engine() -> Error {
    Error::Usage("this is the engine of astill; run `astill` instead".into())
}

fn start(args: &RunArgs, data: &Path, runs: &Path) -> Result<ExitCode> {
    let (loaded, ..) = checked(&args.profile, data)?;
    let processes = work::Processes {
        devices: Some(&args.device).filter(|devices| **devices != DeviceList::default()),
        workers: &args.workers,
    };
    let choice = processes.device()?.unwrap_or_default();
    // a detached run claims its GPU itself
    let chosen = match args.detach {
        true => device::choose(&choice)?,
        false => device::choose_for_run(&choice)?,
    };
    let (workers, warning) = processes.plan(&loaded.profile, chosen.device)?;
    // before anything is created, so that none is missed
    let signals = engine_signals()?;
    check_text("the folder of runs (--runs)", runs)?;
    let text = loaded.profile.to_yaml();
    let (run, lock) = RunDir::create(runs, &loaded.name, args.name.as_deref(), &text)
        .map_err(|error| not_allowed(error, "--runs"))?;
    if args.detach {
        // the engine in the background takes both itself
        drop((lock, workers));
        chosen.warnings.iter().for_each(warn);
        let changes = ResumeChanges {
            device: processes.devices.cloned(),
            set: Vec::new(),
            on_finish: args.on_finish.clone(),
            workers: args.workers.clone(),
        };
        let arguments = resuming::arguments(&changes, Some(data));
        return process::detach((&run, true), &loaded.name, &arguments, signals);
    }
    let folder = astill_core::dataset_folder::dataset_folder(&loaded.profile, data);
    let (data, profile_name) = (data.to_path_buf(), loaded.name);
    let plan = RunPlan {
        run: lock.run(),
        held: Arc::new(lock),
        profile_name,
        profile: loaded.profile,
        data,
        folder,
        device: chosen.device,
        threads: processes.threads(chosen.device),
        workers,
        killed: None,
        data_content: None,
        attended: !args.unattended && std::io::stderr().is_terminal(),
        sets: Vec::new(),
        is_profile_edited: false,
        warnings: chosen.warnings.iter().cloned().chain(warning).collect(),
        only_experts: None,
    };
    process::run_engine(&run, plan, true, (signals, args.on_finish.as_deref()))
}

/// Chooses a device, and says on stderr anything worth knowing about it.
fn choose(choice: &DeviceChoice) -> Result<Device> {
    let chosen = device::choose(choice)?;
    chosen.warnings.iter().for_each(warn);
    Ok(chosen.device)
}

fn warn(text: &String) {
    to_stderr(format!("astill: warning: {text}"));
}

/// What the system does not allow in a folder is wrong use: nothing has been created, and `option`
/// chooses another one.
fn not_allowed(error: Error, option: &str) -> Error {
    match error.is_refusal() {
        true => Error::Usage(format!("{error}; choose another folder with {option} DIR")),
        false => error,
    }
}

/// Checks a profile against its data set, without creating anything.
fn checked(
    args: &ProfileArgs,
    data: &Path,
) -> Result<(Loaded, data::DatasetRequest, data::Inventory)> {
    let mut loaded = args.load()?;
    astill_core::dataset_folder::check_path(&loaded.profile, data)?;
    let folder = astill_core::dataset_folder::dataset_folder(&loaded.profile, data);
    // nothing has been created yet, so a broken data set is a wrong use, like a missing one
    let request = trainer::data_request(&loaded.profile, &folder, data);
    let inventory = request.inspect().map_err(|e| Error::Usage(e.to_string()))?;
    let size = loaded.profile.dataset.size;
    inventory.check_memory(size)?;
    if loaded.profile.dataset.zca {
        inventory.check_whitening(size)?;
    }
    loaded
        .check_classes(&inventory.classes, &inventory.train)
        .map_err(Error::Profile)?;
    trainer::imported::check(&loaded.profile, data)?;
    trainer::check_places(&loaded.profile, data, &folder)?;
    let classes = inventory.classes.len();
    if let Start::From(path) = &loaded.profile.distill.init {
        let shape = (classes, inventory.channels as i64);
        StartingSet::read(path, &loaded.profile, shape).map_err(others::as_usage)?;
        // a run may be resumed from another folder
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        loaded.profile.distill.init = Start::From(whole);
    }
    trainer::network(&loaded.profile, classes, inventory.channels as i64)?;
    trainer::evaluation_networks(&loaded.profile, classes, inventory.channels as i64)?;
    Ok((loaded, request, inventory))
}

/// The folder of all data, and that of the data set: where the run found them, unless a call names
/// another folder.
fn folders(
    given: Option<&Path>,
    (data, folder): (Option<PathBuf>, Option<PathBuf>),
    profile: &Profile,
) -> Result<(PathBuf, PathBuf)> {
    Ok(match (given, data, folder) {
        (None, Some(data), Some(folder)) => (data, folder),
        (given, ..) => {
            let data = data_folder(given.map(Path::to_path_buf))?;
            let folder = astill_core::dataset_folder::dataset_folder(profile, &data);
            (data, folder)
        }
    })
}

/// Measures the scores of a finished run and prints them.
fn score(args: &ScoresArgs, data: Option<&Path>, runs: &Path) -> Result<ExitCode> {
    let run = RunDir::find_exactly(runs, &args.run)?;
    let profile = Edits::read(&run)?.apply(&run.read_profile()?, Moment::Step(u64::MAX))?;
    let history = History::read(&run.events())?;
    let (data, folder) = folders(data, (history.data, history.folder), &profile)?;
    let request = ScoresRequest {
        run,
        profile,
        data,
        folder,
        device: choose(&args.device)?,
        threads: history.threads,
        protocol: args.protocol.clone(),
    };
    let scores = scores::scores(&request, &mut |line| to_stderr(line))?;
    if args.json {
        out(json!(scores))?;
    } else {
        out(table(&scores))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Exports a distilled set; prints the folder, and what to know about it on stderr.
fn export(args: &ExportArgs, data: &Path, runs: &Path) -> Result<ExitCode> {
    let mut watch = |_: Progress<'_>| ControlFlow::Continue(());
    let Exported { folder, notes } = exporting::export(args, runs, data, &mut watch)?;
    notes.iter().for_each(to_stderr);
    out(folder.display())?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a benchmark and prints its result.
fn measure(
    what: Option<&Timed>,
    student: &Measured<StudentOptions>,
    data: &Path,
) -> Result<ExitCode> {
    match what {
        None => measure_student(student),
        Some(Timed::Student(student)) => measure_student(student),
        Some(Timed::Expert(Measured { options, json })) => {
            let report = bench::expert(options.clone())?;
            let bench::ExpertReport {
                options,
                seconds_per_step,
                images_per_second,
                peak,
            } = &report;
            let text = format!(
                "{seconds_per_step} s per step (median of {}), {images_per_second} images/s, {peak}",
                options.steps
            );
            print_measured(json!(report), text, *json)
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
                "{seconds} s for {}: training {train_s} s, testing {test_s} s; {peak}",
                count(options.repeats as usize, "network")
            );
            print_measured(json!(report), text, *json)
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
                "{seconds} s for {train} training and {test} test images: loading {load_s} s, \
                 whitening {zca_s} s; {again_s} s with a cache; {peak}"
            );
            print_measured(json!(report), text, *json)
        }
    }
}

fn measure_student(Measured { options, json }: &Measured<StudentOptions>) -> Result<ExitCode> {
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
        "{seconds_per_iteration} s per iteration (median of {}, minimum {seconds_min}), {peak}\n\
         forward {forward} s, adjoint {adjoint} s, augmentation {augmentation} s, update {update} s; \
         {floor_ratio} times as long as its convolutions alone ({convolution_floor_s} s)",
        report.options.iterations
    );
    print_measured(json!(report), text, *json)
}

/// Prints what was measured, as JSON or for people.
fn print_measured(report: serde_json::Value, text: String, json: bool) -> Result<ExitCode> {
    if json {
        out(report)?;
    } else {
        to_stderr(text);
    }
    Ok(ExitCode::SUCCESS)
}
