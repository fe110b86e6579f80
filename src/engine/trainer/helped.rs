//! Distillation with the help of whoever comes.

use super::RunPlan;
use super::control::Control;
use super::distillation::Distillation;
use super::local_workers::LocalWorkers;
use super::worker_server::WorkerServer;
use super::workers::Workers;
use crate::wire::{ExpertFile, Welcome, below};
use astill_core::{Error, Result};

/// Has `distil` work with the run's workers, if it can have any, and ends them afterwards.
///
/// # Errors
/// As `distil`; the workers cannot be started or recorded.
pub fn with_workers(
    plan: &RunPlan,
    distillation: &Distillation<'_>,
    control: &mut Control,
    distil: impl FnOnce(&Distillation<'_>, &mut Control) -> Result<()>,
) -> Result<()> {
    let Some(workers) = workers(plan, distillation)? else {
        return distil(distillation, control);
    };
    let helped = Distillation {
        workers: Some(&workers),
        ..*distillation
    };
    let distilled = distil(&helped, control);
    // also where it was stopped or has failed
    let closed = workers.close(control);
    distilled.and(closed)
}

fn workers(plan: &RunPlan, distillation: &Distillation<'_>) -> Result<Option<Workers>> {
    let Some(listener) = &plan.workers.listener else {
        return Ok(None);
    };
    let experts = distillation.experts.iter().map(|expert| {
        Ok(ExpertFile {
            path: below(&plan.data, expert.path()),
            epochs: expert.asked(),
            weights: expert.hash_after(expert.asked())?,
        })
    });
    let welcome = Welcome {
        profile: plan.profile.to_yaml(),
        classes: distillation.dataset.classes.len(),
        channels: distillation.dataset.channels,
        threads: tch::get_num_threads(),
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
