//! A run seen from outside: its directory, its events, what can be asked of it. Nothing here needs
//! libtorch.

pub mod checkpoints;
pub mod command;
mod dir;
pub mod edits;
pub mod event;
mod history;
pub mod list;
mod lock;
pub mod socket;
pub mod text;

pub use dir::{DEFAULT_RUNS_DIR, FOLDERS, RunDir};
pub use history::History;
pub use lock::{EngineAt, EngineLock};
