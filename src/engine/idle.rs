//! Whether the speed of a device can be measured now: not beside a run at work, which that would slow
//! down and which would falsify it, and not where memory is short.

use crate::gpus::claim;
use astill_core::cli::DeviceChoice;
use std::fs;
use std::path::Path;
use tch::Device;

/// Less free memory than this is left alone, in MiB: timing the steps of a usual network takes some
/// hundreds.
const ROOM: f64 = 1024.;

/// What the program computes with, on a device of its own choice or a named one; the first of them claim
/// their GPU.
const CLAIMING: [&str; 4] = ["run", "resume", "work", "experts"];
const OTHERS: [&str; 3] = ["evaluate", "scores", "bench"];

/// Those that may have the name of such a command among their arguments.
const NEITHER: [&str; 5] = ["check", "doctor", "send", "import", "export"];

/// Why the speed of a device is not measured now; none if nothing speaks against it.
#[must_use]
pub fn why_not_measured(device: Device, free_mib: Option<f64>) -> Option<String> {
    if let Some(process) = at_work(device) {
        return Some(format!(
            "astill is computing on this device already (process {process})"
        ));
    }
    let free = free_mib.filter(|free| *free < ROOM)?;
    Some(format!("only {free:.0} MiB of memory are free"))
}

/// A process that computes on a device; of any user, as far as the system shows it.
fn at_work(device: Device) -> Option<u32> {
    let own = std::process::id();
    let ids = fs::read_dir("/proc").ok()?.flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut others = ids.filter(|id| *id != own);
    others.find(|id| {
        computing(*id).is_some_and(|found| match device {
            Device::Cuda(index) => {
                found.may_use_gpu(index, uses_gpu(*id), || claim::is_claimed(index))
            }
            _ => uses_gpu(*id) != Some(true),
        })
    })
}

/// A process that computes, by its command line.
#[derive(Debug, PartialEq)]
struct Computing {
    /// It claims the GPU that it takes.
    claims: bool,
    /// The device that it was told to take.
    device: Option<DeviceChoice>,
}

impl Computing {
    /// None for what does not compute, such as a check of a profile.
    fn of(line: &[u8]) -> Option<Self> {
        let words = || line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let all = [&CLAIMING[..], &OTHERS, &NEITHER].concat();
        let command = words().find(|word| all.contains(&&**word))?;
        let claims = CLAIMING.contains(&&*command);
        if !claims && !OTHERS.contains(&&*command) {
            return None;
        }
        let mut following = words().skip_while(|word| word != "--device").skip(1);
        let joined = words().find_map(|word| Some(word.strip_prefix("--device=")?.to_string()));
        let device = joined.or_else(|| Some(following.next()?.to_string()));
        let device = device.and_then(|device| device.parse().ok());
        Some(Self { claims, device })
    }

    /// Whether it may compute on this GPU. Whether it `uses_gpu` at all is known of processes of this
    /// user, whose claims are known too.
    fn may_use_gpu(
        &self,
        index: usize,
        uses_gpu: Option<bool>,
        is_claimed: impl FnOnce() -> bool,
    ) -> bool {
        match (&self.device, uses_gpu) {
            (_, Some(false)) | (Some(DeviceChoice::Cpu), _) => false,
            (Some(DeviceChoice::Cuda(named)), _) => *named == index,
            (Some(DeviceChoice::Auto) | None, Some(true)) if self.claims => is_claimed(),
            (Some(DeviceChoice::Auto) | None, _) => true,
        }
    }
}

/// What a process computes, if it is one of this program.
fn computing(process: u32) -> Option<Computing> {
    let read = |name: &str| fs::read(format!("/proc/{process}/{name}")).unwrap_or_default();
    match read("comm").starts_with(b"astill-engine") {
        true => Computing::of(&read("cmdline")),
        false => None,
    }
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
        assert!(
            short.is_some_and(|why| why.contains("MiB of memory") || why.contains("is computing"))
        );
    }

    #[test]
    fn this_process_is_no_run_and_uses_no_gpu() {
        let own = std::process::id();
        assert_eq!(computing(own), None);
        assert_eq!(uses_gpu(own), Some(false));
        assert_eq!(uses_gpu(u32::MAX), None);
    }

    #[test]
    fn everything_that_computes_is_known_by_its_command_line() {
        let of = |line: &str| Computing::of(line.replace(' ', "\0").as_bytes());
        for line in [
            "run shapes",
            "experts shapes",
            "work r",
            "evaluate r",
            "bench",
            "scores r",
        ] {
            assert!(
                of(&format!("/bin/astill-engine {line}")).is_some(),
                "{line}"
            );
        }
        for line in [
            "check shapes --preview",
            "check work",
            "doctor",
            "send run pause",
        ] {
            assert_eq!(of(&format!("/bin/astill-engine {line}")), None, "{line}");
        }
        let device = |line| of(line).and_then(|found| found.device);
        let second = Some(DeviceChoice::Cuda(1));
        assert_eq!(device("astill-engine run shapes --device cuda:1"), second);
        assert_eq!(device("astill-engine run shapes --device=cuda:1"), second);
    }

    #[test]
    fn only_what_computes_on_the_same_gpu_counts() {
        let named = |device| Computing {
            claims: true,
            device,
        };
        let on = |of: &Computing, uses, claimed| of.may_use_gpu(3, uses, || claimed);
        assert!(on(&named(Some(DeviceChoice::Cuda(3))), None, false));
        assert!(!on(&named(Some(DeviceChoice::Cuda(0))), Some(true), true));
        assert!(!on(&named(Some(DeviceChoice::Cpu)), None, true));
        let automatic = named(None);
        assert!(
            !on(&automatic, Some(true), false),
            "it claims the GPU it takes"
        );
        assert!(on(&automatic, Some(true), true));
        assert!(
            on(&automatic, None, false),
            "another user's may be anywhere"
        );
        assert!(!on(&automatic, Some(false), true));
    }
}
