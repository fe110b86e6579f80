//! The device that a run computes on.

use astill_core::{Error, Result};
use std::ffi::CStr;
use tch::{Cuda, Device};

/// `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`; a GPU computes exactly until
/// [`allow_tf32`]. Errors: another word, a GPU that is not there.
///
/// Must come before any other use of libtorch, because its CUDA part registers itself when it is
/// loaded.
pub fn choose(name: &str) -> Result<Device> {
    let index = match name {
        "cpu" => return Ok(Device::Cpu),
        "auto" | "cuda" => 0,
        _ => name
            .strip_prefix("cuda:")
            .and_then(|n| n.parse::<usize>().ok())
            .ok_or_else(|| {
                Error::Usage(format!(
                    "--device: found \"{name}\", expected auto, cpu, cuda or cuda:N"
                ))
            })?,
    };
    let problem = load_cuda().err();
    let count = if problem.is_none() {
        Cuda::device_count()
    } else {
        0
    };
    match () {
        () if (index as i64) < count => {
            allow_tf32(false);
            Ok(Device::Cuda(index))
        }
        () if name == "auto" => Ok(Device::Cpu),
        () => {
            let why = problem.unwrap_or_else(|| format!("libtorch sees {count} CUDA devices"));
            Err(Error::Usage(format!(
                "--device {name}: that GPU is not there ({why}); --device cpu always works"
            )))
        }
    }
}

/// Loads libtorch's CUDA part, which the linker leaves out because nothing refers to it by name.
fn load_cuda() -> std::result::Result<(), String> {
    const DRIVER: &CStr = c"libcuda.so.1";
    const LIBTORCH: &CStr = c"libtorch_cuda.so";
    for library in [DRIVER, LIBTORCH] {
        let handle = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        if handle.is_null() {
            let reason = unsafe {
                let text = libc::dlerror();
                if text.is_null() {
                    "unknown reason".into()
                } else {
                    CStr::from_ptr(text).to_string_lossy().into_owned()
                }
            };
            return Err(reason);
        }
    }
    Ok(())
}

/// The name of a device, as `choose` takes it.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(n) => format!("cuda:{n}"),
        _ => "cpu".into(),
    }
}

/// Waits until a device has done everything it was asked to.
pub fn synchronize(device: Device) {
    if let Device::Cuda(n) = device {
        Cuda::synchronize(n as i64);
    }
}

unsafe extern "C" {
    fn astill_allow_tf32(allowed: bool);
    fn astill_peak_device_bytes(device: i64) -> i64;
}

/// Whether a GPU may round the factors of its products from 23 to 10 bits of mantissa (TF32), which
/// is faster. libtorch would allow it for convolutions; this program asks for it or does without.
pub fn allow_tf32(allowed: bool) {
    unsafe { astill_allow_tf32(allowed) };
}

/// The most memory that tensors have taken on a GPU so far, in MiB; none for the CPU.
pub fn peak_device_mib(device: Device) -> Option<u64> {
    match device {
        Device::Cuda(n) => u64::try_from(unsafe { astill_peak_device_bytes(n as i64) })
            .ok()
            .map(|bytes| bytes >> 20),
        _ => None,
    }
}

/// Resident memory of this process in MiB; 0 where the system does not say.
pub fn resident_mib() -> u64 {
    status_kib("VmRSS:") / 1024
}

/// The highest resident memory of this process so far, in MiB.
pub fn peak_resident_mib() -> u64 {
    status_kib("VmHWM:") / 1024
}

/// Memory that new programs can have on this host, in MiB; none where the system does not say.
pub fn free_host_mib() -> Option<f64> {
    Some(kib("/proc/meminfo", "MemAvailable:"))
        .filter(|kib| *kib > 0)
        .map(|kib| kib as f64 / 1024.)
}

fn status_kib(key: &str) -> u64 {
    kib("/proc/self/status", key)
}

fn kib(file: &str, key: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(key));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
