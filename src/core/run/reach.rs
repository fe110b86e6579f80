//! Sends a command to the engine of a run, whichever way reaches it.

use super::command::{Answer, Command};
use super::{EngineAt, RunDir, inbox, socket};
use crate::Result;
use std::time::Duration;

/// Sends a command over a socket and waits up to `patience` for the answer. Where no socket is
/// reached, and an engine reads commands in the run's folder, it is left there: that may take a
/// while, which is reported.
///
/// # Errors
/// As [`socket::send`] and [`inbox::send`].
pub fn send(
    run: &RunDir,
    command: &Command,
    patience: Duration,
    report: &dyn Fn(String),
) -> Result<Answer> {
    let unreachable = match socket::connect(run) {
        Ok(stream) => return socket::send_over(stream, run, command, patience),
        Err(unreachable) => unreachable,
    };
    // where the lock shows that none is at work, what it left behind says nothing
    if run.engine() == EngineAt::Nowhere || !inbox::is_read(run) {
        return Err(unreachable);
    }
    let host = run.holder().map(|(holder, _)| holder.host);
    report(format!(
        "no socket reaches the engine on {}, so the command is left in the run's folder; the answer \
         may take a minute or two",
        host.unwrap_or_default()
    ));
    inbox::send(run, command, inbox::PATIENCE)
}
