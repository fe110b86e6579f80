//! What is written, and the wait while the system refuses to write.
//!
//! Everything that a run computes is written through [`Control::write_with_retry`], and its events
//! through [`Control::record`]: only there does a run wait for a disk.

use super::Control;
use astill_core::run::event::EventKind;
use astill_core::{Error, Result};
use crossbeam_channel::RecvTimeoutError;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to wait before trying again what could not be written.
const TRY_AGAIN: Duration = Duration::from_secs(2);

impl Control {
    /// Writes an event.
    pub fn record(&mut self, what: EventKind) -> Result<()> {
        // before it, because the last event says how the run ended; the first says that it began
        if !matches!(what, EventKind::RunStarted(_))
            && let Some(usage) = self.usage.due(Instant::now())
        {
            self.recorder.take(EventKind::Usage(usage))?;
        }
        self.recorder.take(what)?;
        self.write_events()
    }

    /// Writes the recorded events. A run that waits or stops does not wait for the disk.
    pub(super) fn write_events(&mut self) -> Result<()> {
        if self.waiting.is_some() || self.stopping.is_some() {
            // what cannot be written now is written when the wait is over, or at the very end
            let _ = self.recorder.flush();
            return Ok(());
        }
        self.retry_write(|control| control.recorder.flush())
    }

    /// Writes the events that could not be written yet.
    pub fn flush(&mut self) -> Result<()> {
        self.recorder.flush()
    }

    /// Does `write`, which writes files. While the system refuses that (the disk is full or
    /// read-only, the folder is gone), the run waits here, tries again now and then, and answers
    /// commands.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if it is asked to stop meanwhile. Once it has been, a write is tried
    /// only once, and the system's error comes back.
    pub fn write_with_retry<T>(&mut self, write: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        let written = self.retry_write(write);
        if let Err(Error::Interrupted) = written {
            self.lost = self.waiting.clone();
        }
        written
    }

    /// As [`Self::write_with_retry`], for the folder `place` outside of the run. Until something has
    /// been kept there, what the system does not allow there ends the run: waiting would not help.
    ///
    /// # Errors
    /// Also [`Error::Usage`] with the way out.
    pub fn write_at<T>(&mut self, place: &Path, mut write: impl FnMut() -> Result<T>) -> Result<T> {
        let is_known = self.known_places.contains(place);
        self.write_with_retry(|_| {
            write().map_err(|error| match !is_known && error.is_refusal() {
                true => not_allowed(place, &error),
                false => error,
            })
        })
    }

    /// Something has been kept in the folder `place`, so that it will be possible again.
    pub fn has_kept_in(&mut self, place: &Path) {
        if !self.known_places.contains(place) {
            self.known_places.insert(place.to_path_buf());
        }
    }

    /// No work is lost after all: a later write, a checkpoint for example, contains it.
    pub fn clear_lost_work(&mut self) {
        self.lost = None;
    }

    /// Why work was lost when the run stopped, if it was.
    pub fn take_lost(&mut self) -> Option<String> {
        self.lost.take()
    }

    fn retry_write<T>(&mut self, mut write: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        loop {
            let written = self.check_held().and_then(|()| write(self));
            match written.map_err(|error| self.held.named(error)) {
                Err(error @ Error::Io { .. })
                    if self.stopping.is_none() && !error.is_out_of_memory() =>
                {
                    self.wait(error.to_string())?;
                    // one of the run's folders may be what is missing; if this fails, so does writing
                    let _ = self.check_held().and_then(|()| self.run.make_folders());
                }
                Err(error) => return Err(error),
                Ok(done) => {
                    if self.waiting.take().is_some() {
                        self.record(EventKind::Waiting { reason: None })?;
                    }
                    return Ok(done);
                }
            }
        }
    }

    /// Waits a little, for the reason given, and answers commands meanwhile.
    fn wait(&mut self, reason: String) -> Result<()> {
        if self.waiting.replace(reason.clone()).as_ref() != Some(&reason) {
            self.record(EventKind::Waiting {
                reason: Some(reason),
            })?;
        }
        let until = Instant::now() + TRY_AGAIN;
        // checked here, too: a client that sends without a pause must not keep the run from trying
        while Instant::now() < until {
            match self.requests.recv_deadline(until) {
                Ok(request) => self.answer_request(request)?,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return Err(Error::Interrupted),
            }
            self.unless_stopping()?;
        }
        Ok(())
    }
}

/// What to say where the system does not allow what a run has to do in a folder.
fn not_allowed(place: &Path, error: &Error) -> Error {
    Error::Usage(format!(
        "{error}. Experts are kept in {}, where this user must be able to write: have that folder \
         opened for you (for a group: `chmod -R g+rwX` and `chmod g+s` on its folders), or choose \
         another folder with --data DIR",
        place.display()
    ))
}
