//! The free memory of GPUs, from NVIDIA's management library. libtorch could tell it too, but only
//! after it has made a context on each.

use crate::library::Library;
use std::ffi::{CString, c_char, c_int, c_void};

/// Bytes, as nvml.h lays them out.
#[repr(C)]
#[derive(Debug, Default)]
struct Memory {
    total: u64,
    free: u64,
    used: u64,
}

/// The bytes that are free on the GPU of this UUID; none where the library is missing or does not say.
pub fn free_bytes(uuid: &str) -> Option<u64> {
    let library = Library::load(c"libnvidia-ml.so.1").ok()?;
    let uuid = CString::new(uuid).ok()?;
    let (mut gpu, mut memory) = (std::ptr::null_mut::<c_void>(), Memory::default());
    // SAFETY: the functions have these types in nvml.h; each returns 0 if it succeeded
    let found = unsafe {
        let init: unsafe extern "C" fn() -> c_int = library.function(c"nvmlInit_v2")?;
        let get: unsafe extern "C" fn(*const c_char, *mut *mut c_void) -> c_int =
            library.function(c"nvmlDeviceGetHandleByUUID")?;
        let get_memory: unsafe extern "C" fn(*mut c_void, *mut Memory) -> c_int =
            library.function(c"nvmlDeviceGetMemoryInfo")?;
        let end: unsafe extern "C" fn() -> c_int = library.function(c"nvmlShutdown")?;
        let found = init() == 0;
        let told = found && get(uuid.as_ptr(), &mut gpu) == 0 && get_memory(gpu, &mut memory) == 0;
        if found {
            end();
        }
        told
    };
    found.then_some(memory.free)
}
