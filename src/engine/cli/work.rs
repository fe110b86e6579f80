//! `astill work`, and which workers a run is to have.

use super::choose;
use astill_core::cli::{DeviceChoice, WorkArgs, WorkersArgs, WorkersChoice};
use astill_core::console::to_stderr;
use astill_core::profile::Profile;
use astill_core::run::RunDir;
use astill_core::{Error, Result};
use astill_engine::trainer::{Listener, WorkersPlan};
use astill_engine::{device, threads, worker_client};
use std::path::Path;
use std::process::ExitCode;
use tch::Device;

/// Computes segments of a run until it has no more.
pub(super) fn work(args: &WorkArgs, data: Option<&Path>, runs: &Path) -> Result<ExitCode> {
    let run = RunDir::find_exactly(runs, &args.run)?;
    let device = choose(&args.device)?;
    let mut report = |what: &str| to_stderr(format!("astill: {}: {what}", run.name()));
    worker_client::work(&run, data.map(Path::to_path_buf), device, &mut report)?;
    Ok(ExitCode::SUCCESS)
}

/// The device of the engine: the first of its workers' devices, or else the one that was chosen.
///
/// # Errors
/// [`Error::Usage`] if these are two.
pub(super) fn device(
    workers: &WorkersArgs,
    chosen: Option<&DeviceChoice>,
) -> Result<Option<DeviceChoice>> {
    let (Some(WorkersChoice::Devices(devices)), chosen) = (&workers.workers, chosen) else {
        return Ok(chosen.cloned());
    };
    match (devices.first(), chosen) {
        (Some(first), Some(chosen)) if first != chosen => Err(Error::Usage(format!(
            "found --device {chosen} and --workers {first},…: the first device of --workers is the \
             engine's own, so leave out --device"
        ))),
        (first, _) => Ok(first.cloned()),
    }
}

/// The workers of a run with this profile, whose engine works on `device`, and what is worth a warning
/// about them.
///
/// # Errors
/// [`Error::Usage`] if they would have nothing to do, or cannot connect.
pub(super) fn plan(
    workers: &WorkersArgs,
    profile: &Profile,
    device: Device,
) -> Result<(WorkersPlan, Option<String>)> {
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
    // now, and not when hours later it is needed
    let listener = (segments > 1).then(|| Listener::bind(workers.listen.as_ref()));
    let (listener, warning) = match listener.transpose() {
        Ok(listener) => (listener, None),
        // nobody has asked for workers
        Err(error) if workers.is_empty() => (
            None,
            Some(format!("no workers can help with this run: {error}")),
        ),
        Err(error) => return Err(error),
    };
    Ok((WorkersPlan { local, listener }, warning))
}

/// How many threads a new run has in each of its processes, where the cores are shared out among
/// several; none where that is left to each.
pub(super) fn threads(workers: &WorkersArgs, device: Device) -> Option<i64> {
    let on_cpu = match &workers.workers {
        None => return None,
        Some(WorkersChoice::Count(count)) => *count,
        Some(WorkersChoice::Devices(devices)) => {
            let cuda = |device: &&DeviceChoice| matches!(device, DeviceChoice::Cuda(_));
            devices.len() - devices.iter().filter(cuda).count()
        }
    };
    let own = threads::per_process(on_cpu).filter(|_| device == Device::Cpu)?;
    i64::try_from(own).ok()
}
