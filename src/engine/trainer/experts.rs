//! The phase that trains the experts that are not in the store yet.
//!
//! An expert whose settings change during its training moves to a store whose key contains these
//! changes, so runs with the same changes share it and others never meet it.

use super::cautions;
use super::control::{Control, RunStage};
use super::imported;
use super::store::{NewEpoch, Partial, Store, StoredEpoch, TrainingLock, Trajectory};
use super::training::Training;
use crate::distill::expert::{self, EpochId, TrainedEpoch};
use crate::distill::{Expert, ExpertPath, evaluate};
use crate::network::Weights;
use astill_core::EpochRecord;
use astill_core::profile::{ExpertSettings as Settings, Kind, NormalisedBy, Profile};
use astill_core::run::edits::Moment;
use astill_core::run::event::{EventKind, ExpertEpoch};
use astill_core::text::number;
use astill_core::{Error, Result};
use serde_json::json;
use std::time::{Duration, Instant};
use tch::{Device, Tensor};

/// How often to check whether another process has finished training.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The settings of one expert: those that it begins with, and those that were changed while it was
/// trained, with the epoch from which they hold.
#[derive(Debug, PartialEq)]
struct Schedule {
    first: Settings,
    changes: Vec<(usize, Settings)>,
}

impl Schedule {
    /// With the edits that were made so far.
    fn of(expert: u64, control: &Control) -> Self {
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
    fn settings(&self, epoch: usize) -> &Settings {
        self.changes
            .iter()
            .rev()
            .find(|(from, _)| *from <= epoch)
            .map_or(&self.first, |(_, settings)| settings)
    }

    /// Whether both train the first `epochs` epochs in the same way.
    fn begins_as(&self, other: &Self, epochs: usize) -> bool {
        (0..epochs).all(|epoch| self.settings(epoch) == other.settings(epoch))
    }
}

/// One expert's place in the store, with the right to train there.
#[derive(Debug)]
struct ExpertSlot {
    schedule: Schedule,
    store: Store,
    lock: Option<TrainingLock>,
}

impl Training<'_> {
    /// All experts of the profile, from the store or trained now. Waits for another process that is
    /// training the same experts.
    pub fn experts(&self, control: &mut Control) -> Result<Vec<Trajectory>> {
        if let Some(from) = &self.profile.expert.from {
            return self.imported(&imported::folder(from, self.data), control);
        }
        let mut slot: Option<ExpertSlot> = None;
        let mut experts = Vec::new();
        for index in 0..self.profile.expert.count as u64 {
            control.enter(RunStage::Experts {
                next: Moment::Expert {
                    expert: index,
                    epoch: 0,
                },
            });
            control.wait_while_paused()?;
            let mut here = self.slot(index, slot.take(), control)?;
            let epochs = control.epochs_trained(index);
            let (mut trained_here, mut reported) = (false, None);
            let expert = loop {
                match here.store.finished(index, epochs) {
                    Ok(Some(expert)) => break expert,
                    Ok(None) => {}
                    Err(problem @ Error::File { .. }) => {
                        let message = format!(
                            "{problem}; expert {} will be trained again, with the same result",
                            index + 1
                        );
                        if reported.replace(message.clone()) != Some(message.clone()) {
                            control.warn(message)?;
                        }
                    }
                    Err(error) => return Err(error),
                }
                if here.lock.is_none() {
                    self.create(&here, control)?;
                    here.lock = lock_or_wait(&here.store, index, epochs, control)?;
                    // settings may have changed while this waited for another process
                    here = self.slot(index, Some(here), control)?;
                    continue;
                }
                (here, trained_here) = self.train(index, here, control)?;
            };
            let expert = match trained_here {
                true => expert,
                false => {
                    let epochs = expert.epochs().len();
                    here.store.tidy(index, epochs, here.lock.as_ref());
                    self.found(index, expert, (&here.store, here.lock.as_ref()), control)?
                }
            };
            experts.push(expert);
            slot = Some(here);
        }
        Ok(experts)
    }

    /// The slot of expert `index` with the edits made so far: `before` where they change nothing.
    fn slot(
        &self,
        index: u64,
        before: Option<ExpertSlot>,
        control: &Control,
    ) -> Result<ExpertSlot> {
        let schedule = Schedule::of(index, control);
        Ok(match before {
            Some(slot) if slot.schedule == schedule => slot,
            _ => {
                let store = Store::new(
                    self.data,
                    &self.settings(&schedule),
                    schedule.first.per_epoch,
                );
                ExpertSlot {
                    schedule,
                    store,
                    lock: None,
                }
            }
        })
    }

    /// Makes the folder of a slot.
    fn create(&self, slot: &ExpertSlot, control: &mut Control) -> Result<()> {
        let store = &slot.store;
        control.write_at(store.folder(), || {
            store.create(&self.settings(&slot.schedule))
        })
    }

    /// Every setting that affects an expert, and nothing else: how many experts there are, and how
    /// far they are trained, does not.
    fn settings(&self, schedule: &Schedule) -> serde_json::Value {
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
        let expert = Expert::new(self.net, self.profile.expert.seed, index);
        control.write_at(store.folder(), || store.save_epoch(index, 0, &expert, None))?;
        control.has_kept_in(store.folder());
        Ok(Partial {
            points: vec![expert.weights.theta.copy()],
            running: vec![expert.weights.running.copy()],
            expert,
            epochs: Vec::new(),
        })
    }

    /// Trains expert `index` as far as it is needed. False if it did not get there: the caller then
    /// tries the store again, or starts over. If settings change during the training, it moves to
    /// the slot of an expert with these changes.
    fn train(
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
            let moment = |epoch: usize| Moment::Expert {
                expert: index,
                epoch: epoch as u64,
            };
            control.enter(RunStage::Experts {
                next: moment(epoch),
            });
            control.wait_while_paused()?;
            while Schedule::of(index, control) != here.schedule {
                let before = here;
                here = self.slot(index, None, control)?;
                if !here.schedule.begins_as(&before.schedule, epoch) {
                    // an expert with these settings would have been trained otherwise so far
                    return Ok((here, false));
                }
                self.create(&here, control)?;
                here.lock = lock_or_wait(&here.store, index, target, control)?;
                if here.lock.is_none() || matches!(here.store.finished(index, target), Ok(Some(_)))
                {
                    return Ok((here, false));
                }
                move_to(&here.store, index, &so_far, per_epoch, control)?;
            }
            control.enter(RunStage::Experts {
                next: moment(epoch + 1),
            });
            let settings = here.schedule.settings(epoch);
            let state = &mut so_far.expert;
            let trained = self.train_epoch(settings, state, index, epoch, &mut path, control);
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
        }
        control.write_with_retry(|_| here.store.finish(index, &so_far))?;
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
        index: u64,
        epoch: usize,
        path: &mut ExpertPath,
        control: &mut Control,
    ) -> Result<(EpochRecord, Vec<Tensor>)> {
        let begin = Instant::now();
        let label = format!("expert {}, epoch {}: ", index + 1, epoch + 1);
        let mut watch = control.watch(&label, Duration::ZERO);
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
        drop(watch);
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

/// The lock of a store; none once another process has trained expert `index` for `epochs` epochs.
fn lock_or_wait(
    store: &Store,
    index: u64,
    epochs: usize,
    control: &mut Control,
) -> Result<Option<TrainingLock>> {
    let mut is_reported = false;
    loop {
        control.wait_while_paused()?;
        if let Some(lock) = control.write_at(store.folder(), || store.try_lock())? {
            if !lock.is_exclusive {
                control.warn(format!(
                    "the file system of {} has no locks, so another run may train the same experts \
                     at the same time, to the same result",
                    store.folder().display()
                ))?;
            }
            return Ok(Some(lock));
        }
        if store.finished(index, epochs).is_ok_and(|e| e.is_some()) {
            return Ok(None);
        }
        if !is_reported {
            control.warn("another run is training the same experts; waiting to use them too")?;
            is_reported = true;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}
