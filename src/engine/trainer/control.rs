//! What connects the trainer with the rest of the program: it records what happens, and answers and
//! keeps what is asked of it.

use super::recorder::Recorder;
use crate::progress::{Progress, Watch};
use astill_core::profile::{self, Profile};
use astill_core::run::command::{Answer, Command};
use astill_core::run::edits::{Edit, Edits, Moment, key_of};
use astill_core::run::event::{CommandAnswered, EventKind};
use astill_core::run::{RunDir, checkpoints};
use astill_core::{Error, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// A command, and where its answer goes if somebody waits for it.
#[derive(Debug)]
pub struct Request {
    pub command: Command,
    pub answer: Option<Sender<Answer>>,
}

/// Where a run is. What is asked takes effect at the next place between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before the experts.
    Data,
    /// In, or before, an epoch of an expert; `next` is the place after it.
    Experts {
        next: Moment,
    },
    Init,
    /// In, or before, a step of distillation, `done` of them being done; `next` is the place after
    /// it.
    Distill {
        done: u64,
        next: Moment,
    },
    /// All steps are done.
    Evaluate,
}

/// What is to be done at the next place between two steps of distillation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Checkpoint,
    Evaluation,
    RollBack { step: u64 },
}

/// How long to wait before trying again what could not be written.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// While a run cannot write, it records no more commands than about this many.
const MOST_UNWRITTEN: usize = 10_000;

/// The trainer's side of the channels.
#[derive(Debug)]
pub struct Control {
    run: RunDir,
    recorder: Recorder,
    requests: Receiver<Request>,
    /// The profile as the run began with it, and what was changed since.
    profile: Profile,
    edits: Edits,
    /// Class names and training images of each, once they are known.
    classes: Option<(Vec<String>, Vec<usize>)>,
    stage: Stage,
    /// The step of the checkpoint that the run goes on from.
    resumed: Option<u64>,
    wanted: VecDeque<Wanted>,
    paused: bool,
    /// Why the run waits, if it does because something cannot be written.
    waiting: Option<String>,
    /// Why something was not written when the run was asked to stop.
    lost: Option<String>,
    /// Somebody can answer when the run pauses by itself.
    attended: bool,
    /// Something is being done that was asked for, so a pause waits until it is done.
    serving: bool,
    stopping: Option<String>,
    failure: Option<Error>,
}

impl Control {
    /// For the run of `profile`; `attended` if somebody can answer when it pauses by itself.
    /// Errors: its edits cannot be read, or do not fit the profile.
    pub fn new(
        run: &RunDir,
        profile: &Profile,
        attended: bool,
        recorder: Recorder,
        requests: Receiver<Request>,
    ) -> Result<Self> {
        let edits = Edits::read(run)?;
        edits.apply(profile, Moment::Step(u64::MAX))?;
        Ok(Self {
            run: run.clone(),
            recorder,
            requests,
            profile: profile.clone(),
            edits,
            classes: None,
            stage: Stage::Data,
            resumed: None,
            wanted: VecDeque::new(),
            paused: false,
            waiting: None,
            lost: None,
            attended,
            serving: false,
            stopping: None,
            failure: None,
        })
    }

    /// Writes an event.
    pub fn record(&mut self, what: EventKind) -> Result<()> {
        self.recorder.take(what)?;
        self.write_events()
    }

    fn write_events(&mut self) -> Result<()> {
        if self.waiting.is_some() || self.stopping.is_some() {
            // what cannot be written now is written when the wait is over, or as the last thing
            let _ = self.recorder.flush();
            return Ok(());
        }
        self.retry_write(|control| control.recorder.flush())
    }

    /// Writes the events that could not be written yet.
    pub fn flush(&mut self) -> Result<()> {
        self.recorder.flush()
    }

    /// Does `write`, which writes files. While the system refuses that (the disk is full or
    /// read-only, the folder is gone), the run waits here, tries again now and then, and answers
    /// commands.
    ///
    /// [`Error::Interrupted`] if it is asked to stop meanwhile. Nothing is waited for once it was:
    /// then the system's error comes back.
    pub fn write_with_retry<T>(&mut self, write: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        let written = self.retry_write(write);
        if let Err(Error::Interrupted) = written {
            self.lost = self.waiting.clone();
        }
        written
    }

    /// Says that everything has been written after all, a checkpoint say.
    pub fn clear_lost_work(&mut self) {
        self.lost = None;
    }

    /// Why work was lost when the run stopped, if it was.
    pub fn take_lost(&mut self) -> Option<String> {
        self.lost.take()
    }

    fn retry_write<T>(&mut self, mut write: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        loop {
            match write(self) {
                Err(error @ Error::Io { .. })
                    if self.stopping.is_none() && !error.is_out_of_memory() =>
                {
                    self.wait(error.to_string())?
                }
                Err(error) => return Err(error),
                Ok(done) => {
                    if self.waiting.take().is_some() {
                        self.record(EventKind::Waiting { reason: None })?;
                    }
                    return Ok(done);
                }
            }
        }
    }

    /// Waits a little, for the reason given, and answers commands meanwhile.
    fn wait(&mut self, reason: String) -> Result<()> {
        if self.waiting.replace(reason.clone()).as_ref() != Some(&reason) {
            self.record(EventKind::Waiting {
                reason: Some(reason),
            })?;
        }
        let until = Instant::now() + TRY_AGAIN;
        // looked at here, too: who asks again and again must not keep the run from trying
        while Instant::now() < until {
            match self.requests.recv_deadline(until) {
                Ok(request) => self.serve(request)?,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return Err(Error::Interrupted),
            }
            self.go_on()?;
        }
        Ok(())
    }

    /// Writes a warning for the user.
    pub fn warn(&mut self, message: impl Into<String>) -> Result<()> {
        self.record(EventKind::Warning {
            message: message.into(),
        })
    }

    /// Training has left the finite numbers, as `problem` says with what to do. The run pauses, so
    /// that somebody can do it; where nobody is there who could, that is its end.
    pub fn diverged(&mut self, problem: String) -> Result<()> {
        if !self.attended {
            return Err(Error::Diverged(problem));
        }
        self.warn(problem)?;
        self.paused = true;
        let answer = Answer {
            reason: Some("the run paused by itself".into()),
            ..Answer::accepted()
        };
        let paused = CommandAnswered::new(Command::Pause, answer);
        self.record(EventKind::Command(paused))
    }

    /// Says where the run is now.
    pub fn enter(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// Says that the run goes on from the checkpoint of `step`: what comes before distillation is
    /// only looked up.
    pub fn resume_at(&mut self, step: u64) {
        self.resumed = Some(step);
    }

    /// Says what the data holds, for the checks that need it.
    pub fn set_classes(&mut self, names: Vec<String>, train_per_class: Vec<usize>) {
        self.classes = Some((names, train_per_class));
    }

    /// The profile as it is from `place` on, with the edits made so far.
    pub fn profile_at(&self, place: Moment) -> Result<Profile> {
        self.edits.apply(&self.profile, place)
    }

    /// The edits made so far.
    pub fn edits(&self) -> &Edits {
        &self.edits
    }

    /// The run goes back to `step`: later edits hold from there on.
    pub fn move_edits_back_to(&mut self, step: u64) -> Result<()> {
        self.write_with_retry(|control| control.edits.move_back_to(Moment::Step(step)))
    }

    /// Answers what has been asked meanwhile. [`Error::Interrupted`] if that was to stop.
    pub fn check(&mut self) -> Result<()> {
        // those that wait now: who asks again and again must not keep the run from going on
        for request in self
            .requests
            .try_iter()
            .take(self.requests.len())
            .collect::<Vec<_>>()
        {
            self.serve(request)?;
        }
        self.go_on()
    }

    /// As [`Self::check`]; while the run is paused, waits for the next command, without using the
    /// processor.
    pub fn hold(&mut self) -> Result<()> {
        self.check()?;
        while self.paused && !self.serving {
            self.serve_next()?;
        }
        Ok(())
    }

    /// Waits for the next command and answers it.
    pub fn serve_next(&mut self) -> Result<()> {
        // the other end is held as long as the engine lives
        let request = self.requests.recv().map_err(|_| Error::Interrupted)?;
        self.serve(request)?;
        self.go_on()
    }

    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// The next thing that was asked to be done between two steps of distillation. Until there is
    /// none left, a pause does not hold: what is asked in a pause is done in it.
    pub fn next_wanted(&mut self) -> Option<Wanted> {
        self.serving = !self.wanted.is_empty();
        self.wanted.pop_front()
    }

    fn go_on(&self) -> Result<()> {
        if self.stopping.is_some() {
            Err(Error::Interrupted)
        } else {
            Ok(())
        }
    }

    /// Answers one request, and records it.
    fn serve(&mut self, request: Request) -> Result<()> {
        let is_stop = matches!(request.command, Command::Stop { .. });
        let repeated = is_stop && self.stopping.is_some();
        let is_too_much = !is_stop && self.recorder.unwritten() > MOST_UNWRITTEN;
        let answer = match is_too_much {
            true => Answer::rejected(
                "the run cannot write, and too many commands wait to be recorded already; make \
                 room, and ask again",
            ),
            false => self
                .answer(&request.command)
                .unwrap_or_else(|error| Answer::rejected(error.to_string())),
        };
        if !repeated && !is_too_much {
            let answered = CommandAnswered::new(request.command, answer.clone());
            self.recorder.take(EventKind::Command(answered))?;
            // before the answer, where it can be; but the answer must not wait for the disk
            let _ = self.recorder.flush();
        }
        if let Some(asker) = request.answer {
            // who does not wait for the answer any more needs none
            let _ = asker.send(answer);
        }
        self.write_events()
    }

    fn answer(&mut self, command: &Command) -> Result<Answer> {
        let answer = self.decide(command)?;
        // accepted, but it may take a while
        let reason = self
            .waiting
            .as_ref()
            .filter(|_| answer.is_accepted() && answer.to.is_none());
        let reason = reason.map(|why| format!("the run waits: {why}"));
        Ok(Answer {
            reason: answer.reason.or(reason),
            ..answer
        })
    }

    fn decide(&mut self, command: &Command) -> Result<Answer> {
        Ok(match command {
            Command::Pause if self.paused => Answer::rejected("the run is paused already"),
            Command::Resume if !self.paused => Answer::rejected("the run is not paused"),
            Command::Pause | Command::Resume => {
                self.paused = matches!(command, Command::Pause);
                Answer::accepted()
            }
            Command::Stop { reason } => {
                self.stopping.get_or_insert_with(|| reason.clone());
                Answer::accepted()
            }
            Command::Checkpoint => self.want(Wanted::Checkpoint),
            Command::Evaluate => self.want(Wanted::Evaluation),
            Command::RollBack { step } => self.roll_back(*step)?,
            Command::Set { edit } => self.set(edit)?,
        })
    }

    fn want(&mut self, wanted: Wanted) -> Answer {
        let reason = match self.stage {
            Stage::Distill { .. } => {
                self.wanted.push_back(wanted);
                return Answer::accepted();
            }
            Stage::Evaluate => {
                "all steps are done, and what is there has been kept: the result is on its way"
            }
            Stage::Data | Stage::Experts { .. } | Stage::Init => {
                "there are no synthetic images yet; ask again in the phase distill (experts are \
                 kept after every epoch)"
            }
        };
        Answer::rejected(reason)
    }

    fn roll_back(&mut self, step: u64) -> Result<Answer> {
        let Stage::Distill { done, .. } = self.stage else {
            return Ok(self.want(Wanted::RollBack { step }));
        };
        let steps = checkpoints::steps(self.run.path())?;
        if !steps.contains(&step) {
            let there: Vec<String> = steps.iter().map(u64::to_string).collect();
            return Ok(Answer::rejected(format!(
                "there is no checkpoint of step {step}; there are {}",
                there.join(", ")
            )));
        }
        self.wanted.push_back(Wanted::RollBack { step });
        Ok(Answer::changed(done, step))
    }

    /// Takes an edit, kept at once so that it is not lost with the engine.
    fn set(&mut self, edit: &str) -> Result<Answer> {
        let before = self.profile_at(Moment::Step(u64::MAX))?;
        let after = before.edited(edit)?;
        let path = key_of(edit);
        let is_of_experts = profile::key(path).is_some_and(|k| k.section() == "expert");
        let late = "the experts are trained; a key of theirs can change only in the phase experts";
        let at = match (self.stage, self.resumed) {
            (Stage::Evaluate, _) => {
                return Ok(Answer::rejected(
                    "all steps are done: nothing that can be set has an effect any more",
                ));
            }
            (Stage::Init | Stage::Distill { .. }, _) | (_, Some(_)) if is_of_experts => {
                return Ok(Answer::rejected(late));
            }
            (Stage::Distill { next, .. }, _) => next,
            (_, Some(step)) => Moment::Step(step),
            (Stage::Data, None) if is_of_experts => {
                return Ok(Answer::rejected(
                    "which experts are there already is not known yet; ask again in the phase \
                     experts",
                ));
            }
            (Stage::Data, None) => Moment::Expert {
                expert: 0,
                epoch: 0,
            },
            (Stage::Experts { next }, None) if is_of_experts && !self.is_before_an_epoch(next) => {
                return Ok(Answer::rejected(late));
            }
            (Stage::Experts { next }, None) => next,
            (Stage::Init, None) => Moment::Step(0),
        };
        if let Moment::Step(step) = at
            && (after.distill.iterations as u64) < step
        {
            return Ok(Answer::rejected(format!(
                "{step} steps are done then; expected that or more"
            )));
        }
        if let Some((names, train)) = &self.classes {
            after.check_classes(names, train, edit)?;
        }
        self.edits.push(Edit {
            at,
            set: edit.to_string(),
        })?;
        Ok(Answer::changed(
            value_of(&before, path),
            value_of(&after, path),
        ))
    }

    /// Whether an expert has an epoch left at, or after, this place.
    fn is_before_an_epoch(&self, place: Moment) -> bool {
        let (count, epochs) = (
            self.profile.expert.count as u64,
            self.profile.expert.epochs as u64,
        );
        matches!(place, Moment::Expert { expert, epoch } if expert + 1 < count || epoch < epochs)
    }

    /// For long work: passes its progress on as events, under `label`, once it has taken longer
    /// than `patience`, waits where it is while the run is paused, and stops it when a command asks
    /// to.
    pub fn watch<'a>(&'a mut self, label: &'a str, patience: Duration) -> Box<Watch<'a>> {
        self.watch_and(Self::hold, label, patience)
    }

    /// As [`Self::watch`] for work that is not to be paused in its middle.
    pub fn watch_step<'a>(&'a mut self, label: &'a str, patience: Duration) -> Box<Watch<'a>> {
        self.watch_and(Self::check, label, patience)
    }

    fn watch_and<'a>(
        &'a mut self,
        hear: fn(&mut Self) -> Result<()>,
        label: &'a str,
        patience: Duration,
    ) -> Box<Watch<'a>> {
        let begin = Instant::now();
        Box::new(move |progress: Progress<'_>| {
            let heard = hear(self);
            let told = if heard.is_ok() && begin.elapsed() >= patience {
                let what = format!("{label}{}", progress.what);
                self.record(EventKind::Progress {
                    what,
                    done: progress.done,
                    total: progress.total,
                })
            } else {
                Ok(())
            };
            match heard.and(told) {
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

/// The value of the key "section.name" as a profile holds it.
fn value_of(profile: &Profile, path: &str) -> Value {
    let all = json!(profile);
    path.split('.')
        .try_fold(&all, |v, name| v.get(name))
        .cloned()
        .unwrap_or_default()
}
