//! The terminal app. None of it uses libtorch, so that the program that draws needs no tensors.
//!
//! Keys, events and answers are messages; [`app::App::update`] takes them and says what is to be
//! done; [`app::App::view`] shows what is. Neither waits for anything: the files, the engine and
//! the terminal are on the other side of `drive` and `hands`.

pub mod app;
pub mod backend;
pub mod chart;
mod clock;
pub mod colour;
mod effect_runner;
mod event_loop;
pub mod events_file;
pub mod keys;
pub mod line;
pub mod model;
pub mod picture;
pub mod screens;
pub mod series;
pub mod session;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod text;
pub mod theme;

pub use backend::Backend;
pub use event_loop::Ending;

use app::Appearance;
use astill_core::Result;
use astill_core::run::RunDir;
use colour::Depth;
use theme::Theme;

/// How the app looks and what it begins with.
#[derive(Debug, Clone)]
pub struct Options {
    pub depth: Depth,
    /// Only ASCII characters.
    pub ascii: bool,
    pub mouse: bool,
    /// Nothing is started and no command is sent.
    pub read_only: bool,
    /// The run to show; none: the menu.
    pub open: Option<RunDir>,
}

/// Runs the app on the terminal until the user leaves, a signal comes or the terminal goes away.
pub fn run(options: Options, backend: impl Backend) -> Result<Ending> {
    let Options {
        depth,
        ascii,
        mouse,
        read_only,
        open,
    } = options;
    let look = Appearance {
        theme: Theme::new(depth, ascii),
        ascii_pictures: false,
        read_only,
    };
    event_loop::run(look, mouse, open, backend)
}
