//! `astill work`, and which workers a run is to have.

use super::{from_start, warn};
use astill_core::cli::{
    DeviceChoice, DeviceList, ListenAddress, WorkArgs, WorkersArgs, WorkersChoice,
};
use astill_core::console::to_stderr;
use astill_core::profile::Profile;
use astill_core::run::RunDir;
use astill_core::{Error, Result, job_step};
use astill_engine::trainer::{Listener, WorkersPlan};
use astill_engine::worker_client::{self, Worker};
use astill_engine::{device, threads};
use std::path::Path;
use std::process::ExitCode;
use tch::Device;

/// Stands for all addresses of this machine.
const EVERYWHERE: &str = "0.0.0.0";

/// Computes segments of a run until it has no more.
pub(super) fn work(args: &WorkArgs, data: Option<&Path>, runs: &Path) -> Result<ExitCode> {
    let run = match args.from_start {
        false => RunDir::find_exactly(runs, &args.run)?,
        true => match from_start::wait(args, data, runs)? {
            Some(run) => run,
            None => return Ok(ExitCode::SUCCESS),
        },
    };
    let chosen = device::choose_for_run(&args.device)?;
    chosen.warnings.iter().for_each(warn);
    let mut report = |what: &str| to_stderr(format!("astill: {}: {what}", run.name()));
    let worker = Worker {
        run: &run,
        data,
        device: chosen.device,
        has_seen_engine: args.from_start,
    };
    worker_client::work(&worker, &mut report)?;
    Ok(ExitCode::SUCCESS)
}

/// Which processes a run is to have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Processes<'a> {
    /// Where they are to work, as far as that was chosen.
    pub devices: Option<&'a DeviceList>,
    pub workers: &'a WorkersArgs,
}

impl Processes<'_> {
    /// The device of the engine: the first of its workers' devices, or else of those that were
    /// chosen.
    ///
    /// # Errors
    /// [`Error::Usage`] if these are two, or there are two lists of devices.
    pub fn device(&self) -> Result<Option<DeviceChoice>> {
        let chosen = self.devices.map(DeviceList::first);
        let others = self.devices.map_or(&[][..], DeviceList::others);
        match (&self.workers.workers, chosen) {
            (Some(choice), Some(_)) if !others.is_empty() => Err(Error::Usage(format!(
                "found several devices with --device, and --workers {choice}, which both say how many \
                 processes the run has; leave one of them out"
            ))),
            (Some(WorkersChoice::Devices(list)), Some(chosen)) if list.first() != chosen => {
                Err(Error::Usage(format!(
                    "found --device {chosen} and --workers {list}: the first device of --workers is \
                     the engine's own, so leave out --device"
                )))
            }
            (Some(WorkersChoice::Devices(list)), _) => Ok(Some(list.first())),
            (_, chosen) => Ok(chosen),
        }
    }

    /// What the other processes of a run with this profile are, whose engine works on `device`, and
    /// what is worth a warning about them.
    ///
    /// # Errors
    /// [`Error::Usage`] if some would have nothing to do or cannot connect, or a device is not there.
    pub fn plan(&self, profile: &Profile, device: Device) -> Result<(WorkersPlan, Option<String>)> {
        let Self { devices, workers } = *self;
        let segments = profile.distill.segments;
        let others = devices.map_or(&[][..], DeviceList::others);
        if segments == 1 && !workers.is_empty() {
            return Err(Error::Usage(
                "--workers and --listen share the segments of an update among processes, but \
                 distill.segments is 1: raise it, for example with --set distill.segments=4 (this \
                 changes the result, and how many iterations are needed); --device with several \
                 devices shares the experts and the networks of evaluations"
                    .into(),
            ));
        }
        let local = match &workers.workers {
            None => {
                let tasks = segments.max(profile.evaluate.repeats);
                others[..others.len().min(tasks - 1)].to_vec()
            }
            Some(WorkersChoice::Count(count)) => {
                let name = device::name(device);
                let same = name
                    .parse()
                    .map_err(|e| Error::Usage(format!("{name}: {e}")))?;
                vec![same; count - 1]
            }
            Some(WorkersChoice::Devices(devices)) => devices.others().to_vec(),
            Some(WorkersChoice::Slurm) => Vec::new(),
        };
        let processes = match &workers.workers {
            None => None,
            Some(WorkersChoice::Slurm) => Some(job_step::tasks()?),
            Some(_) => Some(local.len() + 1),
        };
        if let Some(found) = processes.filter(|found| *found > segments) {
            return Err(Error::Usage(format!(
                "--workers: found {found} processes, but an update has {segments} segments \
                 (distill.segments), so some would never have anything to do; ask for at most \
                 {segments}"
            )));
        }
        let of_experts = match others {
            [] => local.clone(),
            others => others.to_vec(),
        };
        // what is wrong is said before anything begins
        of_experts
            .iter()
            .chain(&local)
            .try_for_each(device::check)?;
        let is_asked_for = !workers.is_empty() || !local.is_empty();
        let is_shared = segments > 1 || is_asked_for;
        let (listener, warning) = listener(is_shared, workers, is_asked_for)?;
        let trains = profile.expert.from.is_none();
        let plan = WorkersPlan {
            experts: if trains { of_experts } else { Vec::new() },
            local,
            listener,
        };
        Ok((plan, warning))
    }

    /// How many threads a new run has in each of its processes, where the cores are shared out among
    /// several; none where that is left to each.
    pub fn threads(&self, device: Device) -> Option<i64> {
        let on_cpu = match &self.workers.workers {
            Some(WorkersChoice::Count(count)) => *count,
            Some(WorkersChoice::Devices(devices)) => devices.on_cpu(),
            // Slurm shares the cores out
            Some(WorkersChoice::Slurm) => 1,
            None => self.devices.map_or(1, DeviceList::on_cpu),
        };
        let is_shared = on_cpu > 1 && device == Device::Cpu;
        let own = threads::per_process(on_cpu).filter(|_| is_shared)?;
        i64::try_from(own).ok()
    }
}

/// Where workers connect to a run that shares something: found out now, and not when hours later it is
/// needed; and what is worth a warning about that.
fn listener(
    is_shared: bool,
    workers: &WorkersArgs,
    is_asked_for: bool,
) -> Result<(Option<Listener>, Option<String>)> {
    let everywhere = ListenAddress {
        host: EVERYWHERE.into(),
        port: None,
    };
    let address = match (&workers.listen, &workers.workers) {
        // the tasks may be on several nodes
        (None, Some(WorkersChoice::Slurm)) => Some(&everywhere),
        (given, _) => given.as_ref(),
    };
    let listener = is_shared.then(|| Listener::bind(address));
    match listener.transpose() {
        Ok(listener) => Ok((listener, None)),
        Err(error) if !is_asked_for => Ok((
            None,
            Some(format!("no workers can help with this run: {error}")),
        )),
        Err(error) => Err(error),
    }
}
