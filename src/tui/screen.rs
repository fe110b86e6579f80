//! What the app knows of a screen.

use crate::tui::context::Context;
use crate::tui::header;
use crate::tui::input_line::InputLine;
use crate::tui::keys::{Action, Scope};
use crate::tui::message::Message;
use astill_core::run::RunDir;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use std::fmt::Debug;

/// What became of an action that a screen was given.
#[derive(Debug)]
pub enum Response {
    Handled,
    /// It has no meaning here: the app offers it to the screen below.
    Ignored,
    /// Close this screen.
    Close,
    /// Put another screen on top.
    Open(Box<dyn Screen>),
    /// Put another screen in the place of this one.
    Replace(Box<dyn Screen>),
    /// Watch this run.
    OpenRun(RunDir),
}

/// A screen, or a popup over one. The app keeps them in a stack, draws them from the bottom up and
/// offers each action from the top down.
pub trait Screen: Debug {
    /// Whose keys the table looks up; a scope that takes text while a line of it is being edited.
    fn scope(&self) -> Scope;

    fn act(&mut self, action: Action, context: &mut Context) -> Response;

    /// Draws it; the position of the text cursor if it shows one.
    fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position>;

    /// Whether the screens below stay visible.
    fn is_popup(&self) -> bool {
        false
    }

    /// All that a very small terminal shows of it.
    fn in_a_line(&self, context: &Context) -> String {
        context
            .session
            .as_ref()
            .map_or_else(|| "astill".into(), header::in_a_line)
    }

    /// The line of text that is being edited.
    fn line(&mut self) -> Option<&mut InputLine> {
        None
    }

    /// The text of that line has changed.
    fn line_changed(&mut self) {}

    /// Takes a message that may concern it; true if it asked for it, or shows the content itself, so that
    /// no notice is needed.
    fn receive(&mut self, _message: &Message, _context: &Context) -> bool {
        false
    }

    /// Requests what it shows and does not have yet.
    fn request_missing(&mut self, _context: &mut Context) {}

    /// Whether the footer names the key of this action: it has a meaning for what is selected.
    fn offers(&self, _action: Action) -> bool {
        true
    }

    /// What the footer calls this action at the moment, where that is not what it usually does.
    fn word(&self, _action: Action) -> Option<&'static str> {
        None
    }

    /// Whether the mouse wheel moves up and down in it.
    fn scrolls(&self) -> bool {
        true
    }

    /// An item that it has drawn was clicked; the action that follows, if it was selected before.
    fn choose(&mut self, _item: usize, _context: &mut Context) -> Option<Action> {
        None
    }
}
