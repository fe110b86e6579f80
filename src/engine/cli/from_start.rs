//! `astill work --from-start`: waits until a run begins, and trains experts beside its engine until it
//! has all.

use super::folders;
use astill_core::cli::{DeviceChoice, WorkArgs};
use astill_core::console::to_stderr;
use astill_core::run::edits::{Edits, Moment};
use astill_core::run::list::{RunState, summary};
use astill_core::run::{History, RunDir};
use astill_core::{Error, Result, program, signals};
use astill_engine::threads::CHOSEN_BY_USER;
use astill_engine::trainer;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long the engine may take to begin, and to extend a run that is done.
const BEGINNING: Duration = Duration::from_secs(300);
const EXTENSION: Duration = Duration::from_secs(60);
/// How long a process takes at most to give back its claim, once it is asked to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// The run of these arguments, once its engine needs segments computed; none if it ends before.
///
/// # Errors
/// No engine begins it; its record cannot be read; no process can be started for its experts.
pub(super) fn wait(args: &WorkArgs, data: Option<&Path>, runs: &Path) -> Result<Option<RunDir>> {
    // a batch system tells all tasks of a job to stop; the engine does, and this process ends with it
    signals::outlive_limits()?;
    let Some(run) = begun(args, runs)? else {
        return Ok(None);
    };
    let Some(mut experts) = start(&run, &args.device, data)? else {
        return Ok(Some(run));
    };
    let goes_on = watch(&run, &mut experts)?;
    end(&mut experts);
    Ok(goes_on.then_some(run))
}

/// The run, once it has an engine; none if it is done.
fn begun(args: &WorkArgs, runs: &Path) -> Result<Option<RunDir>> {
    let begin = Instant::now();
    loop {
        let found = RunDir::find_exactly(runs, &args.run);
        let state = found.as_ref().ok().map(|run| summary(run.clone()).state);
        match (found, state) {
            // one that has begun has said where its data are
            (Ok(run), Some(state))
                if state.may_have_engine() && History::of(&run)?.data.is_some() =>
            {
                return Ok(Some(run));
            }
            (Ok(_), Some(RunState::Done)) if begin.elapsed() > EXTENSION => return Ok(None),
            (Ok(run), _) if begin.elapsed() > BEGINNING => {
                return Err(Error::Usage(format!(
                    "no engine has started on the run {} within five minutes; see the output of the task that \
                     was to be its engine",
                    run.reference()
                )));
            }
            (Err(problem), _) if begin.elapsed() > BEGINNING => return Err(problem),
            _ => std::thread::sleep(POLL_INTERVAL),
        }
    }
}

/// A process that trains experts of the run; none where they were imported.
fn start(run: &RunDir, device: &DeviceChoice, data: Option<&Path>) -> Result<Option<Child>> {
    let history = History::read(&run.events())?;
    let profile = Edits::read(run)?.apply(&run.read_profile()?, Moment::Step(u64::MAX))?;
    if profile.expert.from.is_some() {
        return Ok(None);
    }
    let (data, folder) = folders(data, (history.data, history.folder), &profile)?;
    let own = program::own()?;
    let mut command = Command::new(own);
    command.arg("--data").arg(&data);
    command
        .args(["experts", "/dev/stdin", "--any"])
        .arg(format!("--device={device}"));
    if let Some(threads) = history.threads {
        command.env(CHOSEN_BY_USER, threads.to_string());
    }
    command.stdin(Stdio::piped()).process_group(0);
    program::tied(&mut command, Signal::TERM);
    let mut child = command.spawn().map_err(Error::io("start", own))?;
    if let Some(mut input) = child.stdin.take() {
        let profile = trainer::with_data_in(&profile, &folder, &data);
        // one that has ended at once says why by its status
        let _ = input.write_all(profile.to_yaml().as_bytes());
    }
    Ok(Some(child))
}

/// Waits until the experts are trained, and stands still while the run is paused; whether the run goes
/// on then.
fn watch(run: &RunDir, experts: &mut Child) -> Result<bool> {
    let mut is_paused = false;
    loop {
        let ended = experts
            .try_wait()
            .map_err(Error::io("wait for", "a process"))?;
        if let Some(status) = ended {
            if !status.success() {
                to_stderr(format!(
                    "astill: {}: the training of experts here ended with {status}; the run goes on without it",
                    run.name()
                ));
            }
            return Ok(true);
        }
        let state = summary(run.clone()).state;
        match state {
            RunState::Done | RunState::Stopped | RunState::Failed => return Ok(false),
            // how it ended is found out by the worker
            RunState::Dead => return Ok(true),
            RunState::Running | RunState::Paused | RunState::Waiting | RunState::Elsewhere => {}
        }
        if is_paused != (state == RunState::Paused) {
            is_paused = !is_paused;
            send(
                experts,
                if is_paused {
                    Signal::STOP
                } else {
                    Signal::CONT
                },
            );
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Ends the process, which gives back its claim.
fn end(experts: &mut Child) {
    // a second one means no more than the first, should others send it too
    send(experts, Signal::USR2);
    // one that is stopped would not hear the other signal
    send(experts, Signal::CONT);
    let begin = Instant::now();
    while matches!(experts.try_wait(), Ok(None)) && begin.elapsed() < FAREWELL {
        std::thread::sleep(POLL_INTERVAL / 10);
    }
    let _ = experts.kill();
    let _ = experts.wait();
}

fn send(experts: &Child, signal: Signal) {
    // one that has just ended needs none
    let _ = kill_process(Pid::from_child(experts), signal);
}
