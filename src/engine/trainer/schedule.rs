//! The settings of each expert, which change where they are edited during its training, and what they
//! make of the key of its store.
//!
//! An expert whose settings change during its training moves to a store whose key contains these
//! changes, so runs with the same changes share it and others never meet it.

use super::control::Control;
use super::training::Training;
use astill_core::profile::{ExpertSettings as Settings, Kind, NormalisedBy, Profile};
use astill_core::run::edits::Moment;
use serde_json::json;

/// The settings of one expert: those that it begins with, and those that were changed while it was
/// trained, with the epoch from which they hold.
#[derive(Debug, PartialEq)]
pub(super) struct Schedule {
    pub(super) first: Settings,
    changes: Vec<(usize, Settings)>,
}

impl Schedule {
    /// With the edits that were made so far.
    pub(super) fn of(expert: u64, control: &Control) -> Self {
        let at = |epoch| control.profile_at(Moment::Expert { expert, epoch });
        let first = at(0).expert.clone();
        let mut schedule = Self {
            first: first.clone(),
            changes: Vec::new(),
        };
        let mut before = first;
        for epoch in 1..control.epochs_trained(expert) as u64 {
            let now = at(epoch);
            if now.expert != before {
                schedule.changes.push((epoch as usize, now.expert.clone()));
                before = now.expert.clone();
            }
        }
        schedule
    }

    /// The settings of the epoch number `epoch`.
    pub(super) fn settings(&self, epoch: usize) -> &Settings {
        self.changes
            .iter()
            .rev()
            .find(|(from, _)| *from <= epoch)
            .map_or(&self.first, |(_, settings)| settings)
    }

    /// Whether both train the first `epochs` epochs in the same way.
    pub(super) fn begins_as(&self, other: &Self, epochs: usize) -> bool {
        (0..epochs).all(|epoch| self.settings(epoch) == other.settings(epoch))
    }
}

impl Training<'_> {
    /// Every setting that affects an expert, and nothing else: how many experts there are, how far
    /// they are trained, and what is kept of them, does not.
    pub(super) fn settings(&self, schedule: &Schedule) -> serde_json::Value {
        let Profile {
            dataset: set,
            network,
            ..
        } = self.profile;
        let of_expert = |expert: &Settings| {
            let mut settings = json!(expert);
            if let Some(map) = settings.as_object_mut() {
                map.remove("count");
                map.remove("train_epochs");
                map.remove("from");
                map.remove("keep");
            }
            settings
        };
        let mut settings = json!({
            "dataset": {
                "kind": set.kind,
                "content": self.dataset.fingerprint,
                "classes": self.dataset.classes.len(),
                "size": set.size,
                "train_limit": set.train_limit,
                "validation": set.validation,
                "seed": set.seed,
                "zca": set.zca,
                "augment": set.augment,
            },
            "network": network,
            "expert": of_expert(&schedule.first),
        });
        // left out where it is the default, so that experts of earlier versions are found
        if set.normalisation == NormalisedBy::Field {
            settings["dataset"]["normalisation"] = json!(set.normalisation);
            // earlier versions had other constants for it
            if set.kind == Kind::Cifar100 {
                settings["dataset"]["constants"] = json!("trajectory matching");
            }
        }
        if !schedule.changes.is_empty() {
            let changes: Vec<_> = schedule
                .changes
                .iter()
                .map(|(epoch, e)| json!({ "from_epoch": epoch, "expert": of_expert(e) }))
                .collect();
            settings["changes"] = json!(changes);
        }
        settings
    }
}
