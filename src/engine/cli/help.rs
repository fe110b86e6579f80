//! Workers of a run: which it is to have, and `astill work`.

use super::choose;
use astill_core::cli::{DeviceChoice, WorkArgs, WorkersArgs, WorkersChoice};
use astill_core::console::to_stderr;
use astill_core::profile::Profile;
use astill_core::run::RunDir;
use astill_core::{Error, Result};
use astill_engine::trainer::WorkersPlan;
use astill_engine::{device, worker};
use std::path::Path;
use std::process::ExitCode;
use std::thread::available_parallelism;
use tch::Device;

/// The number of threads that the user wants in every process.
const THREADS: &str = "OMP_NUM_THREADS";

/// Computes segments of a run until it has no more.
pub(super) fn help(args: &WorkArgs, data: Option<&Path>, runs: &Path) -> Result<ExitCode> {
    let run = RunDir::find_exactly(runs, &args.run)?;
    let device = choose(&args.device)?;
    let mut say = |what: &str| to_stderr(format!("astill: {}: {what}", run.name()));
    worker::work(&run, data.map(Path::to_path_buf), device, &mut say)?;
    Ok(ExitCode::SUCCESS)
}

/// The device of the engine: the first of its workers' devices, or else the one that was chosen.
pub(super) fn device(workers: &WorkersArgs, chosen: Option<&DeviceChoice>) -> Option<DeviceChoice> {
    match &workers.workers {
        Some(WorkersChoice::Devices(devices)) => devices.first().cloned(),
        Some(WorkersChoice::Count(_)) | None => chosen.cloned(),
    }
}

/// The workers of a run with this profile, whose engine works on `device`.
///
/// # Errors
/// [`Error::Usage`] if they would have nothing to do.
pub(super) fn plan(
    workers: &WorkersArgs,
    profile: &Profile,
    device: Device,
) -> Result<WorkersPlan> {
    let segments = profile.distill.segments;
    if segments == 1 && !workers.is_empty() {
        return Err(Error::Usage(
            "--workers and --listen share the segments of an update among processes, but \
             distill.segments is 1: raise it, for example with --set distill.segments=4 (this \
             changes the result, and how many iterations are needed)"
                .into(),
        ));
    }
    let local = match &workers.workers {
        None => Vec::new(),
        Some(WorkersChoice::Count(count)) => {
            let name = device::name(device);
            let same = name
                .parse()
                .map_err(|e| Error::Usage(format!("{name}: {e}")))?;
            vec![same; count - 1]
        }
        Some(WorkersChoice::Devices(devices)) => devices[1..].to_vec(),
    };
    if local.len() >= segments {
        return Err(Error::Usage(format!(
            "--workers: found {} processes, but an update has {segments} segments (distill.segments), \
             so some would never have anything to do; ask for at most {segments}",
            local.len() + 1
        )));
    }
    Ok(WorkersPlan {
        local,
        listen: workers.listen.clone(),
    })
}

/// How many threads a new run has in each of its processes: what the user says, or else the cores
/// are shared out.
pub(super) fn threads(workers: &WorkersArgs, device: Device) -> Option<i64> {
    match &workers.workers {
        Some(WorkersChoice::Count(count))
            if device == Device::Cpu && std::env::var_os(THREADS).is_none() =>
        {
            let cores = available_parallelism().map_or(1, usize::from);
            Some((cores / count).max(1) as i64)
        }
        _ => None,
    }
}
