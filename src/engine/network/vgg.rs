//! VGG11 for small images: eight convolutions, each with a norm, and one linear layer.

use super::blocks::padding;
use super::layers::{Builder, Conv, MapNorm};
use super::{Network, Task, too_small};
use astill_core::Result;

/// The channels of the convolutions between one pooling and the next.
const CHANNELS: [&[i64]; 5] = [&[64], &[128], &[256, 256], &[512, 512], &[512, 512]];
const SMALLEST: i64 = 32;

/// With instance norm or batch norm. Larger images than 32×32 have more features at the end.
///
/// Source: the VGG of pytorch-cifar, as DC, DSA and MTT evaluate with it; arXiv 1409.1556.
pub(super) fn build(norm: MapNorm, task: Task) -> Result<Box<dyn Network>> {
    let name = match norm {
        MapNorm::Instance => "vgg11",
        MapNorm::Batch => "vgg11-bn",
    };
    let mut net = Builder::new(task);
    for (block, channels) in CHANNELS.iter().enumerate() {
        for &channels in *channels {
            net.conv(Conv {
                channels,
                kernel: 3,
                stride: 1,
                padding: padding(block, net.channels()),
                has_bias: true,
            });
            net.norm(norm);
            net.relu();
        }
        net.max_pool();
    }
    let net = net.linear(task.classes);
    Ok(Box::new(
        net.ok_or_else(|| too_small(name, task, SMALLEST))?,
    ))
}
