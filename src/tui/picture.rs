//! Pictures in text: half-block cells in colour, or a ramp of ASCII characters.

use super::theme::Theme;
use crate::Result;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use std::path::Path;

/// Pixels, row after row, three bytes each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Reads a PNG.
    pub fn open(path: &Path) -> Result<Self> {
        Err(crate::Error::file(path, "not yet"))
    }

    /// Whole rows of tiles of `size` × `size` pixels; 0 if `size` is 0.
    pub fn rows(&self, size: usize) -> usize {
        self.height.checked_div(size).unwrap_or(0)
    }

    /// Whole columns of tiles of `size` × `size` pixels; 0 if `size` is 0.
    pub fn columns(&self, size: usize) -> usize {
        self.width.checked_div(size).unwrap_or(0)
    }

    /// One tile of a picture that is a grid of them; none outside it.
    pub fn tile(&self, size: usize, row: usize, column: usize) -> Option<Picture> {
        let _ = (size, row, column);
        None
    }
}

/// Draws a picture as large as its area allows.
#[derive(Debug, Clone, Copy)]
pub struct PictureView<'a> {
    pub picture: &'a Picture,
    pub theme: &'a Theme,
    /// Characters instead of half blocks; also where the theme is ASCII or has no colours.
    pub ascii: bool,
}

impl Widget for PictureView<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let _ = (area, buf);
    }
}
