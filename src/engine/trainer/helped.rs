//! Whoever helps the engine of a run.

use super::RunPlan;
use super::control::Control;
use super::local_workers::LocalWorkers;
use super::store::Trajectory;
use super::worker_server::WorkerServer;
use super::workers::Workers;
use crate::data::Dataset;
use crate::wire::{ExpertFile, Welcome, below};
use astill_core::{Error, Result};
use tch::Device;

/// Does `work` with the help of the run's workers, if it can have any, and ends them afterwards.
///
/// # Errors
/// As `work`; the workers cannot be started or recorded.
pub fn with_workers<T>(
    plan: &RunPlan,
    (experts, dataset): (&[Trajectory], &Dataset),
    control: &mut Control,
    work: impl FnOnce(Option<&Workers>, &mut Control) -> Result<T>,
) -> Result<T> {
    let Some(workers) = workers(plan, experts, dataset)? else {
        return work(None, control);
    };
    let done = work(Some(&workers), control);
    // also where it was stopped or has failed
    let closed = workers.close(control);
    done.and_then(|done| closed.map(|()| done))
}

fn workers(plan: &RunPlan, experts: &[Trajectory], dataset: &Dataset) -> Result<Option<Workers>> {
    let Some(listener) = &plan.workers.listener else {
        return Ok(None);
    };
    let experts = experts.iter().map(|expert| {
        Ok(ExpertFile {
            path: below(&plan.data, expert.path()),
            epochs: expert.asked(),
            weights: expert.hash_after(expert.asked())?,
        })
    });
    let welcome = Welcome {
        profile: plan.profile.to_yaml(),
        classes: dataset.classes.len(),
        channels: dataset.channels,
        threads: (plan.device == Device::Cpu).then(tch::get_num_threads),
        experts: experts.collect::<Result<_>>()?,
    };
    // nothing that the user has done wrong any more: the run has begun
    let of_run = |error: Error| match error {
        Error::Usage(problem) => Error::file(plan.run.path(), problem),
        other => other,
    };
    let server = WorkerServer::start(&plan.held, listener.clone(), welcome).map_err(of_run)?;
    let local = LocalWorkers::start(plan).map_err(of_run)?;
    Ok(Some(Workers::new(server, local)))
}
