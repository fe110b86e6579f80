//! The terminal app. None of it uses libtorch, so that the program that draws needs no tensors.
//!
//! Keys, events and answers are messages: [`app::App::update`] takes them and returns the effects
//! to carry out, [`app::App::view`] draws the state. Neither blocks: the files, the engine and the
//! terminal are on the other side of `event_loop` and `effect_runner`.
//!
//! The app is a stack of screens ([`screen::Screen`]), each a file in `screens`, that share a
//! [`context::Context`] and know nothing of each other's insides. A new screen is a file there and
//! its keys in `keys`.

pub mod advice;
pub mod app;
pub mod ascii;
pub mod backend;
mod burst;
pub mod capabilities;
pub mod chart;
pub mod click_targets;
pub mod clock;
pub mod colour;
pub mod context;
mod effect_runner;
mod event_loop;
pub mod events_file;
pub mod footer;
pub mod glossary;
pub mod header;
pub mod input_line;
mod keyboard;
pub mod keys;
pub mod message;
pub mod model;
pub mod panel;
pub mod picture;
pub mod screen;
pub mod screens;
pub mod series;
pub mod session;
pub mod terminal;
#[cfg(test)]
pub(crate) mod tests;
pub mod text;
pub mod theme;
pub mod user_file;
pub mod widgets;

pub use backend::Backend;
pub use event_loop::Ending;

use astill_core::Result;
use astill_core::run::RunDir;
use colour::Depth;
use context::Appearance;
use keys::Keymap;
use picture::PictureStyle;
use theme::{Theme, ThemeSettings};

/// How the app looks and what it opens.
#[derive(Debug, Clone)]
pub struct Options {
    pub depth: Depth,
    /// Only ASCII characters.
    pub ascii: bool,
    pub mouse: bool,
    pub keys: Keymap,
    pub theme: ThemeSettings,
    /// Nothing is started and no command is sent.
    pub read_only: bool,
    /// The run to show; by default the menu.
    pub open: Option<RunDir>,
    /// The terminal rings and shows a message when the run ends or diverges.
    pub notifies: bool,
    /// Run when the run that is shown ends.
    pub on_finish: Option<String>,
}

/// Runs the app on the terminal until the user leaves, a signal comes or the terminal goes away.
///
/// # Errors
/// There is no terminal, or it cannot be read or written.
pub fn run(options: Options, backend: impl Backend) -> Result<Ending> {
    let Options {
        depth,
        ascii,
        mouse,
        keys,
        theme,
        read_only,
        open,
        notifies,
        on_finish,
    } = options;
    let appearance = Appearance {
        theme: Theme::new(depth, ascii).with(&theme),
        pictures: PictureStyle::default(),
        read_only,
        notifies,
    };
    event_loop::run(appearance, (mouse, keys), (open, on_finish), backend)
}
