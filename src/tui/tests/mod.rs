//! The app as a whole.

mod charts_in_use;
mod endings;
mod hostile;
mod life;
mod model;
mod run_life;
mod screens;
mod screens_in_use;
pub mod stage;
mod story;
mod usage;
