//! Experts that were imported: whether a profile can use them, and how it does.

use super::control::{Control, RunStage};
use super::store::{MANIFEST, Store, StoredEpoch, Trajectory};
use super::training::Training;
use crate::tensor_file;
use astill_core::files::untrusted;
use astill_core::profile::{NetworkKind, Profile, key};
use astill_core::run::edits::Moment;
use astill_core::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// More than the manifest of any import.
const LARGEST: u64 = 16 << 20;

/// What the manifest of an import holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub key: String,
    pub settings: ImportSettings,
    /// How many epochs each expert has.
    pub epochs: Vec<usize>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

/// What experts were imported from, and what they were trained for.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportSettings {
    /// The keys of [`STATED`], as in a profile.
    pub dataset: Value,
    pub network: Value,
    /// Names and BLAKE3 hashes of the files.
    pub files: Vec<(String, String)>,
}

/// What must be in a profile that uses imported experts as it was when they were imported: each key,
/// and whether it matters for networks other than convnets.
pub const STATED: [(&str, bool); 10] = [
    ("dataset.kind", true),
    ("dataset.size", true),
    ("dataset.zca", true),
    ("dataset.normalisation", true),
    ("network.kind", true),
    ("network.width", false),
    ("network.depth", false),
    ("network.norm", false),
    ("network.activation", false),
    ("network.pooling", false),
];

/// The keys of [`STATED`] that matter for this network.
pub fn stated(network: NetworkKind) -> impl Iterator<Item = &'static str> {
    let all = STATED.into_iter();
    all.filter(move |(_, always)| *always || network.is_convnet())
        .map(|(key, _)| key)
}

/// The folder that `expert.from` names: a path, or the name of an import in the folder of all data.
pub fn folder(from: &Path, data: &Path) -> PathBuf {
    match from.components().count() {
        1 if !from.is_dir() => data.join("trajectories").join(from),
        _ => from.to_path_buf(),
    }
}

/// What the import in `folder` says of itself.
///
/// # Errors
/// There is none, or its manifest is damaged.
pub fn read(folder: &Path) -> Result<Manifest> {
    let path = folder.join(MANIFEST);
    if !path.exists() {
        return Err(Error::Usage(format!(
            "expert.from: {} holds no imported experts; `astill import experts DIR` imports some and \
             prints what to write here",
            folder.display()
        )));
    }
    let text = untrusted::read_text(&path, LARGEST).map_err(Error::io("read", &path))?;
    serde_json::from_str(&text)
        .map_err(|e| Error::file(&path, format!("expected what an import writes: {e}")))
}

/// Checks that `profile` can use the experts that it names, if it names any, before anything is
/// read of them.
///
/// # Errors
/// There are none, too few, or too short ones; or they were trained for other data or another
/// network.
pub fn check(profile: &Profile, data: &Path) -> Result<()> {
    let Some(from) = &profile.expert.from else {
        return Ok(());
    };
    let folder = folder(from, data);
    let Manifest {
        key: name,
        settings,
        epochs,
        ..
    } = read(&folder)?;
    for path in stated(profile.network.kind) {
        let (section, key_name) = path.split_once('.').unwrap_or_default();
        let stated = match section {
            "dataset" => &settings.dataset[key_name],
            _ => &settings.network[key_name],
        };
        let found = key(path).map(|key| key.json(profile)).unwrap_or_default();
        if !stated.is_null() && *stated != found {
            return Err(Error::Usage(format!(
                "found {path} {found}, but the experts of {name} were trained with {stated}; set \
                 {path}={}",
                stated.to_string().trim_matches('"')
            )));
        }
    }
    let count = profile.expert.count;
    if epochs.len() < count {
        return Err(Error::Usage(format!(
            "found expert.count {count}, but {name} holds {} experts; lower expert.count to {}",
            epochs.len(),
            epochs.len()
        )));
    }
    for (index, has) in epochs.iter().take(count).enumerate() {
        let needed = profile.epochs_trained(index as u64);
        if *has < needed {
            return Err(Error::Usage(format!(
                "expert {} of {name} has {has} epochs, but the profile reads {needed}; lower \
                 expert.epochs (or expert.train_epochs), distill.max_start_epoch or \
                 distill.expert_epochs",
                index + 1
            )));
        }
    }
    Ok(())
}

impl Store {
    /// Writes the final file of an expert that was trained elsewhere, of which only one checkpoint
    /// is in memory at a time: `points` (P), the initialisation first and then one for every epoch.
    ///
    /// # Errors
    /// A checkpoint cannot be read or has another length, or the file cannot be written.
    pub fn put(
        &self,
        index: u64,
        parameters: usize,
        points: impl Iterator<Item = Result<Tensor>>,
        epochs: &[StoredEpoch],
    ) -> Result<()> {
        tensor_file::write_sealed_rows(
            &self.file(index),
            ("trajectory", [epochs.len() + 1, parameters]),
            points,
            ("epochs", serde_json::json!(epochs).to_string()),
        )
    }
}

impl Training<'_> {
    /// The first experts of the import in `folder`, as many as the profile has.
    ///
    /// # Errors
    /// As [`check`]; one is damaged, or of another network.
    pub(super) fn imported(&self, folder: &Path, control: &mut Control) -> Result<Vec<Trajectory>> {
        check(self.profile, self.data)?;
        let store = Store::at(folder);
        let mut experts = Vec::new();
        for index in 0..self.profile.expert.count as u64 {
            let next = Moment::Expert {
                expert: index,
                epoch: 0,
            };
            control.enter(RunStage::Experts { next });
            control.wait_while_paused()?;
            let found = store.whole(index, control.epochs_trained(index))?;
            let expert = found.filter(|expert| expert.parameters() == self.net.parameters());
            let expert = expert.ok_or_else(|| {
                Error::file(
                    store.folder(),
                    format!(
                        "expert {} is missing, too short, or not of this network with {} classes; \
                         import it again",
                        index + 1,
                        self.dataset.classes.len()
                    ),
                )
            })?;
            experts.push(self.found(index, expert, (&store, None), control)?);
        }
        Ok(experts)
    }
}
