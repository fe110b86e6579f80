//! What can be clicked, where it was drawn last.

use crate::tui::keys::Action;
use ratatui::layout::{Position, Rect};
use std::cell::RefCell;

/// What a click is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A row, tile or button of the screen on top, by its number there.
    Item(usize),
    /// What a key does.
    Key(Action),
}

/// The areas of the screen that can be clicked: those who draw add what they draw.
#[derive(Debug, Default)]
pub struct ClickTargets {
    drawn: RefCell<Vec<(Rect, Target)>>,
}

impl ClickTargets {
    /// Forgets all: something else is drawn over it.
    pub fn clear(&self) {
        self.drawn.borrow_mut().clear();
    }

    pub fn add(&self, area: Rect, target: Target) {
        self.drawn.borrow_mut().push((area, target));
    }

    /// The rows of a list in `area`, of which `first` is the first visible one of `count`.
    pub fn add_rows(&self, area: Rect, first: usize, count: usize) {
        for (row, index) in area.rows().zip(first..count) {
            self.add(row, Target::Item(index));
        }
    }

    /// What was drawn at a position.
    pub fn at(&self, position: Position) -> Option<Target> {
        let drawn = self.drawn.borrow();
        let mut latest_first = drawn.iter().rev();
        latest_first
            .find(|(area, _)| area.contains(position))
            .map(|(_, target)| *target)
    }
}
