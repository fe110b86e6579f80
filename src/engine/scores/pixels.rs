//! Operations on pixels that augmentations of classifiers are made of. They take and give whole
//! numbers from 0 to 255 as floats, (N, C, H, W) with 1 or 3 channels, and treat all images of a
//! batch alike.
//!
//! They are those of torchvision 0.13 for tensors of bytes, the version that DC-BENCH's program was
//! written for, rounding included.

use serde::Deserialize;
use std::f64::consts::PI;
use tch::{Kind, Tensor};

const WHITE: f64 = 255.;
/// The share of each channel in what the eye sees of brightness (ITU-R BT.601).
const GREY: [f64; 3] = [0.2989, 0.587, 0.114];

/// An operation with its strength.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub enum Operation {
    Identity,
    /// Each row is moved by its share of the height, times this.
    ShearX(f64),
    /// Each column is moved by its share of the width, times this.
    ShearY(f64),
    /// Moved to the right by so many pixels.
    TranslateX(i64),
    /// Moved down by so many pixels.
    TranslateY(i64),
    /// Turned anticlockwise by so many degrees.
    Rotate(f64),
    /// Scaled by this factor, away from black.
    Brightness(f64),
    /// Scaled by this factor, away from its grey.
    Color(f64),
    /// Scaled by this factor, away from the image's mean grey.
    Contrast(f64),
    /// Scaled by this factor, away from the blurred image.
    Sharpness(f64),
    /// The hue is turned by this share of the circle.
    Hue(f64),
    /// Only so many of the highest bits are kept.
    Posterize(i64),
    /// Pixels from this value on are inverted.
    Solarize(f64),
    /// Each channel of each image is stretched to the whole range.
    AutoContrast,
    /// The histogram of each channel of each image is made flat.
    Equalize,
    Invert,
    Flip,
}

impl Operation {
    /// The changed pixels, shaped like `x`.
    pub fn apply(self, x: &Tensor) -> Tensor {
        match self {
            Self::Identity => x.shallow_clone(),
            // from the places in the result to those in the image, about its middle
            Self::ShearX(by) => moved(x, |x, y, _, h| (x + by * (y + h / 2.), y)),
            Self::ShearY(by) => moved(x, |x, y, w, _| (x, y + by * (x + w / 2.))),
            Self::TranslateX(by) => moved(x, |x, y, _, _| (x - by as f64, y)),
            Self::TranslateY(by) => moved(x, |x, y, _, _| (x, y - by as f64)),
            Self::Rotate(degrees) => {
                let (sin, cos) = (degrees * PI / 180.).sin_cos();
                moved(x, |x, y, _, _| (cos * x - sin * y, sin * x + cos * y))
            }
            Self::Brightness(factor) => blend(x, &x.zeros_like(), factor),
            // grey images have no colours to change
            Self::Color(_) | Self::Hue(_) if x.size()[1] == 1 => x.shallow_clone(),
            Self::Color(factor) => blend(x, &grey(x), factor),
            Self::Contrast(factor) => {
                let mean = grey(x).mean_dim([1i64, 2, 3].as_slice(), true, None::<Kind>);
                blend(x, &mean, factor)
            }
            Self::Sharpness(factor) => blend(x, &blurred(x), factor),
            Self::Hue(by) => with_hue(x, by),
            Self::Posterize(bits) => {
                let step = f64::from(1_i32 << (8 - bits.clamp(0, 8)));
                (x / step).floor() * step
            }
            Self::Solarize(from) => (WHITE - x).where_self(&x.ge(from), x),
            Self::AutoContrast => stretched(x),
            Self::Equalize => equalized(x),
            Self::Invert => WHITE - x,
            Self::Flip => x.flip([3]),
        }
    }
}

/// A window of the size of the images that begins at row `top`, column `left` of the images with
/// `margin` black pixels around them.
pub fn crop(x: &Tensor, margin: i64, top: i64, left: i64) -> Tensor {
    let size = x.size();
    x.constant_pad_nd([margin; 4])
        .narrow(2, top, size[2])
        .narrow(3, left, size[3])
}

/// Every pixel of the result is the one at the place that `source` gives for its own place (x to the
/// right, y down, from the middle of the image; width and height), rounded to whole pixels; black
/// outside of the image.
fn moved(x: &Tensor, source: impl Fn(f64, f64, f64, f64) -> (f64, f64)) -> Tensor {
    let size = x.size();
    let (h, w) = (size[2], size[3]);
    let middle = |side: i64| (side - 1) as f64 / 2.;
    let mut places = Vec::with_capacity((h * w) as usize);
    let mut inside = Vec::with_capacity((h * w) as usize);
    for row in 0..h {
        for column in 0..w {
            let (from_x, from_y) = source(
                column as f64 - middle(w),
                row as f64 - middle(h),
                w as f64,
                h as f64,
            );
            let from_column = (from_x + middle(w)).round_ties_even() as i64;
            let from_row = (from_y + middle(h)).round_ties_even() as i64;
            let is_inside = (0..h).contains(&from_row) && (0..w).contains(&from_column);
            places.push(from_row.clamp(0, h - 1) * w + from_column.clamp(0, w - 1));
            inside.push(f64::from(u8::from(is_inside)));
        }
    }
    let places = Tensor::from_slice(&places).to_device(x.device());
    let inside = Tensor::from_slice(&inside)
        .to_kind(x.kind())
        .to_device(x.device());
    let flat = x.flatten(2, 3).index_select(2, &places) * inside; // (N, C, H·W)
    flat.view_as(x)
}

/// `factor` · a + (1 − `factor`) · b, within the range and without fractions.
fn blend(a: &Tensor, b: &Tensor, factor: f64) -> Tensor {
    (a * factor + b * (1. - factor)).clamp(0., WHITE).floor()
}

/// (N, 1, H, W).
fn grey(x: &Tensor) -> Tensor {
    if x.size()[1] == 1 {
        return x.shallow_clone();
    }
    let shares = Tensor::from_slice(&GREY)
        .to_kind(x.kind())
        .to_device(x.device())
        .view([1, 3, 1, 1]);
    (x * shares)
        .sum_dim_intlist([1i64].as_slice(), true, None::<Kind>)
        .floor()
}

/// Each pixel with its eight neighbours, weighted 5 to 1; those at the border as they are.
fn blurred(x: &Tensor) -> Tensor {
    let size = x.size();
    if size[2] <= 2 || size[3] <= 2 {
        return x.shallow_clone();
    }
    let channels = size[1];
    let kernel = Tensor::ones([channels, 1, 3, 3], (x.kind(), x.device()));
    let _ = kernel.narrow(2, 1, 1).narrow(3, 1, 1).fill_(5.);
    let inner = x
        .conv2d(&(kernel / 13.), None::<Tensor>, 1, 0, 1, channels)
        .round();
    let result = x.copy();
    result
        .narrow(2, 1, size[2] - 2)
        .narrow(3, 1, size[3] - 2)
        .copy_(&inner);
    result
}

/// Turns the hue of every pixel by this share of the circle, at the same saturation and value.
fn with_hue(x: &Tensor, by: f64) -> Tensor {
    let x = x / WHITE;
    let [r, g, b] = [0, 1, 2].map(|channel| x.narrow(1, channel, 1));
    let (value, least) = (
        x.amax([1i64].as_slice(), true),
        x.amin([1i64].as_slice(), true),
    );
    let chroma = &value - &least;
    let is_grey = chroma.eq(0.);
    let one = chroma.ones_like();
    let divisor = one.where_self(&is_grey, &chroma);
    let saturation = &chroma / one.where_self(&is_grey, &value);
    // sixths of the circle: red is 0, green 2, blue 4
    let from = |a: &Tensor, b: &Tensor, sixths: f64| (a - b) / &divisor + sixths;
    let hue = from(&r, &g, 4.).where_self(&value.eq_tensor(&b), &from(&b, &r, 2.));
    let hue = from(&b, &r, 2.).where_self(&value.eq_tensor(&g), &hue);
    let hue = from(&g, &b, 0.).where_self(&value.eq_tensor(&r), &hue);
    let turned = hue / 6. + by;
    let turned = &turned - turned.floor();
    // each channel is at its value, at its least, or between the two, by its distance on the circle
    let channel = |offset: f64| {
        let k = &turned * 6. + offset;
        let k = &k - (&k / 6.).floor() * 6.;
        let distance = k.minimum(&(4. - &k)).clamp(0., 1.);
        &value - &value * &saturation * distance
    };
    let channels = [channel(5.), channel(3.), channel(1.)];
    (Tensor::cat(&channels, 1) * WHITE).clamp(0., WHITE).floor()
}

fn stretched(x: &Tensor) -> Tensor {
    let least = x.amin([2i64, 3].as_slice(), true);
    let range = x.amax([2i64, 3].as_slice(), true) - &least;
    let scaled = ((x - least) * (WHITE / &range)).clamp(0., WHITE).floor();
    x.where_self(&range.eq(0.), &scaled)
}

fn equalized(x: &Tensor) -> Tensor {
    let size = x.size();
    let values = x.to_kind(Kind::Int64).view([size[0] * size[1], -1]); // (N·C, H·W)
    let counts = values.ones_like();
    let histogram = Tensor::zeros([size[0] * size[1], 256], (Kind::Int64, x.device()))
        .scatter_add(1, &values, &counts);
    // pixels of a step, without those of the largest value
    let largest = values.amax([1i64].as_slice(), true);
    let step =
        (values.size()[1] - histogram.gather(1, &largest, false)).divide_scalar_mode(255, "floor");
    let flat = step.eq(0);
    let step = step.clamp_min(1);
    let below = histogram.cumsum(1, None::<Kind>) - &histogram;
    let half = step.divide_scalar_mode(2, "floor");
    let table = (below + half)
        .divide_tensor_mode(&step, "floor")
        .clamp(0, 255);
    let found = table.gather(1, &values, false);
    values
        .where_self(&flat, &found)
        .view(size.as_slice())
        .to_kind(x.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_on_one_channel_are_torchvisions() {
        let image = |values: [i64; 16]| {
            let x = Tensor::from_slice(&values).view([1, 1, 4, 4]);
            x.to_kind(Kind::Float)
        };
        let pixels = [
            0, 40, 80, 120, 200, 255, 13, 90, 77, 5, 250, 31, 128, 64, 190, 99,
        ];
        // torchvision.transforms.functional of bytes (1, 1, 4, 4)
        for (operation, wanted) in [
            (Operation::Color(1.7), pixels),
            (Operation::Hue(0.13), pixels),
            (
                Operation::Contrast(1.5),
                [
                    0, 8, 68, 128, 248, 255, 0, 83, 64, 0, 255, 0, 140, 44, 233, 97,
                ],
            ),
            (
                Operation::Sharpness(1.8),
                [
                    0, 40, 80, 120, 200, 255, 0, 90, 76, 0, 255, 30, 127, 63, 190, 98,
                ],
            ),
            (
                Operation::Brightness(1.3),
                [
                    0, 52, 104, 156, 255, 255, 16, 116, 100, 6, 255, 40, 166, 83, 246, 128,
                ],
            ),
            (
                Operation::Posterize(5),
                [
                    0, 40, 80, 120, 200, 248, 8, 88, 72, 0, 248, 24, 128, 64, 184, 96,
                ],
            ),
            (Operation::AutoContrast, pixels),
        ] {
            let found = operation.apply(&image(pixels));
            let difference = (&found - image(wanted)).abs().max().double_value(&[]);
            assert!(difference <= 1., "{operation:?}: {found}");
        }
    }

    // the other operations have golden numbers (tests/golden/make_pixels.py)
    #[test]
    fn a_turned_hue_is_torchvisions_but_for_rounding() {
        let image = |channels: [[i64; 6]; 3]| {
            let all: Vec<i64> = channels.concat();
            Tensor::from_slice(&all)
                .view([1, 3, 1, 6])
                .to_kind(Kind::Float)
        };
        let x = image([
            [200, 10, 60, 90, 77, 255],
            [30, 150, 60, 20, 78, 0],
            [90, 140, 250, 90, 0, 128],
        ]);
        // torchvision.transforms.functional.adjust_hue(x, by) of bytes
        for (by, wanted) in [
            (
                0.13,
                [
                    [200, 9, 208, 90, 16, 255],
                    [102, 50, 60, 19, 78, 70],
                    [29, 150, 250, 35, 0, 0],
                ],
            ),
            (
                -0.2,
                [
                    [105, 47, 60, 19, 78, 76],
                    [29, 150, 250, 34, 0, 0],
                    [200, 9, 212, 90, 14, 255],
                ],
            ),
        ] {
            let difference = (Operation::Hue(by).apply(&x) - image(wanted)).abs().max();
            assert!(difference.double_value(&[]) <= 1., "{by}");
        }
        let grey = image([[0, 40, 80, 120, 200, 255]; 3]);
        assert!(
            (Operation::Hue(0.3).apply(&grey) - &grey)
                .abs()
                .max()
                .double_value(&[])
                <= 1.
        );
    }
}
