//! The program `astill`: the terminal app, and what finds, starts and queries the engine. It does
//! not link libtorch, so that it starts at once.

pub mod ablate;
mod backend;
pub mod doctor;
pub mod engine_process;
pub mod fetch;
pub mod libraries;
pub mod listing;
pub mod logout;
pub mod look;
pub mod manual;
pub mod plot;
mod previews;
pub mod slurm;
pub mod tui;
