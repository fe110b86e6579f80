//! Whether the speed of a device can be measured now: not beside a run at work, which that would slow
//! down and which would falsify it, and not where memory is short.

use std::fs;
use std::path::Path;
use tch::Device;

/// Less free memory than this is left alone, in MiB: timing the steps of a usual network takes some
/// hundreds.
const ROOM: f64 = 1024.;

/// Why the speed of a device is not measured now; none if nothing speaks against it.
#[must_use]
pub fn why_not_measured(device: Device, free_mib: Option<f64>) -> Option<String> {
    if let Some(process) = run_at_work(device == Device::Cpu) {
        return Some(format!(
            "a run is at work on this device (process {process})"
        ));
    }
    let free = free_mib.filter(|free| *free < ROOM)?;
    Some(format!("only {free:.0} MiB of memory are free"))
}

/// The process of a run on the CPU, or else on a GPU; of any user, as far as the system shows it.
fn run_at_work(on_cpu: bool) -> Option<u32> {
    let own = std::process::id();
    let ids = fs::read_dir("/proc").ok()?.flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut others = ids.filter(|id| *id != own);
    others.find(|id| is_run(*id) && uses_gpu(*id).is_none_or(|gpu| gpu != on_cpu))
}

/// Whether a process is the engine of a run: others check profiles, for example.
fn is_run(process: u32) -> bool {
    let read = |name: &str| fs::read(format!("/proc/{process}/{name}")).unwrap_or_default();
    if !read("comm").starts_with(b"astill-engine") {
        return false;
    }
    let line = read("cmdline");
    line.split(|byte| *byte == 0)
        .any(|word| word == b"run" || word == b"resume")
}

/// Whether a process has a GPU open; none where this user may not know.
fn uses_gpu(process: u32) -> Option<bool> {
    let open = fs::read_dir(format!("/proc/{process}/fd")).ok()?.flatten();
    let is_gpu = |path: &Path| path.to_string_lossy().starts_with("/dev/nvidia");
    let mut files = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    Some(files.any(|path| is_gpu(&path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_measured_where_memory_is_short() {
        let short = why_not_measured(Device::Cpu, Some(200.));
        assert!(short.is_some_and(|why| why.contains("MiB of memory") || why.contains("a run")));
    }

    #[test]
    fn this_process_is_no_run_and_uses_no_gpu() {
        let own = std::process::id();
        assert!(!is_run(own));
        assert_eq!(uses_gpu(own), Some(false));
        assert_eq!(uses_gpu(u32::MAX), None);
    }
}
