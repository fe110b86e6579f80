//! Experts that are in the store already: their figures, measured again where the validation images
//! have changed.

use super::control::Control;
use super::store::{Claim, Store, StoredEpoch, Trajectory};
use super::training::Training;
use crate::distill::evaluate;
use astill_core::Result;
use astill_core::run::event::{EventKind, ExpertFound};
use std::time::Duration;

impl Training<'_> {
    /// Records that expert `index` was found, with figures that hold for the validation images of
    /// this run. New ones are written into the store unless a process other than the caller, who may
    /// have `claim`, is training the expert.
    ///
    /// # Errors
    /// A command asks to stop, or a checkpoint cannot be read.
    pub(super) fn found(
        &self,
        index: u64,
        expert: Trajectory,
        (store, claim): (&Store, Option<&Claim>),
        control: &mut Control,
    ) -> Result<Trajectory> {
        let expert = match self.outdated(&expert) {
            outdated if outdated.is_empty() => expert,
            outdated => {
                let expert = self.measure_again(index, expert, &outdated, control)?;
                let written = store.with_claim(index, claim, || {
                    let whole = expert.partial()?;
                    control.write_with_retry(|_| store.write(index, &whole, None))
                });
                written.transpose()?;
                expert
            }
        };
        control.record(EventKind::ExpertFound(ExpertFound {
            expert: index,
            store: store.key().to_string(),
            epochs: expert.records(),
        }))?;
        Ok(expert)
    }

    /// The epochs (from 0) whose accuracy was measured on other images, and the last of the `asked`
    /// ones if it has never been measured.
    fn outdated(&self, expert: &Trajectory) -> Vec<usize> {
        let (epochs, last) = (expert.epochs(), expert.asked().saturating_sub(1));
        let now = &self.dataset.validation_content;
        let has_images = !self.dataset.validation.is_empty();
        let is_outdated = |(e, epoch): &(usize, &StoredEpoch)| {
            match (epoch.record.validation_accuracy, &epoch.measured_on) {
                (Some(_), Some(on)) => on != now || !has_images,
                // from before that was kept: these images were part of what the key stands for
                (Some(_), None) => !has_images,
                (None, _) => has_images && *e == last && expert.has_end_of(e + 1),
            }
        };
        let found = epochs.iter().enumerate().filter(is_outdated);
        found.map(|(epoch, _)| epoch).collect()
    }

    fn measure_again(
        &self,
        index: u64,
        expert: Trajectory,
        outdated: &[usize],
        control: &mut Control,
    ) -> Result<Trajectory> {
        let mut epochs = expert.epochs().to_vec();
        for &epoch in outdated {
            control.wait_while_paused()?;
            let label = format!("expert {}, epoch {}, tested again: ", index + 1, epoch + 1);
            let mut watch = control.watch(&label, Duration::ZERO);
            let validation = &self.dataset.validation;
            // nobody can measure what was not kept
            let is_measured = !validation.is_empty() && expert.has_end_of(epoch + 1);
            let accuracy = match is_measured {
                false => None,
                true => {
                    let weights = expert.network(epoch + 1)?.to_device(self.device);
                    Some(evaluate::accuracy(
                        self.net, &weights, validation, &mut watch,
                    )?)
                }
            };
            epochs[epoch].record.validation_accuracy = accuracy;
            epochs[epoch].measured_on = accuracy.map(|_| self.dataset.validation_content.clone());
        }
        Ok(expert.measured_again(epochs))
    }
}
