//! What both programs of astill share, without libtorch and without a terminal: profiles, runs seen
//! from outside, the command line, files and errors.

pub mod ablation;
pub mod cgroup;
pub mod cli;
pub mod comparison;
pub mod console;
pub mod cores;
pub mod dataset_folder;
pub mod describe;
mod epoch_record;
pub mod error;
pub mod files;
pub mod imagenet;
pub mod job_step;
pub(crate) mod json;
pub mod known_sets;
pub mod measures;
pub mod on_finish;
pub mod profile;
pub mod program;
pub mod requeue;
pub mod run;
pub mod scores;
pub mod signals;
pub mod statistics;
pub mod tables;
pub mod text;
pub mod tuning;
pub mod yaml;

pub use epoch_record::EpochRecord;
pub use error::{Error, Result};
