//! One expert's place in the store, and the claim to train it there.

use super::control::Control;
use super::schedule::Schedule;
use super::store::{Claim, Claimant, Claimed, Presence, Store};
use super::training::Training;
use astill_core::Result;

/// One expert's place in the store, with the right to train it there.
#[derive(Debug)]
pub(super) struct ExpertSlot {
    pub schedule: Schedule,
    pub store: Store,
    pub claim: Option<Claim>,
    presence: Option<Presence>,
}

impl Training<'_> {
    /// The slot of expert `index` with the edits made so far: `before` where they change nothing.
    pub(super) fn slot(
        &self,
        index: u64,
        before: Option<ExpertSlot>,
        control: &Control,
    ) -> ExpertSlot {
        let schedule = Schedule::of(index, control);
        match before {
            Some(slot) if slot.schedule == schedule => slot,
            _ => {
                let settings = self.settings(&schedule);
                ExpertSlot {
                    store: Store::new(self.data, &settings, schedule.first.per_epoch),
                    schedule,
                    claim: None,
                    presence: None,
                }
            }
        }
    }

    /// Claims expert `index` in its slot; otherwise, who has it.
    ///
    /// # Errors
    /// The store cannot be made or written; a command asks to stop.
    pub(super) fn claim(
        &self,
        index: u64,
        slot: &mut ExpertSlot,
        control: &mut Control,
    ) -> Result<Option<Claimant>> {
        let store = &slot.store;
        if slot.presence.is_none() {
            let settings = self.settings(&slot.schedule);
            slot.presence = control.write_at(store.folder(), || {
                store.create(&settings)?;
                store.join().map(Some)
            })?;
        }
        match control.write_at(store.folder(), || store.claim(index))? {
            Claimed::Here(claim) => {
                slot.claim = Some(claim);
                Ok(None)
            }
            Claimed::There(claimant) => {
                slot.claim = None;
                Ok(claimant)
            }
        }
    }
}
