//! How the file of a trained expert is written: whole, or with the checkpoints that are needed, and
//! never with less than there is already.

use super::{KEPT, Partial, Store, Trajectory, WHOLE};
use crate::tensor_file;
use astill_core::profile::CheckpointsRead;
use astill_core::{EpochRecord, Error, Result};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use tch::Tensor;

impl Partial {
    /// The checkpoints that there are, by number.
    fn numbered(&self) -> impl Iterator<Item = (usize, &Tensor)> {
        let number = |row: usize| self.kept.as_ref().map_or(row, |kept| kept[row]);
        self.points
            .iter()
            .enumerate()
            .map(move |(row, point)| (number(row), point))
    }

    /// Whether `other` has learned the same: the epochs that both have come to the same numbers.
    fn is_same_training(&self, other: &Trajectory) -> bool {
        let learned = |record: &EpochRecord| EpochRecord {
            // this depends on what it is measured on
            validation_accuracy: None,
            ..*record
        };
        let mut both = self.epochs.iter().zip(other.epochs());
        both.all(|(a, b)| learned(&a.record) == learned(&b.record))
    }
}

impl Store {
    /// Turns an expert that is trained as far as needed into its final file, in which all its
    /// checkpoints are kept, or those that are `needed`.
    ///
    /// # Errors
    /// The file cannot be written, or the folder of its epochs cannot be removed.
    pub fn finish(
        &self,
        index: u64,
        trained: &Partial,
        needed: Option<&CheckpointsRead>,
    ) -> Result<()> {
        self.write(index, trained, needed)?;
        let folder = self.partial_folder(index);
        // first, because what begins with it is taken for a training that was interrupted
        let _ = fs::remove_file(self.epoch_file(index, 0));
        match fs::remove_dir_all(&folder) {
            // another process has removed it, or still trains the same
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
                Ok(())
            }
            removed => removed.map_err(Error::io("remove", &folder)),
        }
    }

    /// Writes the file of an expert with all its checkpoints, or those that are `needed`, and with
    /// what other runs have kept of the same training. One that has more epochs, and every
    /// checkpoint that is asked for, stays as it is; epochs in training beyond it stay as well.
    ///
    /// # Errors
    /// The file cannot be written, or a checkpoint of that which is there cannot be read.
    pub fn write(
        &self,
        index: u64,
        trained: &Partial,
        needed: Option<&CheckpointsRead>,
    ) -> Result<()> {
        // one that is damaged is replaced
        let there = self.trained(index).ok().flatten();
        let last = trained.epochs.len() * self.per_epoch;
        let is_kept = |number: usize| {
            let is_needed = needed.is_none_or(|needed| needed.contains(number));
            is_needed || number == last
        };
        let is_longer = |there: &Trajectory| there.epochs.len() > trained.epochs.len();
        let mut kept: BTreeMap<usize, Tensor> = BTreeMap::new();
        for (number, point) in trained.numbered() {
            let others = there.as_ref().is_some_and(|there| there.has(number));
            if is_kept(number) || others {
                kept.insert(number, point.shallow_clone());
            }
        }
        let mut whole = None;
        if let Some(there) = &there {
            if is_longer(there) && kept.keys().all(|number| there.has(*number)) {
                return Ok(());
            }
            if trained.is_same_training(there) {
                let theirs = there.partial()?;
                for (number, point) in theirs.numbered() {
                    kept.entry(number).or_insert_with(|| point.shallow_clone());
                }
                whole = is_longer(there).then_some(theirs);
            }
        }
        self.write_kept(index, whole.as_ref().unwrap_or(trained), kept)
    }

    /// Writes these checkpoints of an expert.
    fn write_kept(
        &self,
        index: u64,
        trained: &Partial,
        kept: BTreeMap<usize, Tensor>,
    ) -> Result<()> {
        let (numbers, points): (Vec<i64>, Vec<Tensor>) =
            kept.into_iter().map(|(n, point)| (n as i64, point)).unzip();
        let is_whole = points.len() == trained.epochs.len() * self.per_epoch + 1;
        let trajectory = Tensor::stack(&points, 0);
        let running = Tensor::stack(&trained.running, 0);
        let numbers = Tensor::from_slice(&numbers);
        let mut tensors = vec![("trajectory", &trajectory)];
        if running.numel() > 0 {
            tensors.push(("running", &running));
        }
        tensors.extend(trained.expert.velocity.as_ref().map(|v| ("velocity", v)));
        if !is_whole {
            tensors.push((KEPT, &numbers));
        }
        // in a folder that whoever claims this expert next cleans up
        let folder = self.make_partial_folder(index)?;
        let (whole, path) = (folder.join(WHOLE), self.file(index));
        tensor_file::write_sealed(
            &whole,
            &tensors,
            ("epochs", serde_json::json!(trained.epochs).to_string()),
        )?;
        fs::rename(&whole, &path).map_err(Error::io("write", &path))?;
        // only if nothing else is in it
        let _ = fs::remove_dir(&folder);
        Ok(())
    }
}
