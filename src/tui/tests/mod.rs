//! The app as a user meets it: keys in, screens out.

mod hostile;
mod model;
mod screens;
mod stage;
mod story;
