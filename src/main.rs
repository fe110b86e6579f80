//! The program `astill`: it does what needs no libtorch, and hands the rest to the engine beside
//! it.

use astill::ablate::{ablate, tune};
use astill::doctor;
use astill::engine_process::{self, Local, PATIENCE, Started};
use astill::fetch::{self, Fetched};
use astill::libraries;
use astill::manual;
use astill::plot;
use astill::tui;
use astill::tui::ascii;
use astill::tui::clock;
use astill::tui::colour::Depth;
use astill::tui::text::{clean, fit};
use astill_core::ablation::{self, AblationSummary};
use astill_core::cli::{
    AppearanceArgs, Cli, Cmd, CompareArgs, DeviceChoice, FetchArgs, Sent, data_folder, out,
};
use astill_core::comparison::{self, Comparison};
use astill_core::console::to_stderr;
use astill_core::run::list::{RunState, RunSummary, list, summary};
use astill_core::run::{RunDir, socket};
use astill_core::text::percent;
use astill_core::{Error, Result, profile, program, signals};
use clap::Parser;
use jiff::tz::TimeZone;
use serde_json::json;
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

fn main() -> ExitCode {
    let begun = signals::reset_inherited().and_then(|()| program::begin());
    let cli = Cli::parse();
    let cli = begun.and_then(|()| cli.or_resumed());
    cli.and_then(|cli| run(&cli)).unwrap_or_else(|error| {
        to_stderr(format!("astill: {error}"));
        ExitCode::from(error.exit_status())
    })
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let local = Local {
        runs: cli.runs.clone(),
        data: cli.data.clone(),
        known: Arc::default(),
    };
    let find = |run: &str| RunDir::find(&cli.runs, run);
    let find_exactly = |run: &str| RunDir::find_exactly(&cli.runs, run);
    let on_terminal = || std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    match &cli.command {
        None if on_terminal() => show(&local, &cli.look, false, None),
        None => Err(Error::Usage(
            "the menu needs a terminal; without one, use `astill run PROFILE` (see `astill --help`)".into(),
        )),
        Some(Cmd::Attach { run, .. }) if !on_terminal() => {
            let log = find(run)?.log();
            Err(Error::Usage(format!(
                "watching a run needs a terminal; without one, use `tail -f {}`",
                log.display()
            )))
        }
        Some(Cmd::Attach { run, read_only }) => {
            show(&local, &cli.look, *read_only, Some(find(run)?))
        }
        Some(Cmd::Run(args)) if !args.headless && !args.detach && on_terminal() => {
            check_terminal()?;
            match local.start_unless_stopped(args.to_arguments())? {
                Started::Running(run) => show(&local, &cli.look, false, Some(run)),
                Started::Interrupted { output, signal } => Ok(left_running(&output, signal)),
                Started::Stopped { message, status } => Ok(stopped(&message, status)),
            }
        }
        Some(Cmd::Resume {
            run,
            headless: false,
            detach: false,
            engine_of: None,
            device,
            set,
            ..
        }) if on_terminal() => {
            check_terminal()?;
            resume_in_the_app(&local, &cli.look, find_exactly(run)?, device.as_ref(), set)
        }
        Some(Cmd::Doctor { json }) => {
            let is_well = doctor::report(&local, &cli.look, *json)?;
            Ok(if is_well {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Some(Cmd::Profiles { json }) => profiles(*json),
        Some(Cmd::Ablate(args)) => ablate(&local, args),
        Some(Cmd::Tune(args)) => tune(&local, args),
        Some(Cmd::Fetch(args)) => fetch_data(args, &data_folder(cli.data.clone())?),
        Some(Cmd::List { json }) => list_runs(&cli.runs, *json),
        Some(Cmd::Compare(args)) => compare(&cli.runs, args),
        Some(Cmd::Plot(args)) => {
            plot::plot(&find_all(&cli.runs, &args.plotted)?, args)?;
            out(args.to.display())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Cmd::Completions { shell }) => print_bytes(&manual::completions(*shell)),
        Some(Cmd::Man { to: None }) => print_bytes(&manual::page()?),
        Some(Cmd::Man { to: Some(folder) }) => {
            manual::write_pages(folder)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Cmd::Send { run, what }) => send(find_exactly(run)?, what.clone()),
        Some(
            Cmd::Run(_)
            | Cmd::Resume { .. }
            | Cmd::Check { .. }
            | Cmd::Evaluate(_)
            | Cmd::Import { .. }
            | Cmd::Scores(_)
            | Cmd::Export(_)
            | Cmd::Bench { .. },
        ) => {
            Err(become_engine())
        }
    }
}

/// Whether the result of a run that is done is still there.
fn has_result(run: &RunDir) -> bool {
    run.path().join("distilled/best.safetensors").is_file()
}

/// Resumes a run, where that is needed, and shows it in the app.
fn resume_in_the_app(
    local: &Local,
    look: &AppearanceArgs,
    run: RunDir,
    device: Option<&DeviceChoice>,
    set: &[String],
) -> Result<ExitCode> {
    let RunSummary { state, host, .. } = summary(run.clone());
    match (state, device) {
        // the app shows where it may be, and asks before it starts another
        (RunState::Elsewhere, None) if set.is_empty() => {}
        (RunState::Done, _) if set.is_empty() && has_result(&run) => {}
        (RunState::Elsewhere, device) => {
            let device = device.map(|d| format!(" --device {d}"));
            return Err(Error::Usage(format!(
                "the latest engine of this run was on the machine {} and never reported \
                 that it ended; if it is gone, start one here with `astill resume \
                 {}{} --detach`",
                host.unwrap_or_default(),
                run.reference(),
                device.unwrap_or_default()
            )));
        }
        _ if state.has_engine() && set.is_empty() => {}
        _ => match local.resume_unless_stopped(&run, device, set)? {
            Started::Running(_) => {}
            Started::Interrupted { signal, .. } => return Ok(left_running(&run, signal)),
            Started::Stopped { message, status } => return Ok(stopped(&message, status)),
        },
    }
    show(local, look, false, Some(run))
}

/// Shows the app, with the menu or the run `open`, and afterwards prints its last message.
fn show(
    local: &Local,
    look: &AppearanceArgs,
    read_only: bool,
    open: Option<RunDir>,
) -> Result<ExitCode> {
    check_terminal()?;
    let env = |name: &str| std::env::var(name).ok();
    let depth = Depth::detect(look.color, &env);
    let options = tui::Options {
        depth,
        ascii: look.ascii || ascii::is_needed(&env),
        mouse: look.mouse,
        read_only,
        open,
    };
    let ending = tui::run(options, local.clone())?;
    if let Some(message) = ending.message {
        to_stderr(message);
    }
    Ok(ending.signal.map_or(ExitCode::SUCCESS, |signal| {
        ExitCode::from(128_u8.saturating_add(signal as u8))
    }))
}

/// Says that a signal came when a run had just begun, which goes on.
fn left_running(run: &RunDir, signal: i32) -> ExitCode {
    let it = run.reference();
    to_stderr(format!(
        "the run {it} is running in the background: watch it with `astill attach {it}`, or stop it \
         with `astill send {it} stop`"
    ));
    ExitCode::from(128_u8.saturating_add(signal as u8))
}

/// Says what became of a run that was stopped as it started.
fn stopped(message: &str, status: u8) -> ExitCode {
    to_stderr(message);
    ExitCode::from(status)
}

/// Whether the app can be shown on this terminal.
///
/// # Errors
/// [`Error::Usage`] if it cannot place text, as those inside editors and of build logs.
fn check_terminal() -> Result<()> {
    match std::env::var("TERM").as_deref() {
        Ok("dumb") => Err(Error::Usage(
            "this terminal can only print lines (TERM is dumb), and the app needs one that can place \
             text: use `astill run PROFILE --headless`, `astill list` and `astill send RUN …`, or set \
             TERM to what the terminal is, xterm for example"
                .into(),
        )),
        _ => Ok(()),
    }
}

/// Replaces this process by the engine, with the same arguments; returns only if that fails.
fn become_engine() -> Error {
    let engine = match engine_process::engine().and_then(|engine| {
        libraries::check(&engine)?;
        Ok(engine)
    }) {
        Ok(engine) => engine,
        Err(error) => return error,
    };
    let mut command = Command::new(&engine);
    Error::io("start", &engine)(command.args(std::env::args_os().skip(1)).exec())
}

/// Fetches a data set, or lists those there are; prints the folder.
fn fetch_data(args: &FetchArgs, data: &Path) -> Result<ExitCode> {
    if args.list {
        let width = fetch::CATALOGUE.iter().map(|s| s.name.len()).max();
        let width = width.unwrap_or(0);
        for set in fetch::CATALOGUE.iter() {
            let mark = match fetch::is_there(set, data) {
                true => "there",
                false => "",
            };
            out(format!("{:width$}  {mark:5}  {}", set.name, set.about).trim_end())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut terminal = fetch::Terminal::new();
    let fetched = fetch::run(args, data, &mut terminal)?;
    terminal.finish();
    let folder = match fetched {
        Fetched::AlreadyThere(folder) => {
            to_stderr("it is there already; to fetch it again, remove it first");
            folder
        }
        Fetched::Done(folder) => folder,
    };
    if let Some(name) = args.set.as_deref().filter(|set| set.starts_with("hf:")) {
        to_stderr(format!(
            "use it with dataset.kind: parquet and dataset.path: {name}"
        ));
    }
    out(folder.display())?;
    Ok(ExitCode::SUCCESS)
}

fn profiles(as_json: bool) -> Result<ExitCode> {
    let listed = || profile::builtin().iter().filter(|b| b.listed);
    if as_json {
        let list: Vec<_> = listed()
            .map(|b| json!({ "name": b.name, "description": b.description() }))
            .collect();
        out(json!(list))?;
    } else {
        let width = listed().map(|b| b.name.len()).max().unwrap_or(0);
        for b in listed() {
            out(format!("{:width$}  {}", b.name, b.description()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list_runs(runs: &Path, as_json: bool) -> Result<ExitCode> {
    let (found, ablations) = (list(runs)?, ablation::list(runs)?);
    if as_json {
        let ablations = ablations.iter().map(|a| json!({ "ablation": a }));
        let all: Vec<_> = found.iter().map(|r| json!(r)).chain(ablations).collect();
        out(json!(all))?;
        return Ok(ExitCode::SUCCESS);
    }
    if found.is_empty() && ablations.is_empty() {
        to_stderr(format!(
            "no runs in {} (use --runs DIR to look elsewhere)",
            runs.display()
        ));
    }
    let rows: Vec<[String; 4]> = ablations
        .iter()
        .map(ablation_row)
        .chain(found.iter().map(run_row))
        .collect();
    let width = |column: usize| rows.iter().map(|r| r[column].len()).max().unwrap_or(0);
    let (names, profiles, started_width) = (width(0), width(1), width(2));
    for [name, profile, started, rest] in &rows {
        out(format!(
            "{name:names$}  {profile:profiles$}  {started:started_width$}  {rest}"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Name, profile, start, and all that has no column of its own. A run may come from an untrusted
/// source.
fn run_row(run: &RunSummary) -> [String; 4] {
    let accuracy = run
        .accuracy
        .map(|a| format!("  {} %", percent(a)))
        .unwrap_or_default();
    let phase = run
        .phase
        .filter(|_| run.state.has_engine())
        .map(|p| format!(", {p}"))
        .unwrap_or_default();
    let steps = format!("step {}/{}", run.step, run.iterations);
    let why = match run.out_of_memory {
        true => " (probably out of memory)",
        false => "",
    };
    let host = run
        .host
        .as_ref()
        .map(|h| format!(" on {}", clean(h)))
        .unwrap_or_default();
    [
        shown(&run.name),
        shown(&run.profile),
        minute(&run.started),
        format!("{}{why}{host}{phase}  {steps}{accuracy}", run.state.name()),
    ]
}

/// The same of an ablation.
fn ablation_row(ablation: &AblationSummary) -> [String; 4] {
    let now = ablation.current.as_ref().map(|r| format!(", {}", shown(r)));
    [
        shown(&ablation.name),
        shown(&ablation.profile),
        minute(&ablation.started),
        format!(
            "{}{}  {}",
            ablation.state.name(),
            now.unwrap_or_default(),
            ablation.progress()
        ),
    ]
}

fn shown(text: &str) -> String {
    fit(&clean(text), 60)
}

/// "2026-01-31 12:00 +01:00" in the time zone of this machine.
fn minute(time: &str) -> String {
    clock::date(time, &TimeZone::system())
}

fn find_all(runs: &Path, named: &[String]) -> Result<Vec<RunDir>> {
    named.iter().map(|run| RunDir::find(runs, run)).collect()
}

/// Prints runs side by side.
fn compare(runs: &Path, args: &CompareArgs) -> Result<ExitCode> {
    let comparison = Comparison::read(&find_all(runs, &args.compared)?)?;
    match (args.json, args.csv) {
        (true, _) => out(comparison.json())?,
        (_, true) => out(comparison::csv(&comparison).trim_end())?,
        _ => out(comparison::table(&comparison))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print_bytes(text: &[u8]) -> Result<ExitCode> {
    out(String::from_utf8_lossy(text).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// Sends a command to the engine of a run and prints the answer.
fn send(run: RunDir, what: Sent) -> Result<ExitCode> {
    let answer = match socket::send(&run, &what.into(), PATIENCE) {
        Err(_) if summary(run.clone()).state == RunState::Done => {
            return Err(Error::Usage(format!("run {} is already done", run.name())));
        }
        answer => answer?,
    };
    out(&answer)?;
    Ok(if answer.is_accepted() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
