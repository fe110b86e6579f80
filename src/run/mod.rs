//! A run seen from outside: its directory, its events, what can be asked of it. Nothing here needs libtorch.

mod dir;
pub mod event;
mod history;
pub mod text;

pub use dir::{EngineLock, RunDir};
pub use history::History;
