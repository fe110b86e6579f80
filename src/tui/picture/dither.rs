//! Pictures where the terminal has few colours: what a dot lacks is given to those after it, so that a
//! patch has the right colour although no dot has.

use super::Picture;
use crate::tui::colour::{Depth, from_linear, to_linear};
use ratatui::style::Color;
use std::collections::HashMap;

/// Floyd and Steinberg's shares of what a dot lacks: offset in x and y, and sixteenths.
const SHARES: [(isize, usize, f32); 4] = [(1, 0, 7.), (-1, 1, 3.), (0, 1, 5.), (1, 1, 1.)];
/// So much of what a dot lacks is carried on: with all of it, dots are so few that single ones stand
/// out as noise.
const CARRIED: f32 = 0.75;

/// The colour of every dot, row after row. The difference is spread in linear light.
pub fn dithered(picture: &Picture, depth: Depth) -> Vec<Color> {
    let (width, height) = (picture.width, picture.height);
    let mut wanted: Vec<[f32; 3]> = picture
        .rgb
        .chunks_exact(3)
        .map(|p| [p[0], p[1], p[2]].map(to_linear))
        .collect();
    let mut known: HashMap<[u8; 3], (Color, [u8; 3])> = HashMap::new();
    let mut colours = Vec::with_capacity(wanted.len());
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let Some(want) = wanted.get(y * width + x).copied() else {
            break;
        };
        let rgb = want.map(from_linear);
        let (colour, seen) = *known.entry(rgb).or_insert_with(|| depth.shown(rgb));
        colours.push(colour);
        // what cannot be shown at all is not carried on: it would run across the whole picture
        let lack: [f32; 3] = std::array::from_fn(|c| want[c].clamp(0., 1.) - to_linear(seen[c]));
        for (right, down, share) in SHARES {
            let beside = x.checked_add_signed(right).filter(|x| *x < width);
            let at = beside.map(|x| (y + down) * width + x);
            if let Some(next) = at.and_then(|at| wanted.get_mut(at)) {
                next.iter_mut()
                    .zip(lack)
                    .for_each(|(n, l)| *n += CARRIED * l * share / 16.);
            }
        }
    }
    colours
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::colour::fixed;

    #[test]
    fn a_patch_is_nearer_to_its_colour_than_any_single_one() {
        let side = 24;
        let rgb = [110, 70, 160];
        let picture = Picture {
            width: side,
            height: side,
            rgb: rgb.repeat(side * side),
        };
        let mut mean = [0f32; 3];
        for colour in dithered(&picture, Depth::Ansi256) {
            let Color::Indexed(number) = colour else {
                panic!("{colour:?} is not one of the 240 fixed colours")
            };
            for (sum, value) in mean.iter_mut().zip(fixed(number)) {
                *sum += to_linear(value) / (side * side) as f32;
            }
        }
        let wanted = rgb.map(to_linear);
        let off = |light: [f32; 3]| -> f32 {
            let each = light.iter().zip(wanted).map(|(l, w)| (l - w).powi(2));
            each.sum::<f32>().sqrt()
        };
        let single = Depth::Ansi256.shown(rgb).1.map(to_linear);
        assert!(
            off(mean) < off(single) / 3.,
            "{} {}",
            off(mean),
            off(single)
        );
    }
}
