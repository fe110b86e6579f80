//! Representative initialisation.

use serde::{Deserialize, Serialize};

/// What the synthetic images start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// The real images nearest the k-means centres of their class, in the space of an expert's logits.
    Representative,
    /// Random real images of the class.
    Real,
    /// Standard normal pixels.
    Noise,
}
