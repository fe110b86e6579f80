//! The constants that published programs normalise each data set with.

use super::choices::Kind;

/// Mean and standard deviation of each channel, of pixels in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelConstants {
    pub mean: [f64; 3],
    pub std: [f64; 3],
}

/// Source: DC, DSA, MTT and the programs that followed them; MTT has them for CIFAR-100 as well. The deviations are means over images of
/// each image's own deviation, so they are smaller than those of all pixels.
pub const CIFAR10: ChannelConstants = ChannelConstants {
    mean: [0.4914, 0.4822, 0.4465],
    std: [0.2023, 0.1994, 0.2010],
};

/// Source: DC, DSA, DC-BENCH. Programs that match trajectories have [`CIFAR10`] instead.
pub const CIFAR100: ChannelConstants = ChannelConstants {
    mean: [0.5071, 0.4866, 0.4409],
    std: [0.2673, 0.2564, 0.2762],
};

/// Source: torchvision's models; MTT uses them for Tiny ImageNet and for subsets of ImageNet.
pub const IMAGENET: ChannelConstants = ChannelConstants {
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
};

/// The constants for a kind of data set in programs that match trajectories; none where publications
/// agree on none.
#[must_use]
pub fn channel_constants(kind: Kind) -> Option<ChannelConstants> {
    [
        (Kind::Cifar10, CIFAR10),
        (Kind::Cifar100, CIFAR10),
        (Kind::TinyImagenet, IMAGENET),
        (Kind::ImageFolder, IMAGENET),
    ]
    .into_iter()
    .find(|(of, _)| *of == kind)
    .map(|(_, constants)| constants)
}
