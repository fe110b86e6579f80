//! The phase that trains the experts that are not in the store yet.

use super::control::Control;
use super::event::What;
use crate::EpochRecord;
use crate::data::Dataset;
use crate::distill::expert::{self, Turn};
use crate::distill::trajectory::{Partial, Store, TrainingLock, Trajectory};
use crate::distill::{Expert, Path, Recipe, evaluate};
use crate::network::ConvNet;
use crate::{Error, Result};
use std::time::{Duration, Instant};
use tch::Device;

/// How long to wait before looking again whether another process has finished training.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What the training of experts needs.
#[derive(Debug)]
pub struct Training<'a> {
    pub net: &'a ConvNet,
    pub recipe: &'a Recipe,
    pub dataset: &'a Dataset,
    pub store: &'a Store,
    pub seed: u64,
    pub device: Device,
}

impl Training<'_> {
    /// Experts 0 … count − 1, from the store or trained now. Another process that trains the same experts is waited for.
    pub fn experts(&self, count: u64, settings: &serde_json::Value, control: &mut Control) -> Result<Vec<Trajectory>> {
        let mut lock = None;
        let mut experts = Vec::new();
        for index in 0..count {
            let mut trained_here = false;
            while self.store.finished(index).is_none() {
                if lock.is_none() {
                    self.store.create(settings)?;
                    lock = self.lock_or_wait(index, control)?;
                    continue;
                }
                self.train(index, control)?;
                trained_here = true;
            }
            let expert = self
                .store
                .finished(index)
                .ok_or_else(|| Error::file(self.store.folder(), format!("expert {} was removed while it was in use", index + 1)))?;
            if !trained_here {
                let (store, epochs) = (self.store.key().to_string(), expert.epochs().to_vec());
                control.record(What::ExpertFound { expert: index, store, epochs })?;
            }
            experts.push(expert);
        }
        Ok(experts)
    }

    /// The lock of the store, or none once another process has finished expert `index`.
    fn lock_or_wait(&self, index: u64, control: &mut Control) -> Result<Option<TrainingLock>> {
        let mut told = false;
        loop {
            control.check()?;
            if let Some(lock) = self.store.try_lock()? {
                return Ok(Some(lock));
            }
            if self.store.finished(index).is_some() {
                return Ok(None);
            }
            if !told {
                control.warn("another astill is training the same experts; waiting for it, to use them too")?;
                told = true;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn train(&self, index: u64, control: &mut Control) -> Result<()> {
        let begun = match self.store.partial(index) {
            Some(partial) => partial,
            None => {
                let expert = Expert::new(self.net, self.seed, index);
                self.store.save_epoch(index, 0, &expert, None)?;
                let points = vec![expert.theta.copy()];
                Partial { expert, points, epochs: Vec::new() }
            }
        };
        let Partial { expert: mut state, mut points, mut epochs } = begun;
        state.theta = state.theta.to_device(self.device);
        state.velocity = state.velocity.map(|v| v.to_device(self.device));
        let mut path = Path::new(&points[0]);
        points[1..].iter().for_each(|p| {
            path.push(p);
        });
        for epoch in epochs.len()..self.recipe.epochs {
            let record = self.train_epoch(&mut state, index, epoch, &mut path, control)?;
            self.store.save_epoch(index, epoch + 1, &state, Some(&record))?;
            // a copy: on the CPU the tensor itself would be the live parameters
            points.push(state.theta.to_device(Device::Cpu).copy());
            epochs.push(record);
        }
        self.store.finish(index, &points, &epochs)
    }

    fn train_epoch(&self, state: &mut Expert, index: u64, epoch: usize, path: &mut Path, control: &mut Control) -> Result<EpochRecord> {
        let begin = Instant::now();
        let label = format!("expert {}, epoch {}: ", index + 1, epoch + 1);
        let mut watch = control.watch(&label, Duration::ZERO);
        let turn = Turn { seed: self.seed, expert: index, epoch };
        let means = state.train_epoch(self.net, self.recipe, &self.dataset.train, turn, &mut watch)?;
        let test_accuracy = evaluate::accuracy(self.net, &state.theta, &self.dataset.test, &mut watch)?;
        drop(watch);
        let smooth = path.push(&state.theta.to_device(Device::Cpu));
        let record = EpochRecord {
            train_loss: means.loss,
            train_accuracy: means.accuracy,
            test_accuracy,
            clip_factor: if self.recipe.clipping { expert::clip_factor(epoch) } else { 1. },
            gradient_penalty: means.gradient_penalty,
            step_length: smooth.step_length,
            turn: smooth.turn,
            curvature: smooth.curvature,
            tortuosity: smooth.tortuosity,
        };
        let seconds = begin.elapsed().as_secs_f64();
        if !(record.train_loss.is_finite() && record.step_length.is_finite()) {
            return Err(Error::Diverged(format!(
                "expert {} is no longer finite after epoch {}: its training diverged. Lower expert.lr (now {}) or \
                 expert.gradient_penalty (now {}); nothing of this epoch was kept",
                index + 1,
                epoch + 1,
                self.recipe.lr,
                self.recipe.gradient_penalty
            )));
        }
        control.record(What::ExpertEpoch { expert: index, epoch: epoch as u64, record, seconds })?;
        Ok(record)
    }
}
