//! What autograd and the analytic derivatives must agree on about the blocks of the ConvNet.

/// ε of every normalisation.
pub(super) const EPS: f64 = 1e-5;

/// The padding of the convolution of block number `block`, whose input has `channels` channels.
/// The first block pads a single channel by 3, so that grey images of 28×28 count as 32×32.
pub(crate) fn padding(block: usize, channels: i64) -> i64 {
    if block == 0 && channels == 1 { 3 } else { 1 }
}
