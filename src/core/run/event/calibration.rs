//! The student rate to begin with, as it was found.

use crate::json::{absent, real};
use serde::{Deserialize, Serialize};

/// Rollouts without any update have found the student rate to begin with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    #[serde(default = "absent", deserialize_with = "real")]
    pub student_lr: f64,
    pub rounds: Vec<CalibrationRound>,
}

/// The means over the rollouts of one round with one student rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationRound {
    #[serde(default = "absent", deserialize_with = "real")]
    pub student_lr: f64,
    #[serde(default = "absent", deserialize_with = "real")]
    pub reach: f64,
    #[serde(default = "absent", deserialize_with = "real")]
    pub alignment: f64,
    #[serde(default = "absent", deserialize_with = "real")]
    pub final_ratio: f64,
}
