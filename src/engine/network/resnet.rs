//! ResNet18 for small images: no pooling after the first convolution, whose kernels are 3×3.

use super::layers::{Builder, Conv, MapNorm};
use super::{Network, Task, too_small};
use astill_core::Result;

/// The smallest side at which the last maps are larger than one pixel, which a norm needs.
const SMALLEST: i64 = 16;

/// With instance norm or batch norm. The last maps are averaged whole, which for images of 32×32 is
/// the 4×4 mean of the published programs.
///
/// Source: the ResNet of pytorch-cifar, as DC, DSA and MTT evaluate with it; arXiv 1512.03385.
pub(super) fn build(norm: MapNorm, task: Task) -> Result<Box<dyn Network>> {
    let name = match norm {
        MapNorm::Instance => "resnet18",
        MapNorm::Batch => "resnet18-bn",
    };
    let mut net = Builder::new(task);
    net.conv(convolution(64, 3, 1));
    net.norm(norm);
    net.relu();
    for (channels, stride) in [(64, 1), (128, 2), (256, 2), (512, 2)] {
        block(&mut net, norm, channels, stride);
        block(&mut net, norm, channels, 1);
    }
    net.global_average();
    let net = net.linear(task.classes).filter(|_| task.size >= SMALLEST);
    Ok(Box::new(
        net.ok_or_else(|| too_small(name, task, SMALLEST))?,
    ))
}

/// Without a bias, because a norm follows.
fn convolution(channels: i64, kernel: i64, stride: i64) -> Conv {
    Conv {
        channels,
        kernel,
        stride,
        padding: kernel / 2,
        has_bias: false,
    }
}

/// Two convolutions beside a shortcut, which is a convolution where the size of the maps changes.
fn block(net: &mut Builder, norm: MapNorm, channels: i64, stride: i64) {
    let is_resized = stride != 1;
    net.residual(
        |main| {
            main.conv(convolution(channels, 3, stride));
            main.norm(norm);
            main.relu();
            main.conv(convolution(channels, 3, 1));
            main.norm(norm);
        },
        |shortcut| {
            if is_resized {
                shortcut.conv(convolution(channels, 1, stride));
                shortcut.norm(norm);
            }
        },
    );
    net.relu();
}
