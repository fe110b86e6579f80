//! Batch norm, whose running statistics lie in one flat vector per network.

use super::Mode;
use super::blocks::EPS;
use tch::{Device, Kind, Tensor};

/// The share of a batch in the running statistics. Source: PyTorch's default.
const MOMENTUM: f64 = 0.1;

/// A batch norm of a network: which part of its running statistics (S) it has, their mean (C)
/// followed by their variance (C).
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchNorm {
    /// Of the mean in the flat vector.
    pub offset: i64,
    /// C.
    pub channels: i64,
}

impl BatchNorm {
    /// Those of networks whose batch norms have these numbers of channels, in order.
    pub fn in_a_row(channels: &[i64]) -> Vec<Self> {
        let mut offset = 0;
        let place = |&channels: &i64| {
            let norm = Self { offset, channels };
            offset += 2 * channels;
            norm
        };
        channels.iter().map(place).collect()
    }

    /// The running statistics (S) before the first batch, f32 on the CPU: means 0, variances 1.
    pub fn init_running(norms: &[Self]) -> Tensor {
        let of = |norm: &Self| {
            let options = (Kind::Float, Device::Cpu);
            let (mean, variance) = (
                Tensor::zeros([norm.channels], options),
                Tensor::ones([norm.channels], options),
            );
            Tensor::cat(&[mean, variance], 0)
        };
        let parts: Vec<Tensor> = norms.iter().map(of).collect();
        match parts.as_slice() {
            [] => Tensor::zeros([0], (Kind::Float, Device::Cpu)),
            parts => Tensor::cat(parts, 0),
        }
    }

    /// `x` (N, C, H, W) normalised, with learned scale and shift (C).
    pub fn forward(self, x: &Tensor, (scale, shift): (&Tensor, &Tensor), mode: Mode<'_>) -> Tensor {
        // one value per channel has no variance to keep
        let is_single = x.numel() as i64 == self.channels;
        let (running, is_training) = match mode {
            Mode::Train => (None, true),
            Mode::Track(_) if is_single => (None, true),
            Mode::Track(running) => (Some(running), true),
            Mode::Test(running) => (Some(running), false),
        };
        let part = |from: i64| running.map(|r| r.narrow(0, self.offset + from, self.channels));
        x.batch_norm(
            Some(scale),
            Some(shift),
            part(0).as_ref(),
            part(self.channels).as_ref(),
            is_training,
            MOMENTUM,
            EPS,
            true,
        )
    }
}
