//! What connects the trainer with the rest of the program: it records what happens, answers
//! commands, and keeps what they request until the trainer gets to it.
//!
//! The trainer itself answers commands, between the small steps of whatever it is doing. An answer
//! promises what will happen at the next moment between two steps, so nothing changes in the middle
//! of one. Edits are saved with their moment: a resumed run applies them at the same moments and so
//! computes the same.

mod answers;
mod rule;
mod settings;
mod writing;

use self::rule::is_of_experts;
pub(super) use self::rule::moment_of;
use self::settings::LiveSettings;
use super::RunPlan;
use super::expert_helpers::ExpertHelpers;
use super::recorder::Recorder;
use crate::device;
use crate::progress::{Progress, Watch};
use crate::usage::{Machine, UsageMeter};
use astill_core::profile::{CheckpointsRead, Profile};
use astill_core::run::command::{Answer, Command, PAUSED_BY_ITSELF};
use astill_core::run::edits::{Edits, Moment};
use astill_core::run::event::{CommandAnswered, EventKind};
use astill_core::run::{EngineLock, RunDir};
use astill_core::{Error, Result};
use crossbeam_channel::{Receiver, Sender};
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tch::Device;

/// Said where further processes cannot know what was changed.
const ALONE: &str = "settings of the experts were changed during the run, so this process alone trains \
                     them";

/// A command, and where its answer goes if somebody waits for it.
#[derive(Debug)]
pub struct CommandRequest {
    pub command: Command,
    pub answer: Option<Sender<Answer>>,
}

/// Where a run is. A command takes effect at the next moment between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStage {
    /// Before the experts.
    Data,
    /// In, or before, an epoch of an expert; `next` is the moment after it.
    Experts {
        next: Moment,
    },
    Init,
    /// In, or before, a step of distillation, `done` of them being done; `next` is the moment
    /// after it.
    Distill {
        done: u64,
        next: Moment,
    },
    /// All steps are done.
    Evaluate,
}

/// What the trainer does at the next moment between two steps of distillation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingAction {
    Checkpoint,
    Evaluation,
    /// Back to the checkpoint of `step`; requested when there were so many `edits`.
    RollBack {
        step: u64,
        edits: usize,
    },
}

impl fmt::Display for PendingAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint => Command::Checkpoint.fmt(f),
            Self::Evaluation => Command::Evaluate.fmt(f),
            Self::RollBack { step, .. } => Command::RollBack { step: *step }.fmt(f),
        }
    }
}

/// The trainer's side of the channels.
#[derive(Debug)]
pub struct Control {
    run: RunDir,
    held: Arc<EngineLock>,
    recorder: Recorder,
    usage: UsageMeter,
    requests: Receiver<CommandRequest>,
    device: Device,
    settings: LiveSettings,
    /// Class names and training images of each, once they are known.
    classes: Option<(Vec<String>, Vec<usize>)>,
    stage: RunStage,
    /// The expert with the highest number that the run has come to.
    last_expert: u64,
    /// The step of the checkpoint that the run has resumed from.
    resumed: Option<u64>,
    pending: VecDeque<PendingAction>,
    /// The student rate as it is now, once it is learned.
    student_rate: Option<f64>,
    paused: bool,
    /// Why the run waits, if it does because something cannot be written.
    waiting: Option<String>,
    /// Why something was not written when the run was asked to stop.
    lost: Option<String>,
    /// Folders outside of the run in which something has been kept.
    known_places: HashSet<PathBuf>,
    /// Somebody can answer when the run pauses by itself.
    attended: bool,
    /// A command is being carried out, so a pause waits until that is done.
    serving: bool,
    stopping: Option<String>,
    failure: Option<Error>,
    /// Processes that train experts beside this one.
    helpers: ExpertHelpers,
}

impl Control {
    /// For the run of `plan`.
    ///
    /// # Errors
    /// Its edits cannot be read, or do not fit the profile; the system gives no thread.
    pub fn new(
        plan: &RunPlan,
        recorder: Recorder,
        requests: Receiver<CommandRequest>,
    ) -> Result<Self> {
        let device = plan.device;
        Ok(Self {
            usage: UsageMeter::start(move || Machine::new(device))?,
            settings: LiveSettings::read(&plan.run, &plan.profile)?,
            run: plan.run.clone(),
            held: Arc::clone(&plan.held),
            device: plan.device,
            recorder,
            requests,
            classes: None,
            stage: RunStage::Data,
            last_expert: 0,
            resumed: None,
            pending: VecDeque::new(),
            student_rate: None,
            paused: false,
            waiting: None,
            lost: None,
            known_places: HashSet::new(),
            attended: plan.attended,
            serving: false,
            stopping: None,
            failure: None,
            helpers: ExpertHelpers::default(),
        })
    }

    /// Checks that the run is still this engine's, before something in it is written or removed.
    ///
    /// # Errors
    /// As [`EngineLock::check`]; or one of its folders is a link, or no folder.
    pub fn check_held(&self) -> Result<()> {
        self.held.check()?;
        self.run.check_folders()
    }

    /// Records how much memory is in use.
    pub fn record_memory(&mut self) -> Result<()> {
        self.record(EventKind::Memory {
            host_mib: device::resident_mib(),
            device_mib: device::allocated_mib(self.device),
        })
    }

    /// Writes a warning for the user.
    pub fn warn(&mut self, message: impl Into<String>) -> Result<()> {
        let message = self.held.named_text(&message.into());
        self.record(EventKind::Warning { message })
    }

    /// Training has produced numbers that are not finite; `problem` describes this, and what to do
    /// about it. The run pauses, so that somebody can act on it.
    ///
    /// # Errors
    /// [`Error::Diverged`] where nobody can answer: this ends the run.
    pub fn diverged(&mut self, problem: String) -> Result<()> {
        if !self.attended {
            return Err(Error::Diverged(problem));
        }
        self.warn(problem)?;
        self.paused = true;
        let answer = Answer {
            reason: Some(PAUSED_BY_ITSELF.into()),
            ..Answer::accepted()
        };
        let paused = CommandAnswered::new(Command::Pause, answer);
        self.record(EventKind::Command(paused))
    }

    /// The command that continues the run after [`Self::diverged`]: its engine waits, or has ended.
    pub fn way_on(&self, run: &RunDir) -> String {
        let name = run.reference();
        match self.attended {
            true => format!("astill send {name} resume"),
            false => format!("astill resume {name}"),
        }
    }

    /// The run has reached this stage.
    pub fn enter(&mut self, stage: RunStage) {
        self.stage = stage;
    }

    /// The run is before epoch `epoch` of an expert, or in the epoch before that. Where other
    /// processes train experts too, it comes to some of them late: an edit never holds for an expert
    /// before the last, which would have been trained with it.
    pub fn enter_epoch(&mut self, expert: u64, epoch: usize) {
        self.last_expert = self.last_expert.max(expert);
        let last = self.last_expert;
        let epoch = match expert == last {
            true => epoch,
            false => self.epochs_trained(last),
        };
        let next = Moment::Expert {
            expert: last,
            epoch: epoch as u64,
        };
        self.enter(RunStage::Experts { next });
    }

    /// The student rate is this now.
    pub fn set_student_rate(&mut self, rate: f64) {
        self.student_rate = Some(rate);
    }

    /// Records what was accepted and cannot be carried out any more, because the run ends; a run that
    /// was stopped has written a checkpoint.
    pub fn report_dropped(&mut self, is_stopped: bool) -> Result<()> {
        let dropped: Vec<String> = std::mem::take(&mut self.pending)
            .into_iter()
            .filter(|action| !is_stopped || *action != PendingAction::Checkpoint)
            .map(|action| action.to_string())
            .collect();
        if dropped.is_empty() {
            return Ok(());
        }
        self.warn(format!(
            "not carried out, although accepted, because the run ended first: {}. Send it again once \
             the run is resumed",
            dropped.join(", ")
        ))
    }

    /// The run has resumed from the checkpoint of `step`: the phases before distillation only read
    /// what the run has produced before.
    pub fn resume_at(&mut self, step: u64) {
        self.resumed = Some(step);
    }

    /// What the data holds, for the checks that need it.
    pub fn set_classes(&mut self, names: Vec<String>, train_per_class: Vec<usize>) {
        self.classes = Some((names, train_per_class));
    }

    /// Makes an edit that the run is resumed with, and records it like a command.
    ///
    /// # Errors
    /// It is refused, or cannot be saved.
    pub fn edit(&mut self, edit: &str) -> Result<()> {
        let answer = self.write_with_retry(|control| control.set(edit))?;
        if !answer.is_accepted() {
            return Err(Error::Usage(format!("--set {edit}: {answer}")));
        }
        let command = Command::Set { edit: edit.into() };
        self.record(EventKind::Command(CommandAnswered::new(command, answer)))
    }

    /// The settings from `moment` on, with the edits made so far.
    pub fn profile_at(&self, moment: Moment) -> Arc<Profile> {
        Arc::clone(self.settings.at(moment))
    }

    /// How many epochs expert number `index` is trained for: what the run needed when it began. Edits
    /// that need more are rejected.
    pub fn epochs_trained(&self, index: u64) -> usize {
        self.settings.first().epochs_trained(index)
    }

    /// Which checkpoints of expert number `index` the run reads: what it needed when it began. Edits
    /// that need others are rejected where these alone are kept.
    pub fn checkpoints_read(&self, index: u64) -> CheckpointsRead {
        self.settings.first().checkpoints_read(index)
    }

    /// The edits made so far.
    pub fn edits(&self) -> &Edits {
        self.settings.edits()
    }

    /// The run goes back to `step` with its `learned` rate, as was requested when there were so many
    /// `edits`: later edits hold from there on.
    pub fn move_edits_back_to(&mut self, step: u64, edits: usize, learned: f64) -> Result<()> {
        let step = Moment::Step(step);
        self.write_with_retry(|control| control.settings.move_back_to(step, edits, learned))
    }

    /// Answers the commands that have arrived meanwhile.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if one of them was to stop.
    pub fn answer_requests(&mut self) -> Result<()> {
        // only those that are there now: a client that sends without a pause must not hold up the
        // run
        for request in self
            .requests
            .try_iter()
            .take(self.requests.len())
            .collect::<Vec<_>>()
        {
            self.answer_request(request)?;
        }
        self.unless_stopping()
    }

    /// As [`Self::answer_requests`]; while the run is paused, waits for the next command, without
    /// using the processor.
    pub fn wait_while_paused(&mut self) -> Result<()> {
        self.answer_requests()?;
        if !self.paused || self.serving {
            return Ok(());
        }
        self.helpers.pause(true);
        while self.paused && !self.serving {
            self.answer_next_request()?;
        }
        self.helpers.pause(false);
        Ok(())
    }

    /// Starts the processes that train experts beside this one. They know nothing of edits of the
    /// experts' settings, so that there are none after one.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn start_helpers(&mut self, plan: &RunPlan) -> Result<()> {
        let edits = self.settings.edits().all();
        if !edits.iter().any(|edit| is_of_experts(&edit.set)) {
            self.helpers = ExpertHelpers::start(plan)?;
        } else if !plan.workers.experts.is_empty() {
            self.warn(ALONE)?;
        }
        Ok(())
    }

    /// Warns of those of these processes that have failed.
    ///
    /// # Errors
    /// The warning cannot be recorded.
    pub fn check_helpers(&mut self) -> Result<()> {
        let failures = self.helpers.failures();
        failures
            .into_iter()
            .try_for_each(|failure| self.warn(failure))
    }

    /// Ends these processes.
    ///
    /// # Errors
    /// As [`Self::check_helpers`].
    pub fn end_helpers(&mut self) -> Result<()> {
        self.check_helpers()?;
        self.helpers.end();
        Ok(())
    }

    /// Waits for the next command and answers it.
    pub fn answer_next_request(&mut self) -> Result<()> {
        // the other end is held as long as the engine lives
        let request = self.requests.recv().map_err(|_| Error::Interrupted)?;
        self.answer_request(request)?;
        self.unless_stopping()
    }

    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// The next action to carry out between two steps of distillation. A pause waits until none is
    /// left, so that a command takes effect even while the run is paused.
    pub fn next_pending(&mut self) -> Option<PendingAction> {
        self.serving = !self.pending.is_empty();
        self.pending.pop_front()
    }

    /// [`Error::Interrupted`] if the run has been asked to stop.
    fn unless_stopping(&self) -> Result<()> {
        if self.stopping.is_some() {
            Err(Error::Interrupted)
        } else {
            Ok(())
        }
    }

    /// For long work: passes its progress on as events, under `label`, once it has taken longer
    /// than `patience`, waits where it is while the run is paused, and stops it when a command asks
    /// to.
    pub fn watch<'a>(&'a mut self, label: &'a str, patience: Duration) -> Box<Watch<'a>> {
        self.watch_and(Self::wait_while_paused, label, patience)
    }

    /// As [`Self::watch`] for work that is not to be paused in its middle.
    pub fn watch_step<'a>(&'a mut self, label: &'a str, patience: Duration) -> Box<Watch<'a>> {
        self.watch_and(Self::answer_requests, label, patience)
    }

    fn watch_and<'a>(
        &'a mut self,
        listen: fn(&mut Self) -> Result<()>,
        label: &'a str,
        patience: Duration,
    ) -> Box<Watch<'a>> {
        let begin = Instant::now();
        Box::new(move |progress: Progress<'_>| {
            let heard = listen(self);
            let recorded = if heard.is_ok() && begin.elapsed() >= patience {
                let what = format!("{label}{}", progress.what);
                self.record(EventKind::Progress {
                    what,
                    done: progress.done,
                    total: progress.total,
                })
            } else {
                Ok(())
            };
            match heard.and(recorded) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    if !matches!(error, Error::Interrupted) {
                        self.failure = Some(error);
                    }
                    ControlFlow::Break(())
                }
            }
        })
    }

    /// What went wrong inside a `watch` that stopped its work for that reason.
    pub fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// Why the engine was asked to stop.
    pub fn stop_reason(&self) -> String {
        self.stopping.clone().unwrap_or_default()
    }
}
