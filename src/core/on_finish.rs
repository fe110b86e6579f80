//! The command that a user gives for the end of a run.

use crate::run::RunDir;
use crate::run::event::{ImageSet, RunFinished};
use crate::text::percent;
use crate::{Error, Result, program};
use std::process::{Command, ExitStatus, Stdio};

/// Runs a command of the shell and waits for it. It learns about the run from its environment:
///
/// ```text
/// ASTILL_RUN        the path of the run
/// ASTILL_STATUS     done, stopped or failed
/// ASTILL_REASON     why it stopped or failed
/// ASTILL_ACCURACY   of the distilled images, in per cent
/// ```
///
/// # Errors
/// It cannot be started.
pub fn run(command: &str, run: &RunDir, finished: &RunFinished) -> Result<ExitStatus> {
    shell(command, run, finished)
        .status()
        .map_err(Error::io("start", "sh"))
}

/// As [`run`]; what the command prints is lost, so that it does not disturb a screen.
///
/// # Errors
/// It cannot be started.
pub fn run_quietly(command: &str, run: &RunDir, finished: &RunFinished) -> Result<ExitStatus> {
    shell(command, run, finished)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(Error::io("start", "sh"))
}

fn shell(command: &str, run: &RunDir, finished: &RunFinished) -> Command {
    let result = finished
        .results
        .iter()
        .find(|r| r.labels == ImageSet::Distilled);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .env("ASTILL_RUN", run.real_path())
        .env("ASTILL_STATUS", finished.status.to_string())
        .env("ASTILL_REASON", finished.reason.as_deref().unwrap_or(""))
        .env(
            "ASTILL_ACCURACY",
            result.map(|r| percent(r.mean)).unwrap_or_default(),
        )
        .stdin(Stdio::null());
    program::without_own_libraries(&mut shell);
    shell
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::event::RunOutcome;

    #[test]
    fn the_command_knows_how_the_run_ended() -> Result<()> {
        let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run_dir = RunDir::at(folder.path());
        let why = "the student diverges; \"$(rm)\"".to_string();
        let finished = RunFinished::without_result(RunOutcome::Failed, why, 1.);
        let command = "printf %s \"$ASTILL_STATUS: $ASTILL_REASON\" > \"$ASTILL_RUN/said\"; exit 3";
        let status = run(command, &run_dir, &finished)?;
        assert_eq!(status.code(), Some(3));
        let said = std::fs::read_to_string(folder.path().join("said"));
        assert_eq!(
            said.map_err(Error::io("read", "said"))?,
            "failed: the student diverges; \"$(rm)\""
        );
        Ok(())
    }
}
