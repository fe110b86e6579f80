//! What a checkpoint was made with: settings and versions.

use crate::libtorch;
use astill_core::profile::Profile;
use serde::{Deserialize, Serialize};

/// What a run was begun with, so that it is not resumed as another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MadeWith {
    /// The profile, every key.
    pub profile: serde_json::Value,
    /// "astill 0.1.0", of the engine that wrote this checkpoint.
    pub program: String,
    /// Its version of libtorch, where that is known.
    pub libtorch: Option<String>,
}

impl MadeWith {
    /// A run of this profile, by this engine.
    pub fn now(profile: &Profile) -> Self {
        Self {
            profile: serde_json::json!(profile),
            program: concat!("astill ", env!("CARGO_PKG_VERSION")).into(),
            libtorch: libtorch::version(),
        }
    }

    /// What differs between the programs that wrote the checkpoint and this one.
    pub fn warnings(&self) -> Vec<String> {
        let now = Self::now(&Profile::default());
        let unknown = || "an unknown version".to_string();
        let versions = [
            (self.program.clone(), now.program),
            (
                format!("libtorch {}", self.libtorch.clone().unwrap_or_else(unknown)),
                format!("libtorch {}", now.libtorch.unwrap_or_else(unknown)),
            ),
        ];
        let differing = versions.into_iter().filter(|(before, now)| before != now);
        differing
            .map(|(before, now)| {
                format!(
                    "the run was computed with {before} so far and continues with {now}: it may \
                     differ in the last digits from a run with one of them"
                )
            })
            .collect()
    }
}
