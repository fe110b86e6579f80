//! The part of astill that computes, on libtorch: data, networks, the method, the engine. It builds
//! on the package `astill`, which has profiles and runs.

pub mod bench;
pub mod data;
pub mod distill;
pub mod engine;
pub mod memory;
pub mod network;
pub mod progress;
pub mod random;
pub mod tensor_file;

use astill::{EpochRecord, atomic_file, cli, error, foreign_file, profile, run};
pub use astill::{Error, Result};
