//! How long work reports how far it has come, and how it is asked to stop.

use astill_core::{Error, Result};
use std::ops::ControlFlow;

/// How far a piece of work has come: `done` of `total` things called `what` ("images read",
/// "batches").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    pub what: &'a str,
    pub done: u64,
    pub total: u64,
}

/// Called between two steps of long work; `Break` asks the work to stop there.
pub type Watch<'a> = dyn FnMut(Progress<'_>) -> ControlFlow<()> + 'a;

/// Reports to `watch`; [`Error::Interrupted`] if it asks to stop.
pub fn report(watch: &mut Watch<'_>, what: &str, done: u64, total: u64) -> Result<()> {
    match watch(Progress { what, done, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Interrupted),
    }
}
