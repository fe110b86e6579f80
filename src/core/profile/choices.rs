//! What can be chosen by name: data sets, parts of the network, parts of the method.

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

/// As in a profile.
impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// What to do about images that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unreadable {
    /// End with an error that counts them and names the first.
    Refuse,
    /// Go on without them, with a warning that says the same.
    Skip,
}

/// The normalisation after every convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Group norm with one group per channel (the field's "instance norm", with an affine part).
    Instance,
    /// Layer norm over (channels, rows, columns).
    Layer,
    /// Group norm with 4 groups.
    Group,
    None,
}

/// The non-linearity of every block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    Relu,
    /// Negative slope 0.01.
    LeakyRelu,
    Sigmoid,
}

/// The 2×2 pooling, stride 2, that ends every block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    Avg,
    Max,
    None,
}

/// What the synthetic images start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// The real images nearest the k-means centres of their class, in the space of an expert's
    /// logits.
    Representative,
    /// Random real images of the class.
    Real,
    /// Standard normal pixels.
    Noise,
}

/// Whether and how strongly the student is also compared with the expert's epochs on the way
/// (intermediate matching).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intermediate {
    /// Only the end point counts.
    Off,
    /// Every intermediate ratio has weight 1.
    Sum,
    /// The j-th of M − 1 intermediate ratios has weight j / M.
    Ramp,
}
