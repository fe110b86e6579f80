//! Whether the folders that a run uses can be used, before anything is created.

use astill_core::files::check_text;
use astill_core::profile::Profile;
use astill_core::{Error, Result};
use rustix::fs::{Access, access};
use std::path::Path;

/// Checks the working directory, the folder of data sets and experts, and that of the profile's data
/// set.
///
/// # Errors
/// [`Error::Usage`] if a path is not UTF-8, which the record of a run could not name; or if experts
/// cannot be kept.
pub fn check_places(profile: &Profile, data: &Path, folder: &Path) -> Result<()> {
    let here = std::env::current_dir().unwrap_or_default();
    for (what, path) in [
        ("the working directory", here.as_path()),
        ("the folder of data sets and experts (--data)", data),
        ("the folder of the data set", folder),
    ] {
        check_text(what, path)?;
    }
    if profile.expert.from.is_some() {
        return Ok(());
    }
    let store = data.join("trajectories");
    // where there are experts, perhaps nothing is missing
    let Some(existing) = store
        .ancestors()
        .skip(1)
        .find(|p| p.exists())
        .filter(|_| !store.exists())
    else {
        return Ok(());
    };
    access(existing, Access::WRITE_OK | Access::EXEC_OK).map_err(|refused| {
        Error::Usage(format!(
            "experts are kept in {}, but {} cannot be written to ({refused}); choose another folder \
             with --data DIR",
            store.display(),
            existing.display()
        ))
    })
}
