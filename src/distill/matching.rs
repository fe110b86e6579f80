//! Matching loss.

use serde::{Deserialize, Serialize};

/// Whether and how strongly the student is also compared with the expert's epochs on the way (intermediate matching).
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
