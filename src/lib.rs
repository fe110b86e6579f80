//! What astill is without libtorch: profiles, runs seen from outside, and what shows them. The
//! program `astill` is this; the engine (`engine_lib.rs`, the package in `engine/`) builds on it
//! and adds the method.

pub mod atomic_file;
pub mod cli;
pub mod doctor;
mod epoch_record;
pub mod error;
pub mod foreign_file;
pub mod headless;
mod json;
pub mod local;
pub mod profile;
pub mod run;
pub mod tui;

pub use epoch_record::EpochRecord;
pub use error::{Error, Result};
