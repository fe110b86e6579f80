//! An expert of the store that is finished, as runs read it.

use super::{Partial, StoredEpoch, running_of, velocity_of};
use crate::distill::expert::Expert;
use crate::network::Weights;
use crate::tensor_file::TensorFile;
use astill_core::{EpochRecord, Error, Result};
use std::path::Path;
use tch::Tensor;

/// A finished expert: its checkpoints from the initialisation on, memory-mapped.
#[derive(Debug)]
pub struct Trajectory {
    pub(super) file: TensorFile,
    pub(super) epochs: Vec<StoredEpoch>,
    pub(super) per_epoch: usize,
    /// How many of its epochs the run asks for. The store may hold more, trained for another run.
    pub(super) asked: usize,
}

impl Trajectory {
    /// Opens the file of an expert with `per_epoch` checkpoints in each epoch, and reads all of it
    /// once.
    ///
    /// # Errors
    /// It cannot be opened; [`Error::File`] if it is damaged or not a trajectory.
    pub fn open(path: &Path, per_epoch: usize) -> Result<Self> {
        let file = TensorFile::open_sealed(path)?;
        let shape = file.shape("trajectory")?;
        let epochs: Vec<StoredEpoch> = serde_json::from_str(file.metadata("epochs")?)
            .map_err(|e| Error::file(path, format!("not a trajectory: {e}")))?;
        if shape.len() != 2 || shape[0] != (epochs.len() * per_epoch) as i64 + 1 {
            let count = epochs.len();
            let problem =
                format!("not a trajectory of {count} epochs with {per_epoch} checkpoints each");
            return Err(Error::file(path, problem));
        }
        let has_all = |shape: Vec<i64>| shape.len() == 2 && shape[0] == epochs.len() as i64 + 1;
        if file.contains("running") && !has_all(file.shape("running")?) {
            return Err(Error::file(
                path,
                "not a trajectory: the running statistics of an epoch are missing",
            ));
        }
        Ok(Self {
            file,
            asked: epochs.len(),
            epochs,
            per_epoch,
        })
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The checkpoint (P) after `epoch` epochs and `part` of the next, f32 on the CPU; only this one
    /// is read. Parts count up to the checkpoints per epoch.
    ///
    /// # Errors
    /// The trajectory has no such epoch.
    pub fn checkpoint(&self, epoch: usize, part: usize) -> Result<Tensor> {
        self.file.row("trajectory", epoch * self.per_epoch + part)
    }

    /// The network after `epoch` epochs, f32 on the CPU.
    ///
    /// # Errors
    /// As [`Self::checkpoint`].
    pub fn network(&self, epoch: usize) -> Result<Weights> {
        Ok(Weights {
            theta: self.checkpoint(epoch, 0)?,
            running: running_of(&self.file, Some(epoch))?,
        })
    }

    /// The trained expert after the epochs that the run asks for, however many more the store holds:
    /// what other runs have trained changes no result.
    ///
    /// # Errors
    /// As [`Self::checkpoint`].
    pub fn last(&self) -> Result<Weights> {
        self.network(self.asked)
    }

    /// The BLAKE3 hash of the weights after `epoch` epochs, which depend on all before them.
    ///
    /// # Errors
    /// As [`Self::checkpoint`].
    pub fn hash_after(&self, epoch: usize) -> Result<String> {
        let weights = self.checkpoint(epoch, 0)?.contiguous();
        let count = weights.numel();
        let mut bytes = vec![0; count * weights.kind().elt_size_in_bytes()];
        weights.copy_data_u8(&mut bytes, count);
        Ok(blake3::hash(&bytes).to_hex().to_string())
    }

    /// P, the length of every checkpoint.
    pub fn parameters(&self) -> i64 {
        let shape = self.file.shape("trajectory").unwrap_or_default();
        shape.last().copied().unwrap_or(0)
    }

    /// The measurements of its training, epoch by epoch, of all epochs in the store.
    pub fn epochs(&self) -> &[StoredEpoch] {
        &self.epochs
    }

    pub(super) fn up_to(self, asked: usize) -> Self {
        Self { asked, ..self }
    }

    /// How many epochs the run asks for.
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// The measurements of the epochs that the run asks for, without the images that they were made
    /// on.
    pub fn records(&self) -> Vec<EpochRecord> {
        self.epochs[..self.asked].iter().map(|e| e.record).collect()
    }

    /// Replaces the measurements, one for one.
    pub fn measured_again(self, epochs: Vec<StoredEpoch>) -> Self {
        Self { epochs, ..self }
    }

    /// To train it on, or to write it again.
    ///
    /// # Errors
    /// As [`Self::checkpoint`].
    pub fn partial(&self) -> Result<Partial> {
        let rows = self.epochs.len() * self.per_epoch;
        let points = (0..=rows)
            .map(|row| self.file.row("trajectory", row))
            .collect::<Result<Vec<_>>>()?;
        let running = (0..=self.epochs.len())
            .map(|epoch| running_of(&self.file, Some(epoch)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Partial {
            expert: Expert {
                weights: self.network(self.epochs.len())?,
                velocity: velocity_of(&self.file)?,
            },
            points,
            running,
            epochs: self.epochs.clone(),
        })
    }
}
