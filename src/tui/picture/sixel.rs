//! Pictures as the terminal itself draws them: sixels, which xterm, foot, WezTerm, Konsole and Windows
//! Terminal have, for example, and tmux where it is built with them.
//!
//! A picture takes the place of text: each of its cells holds a mark with its number, and the first one
//! its pixels. The marks are sent as blanks, and the picture over them once all cells are drawn; again
//! whenever one of its cells has changed, because text wipes out what it is written over. A picture that
//! is covered in part, by a question for example, is not sent before all of it is seen.

use super::{Fit, Picture};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use icy_sixel::{EncodeOptions, sixel_encode};
use ratatui::buffer::{Buffer, Cell, CellDiffOption};
use ratatui::layout::{Position, Rect, Size};
use ratatui::style::{Color, Style};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::num::NonZeroU16;

/// No text has this character, which is for private use.
const MARK: char = '\u{F516E}';

/// A picture that is seen as a whole.
#[derive(Debug)]
pub struct SixelImage {
    pub number: u32,
    pub area: Rect,
    /// As the first cell holds them.
    pixels: String,
}

/// Draws a picture where `fit` has put it.
pub(super) fn draw(picture: &Picture, fit: &Fit, buf: &mut Buffer) {
    let mut hasher = DefaultHasher::new();
    (picture.width, picture.height, &picture.rgb, fit.cells).hash(&mut hasher);
    let [_, r, g, b, ..] = hasher.finish().to_be_bytes();
    let style = Style::new().fg(Color::Rgb(r, g, b));
    for position in fit.cells.positions() {
        let mut symbol = String::from(MARK);
        if position == fit.cells.as_position() {
            let (width, height) = (fit.cells.width, fit.cells.height);
            symbol += &format!("{width};{height};{};{};", picture.width, picture.height);
            STANDARD.encode_string(&picture.rgb, &mut symbol);
        }
        if let Some(cell) = buf.cell_mut(position) {
            cell.reset();
            cell.set_symbol(&symbol).set_style(style);
            // what is not shown must not count as wide
            cell.set_diff_option(CellDiffOption::ForcedWidth(NonZeroU16::MIN));
        }
    }
}

/// The number of the picture that a cell is a part of.
pub fn number_of(cell: &Cell) -> Option<u32> {
    match cell.fg {
        Color::Rgb(r, g, b) if cell.symbol().starts_with(MARK) => {
            Some(u32::from_be_bytes([0, r, g, b]))
        }
        _ => None,
    }
}

/// The pictures in a buffer of which no cell is covered.
pub fn whole_images(buf: &Buffer) -> Vec<SixelImage> {
    let images = buf.area.positions().filter_map(|at| image_at(buf, at));
    images.collect()
}

/// The picture whose first cell is there.
fn image_at(buf: &Buffer, at: Position) -> Option<SixelImage> {
    let cell = buf.cell(at)?;
    let number = number_of(cell)?;
    let mut parts = cell.symbol().trim_start_matches(MARK).splitn(3, ';');
    let (width, height) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let area = Rect::new(at.x, at.y, width, height);
    let is_part = |at: Position| buf.cell(at).and_then(number_of) == Some(number);
    area.positions().all(is_part).then_some(())?;
    let pixels = parts.next()?.into();
    Some(SixelImage {
        number,
        area,
        pixels,
    })
}

impl SixelImage {
    /// The sequences that draw it over its cells, each of so many pixels.
    ///
    /// # Errors
    /// It has no pixels, or too many.
    pub fn sequence(&self, cell: Size) -> io::Result<String> {
        let wanted = |side: u16, cell: u16| usize::from(side) * usize::from(cell.max(1));
        let (width, height) = (
            wanted(self.area.width, cell.width),
            wanted(self.area.height, cell.height),
        );
        let pixels = self.picture()?.resampled(width, height).rgb;
        let rgba: Vec<u8> = pixels
            .chunks_exact(3)
            .flat_map(|p| [p[0], p[1], p[2], u8::MAX])
            .collect();
        let sixels = sixel_encode(&rgba, width, height, &EncodeOptions::default());
        let sixels = sixels.map_err(io::Error::other)?;
        let (row, column) = (self.area.y + 1, self.area.x + 1);
        Ok(format!("\x1b[{row};{column}H{sixels}"))
    }

    fn picture(&self) -> io::Result<Picture> {
        let mut parts = self.pixels.splitn(3, ';');
        let mut side = || parts.next().and_then(|side| side.parse().ok());
        let (width, height): (usize, usize) = side()
            .zip(side())
            .ok_or_else(|| io::Error::other("a picture without a size"))?;
        let rgb = STANDARD.decode(parts.next().unwrap_or_default());
        let rgb = rgb.map_err(io::Error::other)?;
        Ok(Picture { width, height, rgb })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        let rgb = (0..8).flat_map(|i| [if i % 2 == 0 { 255 } else { 0 }, 0, 0]);
        Picture {
            width: 4,
            height: 2,
            rgb: rgb.collect(),
        }
    }

    fn drawn(area: Rect) -> Buffer {
        let mut buf = Buffer::empty(Rect::new(0, 0, 20, 5));
        let picture = picture();
        draw(&picture, &Fit::new(&picture, area).unwrap(), &mut buf);
        buf
    }

    #[test]
    fn the_first_cell_brings_the_picture_and_every_cell_its_number() {
        let buf = drawn(Rect::new(2, 1, 4, 1));
        let images = whole_images(&buf);
        assert_eq!(images.len(), 1);
        assert_eq!(images[0].area, Rect::new(2, 1, 4, 1));
        assert_eq!(images[0].picture().unwrap(), picture());
        for x in 2..6 {
            assert_eq!(number_of(&buf[(x, 1)]), Some(images[0].number));
        }
        assert_eq!(number_of(&buf[(6, 1)]), None);
        assert_eq!(Buffer::empty(buf.area).diff(&buf).len(), 4);
        // nothing changes, nothing is sent; elsewhere it is another picture
        assert_eq!(drawn(Rect::new(2, 1, 4, 1)).diff(&buf).len(), 0);
        let moved = whole_images(&drawn(Rect::new(3, 1, 4, 1)));
        assert_ne!(moved[0].number, images[0].number);
    }

    #[test]
    fn a_picture_that_is_covered_in_part_waits() {
        let mut buf = drawn(Rect::new(0, 0, 8, 4));
        assert_eq!(whole_images(&buf).len(), 1);
        buf[(7, 1)].reset();
        assert!(whole_images(&buf).is_empty());
    }

    #[test]
    fn the_sequence_begins_at_the_place_and_has_the_size_of_the_cells() {
        let image = whole_images(&drawn(Rect::new(2, 1, 4, 1))).remove(0);
        let sequence = image.sequence(Size::new(10, 20)).unwrap();
        assert!(sequence.starts_with("\x1b[2;3H\x1bP"), "{sequence:?}");
        assert!(sequence.contains("q\"1;1;40;20"), "{sequence:?}");
        assert!(sequence.ends_with("\x1b\\"), "{sequence:?}");
        // red and black, as shares of 100
        assert!(sequence.contains(";2;100;0;0") && sequence.contains(";2;0;0;0"));
    }
}
