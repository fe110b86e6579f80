//! What the CUDA driver knows about a GPU. Asking makes no context on it, which would take memory.

use super::DRIVER;
use crate::library::Library;
use std::ffi::{CStr, c_char, c_int, c_uint};

/// Which GPU it is, whatever number it has in this process.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Identity {
    /// "NVIDIA H100".
    pub name: String,
    /// "GPU-" and 32 hexadecimal digits, as nvidia-smi shows it.
    pub uuid: String,
}

const LONGEST_NAME: usize = 256;

/// The GPU that libtorch counts as number `index`; none where the driver does not say.
pub fn identity(index: usize) -> Option<Identity> {
    let driver = Library::load(DRIVER).ok()?;
    let (mut device, mut name, mut uuid) = (0, [0; LONGEST_NAME], [0u8; 16]);
    // SAFETY: the functions have these types in cuda.h; the places are as large as they are said to
    // be; each returns 0 if it succeeded
    unsafe {
        let init: unsafe extern "C" fn(c_uint) -> c_int = driver.function(c"cuInit")?;
        let get: unsafe extern "C" fn(*mut c_int, c_int) -> c_int =
            driver.function(c"cuDeviceGet")?;
        let get_name: unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int =
            driver.function(c"cuDeviceGetName")?;
        let get_uuid: unsafe extern "C" fn(*mut u8, c_int) -> c_int = driver
            .function(c"cuDeviceGetUuid_v2")
            .or_else(|| driver.function(c"cuDeviceGetUuid"))?;
        let found = init(0) == 0
            && get(&mut device, c_int::try_from(index).ok()?) == 0
            && get_name(name.as_mut_ptr(), LONGEST_NAME as c_int - 1, device) == 0
            && get_uuid(uuid.as_mut_ptr(), device) == 0;
        if !found {
            return None;
        }
    }
    // SAFETY: the last byte of the place was never written, so the text ends within it
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    Some(Identity {
        name: name.to_string_lossy().into_owned(),
        uuid: written(uuid),
    })
}

/// As nvidia-smi writes it.
fn written(uuid: [u8; 16]) -> String {
    let digits: Vec<String> = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| digits[from..to].concat();
    format!(
        "GPU-{}-{}-{}-{}-{}",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 16)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_written_as_nvidia_smi_writes_it() {
        let bytes: Vec<u8> = (0..16).collect();
        assert_eq!(
            written(bytes.try_into().expect("16 bytes")),
            "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f"
        );
    }
}
