//! Which GPUs the runs of this user compute on: the engine of a run holds a lock for its GPU, which
//! ends with the process.

use super::driver;
use astill_core::run::socket;
use std::fs::{File, OpenOptions};
use std::path::PathBuf;

/// The right of an engine to have found a GPU first; until it is dropped.
#[derive(Debug)]
pub struct GpuClaim {
    _file: File,
}

/// The lock of the GPU that libtorch counts as number `index`.
fn path(index: usize) -> Option<PathBuf> {
    let name = match driver::identity(index) {
        Some(identity) => identity.uuid,
        None => format!("GPU-{index}"),
    };
    Some(socket::folder(true).ok()?.join(format!("{name}.lock")))
}

/// Claims a GPU; none if another engine of this user has it, or there is no place for locks.
pub fn claim(index: usize) -> Option<GpuClaim> {
    let path = path(index)?;
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).open(path);
    let file = file.ok()?;
    file.try_lock().ok()?;
    Some(GpuClaim { _file: file })
}

/// Whether an engine of this user has a GPU.
pub fn is_claimed(index: usize) -> bool {
    let Some(file) = path(index).and_then(|path| File::open(path).ok()) else {
        return false;
    };
    // held only for this moment
    matches!(
        file.try_lock_shared(),
        Err(std::fs::TryLockError::WouldBlock)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that no GPU of a machine has.
    const NONE: usize = 4095;

    #[test]
    fn a_gpu_is_claimed_once_and_free_again_afterwards() {
        let held = claim(NONE).expect("nobody has it");
        assert!(is_claimed(NONE) && claim(NONE).is_none());
        drop(held);
        assert!(!is_claimed(NONE) && claim(NONE).is_some());
    }
}
