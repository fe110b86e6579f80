//! The app as a whole.

mod hostile;
mod life;
mod model;
mod run_life;
mod screens;
mod screens_in_use;
pub mod stage;
mod story;
