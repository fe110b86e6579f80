//! Times by the clock of a file system: those of the machines that share it may differ.

use super::atomic::PART;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Gives a file the present time.
///
/// # Errors
/// The system refuses it.
pub fn touch(file: &File) -> io::Result<()> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    Ok(futimens(file, &times)?)
}

/// The time between `modified`, of a file in `folder` or near it, and now. Writes a file there and
/// removes it again.
///
/// # Errors
/// Nothing can be written in that folder.
pub fn age(folder: &Path, modified: SystemTime) -> io::Result<Duration> {
    let mut file = tempfile::Builder::new().prefix(PART).tempfile_in(folder)?;
    file.write_all(b"now")?;
    let now = file.as_file().metadata()?.modified()?;
    // a clock that was set back must not make a file young for ever
    Ok(now
        .duration_since(modified)
        .unwrap_or_else(|early| early.duration()))
}
