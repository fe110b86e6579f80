//! The program `astill`: what needs no libtorch is done here, and the engine beside it does the rest.

use astill::cli::{Cli, Cmd, out};
use astill::{Error, Result, headless, profile};
use clap::Parser;
use serde_json::json;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

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
