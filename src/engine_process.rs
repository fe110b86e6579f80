//! The engine's program on this machine: where it is, how it is run, and what the app needs of it.

use crate::libraries;
use crate::previews::KnownAnswers;
use crate::tui::backend::ProfileSummary;
use astill_core::ablation::KnownAblations;
use astill_core::cli::{DeviceChoice, ResumeChanges};
use astill_core::run::RunDir;
use astill_core::run::known_runs::KnownRuns;
use astill_core::signals::stop_signals;
use astill_core::text::shell_word;
use astill_core::{Error, Result, program};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{self, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The program that computes; it is in the same folder as this one.
const ENGINE: &str = "astill-engine";
/// How long to wait for an answer: longer than a student step takes on any machine in use for
/// this.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often signals are looked for while an engine starts.
const SIGNALS_EVERY: Duration = Duration::from_millis(20);

/// When the profiles were looked at, and what they were.
pub type KnownProfiles = Option<(Instant, Vec<ProfileSummary>)>;

/// The folders of runs and data on this machine.
#[derive(Debug, Clone)]
pub struct Local {
    pub runs: PathBuf,
    /// As given by --data.
    pub data: Option<PathBuf>,
    /// The runs as they were when they were listed last.
    pub known: Arc<Mutex<KnownRuns>>,
    pub known_ablations: Arc<Mutex<KnownAblations>>,
    /// What the engine has said about runs that could be started.
    pub answers: Arc<KnownAnswers>,
    /// The profiles of the menu, as they were looked at last.
    pub profiles: Arc<Mutex<KnownProfiles>>,
}

/// The path of the engine's program.
///
/// # Errors
/// It is not in the folder of this one; the message says how to install it.
pub fn engine() -> Result<PathBuf> {
    let own = program::own()?;
    let engine = own.with_file_name(ENGINE);
    match engine.is_file() {
        true => Ok(engine),
        false if program::is_replaced() => Err(Error::Usage(format!(
            "astill was replaced while it was open, and {} is not there now; once the new version \
             is installed, leave astill and start it again",
            engine.display()
        ))),
        false => Err(Error::Usage(not_installed(own))),
    }
}

/// The engine's program, to be started with the libraries that it needs.
///
/// # Errors
/// As [`engine`]; a library is missing.
pub fn command() -> Result<process::Command> {
    libraries::command(&engine()?)
}

/// What to say where `astill` is installed at `own` without its engine, as `cargo install --path .`
/// leaves it.
fn not_installed(own: &Path) -> String {
    let folder = own.parent().unwrap_or(Path::new("/"));
    // cargo installs into the folder bin of its root
    let root = match folder.parent() {
        Some(root) if folder.ends_with("bin") => {
            format!(" --root {}", shell_word(&root.to_string_lossy()))
        }
        _ => String::new(),
    };
    format!(
        "{ENGINE} is not installed: it belongs in {}, beside astill. In astill's \
         source folder, run `make install` to install both programs, or for the engine alone\n  \
         LIBTORCH=\"$(scripts/libtorch)\" cargo install --locked --path src/engine{root}",
        folder.display()
    )
}

impl Local {
    /// Starts the engine for a new run, in a session of its own; `arguments` are those of `astill
    /// run`.
    ///
    /// # Errors
    /// The engine is not installed or cannot be started, or refuses the run: then the error is its message.
    pub fn start<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<RunDir> {
        started(&run_engine(&mut self.starting(arguments)?)?)
    }

    /// As [`Self::start`] for a command on a terminal: Ctrl-C and the like are left to the engine's
    /// program, which then stops the run that it is starting.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_unless_stopped<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Started<RunDir>> {
        match run_engine_unless_stopped(&mut self.starting(arguments)?)? {
            Started::Running(output) => started(&output).map(Started::Running),
            Started::Interrupted { output, signal } => {
                let signal_of = |run| Started::Interrupted {
                    output: run,
                    signal,
                };
                started(&output).map(signal_of)
            }
            Started::Stopped { message, status } => Ok(Started::Stopped { message, status }),
        }
    }

    fn starting<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<process::Command> {
        let mut command = self.command("run")?;
        command.args(arguments).arg("--detach");
        Ok(command)
    }

    /// Starts an engine, in a session of its own, that resumes a run with these changes.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn resume_engine(&self, run: &RunDir, changes: &ResumeChanges) -> Result<()> {
        run_engine(&mut self.resuming(run, changes)?).map(|_| ())
    }

    /// As [`Self::resume_engine`] for a command on a terminal, like [`Self::start_unless_stopped`].
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn resume_unless_stopped(
        &self,
        run: &RunDir,
        changes: &ResumeChanges,
    ) -> Result<Started<Output>> {
        run_engine_unless_stopped(&mut self.resuming(run, changes)?)
    }

    fn resuming(&self, run: &RunDir, changes: &ResumeChanges) -> Result<process::Command> {
        let mut command = self.command("resume")?;
        command.args(changes.to_arguments());
        command.arg(run.path()).arg("--detach");
        Ok(command)
    }

    /// The engine's program with the folders and a command.
    ///
    /// # Errors
    /// It is not installed.
    pub(crate) fn command(&self, name: &str) -> Result<process::Command> {
        let mut command = self::command()?;
        command.arg("--runs").arg(&self.runs);
        self.data
            .iter()
            .for_each(|d| _ = command.arg("--data").arg(d));
        command.arg(name).stdin(Stdio::null());
        Ok(command)
    }

    /// What `astill check` reports about a profile on a device; with the time that it takes if it
    /// `is_timed`.
    ///
    /// # Errors
    /// [`Error::Usage`] if the profile, its data or the device is refused; the engine is not
    /// installed or fails.
    pub fn check(&self, profile: &Path, device: &DeviceChoice, is_timed: bool) -> Result<Value> {
        let mut command = self.command("check")?;
        command.arg(profile).args(["--device", &device.to_string()]);
        if !is_timed {
            command.args(["--no-estimate", "--no-images"]);
        }
        json_of(&mut command)
    }
}

/// Runs the engine to its end and reads the JSON that it prints.
fn json_of(command: &mut process::Command) -> Result<Value> {
    answer_of(&run_engine(command.arg("--json"))?)
}

/// The JSON that the engine has printed.
///
/// # Errors
/// It is not what was expected of it.
pub(crate) fn answer_of<T: DeserializeOwned>(output: &Output) -> Result<T> {
    serde_json::from_slice(&output.stdout)
        .map_err(|e| Error::Usage(format!("the engine's answer cannot be read: {e}")))
}

/// Runs the engine to its end.
///
/// # Errors
/// It cannot be started, or fails: then the error is its message.
pub(crate) fn run_engine(command: &mut process::Command) -> Result<Output> {
    let program = command.get_program().to_os_string();
    let output = command.output().map_err(Error::io("start", &program))?;
    match output.status.success() {
        true => Ok(output),
        false => Err(refusal(&program, &output)),
    }
}

/// Why the engine has failed: its message.
pub(crate) fn refusal(program: &OsStr, output: &Output) -> Error {
    let text = match message(output) {
        said if said.is_empty() => format!("it ended ({}) without a message", output.status),
        said => said,
    };
    match output.status.code() {
        Some(2) => Error::Usage(text),
        _ => libraries::problem(Path::new(program), &text)
            .unwrap_or_else(|| Error::file(program, text)),
    }
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr)
        .trim()
        .trim_start_matches("astill: ")
        .to_string()
}

/// How the start of an engine went, when signals could come meanwhile.
#[derive(Debug)]
pub enum Started<T> {
    /// It is at work.
    Running(T),
    /// It is at work, and a signal came as it had begun.
    Interrupted { output: T, signal: i32 },
    /// A signal has stopped it.
    Stopped {
        /// What the engine's program says about it.
        message: String,
        status: u8,
    },
}

/// As [`run_engine`]; signals meanwhile are passed on to the program, which decides.
fn run_engine_unless_stopped(command: &mut process::Command) -> Result<Started<Output>> {
    let program = command.get_program().to_os_string();
    let mut signals = stop_signals()?;
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(Error::io("start", &program))?;
    let pid = Pid::from_child(&child);
    let mut caught = None;
    let (done, output) = mpsc::channel();
    let ended = move || _ = done.send(child.wait_with_output());
    std::thread::Builder::new()
        .spawn(ended)
        .map_err(Error::io("start a thread for", &program))?;
    let output = loop {
        for signal in signals.pending() {
            caught.get_or_insert(signal);
            let signal = Signal::from_named_raw(signal).unwrap_or(Signal::TERM);
            // one that has just ended needs none
            let _ = kill_process(pid, signal);
        }
        match output.recv_timeout(SIGNALS_EVERY) {
            Ok(output) => break output.map_err(Error::io("wait for", &program))?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Interrupted),
        }
    };
    // one that came while the program ended
    let caught = caught.or_else(|| signals.pending().next());
    match (output.status.code(), caught) {
        (Some(0), None) => Ok(Started::Running(output)),
        (Some(0), Some(signal)) => Ok(Started::Interrupted { output, signal }),
        (Some(1 | 2), _) | (_, None) => Err(refusal(&program, &output)),
        (code, Some(signal)) => Ok(Started::Stopped {
            message: message(&output),
            status: code.unwrap_or(128 + signal).try_into().unwrap_or(1),
        }),
    }
}

/// The run that the engine's program says it has started.
fn started(output: &Output) -> Result<RunDir> {
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end());
    RunDir::open(&path).ok_or_else(|| {
        Error::file(
            &path,
            "the engine reported that it created this run, but it does not exist",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_engine_is_told_the_command_that_installs_it() {
        let text = not_installed(Path::new("/opt/my tools/bin/astill"));
        assert!(text.contains("make install") && text.contains("/opt/my tools/bin, beside astill"));
        assert!(
            text.ends_with("cargo install --locked --path src/engine --root '/opt/my tools'"),
            "{text}"
        );
        let text = not_installed(Path::new("/src/astill/target/release/astill"));
        assert!(text.ends_with("--path src/engine"), "{text}");
    }
}
