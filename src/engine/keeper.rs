//! Looks after a run from beside the trainer: whether the run is still this engine's, whether its
//! sockets and its profile are still there, and what was left in its inbox.

use crate::inbox::Inbox;
use crate::server::Server;
use crate::trainer::CommandRequest;
use astill_core::files::atomic::write_atomically;
use astill_core::profile::Profile;
use astill_core::run::command::Command;
use astill_core::run::{EngineLock, RunDir};
use astill_core::{Error, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it looks.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The thread that looks, until this is dropped.
#[derive(Debug)]
pub struct Keeper {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What it looks after.
#[derive(Debug)]
pub struct Kept {
    pub run: RunDir,
    pub held: Arc<EngineLock>,
    /// The profile of the run, which is written again if its file is removed: without it, no
    /// program finds the run.
    pub profile: Profile,
    pub server: Server,
    pub inbox: Inbox,
    pub requests: Sender<CommandRequest>,
}

impl Keeper {
    /// Starts to look.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(kept: Kept) -> Result<Self> {
        let (done, is_done) = bounded(0);
        let thread = std::thread::Builder::new()
            .name("keeper".into())
            .spawn(move || watch(kept, &is_done))
            .map_err(Error::io("start a thread for", "the run's sockets"))?;
        Ok(Self {
            done: Some(done),
            thread: Some(thread),
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.done.take());
        // the sockets are gone when it has ended
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(mut kept: Kept, is_done: &Receiver<()>) {
    let (mut is_lost, mut was_missing) = (false, false);
    while is_done.recv_timeout(POLL_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        if let Err(Error::RunLost { .. }) = kept.held.check() {
            if !is_lost {
                // wakes a run that is paused or waits; the trainer finds out why by itself
                let _ = kept.requests.send(CommandRequest {
                    command: Command::Stop {
                        reason: "the run is no longer this engine's".into(),
                    },
                    answer: None,
                });
            }
            is_lost = true;
            continue;
        }
        kept.inbox.tend();
        // it was reported at the start if there are none
        let _ = kept.server.tend();
        let is_missing = !kept.run.profile().exists();
        // not the first time: whoever removes a whole run removes its files one after the other
        if is_missing && was_missing {
            let text = kept.profile.to_yaml();
            let _ = write_atomically(&kept.run.profile(), text.as_bytes());
        }
        was_missing = is_missing;
    }
    kept.inbox.close();
}
