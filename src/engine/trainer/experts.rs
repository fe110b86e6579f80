//! The phase that gathers the experts: those in the store, those that other processes train at the
//! same time, and the rest, which it trains.

use super::control::Control;
use super::expert_slot::ExpertSlot;
use super::imported;
use super::store::{Claimant, Trajectory};
use super::training::Training;
use astill_core::{Error, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How often to check whether to stop or pause while other processes train.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// After how many of these the store is looked at again, at most.
const MOST_POLLS: u32 = 10;

/// An expert that is wanted.
enum Reached {
    Here(Trajectory),
    /// Another process is training it, as far as is known this one.
    Elsewhere(Option<Claimant>),
}

/// The experts gathered so far.
#[derive(Debug, Default)]
struct Gathering {
    /// The slot of the latest expert.
    slot: Option<ExpertSlot>,
    /// What was said about the file of an expert that is damaged.
    damaged: BTreeMap<u64, String>,
}

impl Training<'_> {
    /// All experts of the profile, from the store or trained now. Waits for those that other
    /// processes are training.
    ///
    /// # Errors
    /// A command asks to stop; the store cannot be read or written; training diverged and nobody can
    /// answer.
    pub fn experts(&self, control: &mut Control) -> Result<Vec<Trajectory>> {
        if let Some(from) = &self.profile.expert.from {
            return self.imported(&imported::folder(from, self.data), control);
        }
        let all: Vec<u64> = (0..self.profile.expert.count as u64).collect();
        self.gather(&all, false, control)
    }

    /// The experts of these numbers, in ascending order, from the store or trained now. Waits for
    /// those that other processes are training, unless it `leaves_others`.
    ///
    /// # Errors
    /// As [`Self::experts`].
    pub fn gather(
        &self,
        wanted: &[u64],
        leaves_others: bool,
        control: &mut Control,
    ) -> Result<Vec<Trajectory>> {
        let mut wanted = wanted.to_vec();
        let mut gathering = Gathering::default();
        let mut found = BTreeMap::new();
        let (mut is_reported, mut polls) = (false, 1);
        loop {
            let mut elsewhere = Vec::new();
            let before = wanted.len();
            for index in std::mem::take(&mut wanted) {
                match self.expert(index, &mut gathering, control)? {
                    Reached::Here(expert) => {
                        found.insert(index, expert);
                    }
                    Reached::Elsewhere(claimant) => {
                        wanted.push(index);
                        elsewhere.push((index, claimant));
                    }
                }
            }
            // a process may have died while this one trained
            let is_same = wanted.len() == before;
            if elsewhere.is_empty() || (leaves_others && is_same) {
                return Ok(found.into_values().collect());
            }
            if leaves_others {
                continue;
            }
            if !std::mem::replace(&mut is_reported, true) {
                control.warn(waiting_for(&elsewhere))?;
            }
            polls = match is_same {
                true => (polls + 1).min(MOST_POLLS),
                false => 1,
            };
            for _ in 0..polls {
                std::thread::sleep(POLL_INTERVAL);
                control.wait_while_paused()?;
            }
        }
    }

    /// Where the experts are, with the edits made so far.
    pub fn store_folder(&self, control: &Control) -> PathBuf {
        let slot = self.slot(0, None, control);
        slot.store.folder().to_path_buf()
    }

    /// Expert `index` from the store, or trained now, unless another process is training it.
    fn expert(
        &self,
        index: u64,
        gathering: &mut Gathering,
        control: &mut Control,
    ) -> Result<Reached> {
        control.enter_epoch(index, 0);
        control.wait_while_paused()?;
        control.check_helpers()?;
        let mut here = self.slot(index, gathering.slot.take(), control);
        let (epochs, read) = (
            control.epochs_trained(index),
            control.checkpoints_read(index),
        );
        let mut trained_here = false;
        let found = loop {
            match here.store.finished(index, epochs) {
                Ok(Some(expert)) if expert.has_all(&read) => break Ok(expert),
                Ok(_) => {}
                Err(problem @ Error::File { .. }) => {
                    let message = format!(
                        "{problem}; expert {} will be trained again, with the same result",
                        index + 1
                    );
                    let reported = gathering.damaged.insert(index, message.clone());
                    if reported.as_ref() != Some(&message) {
                        control.warn(message)?;
                    }
                }
                Err(error) => return Err(error),
            }
            if here.claim.is_none() {
                let claimant = self.claim(index, &mut here, control)?;
                if here.claim.is_none() {
                    break Err(claimant);
                }
                // another process may just have finished it, and settings may have changed while
                // the claim could not be written
                here = self.slot(index, Some(here), control);
                continue;
            }
            (here, trained_here) = self.train(index, here, control)?;
        };
        let claim = here.claim.take();
        let reached = match found {
            Err(claimant) => Reached::Elsewhere(claimant),
            Ok(expert) if trained_here => Reached::Here(expert),
            Ok(expert) => {
                let store = &here.store;
                store.tidy(index, &expert, claim.as_ref());
                Reached::Here(self.found(index, expert, (store, claim.as_ref()), control)?)
            }
        };
        gathering.slot = Some(here);
        Ok(reached)
    }
}

/// What is said of experts that other processes are training.
fn waiting_for(elsewhere: &[(u64, Option<Claimant>)]) -> String {
    match elsewhere {
        [(index, Some(claimant))] => format!(
            "expert {} is being trained by {claimant}; waiting to use it too",
            index + 1
        ),
        [(index, None)] => format!(
            "expert {} is being trained by another process; waiting to use it too",
            index + 1
        ),
        several => format!(
            "{} experts are being trained by other processes; waiting to use them too",
            several.len()
        ),
    }
}
