//! The device that a run computes on.
//!
//! The engine links libtorch as shared libraries, and only their CPU part, so one binary starts on
//! machines with and without a GPU. Where there is a driver, the CUDA part is loaded at run time,
//! before any other use of libtorch.

use crate::{gpus, threads};
use astill_core::cgroup::MemoryGroup;
use astill_core::cli::DeviceChoice;
use astill_core::{Error, Result};
use tch::{Cuda, Device};

/// The device of a choice; a GPU computes exactly until [`allow_tf32`].
///
/// Must come before any other use of libtorch, because its CUDA part registers itself when it is
/// loaded.
///
/// # Errors
/// A GPU that does not exist; the system does not allow as many threads as computing takes.
pub fn choose(choice: &DeviceChoice) -> Result<Device> {
    let device = found(choice)?;
    threads::limit();
    threads::check()?;
    Ok(device)
}

fn found(choice: &DeviceChoice) -> Result<Device> {
    let index = match choice {
        DeviceChoice::Cpu => return Ok(Device::Cpu),
        DeviceChoice::Auto => 0,
        DeviceChoice::Cuda(index) => *index,
    };
    match gpus::count() {
        Ok(count) if index < count => {
            allow_tf32(false);
            Ok(Device::Cuda(index))
        }
        _ if *choice == DeviceChoice::Auto => Ok(Device::Cpu),
        found => {
            let why = match found {
                Ok(count) => format!("libtorch sees {count}"),
                Err(none) => none.reason,
            };
            Err(Error::Usage(format!(
                "there is no {choice} here ({why}); choose another device with --device, for example \
                 --device cpu"
            )))
        }
    }
}

/// Why the CPU was chosen on a machine that seems to have a GPU; none where there is nothing to say.
pub fn overlooked_gpu(choice: &DeviceChoice, chosen: Device) -> Option<String> {
    if *choice != DeviceChoice::Auto || chosen != Device::Cpu {
        return None;
    }
    let no_gpu = gpus::count().err().filter(|none| none.is_overlooked)?;
    Some(format!(
        "computing on the CPU although this machine seems to have a GPU: {} (--device cpu if that is \
         what you want)",
        no_gpu.reason
    ))
}

/// The name of a device, as `--device` takes it.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(n) => format!("cuda:{n}"),
        _ => "cpu".into(),
    }
}

/// Waits until a device has finished everything that was queued on it.
pub fn synchronize(device: Device) {
    if let Device::Cuda(n) = device {
        Cuda::synchronize(n as i64);
    }
}

unsafe extern "C" {
    fn astill_allow_tf32(allowed: bool);
    fn astill_allocated_bytes(device: i64) -> i64;
    fn astill_peak_allocated_bytes(device: i64) -> i64;
    fn astill_free_bytes(device: i64) -> i64;
}

/// Whether a GPU may round the factors of its products from 23 to 10 bits of mantissa (TF32), which
/// is faster. libtorch allows it for convolutions by default; here the caller decides
/// for all operations.
pub fn allow_tf32(allowed: bool) {
    // SAFETY: it sets two switches of libtorch and throws nothing
    unsafe { astill_allow_tf32(allowed) };
}

/// The memory that tensors take on a GPU now, in MiB; none for the CPU.
pub fn allocated_mib(device: Device) -> Option<u64> {
    // SAFETY: a number goes in and out; it throws nothing and any device number is allowed
    on_gpu(device, |n| unsafe { astill_allocated_bytes(n) })
}

/// The most memory that tensors have taken on a GPU so far, in MiB; none for the CPU.
pub fn peak_device_mib(device: Device) -> Option<u64> {
    // SAFETY: as above
    on_gpu(device, |n| unsafe { astill_peak_allocated_bytes(n) })
}

/// The memory of a device that is free now, in MiB: of a GPU, or of the host for the CPU; none where
/// it is not known.
pub fn free_mib(device: Device) -> Option<f64> {
    match device {
        Device::Cpu => free_host_mib(),
        // SAFETY: as above
        _ => on_gpu(device, |n| unsafe { astill_free_bytes(n) }).map(|mib| mib as f64),
    }
}

/// What `bytes` counts on a GPU, in MiB; none for the CPU, or where it is not known.
fn on_gpu(device: Device, bytes: impl Fn(i64) -> i64) -> Option<u64> {
    match device {
        Device::Cuda(n) => u64::try_from(bytes(n as i64)).ok().map(|bytes| bytes >> 20),
        _ => None,
    }
}

/// Resident memory of this process in MiB; 0 where the system does not report it.
pub fn resident_mib() -> u64 {
    status_kib("VmRSS:") / 1024
}

/// The highest resident memory of this process so far, in MiB.
pub fn peak_resident_mib() -> u64 {
    status_kib("VmHWM:") / 1024
}

/// Memory that is available to new programs on this host, or up to the limit of this process's
/// control group where that is less, in MiB; none where the system does not report it.
pub fn free_host_mib() -> Option<f64> {
    let host = Some(kib("/proc/meminfo", "MemAvailable:"))
        .filter(|kib| *kib > 0)
        .map(|kib| kib as f64 / 1024.);
    [host, limited_mib()].into_iter().flatten().reduce(f64::min)
}

/// What this process could use up to the limit of its control group, what it uses now included, in
/// MiB; none without a limit.
pub fn limited_mib() -> Option<f64> {
    let bytes = MemoryGroup::own()?.free_bytes()?;
    // this process has its own part already
    let own = status_kib("RssAnon:") << 10;
    Some(bytes.saturating_add(own) as f64 / f64::from(1 << 20))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_cpu_is_not_that_of_a_gpu() {
        assert_eq!(allocated_mib(Device::Cpu), None);
        assert_eq!(peak_device_mib(Device::Cpu), None);
    }

    #[test]
    fn memory_on_a_gpu_is_measured_where_there_is_one() -> Result<()> {
        if gpus::count().is_err() {
            // asking all the same is harmless
            assert_eq!(allocated_mib(Device::Cuda(0)), None);
            assert_eq!(free_mib(Device::Cuda(0)), None);
            return Ok(());
        }
        let gpu = choose(&DeviceChoice::Cuda(0))?;
        let before = allocated_mib(gpu).unwrap_or(0);
        let large = tch::Tensor::zeros([64 << 20], (tch::Kind::Float, gpu));
        let during = allocated_mib(gpu).unwrap_or(0);
        assert!(during >= before + 256, "{before} MiB, then {during} MiB");
        let free = free_mib(gpu);
        assert!(free.is_none_or(|free| free > 0.), "{free:?}");
        drop(large);
        assert!(peak_device_mib(gpu) >= Some(during));
        Ok(())
    }

    #[test]
    fn a_gpu_that_does_not_exist_is_refused_with_a_way_out() {
        let refused = choose(&DeviceChoice::Cuda(4095))
            .err()
            .map(|e| e.to_string());
        assert!(
            refused
                .as_ref()
                .is_some_and(|e| e.starts_with("there is no cuda:4095 here (")
                    && e.ends_with("--device cpu")),
            "{refused:?}"
        );
    }
}
