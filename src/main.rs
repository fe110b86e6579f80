//! The program `astill`: what needs no libtorch is done here, and the engine beside it does the rest.

use astill::cli::{Cli, Cmd, Sent, out};
use astill::run::list::{RunSummary, list};
use astill::run::{RunDir, socket};
use astill::{Error, Result, headless, profile};
use clap::Parser;
use serde_json::json;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// How long `send` waits for an answer: longer than a student step takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// The program that computes, in the folder of this one.
const ENGINE: &str = "astill-engine";

fn main() -> ExitCode {
    let cli = Cli::parse();
    run(&cli).unwrap_or_else(|error| {
        headless::say(format!("astill: {error}"));
        ExitCode::from(error.exit_status())
    })
}

fn run(cli: &Cli) -> Result<ExitCode> {
    match &cli.command {
        Cmd::Profiles { json } => profiles(*json),
        Cmd::List { json } => list_runs(&cli.runs, *json),
        Cmd::Send { run, what } => send(&RunDir::find(&cli.runs, run)?, what.clone()),
        Cmd::Run(_) | Cmd::Resume { .. } | Cmd::Check { .. } | Cmd::Bench { .. } => Err(become_engine()),
    }
}

/// Goes on as the engine, with the same arguments; comes back only if that cannot be started.
fn become_engine() -> Error {
    let engine = match std::env::current_exe().and_then(std::fs::canonicalize) {
        Ok(own) => own.with_file_name(ENGINE),
        Err(error) => return Error::io("find", "/proc/self/exe")(error),
    };
    let error = Command::new(&engine).args(std::env::args_os().skip(1)).exec();
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::Usage(format!("{} is not there: {ENGINE} must lie in the folder of astill; `make build` makes both", engine.display()))
        }
        _ => Error::io("start", engine)(error),
    }
}

fn profiles(as_json: bool) -> Result<ExitCode> {
    let listed = || profile::builtin().iter();
    if as_json {
        let list: Vec<_> = listed().map(|b| json!({ "name": b.name, "description": b.description() })).collect();
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
    let found = list(runs)?;
    if as_json {
        out(json!(found))?;
        return Ok(ExitCode::SUCCESS);
    }
    if found.is_empty() {
        headless::say(format!("no runs in {} (--runs DIR looks elsewhere)", runs.display()));
    }
    let width = |column: fn(&RunSummary) -> usize| found.iter().map(column).max().unwrap_or(0);
    let (names, profiles) = (width(|s| s.name.len()), width(|s| s.profile.len()));
    for s in &found {
        let accuracy = s.accuracy.map(|a| format!("  {a:.1} %")).unwrap_or_default();
        let phase = s.phase.filter(|_| s.state.has_engine()).map(|p| format!(", {p}")).unwrap_or_default();
        let steps = format!("step {}/{}", s.step, s.iterations);
        let started = s.started.get(..16).unwrap_or_default().replace('T', " ");
        out(format!("{:names$}  {:profiles$}  {started}  {}{phase}  {steps}{accuracy}", s.name, s.profile, s.state.name()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the engine of a run and tells its answer.
fn send(run: &RunDir, what: Sent) -> Result<ExitCode> {
    let answer = socket::send(run, &what.into(), PATIENCE)?;
    out(&answer)?;
    Ok(if answer.is_accepted() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
