//! What each command does, and the answer to it.

use super::{ALONE, CommandRequest, Control, PendingAction, RunStage, is_of_experts, moment_of};
use astill_core::profile;
use astill_core::run::checkpoints;
use astill_core::run::command::{Answer, Command};
use astill_core::run::edits::{Edit, STUDENT_RATE, key_of};
use astill_core::run::event::{CommandAnswered, EventKind};
use astill_core::{Error, Result};
use std::sync::Arc;

/// While a run cannot write, it accepts about this many commands; further ones, except
/// `stop`, are rejected.
const MOST_UNWRITTEN: usize = 10_000;

impl Control {
    /// Answers one request, and records it.
    pub(super) fn answer_request(&mut self, request: CommandRequest) -> Result<()> {
        let is_stop = matches!(request.command, Command::Stop { .. });
        let repeated = is_stop && self.stopping.is_some();
        let is_too_much = !is_stop && self.recorder.unwritten() > MOST_UNWRITTEN;
        let answer = match is_too_much {
            true => Answer::rejected(
                "the run cannot write, and too many commands are waiting to be recorded; free some \
                 disk space and try again",
            ),
            false => self
                .answer(&request.command)
                .unwrap_or_else(|error| Answer::rejected(self.held.named(error).to_string())),
        };
        if !repeated && !is_too_much {
            let answered = CommandAnswered::new(request.command, answer.clone());
            self.recorder.take(EventKind::Command(answered))?;
            // before the answer, where it can be; but the answer must not wait for the disk
            let _ = self.recorder.flush();
        }
        if let Some(client) = request.answer {
            // a client that has gone away needs no answer
            let _ = client.send(answer);
        }
        self.write_events()
    }

    fn answer(&mut self, command: &Command) -> Result<Answer> {
        if !matches!(command, Command::Stop { .. }) {
            self.check_held()?;
        }
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
            Command::Pause if self.paused => Answer::rejected("the run is already paused"),
            Command::Resume if !self.paused => Answer::rejected("the run is not paused"),
            Command::Pause | Command::Resume => {
                self.paused = matches!(command, Command::Pause);
                Answer::accepted()
            }
            Command::Stop { reason } => {
                self.stopping.get_or_insert_with(|| reason.clone());
                Answer::accepted()
            }
            Command::Checkpoint => self.queue(PendingAction::Checkpoint),
            Command::Evaluate => self.queue(PendingAction::Evaluation),
            Command::RollBack { step } => self.roll_back(*step)?,
            Command::Set { edit } => self.set(edit)?,
        })
    }

    fn queue(&mut self, action: PendingAction) -> Answer {
        let reason = match self.stage {
            RunStage::Distill { .. } => {
                self.pending.push_back(action);
                return Answer::accepted();
            }
            RunStage::Evaluate => "all steps are done and saved; the result is being written",
            RunStage::Data | RunStage::Experts { .. } | RunStage::Init => {
                "there are no synthetic images yet; try again once distillation has begun (experts \
                 are saved after every epoch)"
            }
        };
        Answer::rejected(reason)
    }

    fn roll_back(&mut self, step: u64) -> Result<Answer> {
        let RunStage::Distill { done, .. } = self.stage else {
            return Ok(self.queue(PendingAction::RollBack { step, edits: 0 }));
        };
        let steps = checkpoints::steps(self.run.path())?;
        if !steps.contains(&step) {
            let there: Vec<String> = steps.iter().map(u64::to_string).collect();
            return Ok(Answer::rejected(format!(
                "there is no checkpoint of step {step}, only of {}",
                there.join(", ")
            )));
        }
        let edits = self.edits().all().len();
        self.pending
            .push_back(PendingAction::RollBack { step, edits });
        Ok(Answer::changed(done, step))
    }

    /// Accepts an edit, saved at once so that it is not lost with the engine.
    pub(super) fn set(&mut self, edit: &str) -> Result<Answer> {
        let before = Arc::clone(self.settings.latest());
        let after = before.edited(edit).map_err(Error::Profile)?;
        let path = key_of(edit);
        let settings = (self.settings.first(), &after);
        let at = match moment_of(edit, settings, (self.stage, self.resumed)) {
            Ok(at) => at,
            Err(why) => return Ok(Answer::rejected(why)),
        };
        if let Some((names, train)) = &self.classes {
            after
                .check_classes(names, train, edit)
                .map_err(Error::Profile)?;
        }
        let value = |profile| {
            profile::key(path)
                .map(|key| key.json(profile))
                .unwrap_or_default()
        };
        let (mut from, to) = (value(&before), value(&after));
        // this one is learned, so what the settings say is what it began with
        let rate = self.student_rate.filter(|_| path == STUDENT_RATE);
        from = rate.map_or(from, Into::into);
        let edit = Edit {
            at,
            set: edit.to_string(),
        };
        let is_of_experts = is_of_experts(&edit.set);
        self.settings.push(edit, after)?;
        // they would go on as before
        if is_of_experts && self.helpers.end() {
            self.warn(ALONE)?;
        }
        if rate.is_some() {
            self.student_rate = to.as_f64().or(rate);
        }
        Ok(Answer::changed(from, to))
    }
}
