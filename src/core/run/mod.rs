//! A run seen from outside: its directory, its events, the commands that it takes. Nothing here
//! needs libtorch.

pub mod checkpoints;
pub mod command;
mod create;
mod dir;
pub mod edits;
pub mod event;
mod history;
mod holder;
pub mod inbox;
pub mod known_runs;
mod life;
pub mod list;
mod lock;
pub mod outlook;
pub mod pace;
pub mod reach;
mod record_end;
pub mod result;
pub mod socket;

pub(crate) use dir::check_name;
pub use dir::{DEFAULT_RUNS_DIR, FOLDERS, RunDir, name_problem, name_stem};
pub use history::{History, was_out_of_memory};
pub use holder::Holder;
pub use lock::{EngineAt, EngineLock};
