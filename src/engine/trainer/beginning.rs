//! How an engine begins: what it records, what it continues from, and whether that fits.

use super::RunPlan;
use super::checkpoint::DistillationState;
use super::control::Control;
use crate::data::Dataset;
use crate::device;
use crate::threads;
use astill_core::cgroup::OomKills;
use astill_core::files::atomic::write_atomically;
use astill_core::run::edits::Moment;
use astill_core::run::event::{EventKind, RunStarted};
use astill_core::{Error, Result, cores};

/// Records that the run starts, or resumes from the state that comes back.
pub fn resume(plan: &RunPlan, control: &mut Control) -> Result<Option<DistillationState>> {
    let (saved, damaged) = DistillationState::load(plan.run.path(), plan.device)?;
    let step = saved.as_ref().map_or(0, |s| s.numbers.step);
    control.record(EventKind::RunStarted(RunStarted {
        run: plan.run.name(),
        profile: plan.profile_name.clone(),
        seed: plan.profile.seed,
        device: device::name(plan.device),
        threads: i64::from(tch::get_num_threads()),
        version: env!("CARGO_PKG_VERSION").into(),
        process: std::process::id(),
        data: plan.data.to_string_lossy().into_owned(),
        folder: plan.folder.to_string_lossy().into_owned(),
        step,
        iterations: control
            .profile_at(Moment::Step(u64::MAX))
            .distill
            .iterations as u64,
        oom_kills: OomKills::now(),
        settings: Some(serde_json::json!(plan.profile)),
    }))?;
    if let Some(cause) = &plan.killed {
        control.warn(cause)?;
    }
    let allowed = cores::usable().map_or(threads::MOST, |n| n as i64);
    if let Some(threads) = plan.threads.filter(|threads| *threads > allowed) {
        control.warn(format!(
            "the run began with {threads} threads and keeps them, so that its numbers stay the same; \
             here it may use {allowed}, so it will be slow"
        ))?;
    }
    if let Some(state) = &saved {
        control.resume_at(step);
        control.set_student_rate(state.numbers.student_lr);
    }
    for warning in &plan.warnings {
        control.warn(warning.as_str())?;
    }
    for problem in damaged {
        control.warn(format!(
            "{problem}; the run resumes from step {step}, and nothing else is lost"
        ))?;
    }
    Ok(saved)
}

/// Takes the changes that a run is resumed with, once nothing speaks against resuming it.
pub fn take_changes(plan: &RunPlan, control: &mut Control) -> Result<()> {
    for set in &plan.sets {
        control.edit(set)?;
    }
    if plan.is_profile_edited {
        let (path, text) = (plan.run.profile(), plan.profile.to_yaml());
        control.write_with_retry(|_| write_atomically(&path, text.as_bytes()))?;
    }
    Ok(())
}

/// Checks that the training images are those that the run began with, and that a saved state, if there is
/// one, is of its settings.
///
/// # Errors
/// It is of others; the message says of which.
pub fn check_fit(
    saved: Option<&DistillationState>,
    plan: &RunPlan,
    dataset: &Dataset,
) -> Result<()> {
    let now = &dataset.fingerprint;
    let recorded = plan.data_content.as_ref();
    let then = saved.map_or(recorded, |state| Some(&state.numbers.data_content));
    if let Some(then) = then.filter(|then| *then != now) {
        let short = |hash: &str| hash.chars().take(16).collect::<String>();
        return Err(Error::file(
            &plan.folder,
            format!(
                "holds different training images (content {}) from those this run began with \
                 (content {}); restore those, or start a new run",
                short(now),
                short(then)
            ),
        ));
    }
    let Some(state) = saved else { return Ok(()) };
    // what a checkpoint of an older version shows of its settings
    let images = dataset.classes.len() * plan.profile.images_per_class();
    let expected = [images as i64, dataset.channels, dataset.size, dataset.size];
    let found = state.images.size();
    if found != expected {
        return Err(Error::Usage(format!(
            "{}: the checkpoint of step {} holds images of the shape {found:?}, but the settings in \
             profile.yaml make {expected:?}: restore distill.ipc, dataset.size and what else was \
             changed, or start a new run",
            plan.run.path().display(),
            state.numbers.step
        )));
    }
    Ok(())
}
