//! Which GPUs can be used, or why none can.

use crate::libtorch;
use std::ffi::{CStr, c_int, c_void};
use std::path::Path;
use tch::Cuda;

const DRIVER: &CStr = c"libcuda.so.1";
const LIBTORCH: &CStr = c"libtorch_cuda.so";
/// There where a GPU of NVIDIA and its kernel driver are, also inside a container.
const DEVICE_FILES: [&str; 2] = ["/dev/nvidiactl", "/proc/driver/nvidia/version"];
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// Why no GPU can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoGpu {
    /// What was found, and what to do where there is a GPU.
    pub reason: String,
    /// Whether the machine seems to have one all the same.
    pub is_overlooked: bool,
}

/// What was found on the way to a GPU, as far as it was gone.
#[derive(Debug)]
struct Found {
    has_device_file: bool,
    /// The newest CUDA that the driver supports, as it counts: 13000 for 13.0. An error if its library
    /// cannot be loaded.
    driver: Result<Option<i32>, String>,
    /// Whether libtorch's CUDA part can be loaded.
    libtorch: Result<(), String>,
    /// How many GPUs libtorch sees.
    count: i64,
    /// The GPUs that the environment leaves visible, if it says so.
    visible: Option<String>,
    /// The CUDA that this libtorch was built for, counted alike, where that is known.
    needs: Option<i32>,
}

/// How many GPUs there are, at least one. Loads libtorch's CUDA part, which the linker leaves out because
/// nothing refers to it by name; so this must come before any other use of libtorch.
///
/// # Errors
/// Why there is none.
pub fn count() -> Result<usize, NoGpu> {
    let mut found = Found {
        has_device_file: DEVICE_FILES.iter().any(|file| Path::new(file).exists()),
        driver: load(DRIVER).map(driver_version),
        visible: std::env::var(VISIBLE).ok(),
        ..Found::none()
    };
    if found.driver.is_ok() {
        found.libtorch = load(LIBTORCH).map(drop);
        if found.libtorch.is_ok() {
            found.count = Cuda::device_count();
        }
        found.needs = libtorch::version().as_deref().and_then(cuda_of);
    }
    found.verdict()
}

impl Found {
    /// A driver and a libtorch with nothing to say, and no GPU.
    fn none() -> Self {
        Self {
            has_device_file: false,
            driver: Ok(None),
            libtorch: Ok(()),
            count: 0,
            visible: None,
            needs: None,
        }
    }

    fn verdict(&self) -> Result<usize, NoGpu> {
        let none = |reason: String| {
            Err(NoGpu {
                reason,
                is_overlooked: self.has_device_file || self.driver.is_ok(),
            })
        };
        let supported = match (&self.driver, self.has_device_file) {
            (Ok(supported), _) => *supported,
            (Err(why), true) => {
                return none(format!(
                    "the library of the NVIDIA driver cannot be loaded: {why}; in a container, pass the \
                     GPU on (docker run --gpus all, apptainer run --nv)"
                ));
            }
            (Err(why), false) => return none(why.clone()),
        };
        if let Err(why) = &self.libtorch {
            return none(format!(
                "the CUDA part of this libtorch is missing or cannot be loaded: {why}; install it with \
                 ASTILL_LIBTORCH=cuda make build, or set LIBTORCH to a libtorch with CUDA and build \
                 again"
            ));
        }
        if let Ok(count @ 1..) = usize::try_from(self.count) {
            return Ok(count);
        }
        if let (Some(supported), Some(needs)) = (supported, self.needs)
            && supported < needs
        {
            return none(format!(
                "the NVIDIA driver supports CUDA up to {}, and this libtorch was built for {}: update \
                 the driver, or set LIBTORCH to a libtorch 2.11 for an older CUDA and build again",
                version(supported),
                version(needs)
            ));
        }
        match &self.visible {
            Some(visible) => none(format!(
                "libtorch sees none, because {VISIBLE} is \"{visible}\""
            )),
            None => none("libtorch sees none".into()),
        }
    }
}

/// "12.4" for 12040.
fn version(counted: i32) -> String {
    format!("{}.{}", counted / 1000, counted % 1000 / 10)
}

/// 13000 for "2.11.0+cu130".
fn cuda_of(libtorch: &str) -> Option<i32> {
    let (_, digits) = libtorch.split_once("+cu")?;
    digits.parse::<i32>().ok().map(|number| number * 100)
}

/// Loads a library; it stays loaded.
fn load(name: &CStr) -> Result<*mut c_void, String> {
    // SAFETY: the name is a C string; both libraries are made to be loaded at any time
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if !handle.is_null() {
        return Ok(handle);
    }
    // SAFETY: the text is valid until the next call of these functions, and is copied here
    let text = unsafe {
        let text = libc::dlerror();
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    };
    Err(text.unwrap_or_else(|| "unknown reason".into()))
}

/// The newest CUDA that the loaded driver supports; none where it does not say.
fn driver_version(driver: *mut c_void) -> Option<i32> {
    // SAFETY: the handle is that of a loaded library, the name a C string
    let symbol = unsafe { libc::dlsym(driver, c"cuDriverGetVersion".as_ptr()) };
    if symbol.is_null() {
        return None;
    }
    let mut version: c_int = 0;
    // SAFETY: CUresult cuDriverGetVersion(int *); it may be called before cuInit
    let status = unsafe {
        let get: unsafe extern "C" fn(*mut c_int) -> c_int = std::mem::transmute(symbol);
        get(&mut version)
    };
    (status == 0).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(found: &Found) -> NoGpu {
        found.verdict().expect_err("no GPU")
    }

    #[test]
    fn a_machine_without_a_gpu_is_no_reason_to_worry() {
        let found = Found {
            driver: Err("libcuda.so.1: cannot open".into()),
            ..Found::none()
        };
        let no_gpu = refused(&found);
        assert!(!no_gpu.is_overlooked && no_gpu.reason.contains("libcuda.so.1"));
    }

    #[test]
    fn a_gpu_that_cannot_be_used_is_named_with_the_way_out() {
        let in_a_container = Found {
            has_device_file: true,
            driver: Err("libcuda.so.1: cannot open".into()),
            ..Found::none()
        };
        let without_cuda = Found {
            driver: Ok(Some(13_000)),
            libtorch: Err("libtorch_cuda.so: cannot open".into()),
            ..Found::none()
        };
        let old_driver = Found {
            driver: Ok(Some(12_040)),
            needs: cuda_of("2.11.0+cu130"),
            ..Found::none()
        };
        let hidden = Found {
            driver: Ok(Some(13_000)),
            needs: Some(13_000),
            visible: Some(String::new()),
            ..Found::none()
        };
        for (found, part) in [
            (in_a_container, "--gpus all"),
            (without_cuda, "ASTILL_LIBTORCH=cuda"),
            (
                old_driver,
                "CUDA up to 12.4, and this libtorch was built for 13.0",
            ),
            (hidden, "CUDA_VISIBLE_DEVICES is \"\""),
        ] {
            let no_gpu = refused(&found);
            assert!(no_gpu.is_overlooked, "{no_gpu:?}");
            assert!(no_gpu.reason.contains(part), "{no_gpu:?}");
        }
    }

    #[test]
    fn gpus_that_libtorch_sees_can_be_used() {
        let found = Found {
            driver: Ok(None),
            count: 2,
            ..Found::none()
        };
        assert_eq!(found.verdict(), Ok(2));
    }
}
