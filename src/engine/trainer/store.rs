//! The trajectory store: expert checkpoints on disk, shared by all runs of the machine.
//!
//! ```text
//! trajectories/KEY/manifest.json            the settings that the key stands for
//!                  expert_000.safetensors   "trajectory" (E + 1, P) f32, what was measured under the metadata key "epochs"
//!                  expert_001.partial/      an expert in training: epoch_000.safetensors (the initialisation), epoch_001 …
//!                  lock                     held by the process that trains
//! ```

use crate::distill::expert::Expert;
use crate::tensor_file::{self, TensorFile};
use astill_core::EpochRecord;
use astill_core::files::atomic::{remove_left_over, write_atomically};
use astill_core::{Error, Result};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tch::Tensor;

/// Changes when the meaning of a setting or the training itself changes, so that older trajectories
/// are not used as if they were new ones.
const VERSION: u32 = 2;

/// The folder of all experts that were trained under the same settings.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    key: String,
    epochs: usize,
}

/// The result of opening or removing a file; none if there is no such file.
fn unless_missing<T>(done: Result<T>) -> Result<Option<T>> {
    match done {
        Ok(found) => Ok(Some(found)),
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A finished expert: θ*_0 … θ*_E, memory-mapped.
#[derive(Debug)]
pub struct Trajectory {
    file: TensorFile,
    epochs: Vec<EpochRecord>,
}

/// An expert in training, with what its finished epochs measured.
#[derive(Debug)]
pub struct Partial {
    pub expert: Expert,
    /// θ_0 … of the finished epochs, the initialisation first.
    pub points: Vec<Tensor>,
    pub epochs: Vec<EpochRecord>,
}

/// The right of this process to train the experts of a store; released when it is dropped or the
/// process dies.
#[derive(Debug)]
pub struct TrainingLock {
    _file: File,
}

impl Store {
    /// The store under `root` for experts of `epochs` epochs whose training is described by
    /// `settings`: every setting that shapes an expert, and nothing else. Nothing is created yet.
    pub fn new(root: &Path, settings: &serde_json::Value, epochs: usize) -> Self {
        let text = serde_json::json!({ "version": VERSION, "settings": settings }).to_string();
        let key = blake3::hash(text.as_bytes()).to_hex()[..16].to_string();
        Self {
            folder: root.join("trajectories").join(&key),
            key,
            epochs,
        }
    }

    /// The key: 16 hexadecimal digits.
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
        fs::create_dir_all(&self.folder).map_err(Error::io("create", &self.folder))?;
        let manifest =
            serde_json::json!({ "version": VERSION, "key": self.key, "settings": settings });
        let path = self.folder.join("manifest.json");
        match fs::exists(&path) {
            Ok(true) => Ok(()),
            _ => write_atomically(&path, format!("{manifest:#}\n").as_bytes()),
        }
    }

    /// The right to train here; none while another process has it.
    ///
    /// # Errors
    /// The lock file cannot be created or locked.
    pub fn try_lock(&self) -> Result<Option<TrainingLock>> {
        let path = self.folder.join("lock");
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        match file.try_lock() {
            Ok(()) => {
                remove_left_over(&self.folder, Duration::ZERO);
                Ok(Some(TrainingLock { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(Error::io("lock", &path)(e)),
        }
    }

    /// A finished expert; none if it has yet to be trained. All of its file is read, so that damage
    /// is found now, when it can be trained again, and not in the middle of distillation.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is damaged or not a trajectory.
    pub fn finished(&self, index: u64) -> Result<Option<Trajectory>> {
        let path = self.file(index);
        let Some(file) = unless_missing(TensorFile::open_sealed(&path))? else {
            return Ok(None);
        };
        let shape = file.shape("trajectory")?;
        let epochs: Vec<EpochRecord> = serde_json::from_str(file.metadata("epochs")?)
            .map_err(|e| Error::file(&path, format!("not a trajectory: {e}")))?;
        if shape.len() != 2 || shape[0] != self.epochs as i64 + 1 || epochs.len() != self.epochs {
            return Err(Error::file(
                &path,
                format!("not a trajectory of {} epochs", self.epochs),
            ));
        }
        Ok(Some(Trajectory { file, epochs }))
    }

    /// How far an interrupted training of expert `index` has come, none if it has not begun; and what
    /// is wrong with the file of the next epoch, if it is damaged. Epochs count up to the first that
    /// is missing or damaged.
    ///
    /// # Errors
    /// A file cannot be read now, though it may be intact.
    pub fn partial(&self, index: u64) -> Result<(Option<Partial>, Option<Error>)> {
        let mut partial: Option<Partial> = None;
        for epoch in 0..=self.epochs {
            let (expert, record) = match self.epoch(index, epoch) {
                Ok(Some(epoch)) => epoch,
                Ok(None) => break,
                Err(problem @ Error::File { .. }) => return Ok((partial, Some(problem))),
                Err(error) => return Err(error),
            };
            let theta = expert.theta.shallow_clone();
            match (&mut partial, record) {
                (None, _) => {
                    partial = Some(Partial {
                        expert,
                        points: vec![theta],
                        epochs: Vec::new(),
                    })
                }
                (Some(partial), Some(record)) => {
                    partial.expert = expert;
                    partial.points.push(theta);
                    partial.epochs.push(record);
                }
                (Some(_), None) => break,
            }
        }
        Ok((partial, None))
    }

    fn epoch(&self, index: u64, epoch: usize) -> Result<Option<(Expert, Option<EpochRecord>)>> {
        let path = self.epoch_file(index, epoch);
        let Some(file) = unless_missing(TensorFile::open_sealed(&path))? else {
            return Ok(None);
        };
        let velocity = if file.contains("velocity") {
            Some(file.tensor("velocity")?)
        } else {
            None
        };
        let record = serde_json::from_str(file.metadata("epoch")?)
            .map_err(|e| Error::file(&path, format!("not a valid epoch of an expert: {e}")))?;
        Ok(Some((
            Expert {
                theta: file.tensor("theta")?,
                velocity,
            },
            record,
        )))
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
        record: Option<&EpochRecord>,
    ) -> Result<()> {
        let path = self.epoch_file(index, epoch);
        let folder = self.partial_folder(index);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let mut tensors = vec![("theta", &expert.theta)];
        tensors.extend(expert.velocity.as_ref().map(|v| ("velocity", v)));
        tensor_file::write_sealed(
            &path,
            &tensors,
            ("epoch", serde_json::json!(record).to_string()),
        )
    }

    /// Turns a completely trained expert into its final file.
    ///
    /// # Errors
    /// The file cannot be written, or the folder of its epochs cannot be removed.
    pub fn finish(&self, index: u64, points: &[Tensor], epochs: &[EpochRecord]) -> Result<()> {
        let trajectory = Tensor::stack(points, 0);
        let records = serde_json::json!(epochs).to_string();
        tensor_file::write_sealed(
            &self.file(index),
            &[("trajectory", &trajectory)],
            ("epochs", records),
        )?;
        let folder = self.partial_folder(index);
        unless_missing(fs::remove_dir_all(&folder).map_err(Error::io("remove", &folder))).map(drop)
    }

    /// Removes the files that a process left behind when it was killed while it finished expert
    /// `index`, unless a process other than the caller, who may hold `lock`, is training here.
    pub fn tidy(&self, index: u64, lock: Option<&TrainingLock>) {
        let folder = self.partial_folder(index);
        if folder.exists() {
            let taken = if lock.is_none() {
                self.try_lock().ok().flatten()
            } else {
                None
            };
            if lock.or(taken.as_ref()).is_some() {
                let _ = fs::remove_dir_all(folder);
            }
        }
    }

    fn file(&self, index: u64) -> PathBuf {
        self.folder.join(format!("expert_{index:03}.safetensors"))
    }

    fn partial_folder(&self, index: u64) -> PathBuf {
        self.folder.join(format!("expert_{index:03}.partial"))
    }

    fn epoch_file(&self, index: u64, epoch: usize) -> PathBuf {
        self.partial_folder(index)
            .join(format!("epoch_{epoch:03}.safetensors"))
    }
}

impl Trajectory {
    /// θ*_epoch (P), f32 on the CPU; only this checkpoint is read.
    ///
    /// # Errors
    /// The trajectory has no such epoch.
    pub fn checkpoint(&self, epoch: usize) -> Result<Tensor> {
        self.file.row("trajectory", epoch)
    }

    /// θ*_E, the trained expert.
    ///
    /// # Errors
    /// As [`Self::checkpoint`].
    pub fn last(&self) -> Result<Tensor> {
        self.checkpoint(self.epochs.len())
    }

    /// The measurements of its training, epoch by epoch.
    pub fn epochs(&self) -> &[EpochRecord] {
        &self.epochs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(loss: f64) -> EpochRecord {
        EpochRecord {
            train_loss: loss,
            train_accuracy: 1.,
            test_accuracy: 2.,
            clip_factor: 0.5,
            gradient_penalty: 0.1,
            step_length: 1.,
            turn: None,
            curvature: None,
            tortuosity: 1.,
        }
    }

    fn expert(value: f32) -> Expert {
        Expert {
            theta: Tensor::from_slice(&[value, 0.]),
            velocity: Some(Tensor::from_slice(&[0f32, value])),
        }
    }

    #[test]
    fn every_setting_is_in_the_key() {
        let key = |penalty: f64| {
            Store::new(Path::new("x"), &json!({ "gradient_penalty": penalty }), 2)
                .key()
                .to_string()
        };
        assert_eq!(key(2.0), key(2.0));
        assert_ne!(key(2.0), key(1.0));
    }

    #[test]
    fn an_interrupted_training_resumes_where_it_stopped_and_ends_in_one_file() -> Result<()> {
        let root = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let (settings, store) = (json!({}), Store::new(root.path(), &json!({}), 2));
        store.create(&settings)?;
        assert!(store.partial(0)?.0.is_none() && store.finished(0)?.is_none());
        store.save_epoch(0, 0, &expert(1.), None)?;
        store.save_epoch(0, 1, &expert(2.), Some(&record(0.5)))?;
        let partial = store.partial(0)?.0.ok_or(Error::Interrupted)?;
        assert_eq!(
            (partial.points.len(), partial.epochs.as_slice()),
            (2, [record(0.5)].as_slice())
        );
        assert!(partial.expert.theta.equal(&expert(2.).theta));

        let damaged = store.epoch_file(0, 1);
        let mut bytes = fs::read(&damaged).map_err(Error::io("read", &damaged))?;
        bytes.iter_mut().last().into_iter().for_each(|b| *b ^= 1);
        fs::write(&damaged, bytes).map_err(Error::io("write", &damaged))?;
        let (partial, problem) = store.partial(0)?;
        assert!(
            partial.is_some_and(|p| p.points.len() == 1)
                && problem.is_some_and(|p| p.to_string().contains("epoch_001"))
        );

        let points = [expert(1.).theta, expert(2.).theta, expert(3.).theta];
        store.finish(0, &points, &[record(0.5), record(0.25)])?;
        let done = store.finished(0)?.ok_or(Error::Interrupted)?;
        assert!(!store.partial_folder(0).exists());
        for is_held in [false, true] {
            store.save_epoch(0, 0, &expert(1.), None)?;
            let lock = store.try_lock()?;
            store.tidy(0, None);
            assert!(store.partial_folder(0).exists(), "somebody is training");
            store.tidy(0, lock.as_ref().filter(|_| is_held));
            assert_eq!(store.partial_folder(0).exists(), !is_held);
            drop(lock);
            store.tidy(0, None);
            assert!(!store.partial_folder(0).exists());
        }
        assert!(done.checkpoint(1)?.equal(&points[1]) && done.last()?.equal(&points[2]));
        assert_eq!(done.epochs(), [record(0.5), record(0.25)]);
        drop(done);
        fs::write(store.file(0), b"torn").map_err(Error::io("write", store.file(0)))?;
        assert!(matches!(store.finished(0), Err(Error::File { .. })));
        Ok(())
    }

    #[test]
    fn two_processes_do_not_train_the_same_experts() -> Result<()> {
        let root = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let store = Store::new(root.path(), &json!({}), 2);
        store.create(&json!({}))?;
        let held = store.try_lock()?;
        assert!(held.is_some() && store.try_lock()?.is_none());
        drop(held);
        assert!(store.try_lock()?.is_some());
        Ok(())
    }
}
