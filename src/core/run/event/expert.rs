//! Experts: an epoch of training, or a trained expert found in the store.

use crate::EpochRecord;
use serde::{Deserialize, Serialize};

/// An epoch of expert training ended; `expert` and `epoch` count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ExpertEpoch {
    pub expert: u64,
    pub epoch: u64,
    #[serde(flatten)]
    pub record: EpochRecord,
    /// Wall time of the epoch with its evaluation.
    pub seconds: f64,
}

/// An expert was found in the store, trained earlier; what was measured then, one record per epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpertFound {
    pub expert: u64,
    /// The key of the store.
    pub store: String,
    pub epochs: Vec<EpochRecord>,
}

impl ExpertFound {
    /// Its epochs as if they had just been trained; the time that they took is unknown (NaN).
    pub fn epochs(&self) -> impl Iterator<Item = ExpertEpoch> + '_ {
        (0..).zip(&self.epochs).map(|(epoch, record)| ExpertEpoch {
            expert: self.expert,
            epoch,
            record: *record,
            seconds: f64::NAN,
        })
    }
}
