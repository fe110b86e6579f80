//! Whether the system allows as many open files as an engine has.

use astill_core::{Error, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than an engine has open at a time: its data, experts, record and sockets, and those who send it
/// commands.
const NEEDED: u64 = 64;

/// Raises the limit of this process where it is too low, as far as the user may.
///
/// # Errors
/// [`Error::Usage`] if the system allows too few: a run would stand still in the middle, as if the disk
/// were full.
pub fn check() -> Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(current) = current.filter(|current| *current < NEEDED) else {
        return Ok(());
    };
    let raised = Rlimit {
        current: Some(NEEDED),
        maximum,
    };
    match maximum.is_none_or(|most| most >= NEEDED) && setrlimit(Resource::Nofile, raised).is_ok() {
        true => Ok(()),
        false => Err(Error::Usage(format!(
            "an engine has up to {NEEDED} open files, and the system allows only {current}: raise that \
             limit (`ulimit -n`)"
        ))),
    }
}
