//! All workers of a run: those that come over the network, and those that the engine starts itself.

use super::control::Control;
use super::local_workers::LocalWorkers;
use super::worker_server::WorkerServer;
use astill_core::Result;
use astill_core::run::event::EventKind;
use std::cell::RefCell;

/// The workers of a run, as long as this lives.
#[derive(Debug)]
pub struct Workers {
    pub server: WorkerServer,
    local: RefCell<LocalWorkers>,
}

impl Workers {
    /// Those of this server, among them the local ones.
    pub fn new(server: WorkerServer, local: LocalWorkers) -> Self {
        Self {
            server,
            local: RefCell::new(local),
        }
    }

    /// Records which workers have come and gone, and which of the local ones have failed.
    ///
    /// # Errors
    /// The events cannot be recorded.
    pub fn record_changes(&self, control: &mut Control) -> Result<()> {
        for change in self.server.changes() {
            control.record(EventKind::Worker(change))?;
        }
        for failure in self.local.borrow_mut().failures() {
            control.warn(failure)?;
        }
        Ok(())
    }

    /// Ends all workers, and records what they have done.
    ///
    /// # Errors
    /// As [`Self::record_changes`].
    pub fn close(&self, control: &mut Control) -> Result<()> {
        self.server.close();
        self.record_changes(control)
    }
}
