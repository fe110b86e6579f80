//! How a row of the table of keys is written.

use crate::tui::keys::binding::{Action, Binding, KeyPress, Scope};
use crossterm::event::KeyCode;

/// A row of the table.
pub const fn binding(
    keys: &'static [KeyPress],
    action: Action,
    scopes: &'static [Scope],
    label: &'static str,
    help: &'static str,
) -> Binding {
    Binding {
        keys,
        action,
        scopes,
        label,
        help,
        steers: false,
    }
}

/// A row whose key starts or changes something, so that it is off in read-only mode.
pub const fn steering(
    keys: &'static [KeyPress],
    action: Action,
    scopes: &'static [Scope],
    label: &'static str,
    help: &'static str,
) -> Binding {
    Binding {
        keys,
        action,
        scopes,
        label,
        help,
        steers: true,
    }
}

pub const ENTER: KeyPress = KeyPress::code(KeyCode::Enter);
pub const ESC: KeyPress = KeyPress::code(KeyCode::Esc);
pub const TAB: KeyPress = KeyPress::code(KeyCode::Tab);
pub const BACK_TAB: KeyPress = KeyPress::code(KeyCode::BackTab);
pub const UP: KeyPress = KeyPress::code(KeyCode::Up);
pub const DOWN: KeyPress = KeyPress::code(KeyCode::Down);
pub const LEFT: KeyPress = KeyPress::code(KeyCode::Left);
pub const RIGHT: KeyPress = KeyPress::code(KeyCode::Right);
pub const PAGE_UP: KeyPress = KeyPress::code(KeyCode::PageUp);
pub const PAGE_DOWN: KeyPress = KeyPress::code(KeyCode::PageDown);
pub const HOME: KeyPress = KeyPress::code(KeyCode::Home);
pub const END: KeyPress = KeyPress::code(KeyCode::End);
