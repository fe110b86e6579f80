//! The processes of a run besides its engine: which it is to have, and `astill work`.

use super::choose;
use astill_core::cli::{DeviceChoice, DeviceList, WorkArgs, WorkersArgs, WorkersChoice};
use astill_core::console::to_stderr;
use astill_core::profile::Profile;
use astill_core::run::RunDir;
use astill_core::{Error, Result, cores};
use astill_engine::trainer::WorkersPlan;
use astill_engine::{device, worker};
use std::path::Path;
use std::process::ExitCode;
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

/// Which processes a run is to have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Processes<'a> {
    pub devices: Option<&'a DeviceList>,
    pub workers: &'a WorkersArgs,
}

impl Processes<'_> {
    /// The device of the engine: the first of its workers' devices, or else of those that were
    /// chosen.
    pub fn device(&self) -> Option<DeviceChoice> {
        match &self.workers.workers {
            Some(WorkersChoice::Devices(devices)) => Some(devices.first()),
            Some(WorkersChoice::Count(_)) | None => self.devices.map(DeviceList::first),
        }
    }

    /// What the other processes of a run with this profile are, whose engine works on `device`.
    ///
    /// # Errors
    /// [`Error::Usage`] if there would be two lists of them, some would have nothing to do, or a
    /// device is not there.
    pub fn plan(&self, profile: &Profile, device: Device) -> Result<WorkersPlan> {
        let Self { devices, workers } = *self;
        let segments = profile.distill.segments;
        let others = devices.map_or(&[][..], DeviceList::others);
        if let (false, Some(choice)) = (others.is_empty(), &workers.workers) {
            return Err(Error::Usage(format!(
                "found several devices with --device, and --workers {choice}, which both say how many \
                 processes the run has; leave one of them out"
            )));
        }
        if segments == 1 && !workers.is_empty() {
            return Err(Error::Usage(
                "--workers and --listen share the segments of an update among processes, but \
                 distill.segments is 1: raise it, for example with --set distill.segments=4 (this \
                 changes the result, and how many iterations are needed); --device with several \
                 devices shares the experts alone"
                    .into(),
            ));
        }
        let local = match &workers.workers {
            None => others[..others.len().min(segments - 1)].to_vec(),
            Some(WorkersChoice::Count(count)) => {
                let name = device::name(device);
                let same = name
                    .parse()
                    .map_err(|e| Error::Usage(format!("{name}: {e}")))?;
                vec![same; count - 1]
            }
            Some(WorkersChoice::Devices(devices)) => devices.others().to_vec(),
        };
        if local.len() >= segments {
            return Err(Error::Usage(format!(
                "--workers: found {} processes, but an update has {segments} segments \
                 (distill.segments), so some would never have anything to do; ask for at most \
                 {segments}",
                local.len() + 1
            )));
        }
        let of_experts = match others {
            [] => local.clone(),
            others => others.to_vec(),
        };
        // what is wrong is said before anything begins
        let on_gpus = |device: &&DeviceChoice| matches!(device, DeviceChoice::Cuda(_));
        for other in of_experts.iter().chain(&local).filter(on_gpus) {
            choose(other)?;
        }
        let trains = profile.expert.from.is_none();
        Ok(WorkersPlan {
            experts: if trains { of_experts } else { Vec::new() },
            local,
            listen: workers.listen.clone(),
        })
    }

    /// How many threads a new run has in each of its processes: what the user says, or else the
    /// cores are shared out.
    pub fn threads(&self, device: Device) -> Option<i64> {
        let count = match &self.workers.workers {
            Some(WorkersChoice::Count(count)) => *count,
            Some(WorkersChoice::Devices(devices)) => devices.on_cpu(),
            None => self.devices.map_or(1, DeviceList::on_cpu),
        };
        let is_shared = count > 1 && device == Device::Cpu && std::env::var_os(THREADS).is_none();
        is_shared.then(|| {
            let cores = cores::usable().unwrap_or(1);
            (cores / count).max(1) as i64
        })
    }
}
