//! AlexNet for small images: five convolutions without a norm, and one linear layer.

use super::layers::{Builder, Conv};
use super::{Network, Task, too_small};
use astill_core::Result;

const SMALLEST: i64 = 8;

/// Larger images than 32×32 have more features at the end.
///
/// Source: the AlexNet that DC, DSA and MTT evaluate with.
pub(super) fn build(task: Task) -> Result<Box<dyn Network>> {
    // a single channel is padded so that grey images of 28×28 count as 32×32
    let first = if task.channels == 1 { 4 } else { 2 };
    let mut net = Builder::new(task);
    for (channels, kernel, padding, is_pooled) in [
        (128, 5, first, true),
        (192, 5, 2, true),
        (256, 3, 1, false),
        (192, 3, 1, false),
        (192, 3, 1, true),
    ] {
        net.conv(Conv {
            channels,
            kernel,
            stride: 1,
            padding,
            has_bias: true,
        });
        net.relu();
        if is_pooled {
            net.max_pool();
        }
    }
    let net = net.linear(task.classes);
    Ok(Box::new(
        net.ok_or_else(|| too_small("alexnet", task, SMALLEST))?,
    ))
}
