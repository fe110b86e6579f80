//! Which GPUs can be used, or why none can.

pub mod claim;
mod driver;
mod nvml;

pub use driver::{Identity, identity};
pub use nvml::GpuMonitor;

use crate::library::Library;
use crate::{failure, guard, libtorch};
use std::ffi::{CStr, c_int};
use std::path::Path;
use tch::{Cuda, Device, Kind, Tensor};

pub(crate) const DRIVER: &CStr = c"libcuda.so.1";
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
        driver: Library::load(DRIVER).map(driver_version),
        visible: std::env::var(VISIBLE).ok(),
        ..Found::none()
    };
    if found.driver.is_ok() {
        found.libtorch = Library::load(LIBTORCH).map(drop);
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

/// The newest CUDA that the loaded driver supports; none where it does not say.
fn driver_version(driver: Library) -> Option<i32> {
    let mut version: c_int = 0;
    // SAFETY: CUresult cuDriverGetVersion(int *); it may be called before cuInit
    let status = unsafe {
        let get: unsafe extern "C" fn(*mut c_int) -> c_int =
            driver.function(c"cuDriverGetVersion")?;
        get(&mut version)
    };
    (status == 0).then_some(version)
}

/// The numbers of `count` GPUs, the one with the most free memory first; in order where that is not
/// known.
pub fn by_free_memory(count: usize) -> Vec<usize> {
    let mut gpus: Vec<usize> = (0..count).collect();
    if count > 1 {
        let free = |index: usize| nvml::free_bytes(&identity(index)?.uuid);
        // a stable sort, so that equal ones stay in order
        gpus.sort_by_cached_key(|index| std::cmp::Reverse(free(*index)));
    }
    gpus
}

/// The free memory of a GPU in MiB, where its driver says it without a context.
pub fn free_mib(index: usize) -> Option<f64> {
    let bytes = nvml::free_bytes(&identity(index)?.uuid)?;
    Some(bytes as f64 / f64::from(1 << 20))
}

/// Multiplies something small on a GPU: what can be seen is not always usable.
///
/// # Errors
/// Why it cannot be used, and what to do.
pub fn try_out(index: usize) -> Result<(), String> {
    let product = || {
        let ones = Tensor::ones([8, 8], (Kind::Float, Device::Cuda(index)));
        let _ = ones.matmul(&ones);
        Cuda::synchronize(index as i64);
    };
    guard::caught(product).map_err(|payload| {
        let said = failure::sentence(failure::text(payload.as_ref()));
        let name = identity(index).map_or_else(|| "it".into(), |identity| identity.name);
        format!(
            "cuda:{index} ({name}) cannot be used: {said}{}",
            remedy(&said)
        )
    })
}

/// What to do about a GPU that does not work.
fn remedy(said: &str) -> String {
    let version = libtorch::version().unwrap_or_else(|| "of this build".into());
    if said.contains("no kernel image") {
        return format!(
            "; the libtorch {version} has no kernels for this card: set LIBTORCH to a libtorch 2.11 \
             that has, and build again"
        );
    }
    if failure::is_out_of_memory(said) {
        return "; it is out of memory: wait until other programs leave it, or choose another device \
                (--device)"
            .into();
    }
    if said.contains("busy or unavailable") {
        return "; another process has it for itself (exclusive-process mode): wait for that, or \
                choose another device"
            .into();
    }
    String::new()
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
