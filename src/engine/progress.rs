//! How long-running work reports its progress, and how it is stopped.
//!
//! Long-running work calls [`report`] between its small steps. The answer can end it with
//! [`Error::Interrupted`]: what has been completed by then is on disk or in the state of the run,
//! and a resumed run does the rest again with the same random numbers.

use astill_core::{Error, Result};
use std::ops::ControlFlow;

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
