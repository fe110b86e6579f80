//! Pictures in text: blocks in colour, or a ramp of ASCII characters.

use crate::tui::colour::{Depth, from_linear, luminance, to_linear};
use crate::tui::theme::{Background, Theme};
use astill_core::{Error, Result};
use image::{ImageReader, Limits};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::widgets::Widget;
use std::path::Path;

mod blocks;
mod dither;
pub mod kitty;
pub mod sixel;

use blocks::Rows;

/// Larger pictures are refused. A side may be of any length: samples have a row for each of perhaps a
/// thousand classes.
const MAX_BYTES: u64 = 512 << 20;

/// From dark to light.
const RAMP: &[u8; 10] = b" .:-=+*#%@";

/// The upper half of a cell in its foreground, the lower in its background.
const HALF_BLOCK: char = '\u{2580}';

/// What pictures are drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PictureStyle {
    /// Two dots a cell, each in its own colour.
    #[default]
    HalfBlocks,
    /// Four dots a cell, in two colours.
    Quadrants,
    /// Six dots a cell, in two colours; fonts older than Unicode 13 lack them.
    Sextants,
    /// By the terminal itself, in the graphics protocol of kitty; `in_tmux`, through tmux.
    Kitty { in_tmux: bool },
    /// By the terminal itself, as sixels.
    Sixel,
    /// Characters without colour; also where the theme is ASCII or has no colours.
    Ascii,
}

impl PictureStyle {
    /// The next kind of blocks.
    pub fn next_blocks(self) -> Self {
        match self {
            Self::HalfBlocks => Self::Quadrants,
            Self::Quadrants => Self::Sextants,
            Self::Sextants | Self::Kitty { .. } | Self::Sixel | Self::Ascii => Self::HalfBlocks,
        }
    }

    /// Characters, or the blocks again.
    pub fn toggle_ascii(self) -> Self {
        match self {
            Self::Ascii => Self::HalfBlocks,
            _ => Self::Ascii,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::HalfBlocks => "half blocks",
            Self::Quadrants => "quadrants",
            Self::Sextants => "sextants",
            Self::Kitty { .. } => "kitty's graphics protocol",
            Self::Sixel => "sixels",
            Self::Ascii => "ASCII characters",
        }
    }
}

/// Pixels, row after row, three bytes each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Reads a PNG. One that takes more than [`MAX_BYTES`] is refused before its pixels are read.
    ///
    /// # Errors
    /// The file cannot be opened, is not a PNG, or is too large.
    pub fn open(path: &Path) -> Result<Self> {
        let mut reader = ImageReader::open(path).map_err(Error::io("open", path))?;
        reader.set_format(image::ImageFormat::Png);
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_BYTES);
        reader.limits(limits);
        let image = reader
            .decode()
            .map_err(|e| Error::file(path, format!("not a picture that can be shown: {e}")))?
            .into_rgb8();
        let (width, height) = (image.width() as usize, image.height() as usize);
        Ok(Self {
            width,
            height,
            rgb: image.into_raw(),
        })
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
        if row >= self.rows(size) || column >= self.columns(size) {
            return None;
        }
        let line = |y: usize| {
            let from = 3 * ((row * size + y) * self.width + column * size);
            self.rgb.get(from..from + 3 * size)
        };
        let lines: Option<Vec<&[u8]>> = (0..size).map(line).collect();
        Some(Picture {
            width: size,
            height: size,
            rgb: lines?.concat(),
        })
    }

    /// Every pixel as a square of `scale` × `scale`.
    pub fn enlarged(&self, scale: usize) -> Picture {
        let (width, height) = (self.width * scale, self.height * scale);
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x / scale, y / scale)));
        Picture {
            width,
            height,
            rgb: pixels.flat_map(|(x, y)| self.pixel(x, y)).collect(),
        }
    }

    /// With more or fewer pixels, each the mean of the area that it covers, in linear light, so that no
    /// detail is missed and none flickers between two steps.
    fn resampled(&self, width: usize, height: usize) -> Picture {
        let (across, down) = (shares(self.width, width), shares(self.height, height));
        let mut rgb = Vec::with_capacity(3 * width * height);
        for rows in &down {
            for columns in &across {
                let mut light = [0f32; 3];
                for (y, tall) in rows {
                    for (x, wide) in columns {
                        for (sum, value) in light.iter_mut().zip(self.pixel(*x, *y)) {
                            *sum += tall * wide * to_linear(value);
                        }
                    }
                }
                rgb.extend(light.map(from_linear));
            }
        }
        Picture { width, height, rgb }
    }

    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = 3 * (y * self.width + x);
        self.rgb
            .get(at..at + 3)
            .map_or([0; 3], |p| [p[0], p[1], p[2]])
    }
}

/// For each of `dots` stretches of equal length of `pixels`: the pixels in it, and which share of the
/// stretch each takes.
fn shares(pixels: usize, dots: usize) -> Vec<Vec<(usize, f32)>> {
    let long = pixels as f32 / dots as f32;
    let of_dot = |dot: usize| {
        let (from, to) = (dot as f32 * long, (dot + 1) as f32 * long);
        let inside = from.floor() as usize..(to.ceil() as usize).min(pixels);
        inside
            .map(|p| {
                let covered = to.min(p as f32 + 1.) - from.max(p as f32);
                (p, covered / long)
            })
            .collect()
    };
    (0..dots).map(of_dot).collect()
}

/// Draws a picture as large as its area allows, centred: pixels of whole cells' width where it fits,
/// else reduced, each dot the mean light of the pixels that it covers.
#[derive(Debug, Clone, Copy)]
pub struct PictureView<'a> {
    pub picture: &'a Picture,
    pub theme: &'a Theme,
    pub style: PictureStyle,
}

impl<'a> PictureView<'a> {
    pub fn new(picture: &'a Picture, theme: &'a Theme) -> Self {
        Self {
            picture,
            theme,
            style: PictureStyle::default(),
        }
    }

    pub fn style(self, style: PictureStyle) -> Self {
        Self { style, ..self }
    }
}

impl Widget for PictureView<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        let Some(fit) = Fit::new(self.picture, area) else {
            return;
        };
        let depth = self.theme.depth;
        match self.style {
            _ if self.theme.ascii || depth == Depth::Never => characters(&fit, self.theme, buf),
            PictureStyle::Ascii => characters(&fit, self.theme, buf),
            PictureStyle::HalfBlocks => half_blocks(&fit, depth, buf),
            PictureStyle::Quadrants => blocks::draw(self.picture, &fit, Rows::Two, depth, buf),
            PictureStyle::Kitty { in_tmux } => kitty::draw(self.picture, &fit, in_tmux, buf),
            PictureStyle::Sixel => sixel::draw(self.picture, &fit, buf),
            PictureStyle::Sextants => blocks::draw(self.picture, &fit, Rows::Three, depth, buf),
        }
    }
}

/// Where a picture goes: a rectangle of cells, each one dot wide and two dots high, and the dots.
struct Fit {
    cells: Rect,
    dots: Picture,
}

impl Fit {
    fn new(picture: &Picture, area: Rect) -> Option<Self> {
        let (width, height) = (picture.width, picture.height);
        if area.is_empty() || width == 0 || height == 0 {
            return None;
        }
        let (room_x, room_y) = (area.width as usize, 2 * area.height as usize);
        let scale = (room_x / width).min(room_y / height);
        let (columns, rows) = if scale > 0 {
            (width * scale, height * scale)
        } else if room_x * height <= room_y * width {
            (room_x, (height * room_x / width).clamp(1, room_y))
        } else {
            ((width * room_y / height).clamp(1, room_x), room_y)
        };
        let (cell_columns, cell_rows) = (columns as u16, rows.div_ceil(2) as u16);
        let cells = Rect {
            x: area.x + (area.width - cell_columns) / 2,
            y: area.y + (area.height - cell_rows) / 2,
            width: cell_columns,
            height: cell_rows,
        };
        let dots = match scale {
            0 => picture.resampled(columns, rows),
            _ => picture.enlarged(scale),
        };
        Some(Self { cells, dots })
    }

    /// Every cell with its upper and its lower dot; the last row of cells may have no lower one.
    fn cells(&self) -> impl Iterator<Item = ((u16, u16), [u8; 3], Option<[u8; 3]>)> {
        let rows = (0..self.dots.height).step_by(2).zip(self.cells.y..);
        rows.flat_map(move |(y, cell_y)| {
            let columns = (0..self.dots.width).zip(self.cells.x..);
            columns.map(move |(x, cell_x)| {
                let lower = (y + 1 < self.dots.height).then(|| self.dots.pixel(x, y + 1));
                ((cell_x, cell_y), self.dots.pixel(x, y), lower)
            })
        })
    }
}

fn half_blocks(fit: &Fit, depth: Depth, buf: &mut Buffer) {
    let colours = match depth {
        Depth::TrueColor => Vec::new(),
        _ => dither::dithered(&fit.dots, depth),
    };
    let width = fit.dots.width;
    let colour = |x: usize, y: usize, rgb: [u8; 3]| match depth {
        Depth::TrueColor => Color::Rgb(rgb[0], rgb[1], rgb[2]),
        _ => colours.get(y * width + x).copied().unwrap_or_default(),
    };
    for (position, upper, lower) in fit.cells() {
        let x = usize::from(position.0 - fit.cells.x);
        let y = 2 * usize::from(position.1 - fit.cells.y);
        let style = Style::new()
            .fg(colour(x, y, upper))
            .bg(lower.map_or(Color::Reset, |rgb| colour(x, y + 1, rgb)));
        if let Some(cell) = buf.cell_mut(position) {
            cell.reset();
            cell.set_char(HALF_BLOCK).set_style(style);
        }
    }
}

/// The ramp spans the lightness that the picture has, so that a dim one shows too. On a light background,
/// a character darkens its cell.
fn characters(fit: &Fit, theme: &Theme, buf: &mut Buffer) {
    let is_light = theme.background() == Some(Background::Light);
    // the cube root is about lightness as people see it
    let lightness = |rgb: [u8; 3]| luminance(rgb).cbrt();
    let cells: Vec<((u16, u16), f32)> = fit
        .cells()
        .map(|(at, upper, lower)| {
            (
                at,
                (lightness(upper) + lightness(lower.unwrap_or(upper))) / 2.,
            )
        })
        .collect();
    let mut sorted: Vec<f32> = cells.iter().map(|c| c.1).collect();
    sorted.sort_by(f32::total_cmp);
    // a few stray dots must not flatten the rest
    let stray = sorted.len() / 100;
    let (Some(&darkest), Some(&lightest)) = (sorted.get(stray), sorted.iter().rev().nth(stray))
    else {
        return;
    };
    // a picture of one colour shows how light that is
    let (darkest, span) = if lightest - darkest > 1. / 255. {
        (darkest, lightest - darkest)
    } else {
        (0., 1.)
    };
    for (position, light) in cells {
        let level = ((light - darkest) / span * RAMP.len() as f32) as usize;
        let level = level.min(RAMP.len() - 1);
        let level = if is_light {
            RAMP.len() - 1 - level
        } else {
            level
        };
        if let Some(cell) = buf.cell_mut(position) {
            cell.reset();
            cell.set_char(RAMP[level] as char);
        }
    }
}

#[cfg(test)]
mod tests;
