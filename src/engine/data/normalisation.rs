//! From pixels to what networks see, and back.

use super::zca::Zca;
use astill_core::profile::ChannelConstants;
use tch::{Device, Kind, Tensor};

/// A deviation below one grey level is noise: dividing by less would blow up a channel that is the
/// same everywhere.
const SMALLEST_STD: f64 = 1.0 / 255.0;

/// How pixels in [0, 1] become images for a network. Fitted on training images; the same for every
/// split.
#[derive(Debug)]
pub enum Normalisation {
    /// (x − mean) / std per channel, over all training pixels; both f32 (C).
    Channels { mean: Tensor, std: Tensor },
    /// Whitening, f32.
    Zca(Zca),
}

impl Normalisation {
    /// The name of a whitening.
    pub const ZCA: &'static str = "zca";

    /// Mean and standard deviation (over all pixels, divided by their number) of `images`, u8 (N,
    /// C, H, W).
    pub(super) fn of_channels(images: &Tensor) -> Self {
        let size = images.size();
        let (channels, count) = (size[1], (size[0] * size[2] * size[3]) as f64);
        let mut sum = Tensor::zeros([channels], (Kind::Double, images.device()));
        let mut squares = sum.zeros_like();
        for chunk in images.split(1000, 0) {
            let chunk = chunk.to_kind(Kind::Double);
            sum += chunk.sum_dim_intlist(&[0i64, 2, 3][..], false, None);
            squares += chunk
                .square()
                .sum_dim_intlist(&[0i64, 2, 3][..], false, None);
        }
        let mean = sum / count;
        let variance = (squares / count - mean.square()).clamp_min(0.0);
        Self::Channels {
            mean: (mean / 255.0).to_kind(Kind::Float),
            std: (variance.sqrt() / 255.0)
                .clamp_min(SMALLEST_STD)
                .to_kind(Kind::Float),
        }
    }

    /// With constants that somebody has published.
    pub fn of_constants(ChannelConstants { mean, std }: ChannelConstants) -> Self {
        let channels = |values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
            Tensor::from_slice(&values)
        };
        Self::Channels {
            mean: channels(mean),
            std: channels(std),
        }
    }

    /// With which images are their pixels, of so many channels.
    pub fn of_pixels(channels: i64) -> Self {
        let like = (Kind::Float, Device::Cpu);
        Self::Channels {
            mean: Tensor::zeros([channels], like),
            std: Tensor::ones([channels], like),
        }
    }

    /// Normalised images, shaped like `pixels` (N, C, H, W) in [0, 1], f32.
    pub fn apply(&self, pixels: &Tensor) -> Tensor {
        match self {
            Self::Channels { mean, std } => (pixels - of_channel(mean)) / of_channel(std),
            Self::Zca(zca) => zca.apply(pixels),
        }
    }

    /// The pixels, clamped to [0, 1], of normalised `images` (N, C, H, W): what to show of them.
    pub fn invert(&self, images: &Tensor) -> Tensor {
        self.invert_unclamped(images).clamp(0.0, 1.0)
    }

    /// The same without the clamp: nothing of the images is lost.
    pub fn invert_unclamped(&self, images: &Tensor) -> Tensor {
        match self {
            Self::Channels { mean, std } => images * of_channel(std) + of_channel(mean),
            Self::Zca(zca) => zca.invert(images),
        }
    }

    /// Whether both are of channels, with the same numbers.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Channels { mean: a, std: b }, Self::Channels { mean: c, std: d }) => {
                a.size() == c.size() && a.equal(c) && b.equal(d)
            }
            _ => false,
        }
    }

    /// "channels" or "zca".
    pub fn name(&self) -> &'static str {
        match self {
            Self::Channels { .. } => "channels",
            Self::Zca(_) => Self::ZCA,
        }
    }

    /// A copy whose tensors are on `device` (they are shared if they are there already).
    pub fn to_device(&self, device: Device) -> Self {
        match self {
            Self::Channels { mean, std } => Self::Channels {
                mean: mean.to_device(device),
                std: std.to_device(device),
            },
            Self::Zca(zca) => Self::Zca(zca.to_device(device)),
        }
    }
}

/// (C) → (1,C,1,1)
fn of_channel(values: &Tensor) -> Tensor {
    values.view([1, -1, 1, 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{generator, uniform};

    fn pixels() -> Tensor {
        uniform(&mut generator(0, "pixels", &[]), 20 * 3 * 16).view([20, 3, 4, 4])
    }

    #[test]
    fn inverting_gives_the_pixels_back() {
        let pixels = pixels();
        let bytes = (&pixels * 255.0).round().to_kind(Kind::Uint8);
        for normalisation in [
            Normalisation::of_channels(&bytes),
            Normalisation::Zca(Zca::fit(&pixels, 0.1)),
        ] {
            let back = normalisation.invert(&normalisation.apply(&pixels));
            assert!(
                (back - &pixels).abs().max().double_value(&[]) < 1e-5,
                "{normalisation:?}"
            );
        }
    }

    #[test]
    fn normalised_channels_have_mean_0_and_deviation_1() {
        let bytes = (pixels() * 255.0).round().to_kind(Kind::Uint8);
        let images =
            Normalisation::of_channels(&bytes).apply(&(bytes.to_kind(Kind::Float) / 255.0));
        let (std, mean) = images.std_mean_dim(&[0i64, 2, 3][..], false, false);
        assert!(mean.abs().max().double_value(&[]) < 1e-5);
        assert!((std - 1.0).abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn a_channel_that_is_the_same_everywhere_stays_finite() {
        let bytes = Tensor::full([2, 3, 4, 4], 7, (Kind::Uint8, Device::Cpu));
        let normalisation = Normalisation::of_channels(&bytes);
        let images = normalisation.apply(&(bytes.to_kind(Kind::Float) / 255.0));
        assert!(images.abs().max().double_value(&[]) < 1e-3);
    }
}
