//! This machine: the engine's program, and what the app asks, done with it.

use crate::tui::backend::{Backend, Preview, ProfileSummary};
use crate::tui::colour::Depth;
use crate::tui::{self, Ending};
use astill_core::cli::AppearanceArgs;
use astill_core::profile::{self, Profile};
use astill_core::run::command::{Answer, Command};
use astill_core::run::edits::{Edits, Moment};
use astill_core::run::list::{RunSummary, list};
use astill_core::run::{EngineAt, RunDir, checkpoints, socket};
use astill_core::{Error, Result};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{self, Output, Stdio};
use std::time::Duration;

/// The program that computes, in the folder of this one.
const ENGINE: &str = "astill-engine";
/// How long an answer is waited for: longer than a student step takes on any machine that is used
/// for this.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where runs are on this machine, and where their data.
#[derive(Debug, Clone)]
pub struct Local {
    pub runs: PathBuf,
    /// As given by --data.
    pub data: Option<PathBuf>,
}

/// The engine's program. Errors: it does not lie in the folder of this one.
pub fn engine() -> Result<PathBuf> {
    let own = std::env::current_exe()
        .and_then(std::fs::canonicalize)
        .map_err(Error::io("find", "/proc/self/exe"))?;
    let engine = own.with_file_name(ENGINE);
    if !engine.is_file() {
        return Err(Error::Usage(format!(
            "{} is not there: {ENGINE} must lie in the folder of astill; `make build` makes both",
            engine.display()
        )));
    }
    Ok(engine)
}

impl Local {
    /// Starts the engine for a new run, in a session of its own; `arguments` are those of `astill
    /// run`.
    pub fn start<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<RunDir> {
        let mut command = self.command("run")?;
        let output = run_engine(command.args(arguments).arg("--detach"))?;
        let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end());
        RunDir::open(&path).ok_or_else(|| {
            Error::file(
                &path,
                "the engine says that its run is there, but it is not",
            )
        })
    }

    /// Starts an engine, in a session of its own, that goes on with a run; on `device`, or where
    /// the run was before.
    pub fn resume_engine(&self, run: &RunDir, device: Option<&str>) -> Result<()> {
        let mut command = self.command("resume")?;
        device
            .into_iter()
            .for_each(|d| _ = command.args(["--device", d]));
        run_engine(command.arg(run.path()).arg("--detach")).map(|_| ())
    }

    /// Shows the app: the menu, or the run `open`.
    pub fn show(
        &self,
        look: &AppearanceArgs,
        read_only: bool,
        open: Option<RunDir>,
    ) -> Result<Ending> {
        let depth = Depth::detect(look.color.as_deref(), &|name| std::env::var(name).ok())?;
        tui::run(
            tui::Options {
                depth,
                ascii: look.ascii,
                mouse: look.mouse,
                read_only,
                open,
            },
            self.clone(),
        )
    }

    fn command(&self, name: &str) -> Result<process::Command> {
        let mut command = process::Command::new(engine()?);
        command.arg("--runs").arg(&self.runs);
        self.data
            .iter()
            .for_each(|d| _ = command.arg("--data").arg(d));
        command.arg(name).stdin(Stdio::null());
        Ok(command)
    }

    /// What `astill check` says of a profile.
    fn checked(&self, reference: &str) -> Result<Value> {
        let output = run_engine(self.command("check")?.arg(reference).arg("--json"))?;
        serde_json::from_slice(&output.stdout)
            .map_err(|e| Error::Usage(format!("the engine's answer cannot be read: {e}")))
    }
}

/// Runs the engine to its end. What it says when it refuses is the error.
fn run_engine(command: &mut process::Command) -> Result<Output> {
    let output = command.output().map_err(Error::io(
        "start",
        command.get_program().to_string_lossy().as_ref(),
    ))?;
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stderr)
        .trim()
        .trim_start_matches("astill: ")
        .to_string();
    Err(match output.status.code() {
        Some(2) => Error::Usage(text),
        _ => Error::file(command.get_program(), text),
    })
}

impl Backend for Local {
    fn profiles(&self) -> Vec<ProfileSummary> {
        let listed = profile::builtin().iter().filter(|b| b.listed);
        listed
            .map(|b| ProfileSummary {
                reference: b.name.into(),
                description: b.description().into(),
                text: b.text.into(),
            })
            .collect()
    }

    fn runs(&self) -> Vec<RunSummary> {
        list(&self.runs).unwrap_or_default()
    }

    fn preview(&self, reference: &str) -> Preview {
        let profile = profile::load(reference, &[])
            .map(|l| l.profile)
            .map_err(|e| e.to_string());
        let checked = self.checked(reference).map_err(|e| e.to_string());
        let number = |name: &str| {
            checked
                .as_ref()
                .ok()
                .and_then(|c| c["estimate"][name].as_f64())
        };
        let data = checked.as_ref().map_err(String::clone).map(|c| {
            let count = |name: &str| c["data"][name].as_u64().unwrap_or(0);
            let classes = c["data"]["classes"].as_array().map_or(0, Vec::len);
            let (train, validation, test) = (count("train"), count("validation"), count("test"));
            format!(
                "{classes} classes, {train} training, {validation} validation and {test} test \
                 images"
            )
        });
        let device = checked
            .as_ref()
            .ok()
            .and_then(|c| c["estimate"]["device"].as_str())
            .unwrap_or_default()
            .to_string();
        Preview {
            profile,
            data,
            memory_mib: number("memory_mib"),
            seconds: number("seconds"),
            device,
        }
    }

    fn start(&self, reference: &str) -> Result<RunDir> {
        Local::start(self, [reference])
    }

    fn resume(&self, run: &RunDir) -> Result<()> {
        self.resume_engine(run, None)
    }

    fn profile(&self, run: &RunDir) -> Result<Profile> {
        Edits::read(run)?.apply(&run.read_profile()?, Moment::Step(u64::MAX))
    }

    fn checkpoints(&self, run: &RunDir) -> Vec<u64> {
        checkpoints::steps(run.path()).unwrap_or_default()
    }

    fn engine(&self, run: &RunDir) -> EngineAt {
        run.engine()
    }

    fn send(&self, run: &RunDir, command: &Command) -> Result<Answer> {
        socket::send(run, command, PATIENCE)
    }
}
