//! The terminal app. None of it uses libtorch, so that the program that draws needs no tensors.

pub mod chart;
pub mod colour;
pub mod events_file;
pub mod picture;
pub mod series;
pub mod terminal;
pub mod theme;
