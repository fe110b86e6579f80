//! Differentiable Siamese augmentation (DSA, arXiv 2102.08259), strategy
//! color_crop_cutout_flip_scale_rotate.
//!
//! Every operation is linear in the images (so it can be differentiated as often as needed), takes
//! the numbers of every image as arguments, and has no loop over images. Images are (N, C, H, W);
//! `u*` are (N) and uniform in [0, 1); `dy`, `dx`, `cy`, `cx` are (N) whole numbers. The numbers
//! may live on another device and have another kind: they are moved to those of the images.
//!
//! Forward and backward give the same bits at every call, on a GPU too: where threads add into one
//! place, their order does not matter.

mod fused;

pub use fused::{add_gradient, augmented_rows};

use crate::random;
use astill_core::profile::AugmentFamily;
use rand_chacha::ChaCha8Rng;
use std::f64::consts::PI;
use tch::{Kind, Tensor};

/// Images are moved by at most this share of their side.
pub const CROP_SHARE: f64 = 0.125;
/// The side of the blanked square, as a share of the image's.
pub const CUTOUT_SHARE: f64 = 0.5;
/// Each axis is sampled at 1 / `SCALE_RATIO` … `SCALE_RATIO` of its pitch.
pub const SCALE_RATIO: f64 = 1.2;
/// Images are turned by −15° … 15°.
pub const ROTATE_DEGREES: f64 = 15.0;

/// One draw of the augmentation: a family, and the numbers of every image (f32 or i64 on the CPU,
/// each (N)).
#[derive(Debug)]
pub enum Augmentation {
    /// Brightness, saturation and contrast, in this order.
    Color {
        u_brightness: Tensor,
        u_saturation: Tensor,
        u_contrast: Tensor,
    },
    Crop {
        dy: Tensor,
        dx: Tensor,
    },
    Cutout {
        cy: Tensor,
        cx: Tensor,
    },
    Flip {
        u: Tensor,
    },
    Scale {
        ux: Tensor,
        uy: Tensor,
    },
    Rotate {
        u: Tensor,
    },
}

impl Augmentation {
    /// Draws one of `families`, each as likely, and its numbers for `n` images of `side` × `side`
    /// pixels; none if there are no families.
    pub fn draw(
        rng: &mut ChaCha8Rng,
        families: &[AugmentFamily],
        n: usize,
        side: i64,
    ) -> Option<Self> {
        let drawn = random::below(rng, families.len() as u64) as usize;
        Some(match families.get(drawn)? {
            AugmentFamily::Color => Self::Color {
                u_brightness: random::uniform(rng, n),
                u_saturation: random::uniform(rng, n),
                u_contrast: random::uniform(rng, n),
            },
            AugmentFamily::Crop => {
                let reach = (CROP_SHARE * side as f64).round() as i64;
                Self::Crop {
                    dy: random::integers(rng, n, -reach, reach),
                    dx: random::integers(rng, n, -reach, reach),
                }
            }
            AugmentFamily::Cutout => Self::Cutout {
                cy: random::integers(rng, n, 0, side),
                cx: random::integers(rng, n, 0, side),
            },
            AugmentFamily::Flip => Self::Flip {
                u: random::uniform(rng, n),
            },
            AugmentFamily::Scale => Self::Scale {
                ux: random::uniform(rng, n),
                uy: random::uniform(rng, n),
            },
            AugmentFamily::Rotate => Self::Rotate {
                u: random::uniform(rng, n),
            },
        })
    }

    /// The numbers of the draw, to be moved.
    pub fn numbers_mut(&mut self) -> Vec<&mut Tensor> {
        match self {
            Self::Color {
                u_brightness,
                u_saturation,
                u_contrast,
            } => vec![u_brightness, u_saturation, u_contrast],
            Self::Crop { dy, dx } => vec![dy, dx],
            Self::Cutout { cy, cx } => vec![cy, cx],
            Self::Flip { u } | Self::Rotate { u } => vec![u],
            Self::Scale { ux, uy } => vec![ux, uy],
        }
    }

    /// The augmented images, shaped like `images` (N, C, H, W), N being the number that the draw
    /// was for.
    pub fn apply(&self, images: &Tensor) -> Tensor {
        match self {
            Self::Color {
                u_brightness,
                u_saturation,
                u_contrast,
            } => contrast(
                &saturation(&brightness(images, u_brightness), u_saturation),
                u_contrast,
            ),
            Self::Crop { dy, dx } => crop(images, dy, dx),
            Self::Cutout { cy, cx } => cutout(images, cy, cx),
            Self::Flip { u } => flip(images, u),
            Self::Scale { ux, uy } => scale(images, ux, uy),
            Self::Rotate { u } => rotate(images, u),
        }
    }
}

/// x + (u − 0.5).
pub fn brightness(x: &Tensor, u: &Tensor) -> Tensor {
    x + (per_image(u, x) - 0.5)
}

/// Around the mean over the channels: (x − m) · 2u + m.
pub fn saturation(x: &Tensor, u: &Tensor) -> Tensor {
    let mean = x.mean_dim(1i64, true, None); // (N,1,H,W)
    (x - &mean) * (per_image(u, x) * 2.0) + mean
}

/// Around the mean of the image: (x − m) · (u + 0.5) + m.
pub fn contrast(x: &Tensor, u: &Tensor) -> Tensor {
    let mean = x.mean_dim(&[1i64, 2, 3][..], true, None); // (N,1,1,1)
    (x - &mean) * (per_image(u, x) + 0.5) + mean
}

/// Mirrored left-right where u < 0.5.
pub fn flip(x: &Tensor, u: &Tensor) -> Tensor {
    x.flip([3]).where_self(&per_image(u, x).lt(0.5), x)
}

/// The window that starts at row `dy`, column `dx` of the image: out[i, j] = x[i + dy, j + dx], 0
/// outside of the image.
pub fn crop(x: &Tensor, dy: &Tensor, dx: &Tensor) -> Tensor {
    let (n, c, h, w) = dimensions(x);
    let index = |side: i64, shift: &Tensor| {
        let wanted = Tensor::arange(side, (Kind::Int64, x.device()))
            + shift
                .to_device(x.device())
                .to_kind(Kind::Int64)
                .unsqueeze(1);
        let taken = wanted.clamp(0, side - 1);
        let inside = wanted.eq_tensor(&taken);
        (taken, inside) // (N,side)
    };
    let ((rows, row_inside), (columns, column_inside)) = (index(h, dy), index(w, dx));
    let flat = (rows.unsqueeze(2) * w + columns.unsqueeze(1))
        .view([n, 1, h * w])
        .expand([n, c, h * w], false);
    let inside = row_inside
        .unsqueeze(2)
        .logical_and(&column_inside.unsqueeze(1))
        .unsqueeze(1); // (N,1,H,W)
    // A pixel inside of the image is taken at most once, so the backward pass adds at most one
    // number other than 0 to it.
    x.reshape([n, c, h * w])
        .gather(2, &flat, false)
        .view([n, c, h, w])
        * inside.to_kind(x.kind())
}

/// Blanks a square of half the side around (cy, cx). Its cells are clamped *into* the image, as in
/// the published program, so a square that leaves the image still blanks the border row or column.
pub fn cutout(x: &Tensor, cy: &Tensor, cx: &Tensor) -> Tensor {
    let (_, _, h, w) = dimensions(x);
    let blank = |side: i64, centre: &Tensor| {
        let square = (side as f64 * CUTOUT_SHARE + 0.5) as i64;
        let first = centre
            .to_device(x.device())
            .to_kind(Kind::Int64)
            .unsqueeze(1)
            - square / 2; // (N,1)
        let cell = Tensor::arange(side, (Kind::Int64, x.device()));
        let after = cell.ge_tensor(&first.clamp(0, side - 1));
        after.logical_and(&cell.le_tensor(&(first + (square - 1)).clamp(0, side - 1))) // (N,side)
    };
    let blank = blank(h, cy)
        .unsqueeze(2)
        .logical_and(&blank(w, cx).unsqueeze(1))
        .unsqueeze(1); // (N,1,H,W)
    x * blank.logical_not().to_kind(x.kind())
}

/// Each axis sampled at u · (r − 1/r) + 1/r of its pitch about the centre, r = 1.2; bilinear, 0
/// outside, corners aligned.
pub fn scale(x: &Tensor, ux: &Tensor, uy: &Tensor) -> Tensor {
    let (n, c, h, w) = dimensions(x);
    // The map of each axis is a matrix (output, input) per image, whose rows hold the two weights
    // of the linear interpolation.
    let interpolation = |side: i64, u: &Tensor| {
        let pitch = per_image(u, x) * (SCALE_RATIO - 1.0 / SCALE_RATIO) + 1.0 / SCALE_RATIO;
        let position = to_pixels(&(pitch.view([-1, 1]) * centred(side, x)), side); // (N,side)
        // (N,side,side)
        tent(&(position.unsqueeze(2) - Tensor::arange(side, (x.kind(), x.device()))))
    };
    let across = x
        .reshape([n, c * h, w])
        .bmm(&interpolation(w, ux).transpose(1, 2)); // (N,C·H,W)
    let down =
        interpolation(h, uy).bmm(
            &across
                .view([n, c, h, w])
                .transpose(1, 2)
                .reshape([n, h, c * w]),
        ); // (N,H,C·W)
    down.view([n, h, c, w]).transpose(1, 2).contiguous()
}

/// Turned by (u − 0.5) · 30° about the centre; bilinear, 0 outside, corners aligned. For square
/// images.
pub fn rotate(x: &Tensor, u: &Tensor) -> Tensor {
    let (n, c, h, w) = dimensions(x);
    let angle = (per_image(u, x).view([-1, 1, 1]) - 0.5) * (2.0 * ROTATE_DEGREES / 180.0 * PI);
    let (sin, cos) = (angle.sin(), angle.cos());
    let (y, x_) = (centred(h, x).unsqueeze(1), centred(w, x).unsqueeze(0));
    let column = to_pixels(&(&cos * &x_ - &sin * &y), w); // (N,H,W)
    let row = to_pixels(&(&sin * &x_ + &cos * &y), h);

    // The four neighbours of every position. Turned by up to 15°, at most two positions share their
    // four neighbours, so the backward pass of each `gather` adds at most two numbers other than 0
    // into one place, and their order does not matter.
    let pixels = x.reshape([n, c, h * w]);
    let (top, left) = (row.floor(), column.floor());
    let neighbour = |down: f64, right: f64| {
        let (r, c_) = (&top + down, &left + right);
        let inside = r
            .ge(0.0)
            .logical_and(&r.lt(h as f64))
            .logical_and(&c_.ge(0.0))
            .logical_and(&c_.lt(w as f64));
        let weight = tent(&(&row - &r)) * tent(&(&column - &c_)) * inside.to_kind(x.kind());
        let place = (r.clamp(0.0, (h - 1) as f64) * w as f64 + c_.clamp(0.0, (w - 1) as f64))
            .to_kind(Kind::Int64);
        let flat = place.view([n, 1, h * w]).expand([n, c, h * w], false);
        pixels.gather(2, &flat, false) * weight.view([n, 1, h * w])
    };
    (neighbour(0.0, 0.0) + neighbour(0.0, 1.0) + neighbour(1.0, 0.0) + neighbour(1.0, 1.0))
        .view([n, c, h, w])
}

fn dimensions(x: &Tensor) -> (i64, i64, i64, i64) {
    let size = x.size();
    (size[0], size[1], size[2], size[3])
}

/// (N) → (N,1,1,1) in the kind and on the device of `x`.
fn per_image(u: &Tensor, x: &Tensor) -> Tensor {
    u.to_device(x.device())
        .to_kind(x.kind())
        .view([-1, 1, 1, 1])
}

/// The places of `side` pixels on an axis that runs from −1 (the first pixel's middle) to 1 (the
/// last one's).
fn centred(side: i64, x: &Tensor) -> Tensor {
    Tensor::linspace(-1.0, 1.0, side, (x.kind(), x.device()))
}

fn to_pixels(position: &Tensor, side: i64) -> Tensor {
    (position + 1.0) * ((side - 1) as f64 / 2.0)
}

/// The weight of a pixel at this distance in linear interpolation: max(0, 1 − |d|).
fn tent(distance: &Tensor) -> Tensor {
    (distance.abs().neg() + 1.0).relu()
}

#[cfg(test)]
mod tests;
