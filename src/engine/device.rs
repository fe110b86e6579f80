//! The device that a run computes on.
//!
//! The engine links libtorch as shared libraries, and only their CPU part, so one binary starts on
//! machines with and without a GPU. Where there is a driver, the CUDA part is loaded at run time,
//! before any other use of libtorch.

use crate::gpus::claim::{self, GpuClaim};
use crate::{gpus, kernels, threads};
use astill_core::cgroup::MemoryGroup;
use astill_core::cli::DeviceChoice;
use astill_core::{Error, Result};
use tch::{Cuda, Device};

/// What was chosen.
#[derive(Debug)]
pub struct Chosen {
    pub device: Device,
    /// What whoever chose should know: why the CPU was taken where there seems to be a GPU, or that a
    /// GPU is shared.
    pub warnings: Vec<String>,
    /// Keeps other engines of this user from choosing the GPU by themselves.
    pub claim: Option<GpuClaim>,
}

impl Chosen {
    fn without_claim(device: Device) -> Self {
        Self {
            device,
            warnings: Vec::new(),
            claim: None,
        }
    }
}

/// The device of a choice; a GPU computes exactly until [`allow_tf32`].
///
/// Of several GPUs, `auto` takes that with the most free memory among those on which no run of this
/// user computes. Must come before any other use of libtorch, because its CUDA part registers itself
/// when it is loaded.
///
/// # Errors
/// A GPU that does not exist or does not work; the system does not allow as many threads as computing
/// takes.
pub fn choose(choice: &DeviceChoice) -> Result<Chosen> {
    start(choice, false)
}

/// The device that [`choose`] takes unless it does not work, and its free memory in MiB where that is known.
/// Found without a context on a GPU, which takes time, and memory from whoever computes there.
pub fn foreseen(choice: &DeviceChoice) -> (Device, Option<f64>) {
    let index = match choice {
        DeviceChoice::Cpu => None,
        DeviceChoice::Cuda(index) => Some(*index),
        DeviceChoice::Auto => gpus::count().ok().and_then(|count| {
            let all = gpus::by_free_memory(count);
            let unclaimed = all.iter().find(|index| !claim::is_claimed(**index));
            unclaimed.or(all.first()).copied()
        }),
    };
    match index {
        None => (Device::Cpu, free_host_mib()),
        Some(index) => (Device::Cuda(index), gpus::free_mib(index)),
    }
}

/// [`choose`] for the engine of a run and what helps it, which claim their GPUs.
///
/// # Errors
/// As [`choose`].
pub fn choose_for_run(choice: &DeviceChoice) -> Result<Chosen> {
    start(choice, true)
}

fn start(choice: &DeviceChoice, is_run: bool) -> Result<Chosen> {
    let mut chosen = match choice {
        DeviceChoice::Cpu => Chosen::without_claim(Device::Cpu),
        DeviceChoice::Auto => automatic(is_run),
        DeviceChoice::Cuda(index) => named(choice, *index, is_run)?,
    };
    if let Device::Cuda(index) = chosen.device
        && let Err(why) = kernels::try_out(index)
    {
        chosen.warnings.push(format!(
            "the GPU computes more slowly than it could, because its own kernels cannot be used: {why}"
        ));
    }
    threads::limit();
    threads::check()?;
    Ok(chosen)
}

/// Checks that a device is there that another process is to use. It is not tried out: that would cost
/// this process memory on it.
///
/// # Errors
/// [`Error::Usage`] if it is not.
pub fn check(choice: &DeviceChoice) -> Result<()> {
    let DeviceChoice::Cuda(index) = choice else {
        return Ok(());
    };
    let why = match gpus::count() {
        Ok(count) if *index < count => return Ok(()),
        Ok(count) => format!("libtorch sees {count}"),
        Err(none) => none.reason,
    };
    Err(Error::Usage(format!(
        "there is no {choice} here ({why}); choose another device with --device, for example \
         --device cpu"
    )))
}

fn named(choice: &DeviceChoice, index: usize, is_run: bool) -> Result<Chosen> {
    check(choice)?;
    prepare();
    gpus::try_out(index).map_err(Error::Usage)?;
    Ok(Chosen {
        claim: is_run.then(|| claim::claim(index)).flatten(),
        ..Chosen::without_claim(Device::Cuda(index))
    })
}

fn automatic(is_run: bool) -> Chosen {
    let on_cpu = |why: Option<String>| Chosen {
        warnings: why.map(overlooked).into_iter().collect(),
        ..Chosen::without_claim(Device::Cpu)
    };
    let count = match gpus::count() {
        Ok(count) => count,
        Err(none) => return on_cpu(none.is_overlooked.then_some(none.reason)),
    };
    prepare();
    let (mut busy, mut warnings) = (Vec::new(), Vec::new());
    for index in gpus::by_free_memory(count) {
        // claimed before anything else, so that two runs that start together do not choose the same
        let claim = is_run.then(|| claim::claim(index)).flatten();
        if claim.is_none() && claim::is_claimed(index) {
            busy.push(index);
            continue;
        }
        match gpus::try_out(index) {
            Ok(()) => {
                return Chosen {
                    device: Device::Cuda(index),
                    warnings,
                    claim,
                };
            }
            Err(why) => warnings.push(why),
        }
    }
    for index in busy {
        match gpus::try_out(index) {
            Ok(()) => {
                let device = Device::Cuda(index);
                warnings.push(format!(
                    "another run of yours computes on {} too, because no other GPU is free",
                    name(device)
                ));
                return Chosen {
                    warnings,
                    ..Chosen::without_claim(device)
                };
            }
            Err(why) => warnings.push(why),
        }
    }
    on_cpu(Some(warnings.join("; ")))
}

/// Why the CPU was chosen on a machine that seems to have a GPU.
fn overlooked(why: String) -> String {
    format!(
        "computing on the CPU although this machine seems to have a GPU: {why} (--device cpu if that \
         is what you want)"
    )
}

/// Makes a GPU compute exactly, give the same bits every time, and waste no memory between blocks of
/// different sizes.
fn prepare() {
    // SAFETY: it sets switches of libtorch and throws nothing
    unsafe { astill_prepare_gpu() };
    allow_tf32(false);
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
    fn astill_prepare_gpu();
    fn astill_allow_tf32(allowed: bool);
    fn astill_reserved_bytes(device: i64) -> i64;
    fn astill_available_bytes(device: i64) -> i64;
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

/// The most memory that libtorch has reserved on a GPU so far, for tensors and between them, in MiB;
/// none for the CPU.
pub fn peak_reserved_mib(device: Device) -> Option<u64> {
    // SAFETY: as above
    on_gpu(device, |n| unsafe { astill_reserved_bytes(n) })
}

/// The bytes that further tensors could take on a GPU: what is free there, and what libtorch has
/// reserved without using it; none for the CPU, or where it is not known.
pub fn available_bytes(device: Device) -> Option<u64> {
    match device {
        // SAFETY: as above
        Device::Cuda(n) => u64::try_from(unsafe { astill_available_bytes(n as i64) }).ok(),
        _ => None,
    }
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

/// The memory of this host with what it can swap out, or that up to the limit of this process's control
/// group where that is less, in MiB; none where the system does not report it.
pub fn host_mib() -> Option<f64> {
    let [memory, swap] = ["MemTotal:", "SwapTotal:"].map(|key| kib("/proc/meminfo", key));
    let host = (memory > 0).then(|| (memory + swap) as f64 / 1024.);
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
        let gpu = choose(&DeviceChoice::Cuda(0))?.device;
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
