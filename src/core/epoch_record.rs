//! The measured numbers of an expert's training.

use serde::{Deserialize, Serialize};

/// What was measured in one epoch of an expert. Accuracies in per cent; `crate::measures` explains
/// every number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Mean cross-entropy of the augmented training images.
    #[serde(deserialize_with = "crate::json::real")]
    pub train_loss: f64,
    /// On the augmented training images. As the loss, NaN for an imported expert, whose training
    /// nobody watched.
    #[serde(deserialize_with = "crate::json::real")]
    pub train_accuracy: f64,
    /// On the validation share; none without one, and in records from before it was measured.
    #[serde(default)]
    pub validation_accuracy: Option<f64>,
    /// Factor of the cross-entropy (clipping loss).
    pub clip_factor: f64,
    /// Mean gradient penalty, its weight included.
    #[serde(deserialize_with = "crate::json::real")]
    pub gradient_penalty: f64,
    /// ‖θ_e+1 − θ_e‖.
    #[serde(deserialize_with = "crate::json::real")]
    pub step_length: f64,
    /// Cosine between this step and the one before; none in the first epoch.
    pub turn: Option<f64>,
    /// ‖θ_e+1 − 2 θ_e + θ_e−1‖; none in the first epoch.
    pub curvature: Option<f64>,
    /// Length of the path so far over the distance from its start.
    #[serde(deserialize_with = "crate::json::real")]
    pub tortuosity: f64,
}
