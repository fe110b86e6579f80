//! Pictures as the terminal itself draws them: kitty's graphics protocol with Unicode placeholders, which
//! Ghostty and others have too.
//!
//! A placeholder is a character whose colour is the number of an image and whose diacritics are a row and
//! a column of it, so that text takes the place of pictures like any other, also inside tmux. The first
//! cell brings the image with it: a picture is sent when its first cell is, and not again while nothing
//! changes.

use super::{Fit, Picture};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ratatui::buffer::{Buffer, CellDiffOption};
use ratatui::style::{Color, Style};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU16;

const PLACEHOLDER: char = '\u{10EEEE}';

/// Cells of a picture, across and down: so many numbers can be written.
const MOST_CELLS: u16 = 297;

/// The diacritics that stand for the numbers from 0 on, as ranges: those of kitty's
/// rowcolumn-diacritics.txt.
const DIACRITICS: [(u32, u32); 86] = [
    (0x305, 0x305),
    (0x30D, 0x30E),
    (0x310, 0x310),
    (0x312, 0x312),
    (0x33D, 0x33F),
    (0x346, 0x346),
    (0x34A, 0x34C),
    (0x350, 0x352),
    (0x357, 0x357),
    (0x35B, 0x35B),
    (0x363, 0x36F),
    (0x483, 0x487),
    (0x592, 0x595),
    (0x597, 0x599),
    (0x59C, 0x5A1),
    (0x5A8, 0x5A9),
    (0x5AB, 0x5AC),
    (0x5AF, 0x5AF),
    (0x5C4, 0x5C4),
    (0x610, 0x617),
    (0x657, 0x65B),
    (0x65D, 0x65E),
    (0x6D6, 0x6DC),
    (0x6DF, 0x6E2),
    (0x6E4, 0x6E4),
    (0x6E7, 0x6E8),
    (0x6EB, 0x6EC),
    (0x730, 0x730),
    (0x732, 0x733),
    (0x735, 0x736),
    (0x73A, 0x73A),
    (0x73D, 0x73D),
    (0x73F, 0x741),
    (0x743, 0x743),
    (0x745, 0x745),
    (0x747, 0x747),
    (0x749, 0x74A),
    (0x7EB, 0x7F1),
    (0x7F3, 0x7F3),
    (0x816, 0x819),
    (0x81B, 0x823),
    (0x825, 0x827),
    (0x829, 0x82D),
    (0x951, 0x951),
    (0x953, 0x954),
    (0xF82, 0xF83),
    (0xF86, 0xF87),
    (0x135D, 0x135F),
    (0x17DD, 0x17DD),
    (0x193A, 0x193A),
    (0x1A17, 0x1A17),
    (0x1A75, 0x1A7C),
    (0x1B6B, 0x1B6B),
    (0x1B6D, 0x1B73),
    (0x1CD0, 0x1CD2),
    (0x1CDA, 0x1CDB),
    (0x1CE0, 0x1CE0),
    (0x1DC0, 0x1DC1),
    (0x1DC3, 0x1DC9),
    (0x1DCB, 0x1DCC),
    (0x1DD1, 0x1DE6),
    (0x1DFE, 0x1DFE),
    (0x20D0, 0x20D1),
    (0x20D4, 0x20D7),
    (0x20DB, 0x20DC),
    (0x20E1, 0x20E1),
    (0x20E7, 0x20E7),
    (0x20E9, 0x20E9),
    (0x20F0, 0x20F0),
    (0x2CEF, 0x2CF1),
    (0x2DE0, 0x2DFF),
    (0xA66F, 0xA66F),
    (0xA67C, 0xA67D),
    (0xA6F0, 0xA6F1),
    (0xA8E0, 0xA8F1),
    (0xAAB0, 0xAAB0),
    (0xAAB2, 0xAAB3),
    (0xAAB7, 0xAAB8),
    (0xAABE, 0xAABF),
    (0xAAC1, 0xAAC1),
    (0xFE20, 0xFE26),
    (0x10A0F, 0x10A0F),
    (0x10A38, 0x10A38),
    (0x1D185, 0x1D189),
    (0x1D1AA, 0x1D1AD),
    (0x1D242, 0x1D244),
];

/// The longest piece in which an image may be sent, in characters of base64.
const PIECE: usize = 4096;

/// Asks the terminal whether it has these graphics.
pub fn question(in_tmux: bool) -> String {
    wrapped("\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\", in_tmux)
}

/// Draws a picture where `fit` has put it.
pub(super) fn draw(picture: &Picture, fit: &Fit, in_tmux: bool, buf: &mut Buffer) {
    // a wider picture than there are numbers is drawn smaller, not with a hole
    let (columns, rows) = (
        fit.cells.width.min(MOST_CELLS),
        fit.cells.height.min(MOST_CELLS),
    );
    let number = number(picture, (columns, rows));
    let [_, r, g, b] = number.to_be_bytes();
    let style = Style::new().fg(Color::Rgb(r, g, b));
    for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
        let (Some(row), Some(column)) = (diacritic(y), diacritic(x)) else {
            continue;
        };
        let mut symbol = match (x, y) {
            (0, 0) => image(picture, number, (columns, rows), in_tmux),
            _ => String::new(),
        };
        symbol.extend([PLACEHOLDER, row, column]);
        if let Some(cell) = buf.cell_mut((fit.cells.x + x, fit.cells.y + y)) {
            cell.reset();
            cell.set_symbol(&symbol).set_style(style);
            // what is not shown must not count as wide
            cell.set_diff_option(CellDiffOption::ForcedWidth(NonZeroU16::MIN));
        }
    }
}

fn diacritic(number: u16) -> Option<char> {
    let mut all = DIACRITICS.iter().flat_map(|(from, to)| *from..=*to);
    all.nth(number.into()).and_then(char::from_u32)
}

/// The number of an image: the same picture in the same size has the same. It has 24 bits, and is not 0.
fn number(picture: &Picture, cells: (u16, u16)) -> u32 {
    let mut hasher = DefaultHasher::new();
    (picture.width, picture.height, &picture.rgb, cells).hash(&mut hasher);
    (hasher.finish() % 0xFF_FFFE) as u32 + 1
}

/// The sequences that give the terminal an image that placeholders show in so many cells.
fn image(picture: &Picture, number: u32, (columns, rows): (u16, u16), in_tmux: bool) -> String {
    let encoded = STANDARD.encode(&picture.rgb);
    let pieces: Vec<&[u8]> = encoded.as_bytes().chunks(PIECE).collect();
    let mut text = String::with_capacity(encoded.len() + 128);
    for (i, piece) in pieces.iter().enumerate() {
        let more = u8::from(i + 1 < pieces.len());
        let keys = match i {
            // quiet, shown by placeholders, 24 bits a pixel
            0 => format!(
                "q=2,a=T,U=1,i={number},f=24,s={},v={},c={columns},r={rows},m={more}",
                picture.width, picture.height
            ),
            _ => format!("q=2,m={more}"),
        };
        let piece = String::from_utf8_lossy(piece);
        text += &wrapped(&format!("\x1b_G{keys};{piece}\x1b\\"), in_tmux);
    }
    text
}

/// A sequence that tmux hands to the terminal around it, where its option allow-passthrough is on.
fn wrapped(sequence: &str, in_tmux: bool) -> String {
    match in_tmux {
        true => format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b")),
        false => sequence.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;

    fn drawn(side: usize, area: Rect) -> Buffer {
        let picture = Picture {
            width: side,
            height: side,
            rgb: (0..side * side * 3).map(|i| i as u8).collect(),
        };
        let mut buf = Buffer::empty(area);
        let fit = Fit::new(&picture, area).unwrap();
        draw(&picture, &fit, false, &mut buf);
        buf
    }

    #[test]
    fn the_first_cell_brings_the_image_and_every_cell_its_place() {
        let buf = drawn(64, Rect::new(0, 0, 12, 6));
        let first = buf[(0, 0)].symbol();
        let number = match buf[(0, 0)].fg {
            Color::Rgb(r, g, b) => u32::from_be_bytes([0, r, g, b]),
            other => panic!("{other:?}"),
        };
        let head = format!("\x1b_Gq=2,a=T,U=1,i={number},f=24,s=64,v=64,c=12,r=6,m=1;");
        assert!(first.starts_with(&head), "{first:?}");
        let pieces: Vec<&str> = first.split("\x1b_G").skip(1).collect();
        assert_eq!(
            pieces.len(),
            4,
            "64 * 64 * 3 bytes in pieces of 4096 characters"
        );
        assert!(pieces[3].starts_with("q=2,m=0;"));
        assert!(first.ends_with("\u{10EEEE}\u{305}\u{305}"));
        let (row, column) = (diacritic(5).unwrap(), diacritic(11).unwrap());
        assert_eq!(
            buf[(11, 5)].symbol(),
            String::from_iter([PLACEHOLDER, row, column])
        );
        // nothing changes, nothing is sent
        assert_eq!(drawn(64, Rect::new(0, 0, 12, 6)).diff(&buf).len(), 0);
        // every cell counts as one
        let empty = Buffer::empty(buf.area);
        assert_eq!(empty.diff(&buf).len(), 72);
    }

    #[test]
    fn tmux_hands_the_question_on() {
        assert!(question(true).contains("\x1bPtmux;\x1b\x1b_Gi=31"));
        assert!(question(false).starts_with("\x1b_Gi=31"));
    }

    #[test]
    fn rows_and_columns_have_diacritics_of_their_own() {
        let all: std::collections::BTreeSet<char> = (0..MOST_CELLS).filter_map(diacritic).collect();
        assert_eq!(all.len(), usize::from(MOST_CELLS));
        assert_eq!(diacritic(MOST_CELLS), None);
        assert_eq!(diacritic(4), char::from_u32(0x312));
    }
}
