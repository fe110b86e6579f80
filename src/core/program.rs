//! The program that this process runs: where it was started from.

use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What the system adds to the path of a program that was replaced or removed since.
const REPLACED: &str = " (deleted)";

static OWN: OnceLock<std::result::Result<PathBuf, i32>> = OnceLock::new();

/// Notes where this program is, while that is still known. To be called first thing in `main`: a
/// program that is replaced while it runs cannot find out later.
///
/// # Errors
/// [`Error::Usage`] if the working directory has been deleted: neither paths nor libraries can be
/// found from there.
pub fn begin() -> Result<()> {
    let _ = own();
    match std::env::current_dir() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::Usage(
            "the working directory has been deleted; change to another one (`cd`) and try again"
                .into(),
        )),
        _ => Ok(()),
    }
}

/// The real path of this program, as it was at the start.
///
/// # Errors
/// The system does not say it.
pub fn own() -> Result<&'static Path> {
    let found = OWN.get_or_init(|| {
        let found = std::env::current_exe().and_then(std::fs::canonicalize);
        found.map_err(|e| e.raw_os_error().unwrap_or(0))
    });
    match found {
        Ok(path) => Ok(path),
        Err(code) => Err(Error::io("find", "/proc/self/exe")(
            std::io::Error::from_raw_os_error(*code),
        )),
    }
}

/// Whether this program has been replaced or removed since it was started, as an upgrade does.
#[must_use]
pub fn is_replaced() -> bool {
    let now = std::fs::read_link("/proc/self/exe").unwrap_or_default();
    now.as_os_str()
        .as_encoded_bytes()
        .ends_with(REPLACED.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_knows_where_it_is_and_whether_it_was_replaced() {
        assert!(own().is_ok_and(|path| path.is_file()));
        assert!(!is_replaced());
    }
}
