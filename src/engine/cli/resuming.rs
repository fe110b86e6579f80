//! `astill resume`.

use super::{Launch, engine_signals, folders, work};
use crate::process;
use astill_core::cli::{DeviceChoice, ResumeChanges, data_folder};
use astill_core::console::to_stderr;
use astill_core::files::check_text;
use astill_core::run::event::EventKind;
use astill_core::run::{EngineAt, EngineLock, History, RunDir};
use astill_core::{Error, Result};
use astill_engine::device::Chosen;
use astill_engine::trainer::{Resumption, RunPlan, resumption};
use astill_engine::{device, export, gpus, threads};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tch::Device;

/// How long network file systems may keep the locks of a machine that is gone: NFS 90 seconds, Lustre
/// some more.
const LOCKS_OF_THE_DEAD: Duration = Duration::from_secs(180);
const LOCK_AGAIN: Duration = Duration::from_millis(500);

/// These changes, and the folder of data, as arguments for another process.
pub(super) fn arguments(changes: &ResumeChanges, data: Option<&Path>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    if let Some(data) = data {
        arguments.extend(["--data".into(), data.into()]);
    }
    arguments.extend(changes.to_arguments().into_iter().map(OsString::from));
    arguments
}

/// Another GPU for a run that was on one which is not here any more, or does not work.
///
/// # Errors
/// There is none; the message is about the one that the run was on.
fn on_another_gpu(before: &DeviceChoice, why: &Error) -> Result<Chosen> {
    let refused = || Error::Usage(format!("the run was on {before} before, but {why}"));
    if !matches!(before, DeviceChoice::Cuda(_)) || !gpus::count().is_ok_and(|count| count > 0) {
        return Err(refused());
    }
    let mut chosen = device::choose_for_run(&DeviceChoice::Auto)?;
    if chosen.device == Device::Cpu {
        return Err(refused());
    }
    chosen.warnings.push(format!(
        "the run was on {before} before, which cannot be used here; it continues on {}, where its last \
         digits may differ",
        device::name(chosen.device)
    ));
    Ok(chosen)
}

/// The run for this engine. A job that was queued again because its node failed may come before the file
/// system has given up the locks of that node.
fn lock(run: &RunDir, launch: &Launch) -> Result<EngineLock> {
    let is_requeued = matches!(
        launch,
        Launch::Foreground {
            is_requeued: true,
            ..
        }
    );
    let begin = Instant::now();
    let mut has_said = false;
    loop {
        let locked = run.lock();
        let holder = run.holder().map(|(holder, _)| holder);
        let elsewhere = holder.filter(|holder| !holder.is_here() && is_requeued);
        let (Err(Error::Usage(_)), Some(holder)) = (&locked, elsewhere) else {
            return locked;
        };
        if begin.elapsed() > LOCKS_OF_THE_DEAD {
            return locked;
        }
        if !has_said {
            has_said = true;
            to_stderr(format!(
                "astill: the run is still locked by an engine on {}; waiting until the file system gives up \
                 the locks of that machine, if it has failed, for {} minutes at most",
                holder.host,
                LOCKS_OF_THE_DEAD.as_secs() / 60
            ));
        }
        std::thread::sleep(LOCK_AGAIN);
    }
}

/// Resumes a run, or says that it is done.
pub(super) fn resume(
    run: &RunDir,
    changes: &ResumeChanges,
    data: Option<&Path>,
    launch: Launch,
) -> Result<ExitCode> {
    let is_background = matches!(launch, Launch::Background { .. });
    if let (EngineAt::MaybeRemote(host), false) = (run.engine(), is_background) {
        to_stderr(format!(
            "astill: the latest engine of this run was on the machine {host} and never reported \
             that it ended; if it is still running, it ends once this one has the run, and its work \
             since the last checkpoint is lost"
        ));
    }
    check_text("the folder of the run", run.path())?;
    let lock = lock(run, &launch)?;
    let signals = engine_signals()?;
    run.check_folders()?;
    run.make_folders()?;
    let history = History::of(run)?;
    let mut plan = resumption(run, &history, &changes.set)?;
    if let Some(done) = &history.done
        && is_over(run, &mut plan, &changes.set)?
    {
        return already_done(done, run);
    }
    if plan.step.is_none() && history.steps > 0 {
        plan.warnings.push(format!(
            "the run had done {} steps, but there is no checkpoint left: it is distilled again from \
             the beginning, with the experts already trained",
            history.steps
        ));
    }
    if plan.step.is_some() && history.device.is_none() {
        plan.warnings.push(
            "events.jsonl no longer says how the run was begun (the device, the number of threads, the \
             folder of data), so those of this command count; with others than before, the numbers \
             differ in their last digits"
                .into(),
        );
    }
    let killed = history.killed();
    let name = match &launch {
        Launch::Background { profile } => profile.clone(),
        _ => history.profile.clone().unwrap_or_else(|| run.name()),
    };
    if matches!(launch, Launch::Detached) {
        drop(lock);
        return process::detach((run, false), &name, &arguments(changes, data), signals);
    }
    let processes = work::Processes {
        devices: changes.device.as_ref(),
        workers: &changes.workers,
    };
    let chosen_now = processes.device()?;
    let choice = match (chosen_now.clone(), &history.device) {
        (Some(choice), _) => choice,
        (None, Some(name)) => name
            .parse()
            .map_err(|e| Error::file(run.events(), format!("found the device {name:?}, {e}")))?,
        (None, None) => DeviceChoice::Auto,
    };
    let chosen = match (device::choose_for_run(&choice), &chosen_now) {
        (Ok(chosen), _) => chosen,
        (Err(error), Some(_)) => return Err(error),
        (Err(error), None) => on_another_gpu(&choice, &error)?,
    };
    let threads = history.threads.or_else(|| processes.threads(chosen.device));
    threads.map_or(Ok(()), threads::check_for)?;
    let (workers, warning) = processes.plan(&plan.profile, chosen.device)?;
    plan.warnings.extend(chosen.warnings.iter().cloned());
    plan.warnings.extend(warning);
    let given = data.map(Path::to_path_buf);
    let (data, folder) = if plan.is_data_moved {
        let data = data_folder(given.or(history.data))?;
        let folder = astill_core::dataset_folder::dataset_folder(&plan.profile, &data);
        (data, folder)
    } else {
        let known = (history.data, history.folder);
        folders(given.as_deref(), known, &plan.profile)?
    };
    let (attended, is_reported) = match launch {
        Launch::Foreground { is_attended, .. } => (is_attended, true),
        Launch::Detached | Launch::Background { .. } => (true, false),
    };
    let plan = RunPlan {
        run: lock.run(),
        held: Arc::new(lock),
        profile_name: name,
        profile: plan.profile,
        data,
        folder,
        device: chosen.device,
        threads,
        workers,
        killed,
        data_content: history.data_content,
        attended,
        sets: plan.sets,
        is_profile_edited: plan.is_edited,
        warnings: plan.warnings,
        only_experts: None,
    };
    let on_finish = changes.on_finish.as_deref();
    process::run_engine(run, plan, is_reported, (signals, on_finish))
}

/// Whether nothing is left to do in a run that is done: no more steps were asked for, and its result
/// is there.
///
/// # Errors
/// Changes were asked for that can have no effect any more.
fn is_over(run: &RunDir, plan: &mut Resumption, sets: &[String]) -> Result<bool> {
    if plan.step.is_some_and(|step| plan.iterations > step) {
        return Ok(false);
    }
    if !sets.is_empty() {
        let problem = match plan.step {
            Some(step) => format!(
                "all {step} steps are done, so no setting can have an effect any more; to continue, \
                 raise distill.iterations above {step}"
            ),
            None => "it has no checkpoint left to continue from".into(),
        };
        return Err(Error::Usage(format!("run {}: {problem}", run.name())));
    }
    let flaw = match export::of_run(run).map(|file| export::read(&file)) {
        Ok(Ok(_)) => return Ok(true),
        Ok(Err(why)) => format!("damaged: {why}"),
        Err(_) => "missing".into(),
    };
    plan.warnings.push(format!(
        "the run is done, and is resumed only to write its distilled set again, which is {flaw}"
    ));
    Ok(false)
}

fn already_done(done: &EventKind, run: &RunDir) -> Result<ExitCode> {
    to_stderr(format!("run {} is already done", run.name()));
    process::print_result(done, run)?;
    Ok(ExitCode::SUCCESS)
}
