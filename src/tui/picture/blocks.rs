//! Pictures in quadrants or sextants of a cell: twice as many dots across as half blocks have, but only
//! two colours for all dots of a cell.

use super::{Fit, Picture};
use crate::tui::colour::{Depth, from_linear, to_linear};
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Style};

/// By which dots have the first colour: upper left 1, upper right 2, lower left 4, lower right 8.
const QUADRANTS: [char; 16] = [
    ' ', '▘', '▝', '▀', '▖', '▌', '▞', '▛', '▗', '▚', '▐', '▜', '▄', '▙', '▟', '█',
];

/// How many dots high a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    Two,
    Three,
}

impl Rows {
    fn count(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Three => 3,
        }
    }

    /// The character whose foreground covers these dots, row after row from the top left.
    fn glyph(self, mask: u32) -> char {
        match self {
            Self::Two => QUADRANTS[(mask & 15) as usize],
            Self::Three => sextant(mask & 63),
        }
    }
}

/// The block has all but those that were there before: none, the left half, the right half, all.
fn sextant(mask: u32) -> char {
    match mask {
        0 => ' ',
        21 => '▌',
        42 => '▐',
        63 => '█',
        _ => {
            let before = [0, 21, 42].iter().filter(|m| **m < mask).count() as u32;
            char::from_u32(0x1FB00 + mask - before).unwrap_or(' ')
        }
    }
}

/// Draws a picture where `fit` has put it.
pub fn draw(picture: &Picture, fit: &Fit, rows: Rows, depth: Depth, buf: &mut Buffer) {
    let (columns, lines) = (usize::from(fit.cells.width), usize::from(fit.cells.height));
    let dots = picture.resampled(2 * columns, rows.count() * lines);
    for (y, x) in (0..lines).flat_map(|y| (0..columns).map(move |x| (y, x))) {
        let inside = (0..rows.count()).flat_map(|down| (0..2).map(move |right| (right, down)));
        let light: Vec<[f32; 3]> = inside
            .map(|(right, down)| dots.pixel(2 * x + right, rows.count() * y + down))
            .map(|rgb| rgb.map(to_linear))
            .collect();
        let (mask, first, second) = two_colours(&light);
        let position = (fit.cells.x + x as u16, fit.cells.y + y as u16);
        if let Some(cell) = buf.cell_mut(position) {
            let style = Style::new()
                .fg(colour(depth, first))
                .bg(colour(depth, second));
            cell.reset();
            cell.set_char(rows.glyph(mask)).set_style(style);
        }
    }
}

fn colour(depth: Depth, light: [f32; 3]) -> Color {
    let [r, g, b] = light.map(from_linear);
    match depth {
        Depth::TrueColor => Color::Rgb(r, g, b),
        _ => depth.shown([r, g, b]).0,
    }
}

/// Which dots take the first of two colours, so that all are as near as possible to their own: the
/// colours are the means of their dots.
fn two_colours(light: &[[f32; 3]]) -> (u32, [f32; 3], [f32; 3]) {
    // about as people see differences
    let seen: Vec<[f32; 3]> = light.iter().map(|l| l.map(f32::sqrt)).collect();
    // the last dot is always of the second colour: the other half are the same with colours swapped
    let masks = 0..1u32 << light.len().saturating_sub(1);
    let error = |mask: u32| -> f32 {
        let of = |first: bool| {
            let mean = mean(&seen, mask, first);
            let own = (0..)
                .zip(&seen)
                .filter(|(i, _)| (mask >> i & 1 == 1) == first);
            let off = own.map(|(_, s)| {
                s.iter()
                    .zip(mean)
                    .map(|(s, m)| (s - m).powi(2))
                    .sum::<f32>()
            });
            off.sum::<f32>()
        };
        of(true) + of(false)
    };
    let best = masks
        .map(|mask| (mask, error(mask)))
        .min_by(|a, b| a.1.total_cmp(&b.1));
    let mask = best.map_or(0, |b| b.0);
    let second = mean(light, mask, false);
    let first = if mask == 0 {
        second
    } else {
        mean(light, mask, true)
    };
    (mask, first, second)
}

/// The mean of the dots that are in `mask`, or of the others.
fn mean(dots: &[[f32; 3]], mask: u32, inside: bool) -> [f32; 3] {
    let own = (0..)
        .zip(dots)
        .filter(|(i, _)| (mask >> i & 1 == 1) == inside);
    let (sum, count) = own.fold(([0.; 3], 0.), |(sum, count): ([f32; 3], f32), (_, dot)| {
        (
            [sum[0] + dot[0], sum[1] + dot[1], sum[2] + dot[2]],
            count + 1.,
        )
    });
    sum.map(|s| s / count.max(1.))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_pattern_has_a_character_of_its_own() {
        let sextants: BTreeSet<char> = (0..64).map(sextant).collect();
        assert_eq!(sextants.len(), 64);
        assert_eq!((sextant(1), sextant(62)), ('\u{1FB00}', '\u{1FB3B}'));
        assert_eq!(sextant(22), '\u{1FB14}');
        assert_eq!(Rows::Two.glyph(0b0110), '▞');
    }

    #[test]
    fn an_edge_inside_a_cell_is_seen() {
        let (black, white) = ([0.; 3], [1.; 3]);
        // white on the left
        let (mask, first, second) = two_colours(&[white, black, white, black]);
        assert_eq!((mask, first, second), (0b0101, white, black));
        // one colour
        let (mask, first, second) = two_colours(&[white; 6]);
        assert_eq!((mask, first, second), (0, white, white));
    }
}
