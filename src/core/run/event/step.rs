//! One step of distillation.

use crate::json::{absent, real, reals};
use serde::{Deserialize, Serialize};

/// One distillation step ended. `crate::measures` explains every number.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DistillStep {
    /// Counts from 1.
    pub step: u64,
    /// The expert that was matched, and the epoch that the student started from; both from 0.
    pub expert: u64,
    pub start_epoch: u64,
    /// How many checkpoints after the beginning of that epoch, where experts have several in each.
    #[serde(default)]
    pub start_part: u64,
    /// Whether the expert's mirror image was matched.
    #[serde(default)]
    pub mirrored: bool,
    #[serde(default = "absent", deserialize_with = "real")]
    pub matching_loss: f64,
    #[serde(default = "absent", deserialize_with = "real")]
    pub final_ratio: f64,
    #[serde(default, deserialize_with = "reals")]
    pub intermediate: Vec<f64>,
    /// α after the step.
    #[serde(default = "absent", deserialize_with = "real")]
    pub student_lr: f64,
    #[serde(default = "absent", deserialize_with = "real")]
    pub balance_factor: f64,
    pub perturbation: Perturbation,
    #[serde(default = "absent", deserialize_with = "real")]
    pub reach: f64,
    #[serde(default = "absent", deserialize_with = "real")]
    pub alignment: f64,
    /// The student step after which it was nearest to the expert's checkpoint.
    #[serde(default = "absent", deserialize_with = "real")]
    pub nearest: f64,
    /// 1 − alignment², averaged over the latest steps, for every quarter of the start epochs, or for
    /// every start epoch where there are at most four.
    #[serde(default, deserialize_with = "reals")]
    pub best_ratio: Vec<f64>,
    /// Root mean square of the synthetic images' pixels over that of the real ones'.
    #[serde(default = "absent", deserialize_with = "real")]
    pub image_scale: f64,
    /// Norm of the gradient with respect to all synthetic images.
    #[serde(default = "absent", deserialize_with = "real")]
    pub image_gradient: f64,
    #[serde(default = "absent", deserialize_with = "real")]
    pub seconds: f64,
    /// Every segment, where an update is the mean of several; the numbers above are then their means,
    /// and expert and start those of the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<SegmentStep>,
}

/// One of several segments of a step: a student that was trained from one start towards one expert.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SegmentStep {
    pub expert: u64,
    #[serde(default)]
    pub mirrored: bool,
    pub start_epoch: u64,
    #[serde(default)]
    pub start_part: u64,
    #[serde(default = "absent", deserialize_with = "real")]
    pub matching_loss: f64,
    #[serde(default = "absent", deserialize_with = "real")]
    pub final_ratio: f64,
    #[serde(default = "absent", deserialize_with = "real")]
    pub reach: f64,
    #[serde(default = "absent", deserialize_with = "real")]
    pub alignment: f64,
}

/// A worker, which computes segments and trains networks of evaluations, has joined or is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerChange {
    /// The machine and the process.
    pub name: String,
    /// How many there are now, besides the engine.
    pub workers: u64,
    pub has_joined: bool,
    /// How many segments it had computed when it left.
    pub solved: u64,
    /// How many networks it had trained when it left.
    #[serde(default)]
    pub networks: u64,
    /// What went wrong, if it was lost.
    pub reason: Option<String>,
}

impl DistillStep {
    /// A copy without its lists: small enough to keep thousands of.
    #[must_use]
    pub fn without_lists(&self) -> Self {
        Self {
            intermediate: Vec::new(),
            best_ratio: Vec::new(),
            segments: Vec::new(),
            perturbation: Perturbation {
                relative: self.perturbation.relative,
                per_layer: Vec::new(),
            },
            ..*self
        }
    }
}

/// How far weight perturbation moved the student's start, relative to its length.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Perturbation {
    #[serde(default = "absent", deserialize_with = "real")]
    pub relative: f64,
    /// One number per convolution, first layer first.
    #[serde(default, deserialize_with = "reals")]
    pub per_layer: Vec<f64>,
}
