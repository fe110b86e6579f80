//! What both programs of astill share, without libtorch and without a terminal: profiles, runs seen
//! from outside, the command line, files and errors.

pub mod cli;
mod epoch_record;
pub mod error;
pub mod files;
pub mod headless;
pub mod json;
pub mod profile;
pub mod run;

pub use epoch_record::EpochRecord;
pub use error::{Error, Result};
