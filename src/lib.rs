//! The program `astill`: the terminal app, and what finds, starts and asks the engine. It knows
//! nothing of libtorch, so that it is there at once.

pub mod doctor;
pub mod engine_process;
pub mod tui;
