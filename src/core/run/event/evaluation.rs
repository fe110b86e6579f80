//! The accuracy of networks that were trained on a set of images.

use crate::profile::LabelKind;
use serde::{Deserialize, Serialize};

/// Fresh networks were trained on a set of images and tested. Accuracies in per cent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Distillation steps done.
    pub step: u64,
    pub network: String,
    pub labels: ImageSet,
    /// Whether the networks learned a class or probabilities of every class; such figures are not
    /// compared with each other.
    #[serde(default = "hard")]
    pub label_kind: LabelKind,
    pub split: EvalSplit,
    pub mean: f64,
    pub std: f64,
    /// One accuracy per network.
    pub values: Vec<f64>,
}

/// Accuracy of one set of images on the test split, in per cent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    pub network: String,
    pub labels: ImageSet,
    /// As in [`Evaluation`].
    #[serde(default = "hard")]
    pub label_kind: LabelKind,
    pub mean: f64,
    pub std: f64,
    /// One accuracy per network.
    pub values: Vec<f64>,
}

/// Older records have hard labels.
fn hard() -> LabelKind {
    LabelKind::Hard
}

/// The labelled images that the networks were trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSet {
    Distilled,
    /// Random real images.
    Random,
    /// The representative real images, undistilled.
    Representative,
}

/// Which real images were classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvalSplit {
    Validation,
    Test,
}
