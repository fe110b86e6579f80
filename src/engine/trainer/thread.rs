//! The trainer thread, which owns libtorch: how it is started and joined, and how it ends.
//!
//! The mathematics calls libtorch's methods that panic on a failure such as a lack of memory. This
//! thread turns such a panic into an error with libtorch's own message and records the end of the
//! run. All that depends on files or settings returns a `Result`.

use super::RunPlan;
use super::control::{CommandRequest, Control};
use super::recorder::Recorder;
use crate::{failure, wire};
use astill_core::files::atomic::{PART, remove_left_over};
use astill_core::run;
use astill_core::run::event::{Event, EventKind, RunFinished, RunOutcome};
use astill_core::{Error, Result};
use crossbeam_channel::{Receiver, Sender};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The name of the thread that owns libtorch; a panic in it becomes an [`Error::Libtorch`].
pub const TRAINER_THREAD: &str = "trainer";

/// A running engine. Dropping it leaves the trainer running until it ends by itself.
#[derive(Debug)]
pub struct Engine {
    /// What happens, in order; ends when the trainer does. Events that nobody reads cost memory,
    /// not time.
    pub events: Receiver<Event>,
    pub requests: Sender<CommandRequest>,
    /// Set when the trainer has ended, its last event written.
    pub ended: Arc<AtomicBool>,
    trainer: JoinHandle<Result<()>>,
}

/// Checks that this user may write into a folder of the run: waiting for that would not help.
///
/// # Errors
/// [`Error::Usage`] with the way out. What can pass, a full disk for example, is no error.
fn check_writable(folder: &Path) -> Result<()> {
    let tried = tempfile::Builder::new().prefix(PART).tempfile_in(folder);
    match tried.map(drop).map_err(|e| e.kind()) {
        Err(kind @ (ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)) => {
            let cause = std::io::Error::from(kind);
            Err(Error::Usage(format!(
                "cannot write in {}: {cause}; resume the run as a user who may write there, on a machine \
                 that has the folder mounted for writing",
                folder.display()
            )))
        }
        _ => Ok(()),
    }
}

impl Engine {
    /// Starts or resumes the run of `plan`, which takes commands from the channel `requests`.
    ///
    /// # Errors
    /// The run's folders or files cannot be used; its edits do not fit the profile.
    pub fn start(
        plan: RunPlan,
        (requests, request_out): (Sender<CommandRequest>, Receiver<CommandRequest>),
    ) -> Result<Self> {
        plan.held.begin();
        plan.run.check_folders()?;
        plan.run.make_folders()?;
        for folder in [""].into_iter().chain(run::FOLDERS) {
            let folder = plan.run.path().join(folder);
            check_writable(&folder).map_err(|error| plan.held.named(error))?;
            remove_left_over(&folder, Duration::ZERO);
        }
        // where a killed engine listened for its workers
        let _ = std::fs::remove_file(plan.run.path().join(wire::ADDRESS));
        let (event_in, events) = crossbeam_channel::unbounded();
        let recorder = Recorder::open(&plan.run, Arc::clone(&plan.held), event_in)?;
        let control = Control::new(&plan, recorder, request_out)?;
        let ended = Arc::new(AtomicBool::new(false));
        let has_ended = ended.clone();
        let trainer = std::thread::Builder::new()
            .name(TRAINER_THREAD.into())
            .spawn(move || {
                let result = run_to_end(plan, control);
                has_ended.store(true, Ordering::SeqCst);
                result
            })
            .map_err(Error::io("start a thread for", "the trainer"))?;
        Ok(Self {
            events,
            requests,
            ended,
            trainer,
        })
    }

    /// Waits for the trainer.
    ///
    /// # Errors
    /// What ended the run; [`Error::Interrupted`] if it stopped on request, after a checkpoint.
    pub fn join(self) -> Result<()> {
        self.trainer
            .join()
            .unwrap_or_else(|payload| Err(failure::of_run(payload.as_ref())))
    }
}

/// Runs all phases on the trainer thread, and records how they ended, a panic of libtorch included.
fn run_to_end(plan: RunPlan, mut control: Control) -> Result<()> {
    let begin = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| super::run(&plan, &mut control)))
        .unwrap_or_else(|p| Err(failure::of_run(p.as_ref())));
    let error = match result {
        Ok(()) => return Ok(()),
        Err(Error::Interrupted) => match (control.take_failure(), control.take_lost()) {
            (Some(failure), _) => failure,
            (None, Some(reason)) => Error::file(
                plan.run.path(),
                format!(
                    "stopped while it could not write ({reason}): the work since the last checkpoint, \
                     or the last saved epoch of an expert, may be lost. `astill resume` continues \
                     from there"
                ),
            ),
            (None, None) => Error::Interrupted,
        },
        // a file that could not be mapped into memory
        Err(error @ Error::Io { .. }) if error.is_out_of_memory() => {
            Error::Memory(error.to_string())
        }
        Err(error) => error,
    };
    // whatever ended it: what matters then is that the run is not this engine's any more
    let error = match plan.held.check() {
        Err(lost @ Error::RunLost { .. }) => lost,
        _ => plan.held.named(error),
    };
    // a failure to record this is a failure to record the end
    let _ = control.report_dropped(matches!(error, Error::Interrupted));
    let (status, reason) = match &error {
        Error::Interrupted => (RunOutcome::Stopped, control.stop_reason()),
        other => (RunOutcome::Failed, other.to_string()),
    };
    let seconds = begin.elapsed().as_secs_f64();
    let finished = RunFinished::without_result(status, reason, seconds);
    let recorded = control
        .record(EventKind::RunFinished(finished))
        .and_then(|()| control.flush());
    Err(match (error, recorded) {
        (Error::Interrupted, Err(problem)) => {
            let problem = format!(
                "stopped, with everything saved except the latest events, which are missing from \
                 events.jsonl: {}",
                plan.held.named(problem)
            );
            Error::file(plan.run.real_path(), problem)
        }
        // where not even this can be written, the error itself is what matters
        (error, _) => error,
    })
}
