//! The kinds of data set.

use serde::{Deserialize, Serialize};

/// Where images come from and how their files are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Ten classes of drawn shapes, made by the program from a seed; needs no files.
    Shapes,
    /// CIFAR-10 in its official binary layout.
    Cifar10,
    /// CIFAR-100 (fine labels) in its official binary layout.
    Cifar100,
    /// Tiny ImageNet in its official folder layout.
    TinyImagenet,
    /// `train/CLASS/*` and `test/` or `val/`, PNG or JPEG of any size.
    ImageFolder,
}
