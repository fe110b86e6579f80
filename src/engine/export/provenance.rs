//! Where a distilled set comes from, and how it is used.

use crate::data::augment::{CROP_SHARE, CUTOUT_SHARE, ROTATE_DEGREES, SCALE_RATIO};
use crate::distill::evaluate::{BATCH, LR_DECAY, MOMENTUM, WEIGHT_DECAY};
use astill_core::cli::Space;
use astill_core::profile::{Auto, Kind, Profile, channel_constants, published};
use astill_core::run::event::Headline;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Where a distilled set comes from, how networks are trained on it, and the accuracy that they
/// reach. Accuracies in per cent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// "astill 0.1.0".
    pub program: String,
    /// The profile of the run, and the settings that were changed while it ran. Not typed, because
    /// a set outlives the version that distilled it, whose keys may differ.
    pub profile: Value,
    pub edits: Value,
    /// The name of every label.
    pub classes: Vec<String>,
    /// What the files of the data set call the classes, where that differs: WordNet ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_ids: Option<Vec<String>>,
    /// [`Normalisation::name`](crate::data::Normalisation::name).
    pub normalisation: String,
    /// What the numbers of the images are.
    #[serde(default = "own")]
    pub space: Space,
    /// The fingerprint of the training images.
    pub data_content: String,
    /// The step whose images these are; none where no evaluation has chosen one.
    pub step: Option<u64>,
    /// The accuracy that it was chosen by; none without a validation share.
    pub validation_accuracy: Option<f64>,
    /// Fresh networks on the test set.
    pub results: Vec<Headline>,
    /// The highest mean test accuracy over all evaluations during the run.
    pub paper_style_max: Option<f64>,
    /// [`protocol`]; null in the sets of earlier versions.
    #[serde(default)]
    pub protocol: Value,
}

impl Provenance {
    /// Removes what only this machine knows, for files that go elsewhere: the folders that the profile
    /// names. A relative path and `hf:OWNER/NAME` stay, as they are found in other data folders too.
    pub fn remove_folders(&mut self) {
        remove_folders(&mut self.profile);
    }
}

/// Without an absolute folder of the data set, and with the name alone of a set that distillation started from.
fn remove_folders(profile: &mut Value) {
    let kind = profile.pointer("/dataset/kind").cloned();
    let kind: Option<Kind> = kind.and_then(|kind| serde_json::from_value(kind).ok());
    if let Some(path) = profile.pointer_mut("/dataset/path")
        && path
            .as_str()
            .is_none_or(|path| path.starts_with(['/', '~']))
    {
        // the constants of some sets are known by the name
        let name = path.as_str().and_then(published::known_name);
        let is_needed = kind.is_some_and(|kind| channel_constants(kind, None).is_none());
        *path = match name {
            Some(name) if is_needed => Value::from(name),
            _ => Value::Null,
        };
    }
    if let Some(Value::String(init)) = profile.pointer_mut("/distill/init")
        && let Some((_, name)) = init.rsplit_once('/')
    {
        *init = name.to_string();
    }
}

fn own() -> Space {
    Space::Own
}

/// How the networks of the results are trained and tested, in full, for a set with this learned rate
/// and images of (C, side, side).
pub fn protocol(profile: &Profile, classes: usize, channels: i64, student_lr: f64) -> Value {
    let evaluate = &profile.evaluate;
    let lr = match evaluate.lr {
        Auto::Value(lr) => lr,
        Auto::Auto => student_lr,
    };
    let mut network = json!(profile.network);
    if let Some(map) = network.as_object_mut() {
        map.remove("tf32");
    }
    json!({
        "networks": evaluate.networks,
        "network": network,
        "input": [channels, profile.dataset.size, profile.dataset.size],
        "classes": classes,
        "initialisation": "PyTorch's default of every layer",
        "loss": "cross-entropy",
        "optimizer": "SGD",
        "momentum": MOMENTUM,
        "weight_decay": WEIGHT_DECAY,
        "batch": BATCH,
        "epochs": evaluate.epochs,
        "lr": lr,
        "lr_decay": LR_DECAY,
        "lr_decay_epoch": evaluate.epochs / 2,
        "momentum_restarts_at_decay": true,
        "augment": {
            "families": profile.augmentation(),
            "draw": "one family for a batch, its numbers for every image",
            "color": { "brightness": 1., "saturation": 2., "contrast": 0.5 },
            "crop": CROP_SHARE,
            "cutout": CUTOUT_SHARE,
            "flip": 0.5,
            "scale": SCALE_RATIO,
            "rotate": ROTATE_DEGREES,
        },
        "test": "after the last epoch, on all test images, without augmentation",
        "repeats": evaluate.repeats,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_this_machine_stay_here() {
        let mut profile = json!({
            "dataset": { "path": "/home/alice/images" },
            "distill": { "init": "/home/alice/best.safetensors" },
        });
        remove_folders(&mut profile);
        let expected =
            json!({ "dataset": { "path": null }, "distill": { "init": "best.safetensors" } });
        assert_eq!(profile, expected);
        for path in ["pets", "hf:owner/name"] {
            let elsewhere = json!({
                "dataset": { "path": path }, "distill": { "init": "representative" },
            });
            let mut profile = elsewhere.clone();
            remove_folders(&mut profile);
            assert_eq!(profile, elsewhere);
        }
    }
}
