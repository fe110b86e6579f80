//! The training of one expert, from wherever an earlier process has left it.

use super::cautions;
use super::control::Control;
use super::expert_slot::ExpertSlot;
use super::schedule::Schedule;
use super::store::{Claim, NewEpoch, Partial, Store, StoredEpoch};
use super::training::Training;
use crate::distill::expert::{self, EpochId, TrainedEpoch};
use crate::distill::{Expert, ExpertPath, evaluate};
use crate::network::Weights;
use crate::progress::Progress;
use astill_core::EpochRecord;
use astill_core::profile::{ExpertSettings as Settings, Keep};
use astill_core::run::event::{EventKind, ExpertEpoch};
use astill_core::text::number;
use astill_core::{Error, Result};
use std::time::{Duration, Instant};
use tch::{Device, Tensor};

impl Training<'_> {
    /// The training of expert `index` as an earlier process left it, or from its initialisation.
    fn begun(&self, index: u64, store: &Store, control: &mut Control) -> Result<Partial> {
        let (begun, damaged) = store.partial(index, control.epochs_trained(index))?;
        if let Some(problem) = damaged {
            control.warn(format!(
                "{problem}; the training of expert {} continues from an earlier epoch, with the same result",
                index + 1
            ))?;
        }
        if let Some(partial) = begun {
            return Ok(partial);
        }
        if matches!(store.whole(index, 0), Ok(Some(expert)) if !expert.is_whole()) {
            control.warn(format!(
                "expert {} is trained again from the beginning: it is in the store, but not all its \
                 checkpoints were kept (expert.keep: needed), and this run needs others",
                index + 1
            ))?;
        }
        let expert = Expert::new(self.net, self.profile.expert.seed, index);
        control.write_at(store.folder(), || store.save_epoch(index, 0, &expert, None))?;
        control.has_kept_in(store.folder());
        Ok(Partial {
            points: vec![expert.weights.theta.copy()],
            kept: None,
            running: vec![expert.weights.running.copy()],
            expert,
            epochs: Vec::new(),
        })
    }

    /// Trains expert `index`, which is claimed, as far as it is needed. False if it did not get
    /// there: the caller then tries the store again, or starts over. If settings change during the
    /// training, it moves to the slot of an expert with these changes.
    pub(super) fn train(
        &self,
        index: u64,
        mut here: ExpertSlot,
        control: &mut Control,
    ) -> Result<(ExpertSlot, bool)> {
        let mut so_far = self.begun(index, &here.store, control)?;
        so_far.expert = so_far.expert.to_device(self.device);
        let per_epoch = here.schedule.first.per_epoch;
        let mut path = ExpertPath::new(&so_far.points[0]);
        so_far
            .points
            .iter()
            .step_by(per_epoch)
            .skip(1)
            .for_each(|p| {
                path.push(p);
            });
        let target = control.epochs_trained(index);
        for epoch in so_far.epochs.len()..target {
            control.enter_epoch(index, epoch);
            control.wait_while_paused()?;
            while Schedule::of(index, control) != here.schedule {
                let before = here;
                here = self.slot(index, None, control);
                if !here.schedule.begins_as(&before.schedule, epoch) {
                    // an expert with these settings would have been trained otherwise so far
                    return Ok((here, false));
                }
                self.claim(index, &mut here, control)?;
                let found = here.store.finished(index, target);
                let is_there =
                    matches!(found, Ok(Some(e)) if e.has_all(&control.checkpoints_read(index)));
                if here.claim.is_none() || is_there {
                    return Ok((here, false));
                }
                move_to(&here.store, index, &so_far, per_epoch, control)?;
            }
            control.enter_epoch(index, epoch + 1);
            let settings = here.schedule.settings(epoch);
            let (state, claim) = (&mut so_far.expert, here.claim.as_mut());
            let at = (index, epoch);
            let trained = self.train_epoch(settings, state, at, &mut path, claim, control);
            let (record, inside) = match trained {
                Err(Error::Diverged(problem)) => {
                    control.diverged(problem)?;
                    // after the pause, from the last epoch that was saved
                    return Ok((here, false));
                }
                trained => trained?,
            };
            let validated = record.validation_accuracy.map(|_| self.dataset);
            let record = StoredEpoch {
                record,
                measured_on: validated.map(|set| set.validation_content.clone()),
            };
            control.write_at(here.store.folder(), || {
                let new = NewEpoch {
                    inside: &inside,
                    record: &record,
                };
                here.store
                    .save_epoch(index, epoch + 1, &so_far.expert, Some(new))
            })?;
            control.has_kept_in(here.store.folder());
            so_far.points.extend(inside);
            // a copy: on the CPU the tensor itself would be the live parameters
            let end = so_far.expert.weights.to_device(Device::Cpu);
            so_far.points.push(end.theta.copy());
            so_far.running.push(end.running.copy());
            so_far.epochs.push(record);
            if epoch + 1 < target && !here.claim.as_ref().is_some_and(Claim::is_held) {
                control.warn(format!(
                    "this process has lost its claim of expert {}: another one took it over, because \
                     this one was paused or silent for ten minutes, or the claim was removed",
                    index + 1
                ))?;
                here.claim = None;
                return Ok((here, false));
            }
        }
        let needed = match self.profile.expert.keep {
            Keep::All => None,
            Keep::Needed => Some(control.checkpoints_read(index)),
        };
        control.write_with_retry(|_| here.store.finish(index, &so_far, needed.as_ref()))?;
        let classes = self.dataset.classes.len();
        let records: Vec<EpochRecord> = so_far.epochs.iter().map(|e| e.record).collect();
        if let Some(caution) = cautions::of_expert(index as usize, &records, classes) {
            control.warn(caution)?;
        }
        Ok((here, true))
    }

    fn train_epoch(
        &self,
        settings: &Settings,
        state: &mut Expert,
        (index, epoch): (u64, usize),
        path: &mut ExpertPath,
        mut claim: Option<&mut Claim>,
        control: &mut Control,
    ) -> Result<(EpochRecord, Vec<Tensor>)> {
        let begin = Instant::now();
        let label = format!("expert {}, epoch {}: ", index + 1, epoch + 1);
        let mut pass_on = control.watch(&label, Duration::ZERO);
        let mut watch = |progress: Progress<'_>| {
            claim.iter_mut().for_each(|claim| claim.touch());
            pass_on(progress)
        };
        let id = EpochId {
            seed: self.profile.expert.seed,
            expert: index,
            epoch,
        };
        let seen = (&self.dataset.train, self.profile.augmentation());
        let TrainedEpoch { means, inside } =
            state.train_epoch(self.net, settings, seen, id, &mut watch)?;
        let validation = &self.dataset.validation;
        let validation_accuracy = if validation.is_empty() {
            None
        } else {
            Some(evaluate::accuracy(
                self.net,
                &state.weights,
                validation,
                &mut watch,
            )?)
        };
        drop(pass_on);
        let smooth = path.push(&state.weights.theta.to_device(Device::Cpu));
        let record = EpochRecord {
            train_loss: means.loss,
            train_accuracy: means.accuracy,
            validation_accuracy,
            clip_factor: expert::loss_factor(settings, epoch),
            gradient_penalty: means.gradient_penalty,
            step_length: smooth.step_length,
            turn: smooth.turn,
            curvature: smooth.curvature,
            tortuosity: smooth.tortuosity,
        };
        let seconds = begin.elapsed().as_secs_f64();
        if !(record.train_loss.is_finite() && record.step_length.is_finite()) {
            return Err(Error::Diverged(format!(
                "expert {} is no longer finite after epoch {}: its training diverged. Nothing of \
                 this epoch was saved. Lower expert.lr (now {}) or expert.gradient_penalty (now \
                 {}), either in a new run or, while an engine is running, in this one (`astill send \
                 RUN set expert.lr=…`, then `astill send RUN resume`)",
                index + 1,
                epoch + 1,
                number(settings.lr),
                number(settings.gradient_penalty)
            )));
        }
        control.record(EventKind::ExpertEpoch(ExpertEpoch {
            expert: index,
            epoch: epoch as u64,
            record,
            seconds,
        }))?;
        Ok((record, inside))
    }
}

/// Saves what is trained so far in another store.
fn move_to(
    store: &Store,
    index: u64,
    so_far: &Partial,
    per_epoch: usize,
    control: &mut Control,
) -> Result<()> {
    // the first checkpoint last: without it the others are ignored, should this be interrupted
    for epoch in (0..=so_far.epochs.len()).rev() {
        let is_last = epoch == so_far.epochs.len();
        let velocity = so_far.expert.velocity.as_ref().filter(|_| is_last);
        let kept = Expert {
            weights: Weights {
                theta: so_far.points[epoch * per_epoch].shallow_clone(),
                running: so_far.running[epoch].shallow_clone(),
            },
            velocity: velocity.map(Tensor::shallow_clone),
        };
        let before = epoch.checked_sub(1);
        control.write_with_retry(|_| {
            let new = before.map(|before| NewEpoch {
                inside: &so_far.points[before * per_epoch + 1..epoch * per_epoch],
                record: &so_far.epochs[before],
            });
            store.save_epoch(index, epoch, &kept, new)
        })?;
    }
    Ok(())
}
