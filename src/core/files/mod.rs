//! Files: written completely or not at all, and read with limits where they cannot be trusted.

pub mod atomic;
pub mod clock;
pub mod sharing;
pub mod tar_names;
pub mod untrusted;

use crate::{Error, Result};
use std::path::Path;

/// Checks that a path can be named in the record of a run.
///
/// # Errors
/// [`Error::Usage`] if it is not UTF-8.
pub fn check_text(what: &str, path: &Path) -> Result<()> {
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(Error::Usage(format!(
            "{what}, {}, has a name that is not UTF-8, which the record of a run cannot hold; rename \
             it, or choose another one",
            path.display()
        ))),
    }
}
