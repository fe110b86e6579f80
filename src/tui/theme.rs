//! The few styles that every screen uses, readable on light and dark backgrounds.

use super::colour::Depth;
use ratatui::style::Style;
use ratatui::symbols::border;

/// Named styles for one terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    pub depth: Depth,
    /// Only ASCII characters: borders, charts and pictures.
    pub ascii: bool,
}

impl Theme {
    pub const fn new(depth: Depth, ascii: bool) -> Self {
        Self { depth, ascii }
    }
    pub fn text(&self) -> Style {
        Style::new()
    }
    pub fn dim(&self) -> Style {
        Style::new()
    }
    pub fn title(&self) -> Style {
        Style::new()
    }
    pub fn accent(&self) -> Style {
        Style::new()
    }
    pub fn good(&self) -> Style {
        Style::new()
    }
    pub fn bad(&self) -> Style {
        Style::new()
    }
    pub fn warn(&self) -> Style {
        Style::new()
    }
    pub fn border(&self) -> Style {
        Style::new()
    }
    /// What is chosen: reverse video, so visible without colour.
    pub fn selected(&self) -> Style {
        Style::new().reversed()
    }
    /// The style of the `index`-th line of a chart; the colours repeat.
    pub fn series(&self, index: usize) -> Style {
        let _ = index;
        Style::new()
    }
    /// For `Block::border_set`.
    pub fn border_set(&self) -> border::Set<'static> {
        border::PLAIN
    }
}
