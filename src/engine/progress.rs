//! How long-running work reports its progress, and how it is stopped.
//!
//! Long-running work calls [`report`] between its small steps. The answer can end it with
//! [`Error::Interrupted`]: what has been completed by then is on disk or in the state of the run,
//! and a resumed run does the rest again with the same random numbers.

use astill_core::{Error, Result};
use std::ops::ControlFlow;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// The progress of a piece of work: `done` of `total` things called `what` ("images read",
/// "batches").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    pub what: &'a str,
    pub done: u64,
    pub total: u64,
}

/// Called between two steps of long-running work; `Break` asks the work to stop there.
pub type Watch<'a> = dyn FnMut(Progress<'_>) -> ControlFlow<()> + 'a;

/// Reports to `watch`.
///
/// # Errors
/// [`Error::Interrupted`] if `watch` asks to stop.
pub fn report(watch: &mut Watch<'_>, what: &str, done: u64, total: u64) -> Result<()> {
    match watch(Progress { what, done, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Interrupted),
    }
}

/// How often a computation that cannot be interrupted asks whether it is still wanted.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The result of `compute`, one long operation of libtorch, while `watch` sees that `total` of
/// `total` `what` are done; it uses as many threads as this one may.
///
/// # Errors
/// [`Error::Interrupted`] if `watch` asks to stop. The operation is then left to itself, and ends
/// with the program. [`Error::Memory`] if there is no memory for a thread.
pub fn unless_stopped<T: Send + 'static>(
    watch: &mut Watch<'_>,
    what: &str,
    total: u64,
    compute: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let (done, result) = mpsc::channel();
    let threads = tch::get_num_threads();
    let computation = std::thread::Builder::new()
        .spawn(move || {
            tch::set_num_threads(threads);
            let _ = done.send(compute());
        })
        .map_err(|e| Error::Memory(format!("no thread could be started ({e}): {what}")))?;
    loop {
        match result.recv_timeout(ASK_EVERY) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => report(watch, what, total, total)?,
            Err(RecvTimeoutError::Disconnected) => match computation.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => return Err(Error::Interrupted),
            },
        }
    }
}
