//! Which processes work in a store, as far as its file system has locks: so that what killed ones
//! left half written is removed while nobody is writing.

use super::Store;
use astill_core::files::atomic::remove_left_over;
use astill_core::files::sharing;
use astill_core::{Error, Result};
use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::time::Duration;

/// The file that all processes at work in a store lock.
const LOCK: &str = "lock";

/// Shows that this process works in a store, until it is dropped or the process dies; on file
/// systems without locks, it shows nothing. Whoever comes first and whoever leaves last removes what
/// killed processes have left half written.
#[derive(Debug)]
pub struct Presence {
    file: File,
    folder: PathBuf,
}

impl Presence {
    fn tidy_if_alone(&self) {
        if self.file.try_lock().is_ok() {
            remove_left_over(&self.folder, Duration::ZERO);
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.tidy_if_alone();
    }
}

impl Store {
    /// Shows that this process works here.
    ///
    /// # Errors
    /// The lock file cannot be created or opened.
    pub fn join(&self) -> Result<Presence> {
        let presence = self.presence()?;
        presence.tidy_if_alone();
        // whether this can be done does not matter: claims keep the processes apart
        let _ = presence.file.try_lock_shared();
        Ok(presence)
    }

    /// As [`Self::join`], for work that needs the whole store; none while another process is here.
    ///
    /// # Errors
    /// The lock file cannot be created or locked.
    pub fn join_alone(&self) -> Result<Option<Presence>> {
        let presence = self.presence()?;
        match presence.file.try_lock() {
            Ok(()) => remove_left_over(&self.folder, Duration::ZERO),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) if sharing::has_no_locks(&e) => {}
            Err(TryLockError::Error(e)) => {
                return Err(Error::io("lock", self.folder.join(LOCK))(e));
            }
        }
        Ok(Some(presence))
    }

    fn presence(&self) -> Result<Presence> {
        let path = self.folder.join(LOCK);
        Ok(Presence {
            file: sharing::open_lock(&path).map_err(Error::io("open", path))?,
            folder: self.folder.clone(),
        })
    }
}
