//! The checkpoints that a run can resume from: which there are, and how their files are named.

use crate::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The steps that have a checkpoint, ascending.
///
/// # Errors
/// The folder of the checkpoints cannot be read.
pub fn steps(run: &Path) -> Result<Vec<u64>> {
    Ok(files(run)?.into_iter().map(|(step, _)| step).collect())
}

/// Removes the checkpoints after `step`, the newest first.
///
/// # Errors
/// The folder cannot be read or a file cannot be removed; the checkpoints newer than that file
/// are gone then.
pub fn remove_after(run: &Path, step: u64) -> Result<()> {
    for (_, path) in files(run)?.iter().rev().take_while(|(s, _)| *s > step) {
        fs::remove_file(path).map_err(Error::io("remove", path))?;
    }
    Ok(())
}

/// The file of a checkpoint, relative to the run directory.
#[must_use]
pub fn file_name(step: u64) -> String {
    format!("checkpoints/step_{step:05}.safetensors")
}

/// All checkpoints of a run with their steps, oldest first.
///
/// # Errors
/// The folder of the checkpoints cannot be read.
pub fn files(run: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let folder = run.join("checkpoints");
    let entries = fs::read_dir(&folder).map_err(Error::io("read", &folder))?;
    let mut steps: Vec<(u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let step = name
                .strip_prefix("step_")?
                .strip_suffix(".safetensors")?
                .parse()
                .ok()?;
            Some((step, entry.path()))
        })
        .collect();
    steps.sort();
    Ok(steps)
}
