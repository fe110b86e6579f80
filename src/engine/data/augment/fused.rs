//! The augmentation of a step by astill's own kernels: the rows are selected, and their gradients added
//! up, in the same pass over the images.

use super::Augmentation;
use crate::kernels::Argument::{Indices, Int, Null, Values};
use crate::kernels::{Kernels, Launch};
use tch::{Kind, Tensor};

impl Augmentation {
    /// Its number in `augment.cu`, where 0 leaves the images as they are.
    fn family(&self) -> i64 {
        match self {
            Self::Color { .. } => 1,
            Self::Crop { .. } => 2,
            Self::Cutout { .. } => 3,
            Self::Flip { .. } => 4,
            Self::Scale { .. } => 5,
            Self::Rotate { .. } => 6,
        }
    }

    /// The numbers as the kernels take them, on the device of the images: real ones in their kind, whole
    /// ones as i64.
    fn numbers(&self, like: &Tensor) -> Vec<Tensor> {
        let real = |u: &Tensor| u.to_device(like.device()).to_kind(like.kind()).contiguous();
        let whole = |k: &Tensor| k.to_device(like.device()).to_kind(Kind::Int64).contiguous();
        match self {
            Self::Color {
                u_brightness,
                u_saturation,
                u_contrast,
            } => [u_brightness, u_saturation, u_contrast].map(real).into(),
            Self::Crop { dy, dx } => [dy, dx].map(whole).into(),
            Self::Cutout { cy, cx } => [cy, cx].map(whole).into(),
            Self::Flip { u } | Self::Rotate { u } => vec![real(u)],
            Self::Scale { ux, uy } => [ux, uy].map(real).into(),
        }
    }
}

/// The `rows` (n) of `images` (N, C, H, W), augmented: (n, C, H, W).
pub fn augmented_rows(
    kernels: &dyn Kernels,
    augmentation: Option<&Augmentation>,
    images: &Tensor,
    rows: &Tensor,
) -> Tensor {
    let mut size = images.size();
    size[0] = rows.size()[0];
    let out = Tensor::empty(size.as_slice(), (images.kind(), images.device()));
    let images = images.detach().contiguous();
    launch(kernels, "augment", augmentation, (&images, &out), rows);
    out
}

/// Adds to `d_images` (N, C, H, W), at `rows` (n), each of which occurs once, the gradient that `d`
/// (n, C, H, W) with respect to the augmented images gives them.
pub fn add_gradient(
    kernels: &dyn Kernels,
    augmentation: Option<&Augmentation>,
    d: &Tensor,
    rows: &Tensor,
    d_images: &mut Tensor,
) {
    let d = d.contiguous();
    launch(kernels, "augment_back", augmentation, (&d, d_images), rows);
}

fn launch(
    kernels: &dyn Kernels,
    kernel: &'static str,
    augmentation: Option<&Augmentation>,
    (from, to): (&Tensor, &Tensor),
    rows: &Tensor,
) {
    const THREADS: u32 = 256;
    let size = from.size();
    let numbers = augmentation.map_or_else(Vec::new, |a| a.numbers(from));
    let number = |i: usize| {
        let is_whole = |t: &Tensor| t.kind() == Kind::Int64;
        numbers.get(i).map_or(Null, |t| match is_whole(t) {
            true => Indices(t),
            false => Values(t),
        })
    };
    kernels.launch(&Launch {
        kernel,
        kind: from.kind(),
        blocks: rows.size()[0],
        threads: THREADS,
        shared: 1,
        arguments: &[
            Int(augmentation.map_or(0, Augmentation::family)),
            Int(size[1]),
            Int(size[2]),
            Int(size[3]),
            Indices(rows),
            number(0),
            number(1),
            number(2),
            Values(from),
            Values(to),
        ],
    });
}
