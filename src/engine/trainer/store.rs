//! The trajectory store: expert checkpoints on disk, shared by all runs of the machine.
//!
//! ```text
//! trajectories/KEY/manifest.json            the settings that the key stands for
//!                  expert_000.safetensors   "trajectory" (e · C + 1, P) f32 after e epochs with C checkpoints each,
//!                                           "velocity" (P) to train on, and "running" (e + 1, S) where the network has
//!                                           batch norm; what was measured under the metadata key "epochs"; where not all
//!                                           checkpoints were kept, the numbers of those that were in "kept" (rows) i64
//!                  expert_001.partial/      an expert in training: epoch_000.safetensors (the initialisation), epoch_001 …
//!                  expert_001.claim         who trains it
//!                  lock                     shared by the processes at work here, where there are locks
//! ```
//!
//! How far an expert is trained is not part of the key: a run that reads more of its epochs than
//! there are trains it on from where it is.

use crate::distill::expert::Expert;
use crate::network::Weights;
use crate::tensor_file::{self, TensorFile};
use astill_core::EpochRecord;
use astill_core::files::atomic::write_atomically;
use astill_core::files::sharing;
use astill_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tch::{Device, Kind, Tensor};

mod claim;
mod presence;
mod trajectory;
mod writing;

pub use claim::{Claim, Claimant, Claimed};
pub use presence::Presence;
pub use trajectory::Trajectory;

/// Changes when the meaning of a setting or the training itself changes, so that older trajectories
/// are not used as if they were new ones.
const VERSION: u32 = 3;

/// The readable file that says what a store holds.
pub const MANIFEST: &str = "manifest.json";
/// The name that the file of an expert has until it is whole, in the folder of its epochs.
const WHOLE: &str = "whole.safetensors";
/// The tensor that numbers the checkpoints of an expert of which not all were kept.
const KEPT: &str = "kept";

/// The folder of all experts that were trained under the same settings.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    key: String,
    per_epoch: usize,
    /// When the ages of other processes' claims were measured last.
    measured: RefCell<HashMap<PathBuf, Instant>>,
}

/// The result of opening or removing a file; none if there is no such file.
fn unless_missing<T>(done: Result<T>) -> Result<Option<T>> {
    match done {
        Ok(found) => Ok(Some(found)),
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What an epoch measured, and on which images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredEpoch {
    #[serde(flatten)]
    pub record: EpochRecord,
    /// [`Dataset::validation_content`](crate::data::Dataset) of the validation share; none where the
    /// accuracy was not measured, and in files from before it was kept.
    #[serde(default)]
    pub measured_on: Option<String>,
}

/// An expert in training, with what its finished epochs measured.
#[derive(Debug)]
pub struct Partial {
    pub expert: Expert,
    /// The checkpoints of the finished epochs, the initialisation first.
    pub points: Vec<Tensor>,
    /// Their numbers, in ascending order; none where all of them are there, as always in training.
    pub kept: Option<Vec<usize>>,
    /// The running statistics (S) at the end of every epoch, those of the initialisation first.
    pub running: Vec<Tensor>,
    pub epochs: Vec<StoredEpoch>,
}

/// An epoch that has just been trained.
#[derive(Debug)]
pub struct NewEpoch<'a> {
    /// The checkpoints (P) inside the epoch.
    pub inside: &'a [Tensor],
    pub record: &'a StoredEpoch,
}

impl Store {
    /// The store under `root` for experts with `per_epoch` checkpoints in each epoch, whose training
    /// is described by `settings`: every setting that shapes an expert, and nothing else. Nothing
    /// is created yet.
    pub fn new(root: &Path, settings: &serde_json::Value, per_epoch: usize) -> Self {
        let text = serde_json::json!({ "version": VERSION, "settings": settings }).to_string();
        let key = blake3::hash(text.as_bytes()).to_hex()[..16].to_string();
        Self {
            folder: root.join("trajectories").join(&key),
            key,
            per_epoch,
            measured: RefCell::default(),
        }
    }

    /// The store under `root` for experts that were imported from what `settings` describe. They
    /// have one checkpoint per epoch.
    pub fn of_import(root: &Path, settings: &serde_json::Value) -> Self {
        let Self { key, .. } = Self::new(root, settings, 1);
        Self::at(&root.join("trajectories").join(format!("import-{key}")))
    }

    /// The store of imported experts in `folder`.
    pub fn at(folder: &Path) -> Self {
        let name = folder.file_name().unwrap_or_default();
        Self {
            key: name.to_string_lossy().into_owned(),
            folder: folder.to_path_buf(),
            per_epoch: 1,
            measured: RefCell::default(),
        }
    }

    /// The key: 16 hexadecimal digits, after "import-" where the experts were imported.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where the experts are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates the folder with its readable manifest.
    ///
    /// # Errors
    /// The folder or the manifest cannot be written.
    pub fn create(&self, settings: &serde_json::Value) -> Result<()> {
        self.create_folder()?;
        let manifest =
            serde_json::json!({ "version": VERSION, "key": self.key, "settings": settings });
        let path = self.folder.join(MANIFEST);
        match fs::exists(&path) {
            Ok(true) => Ok(()),
            _ => write_atomically(&path, format!("{manifest:#}\n").as_bytes()),
        }
    }

    /// Creates the folder alone.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create_folder(&self) -> Result<()> {
        sharing::create_all(&self.folder).map_err(Error::io("create", &self.folder))
    }

    /// An expert that has been trained for `epochs` epochs or more; none if that has yet to be
    /// done. All of its file is read, so that damage is found now, when it can be trained again,
    /// and not in the middle of distillation.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is damaged or not a trajectory.
    pub fn finished(&self, index: u64, epochs: usize) -> Result<Option<Trajectory>> {
        let whole = self.whole(index, epochs)?;
        Ok(whole.map(|expert| expert.up_to(epochs)))
    }

    /// As [`Self::finished`], with all epochs that there are: of an imported expert, whose store is
    /// never trained further.
    ///
    /// # Errors
    /// As [`Self::finished`].
    pub fn whole(&self, index: u64, at_least: usize) -> Result<Option<Trajectory>> {
        let expert = self.trained(index)?;
        Ok(expert.filter(|expert| expert.epochs.len() >= at_least))
    }

    /// An expert that was trained, for however many epochs.
    fn trained(&self, index: u64) -> Result<Option<Trajectory>> {
        unless_missing(Trajectory::open(&self.file(index), self.per_epoch))
    }

    /// How far the training of expert `index` has come, at most `epochs` epochs, none if it has not
    /// begun, or has to begin again because not all its checkpoints were kept; and what is wrong with the file of the next epoch, if it is damaged. Epochs count up
    /// to the first that is missing or damaged.
    ///
    /// # Errors
    /// A file cannot be read now, though it may be intact.
    pub fn partial(&self, index: u64, epochs: usize) -> Result<(Option<Partial>, Option<Error>)> {
        let mut partial = match self.trained(index) {
            // it is trained on
            Ok(trained) => trained
                .filter(Trajectory::is_whole)
                .map(|expert| expert.partial())
                .transpose()?,
            Err(Error::File { .. }) => None,
            Err(error) => return Err(error),
        };
        let begun = partial.as_ref().map_or(0, |p| p.epochs.len() + 1);
        for epoch in begun..=epochs {
            let saved = match self.epoch(index, epoch) {
                Ok(Some(saved)) => saved,
                Ok(None) => break,
                Err(problem @ Error::File { .. }) => return Ok((partial, Some(problem))),
                Err(error) => return Err(error),
            };
            let Weights { theta, running } = saved.expert.weights.shallow_clone();
            match (&mut partial, saved.record) {
                (None, _) => {
                    partial = Some(Partial {
                        expert: saved.expert,
                        points: vec![theta],
                        kept: None,
                        running: vec![running],
                        epochs: Vec::new(),
                    })
                }
                (Some(partial), Some(record)) => {
                    partial.expert = saved.expert;
                    partial.points.extend(saved.inside);
                    partial.points.push(theta);
                    partial.running.push(running);
                    partial.epochs.push(record);
                }
                (Some(_), None) => break,
            }
        }
        Ok((partial, None))
    }

    fn epoch(&self, index: u64, epoch: usize) -> Result<Option<SavedEpoch>> {
        let path = self.epoch_file(index, epoch);
        let Some(file) = unless_missing(TensorFile::open_sealed(&path))? else {
            return Ok(None);
        };
        let record = serde_json::from_str(file.metadata("epoch")?)
            .map_err(|e| Error::file(&path, format!("not a valid epoch of an expert: {e}")))?;
        let inside = if file.contains("inside") {
            let rows = file.shape("inside")?.first().map_or(0, |n| *n as usize);
            (0..rows)
                .map(|row| file.row("inside", row))
                .collect::<Result<_>>()?
        } else {
            Vec::new()
        };
        if epoch > 0 && inside.len() + 1 != self.per_epoch {
            let problem = format!(
                "expected {} checkpoints of the epoch, found {}",
                self.per_epoch,
                inside.len() + 1
            );
            return Err(Error::file(&path, problem));
        }
        Ok(Some(SavedEpoch {
            expert: Expert {
                weights: Weights {
                    theta: file.tensor("theta")?,
                    running: running_of(&file, None)?,
                },
                velocity: velocity_of(&file)?,
            },
            inside,
            record,
        }))
    }

    /// Saves an expert after `epoch` epochs (0: its initialisation, without a record). The tensors
    /// are copied.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_epoch(
        &self,
        index: u64,
        epoch: usize,
        expert: &Expert,
        trained: Option<NewEpoch<'_>>,
    ) -> Result<()> {
        let path = self.epoch_file(index, epoch);
        self.make_partial_folder(index)?;
        let inside = trained
            .as_ref()
            .filter(|new| !new.inside.is_empty())
            .map(|new| Tensor::stack(new.inside, 0));
        let Weights { theta, running } = &expert.weights;
        let mut tensors = vec![("theta", theta)];
        if running.numel() > 0 {
            tensors.push(("running", running));
        }
        tensors.extend(expert.velocity.as_ref().map(|v| ("velocity", v)));
        tensors.extend(inside.as_ref().map(|points| ("inside", points)));
        tensor_file::write_sealed(
            &path,
            &tensors,
            (
                "epoch",
                serde_json::json!(trained.map(|new| new.record)).to_string(),
            ),
        )
    }

    /// Removes the files that a process left behind when it was killed while it finished expert
    /// `index`, unless a process other than the caller, who may have `claim`, is training it. Those
    /// of an interrupted training beyond its epochs stay, and those of one that trains it again
    /// because not all its checkpoints were kept.
    pub fn tidy(&self, index: u64, expert: &Trajectory, claim: Option<&Claim>) {
        let folder = self.partial_folder(index);
        let is_in_training = || {
            let is_there = |epoch| self.epoch_file(index, epoch).exists();
            let last = expert.epochs.len();
            is_there(last + 1) || (!expert.is_whole() && is_there(0) && !is_there(last))
        };
        let is_left_over = || folder.exists() && !is_in_training();
        if is_left_over() || self.claim_file(index).exists() {
            self.with_claim(index, claim, || {
                if is_left_over() {
                    let _ = fs::remove_dir_all(&folder);
                }
            });
        }
    }

    /// Does `change` while the caller's `claim`, or one for the moment, keeps other processes from
    /// expert `index`; not where another process has it.
    pub fn with_claim<T>(
        &self,
        index: u64,
        claim: Option<&Claim>,
        change: impl FnOnce() -> T,
    ) -> Option<T> {
        let own = match claim.is_some() {
            true => None,
            false => match self.claim(index) {
                Ok(Claimed::Here(own)) => Some(own),
                _ => return None,
            },
        };
        let changed = change();
        drop(own);
        Some(changed)
    }

    pub(super) fn file(&self, index: u64) -> PathBuf {
        self.folder.join(format!("expert_{index:03}.safetensors"))
    }

    fn partial_folder(&self, index: u64) -> PathBuf {
        self.folder.join(format!("expert_{index:03}.partial"))
    }

    fn make_partial_folder(&self, index: u64) -> Result<PathBuf> {
        let folder = self.partial_folder(index);
        sharing::create_all(&folder).map_err(Error::io("create", &folder))?;
        Ok(folder)
    }

    fn epoch_file(&self, index: u64, epoch: usize) -> PathBuf {
        self.partial_folder(index)
            .join(format!("epoch_{epoch:03}.safetensors"))
    }
}

/// The file of an epoch.
struct SavedEpoch {
    expert: Expert,
    inside: Vec<Tensor>,
    record: Option<StoredEpoch>,
}

fn velocity_of(file: &TensorFile) -> Result<Option<Tensor>> {
    if file.contains("velocity") {
        return file.tensor("velocity").map(Some);
    }
    Ok(None)
}

/// The running statistics (S) of a file: all of them, or those after `epoch` epochs. Empty where
/// the network has none.
fn running_of(file: &TensorFile, epoch: Option<usize>) -> Result<Tensor> {
    match epoch {
        _ if !file.contains("running") => Ok(Tensor::zeros([0], (Kind::Float, Device::Cpu))),
        None => file.tensor("running"),
        Some(epoch) => file.row("running", epoch),
    }
}

#[cfg(test)]
mod tests;
