//! Changes of a run that has no engine: a setting, or a step back. They take the run's lock as an
//! engine does, follow the same rules, and are recorded in the same way; so the next engine continues
//! as if its predecessor had made them.

use super::checkpoint::DistillationState;
use super::control::{RunStage, moment_of};
use super::recorder::Recorder;
use super::resumption::resumption;
use astill_core::profile;
use astill_core::run::command::{Answer, Command};
use astill_core::run::edits::{Edit, Edits, Moment, STUDENT_RATE, key_of, value_of};
use astill_core::run::event::{CommandAnswered, EventKind};
use astill_core::run::{EngineAt, EngineLock, History, RunDir, checkpoints};
use astill_core::{Error, Result};
use std::sync::Arc;
use tch::Device;

/// Carries out `command` on a run that no engine works on, and records it with its answer.
///
/// # Errors
/// [`Error::Usage`] if an engine has the run, or the command needs one; the run cannot be read or
/// written.
pub fn change(run: &RunDir, command: &Command) -> Result<Answer> {
    // its locks may not reach this machine
    if let EngineAt::MaybeRemote(host) = run.engine() {
        return Err(Error::Usage(format!(
            "the latest engine of {} was on the machine {host} and never reported that it ended, so it \
             may still be working on it: change it there, or resume it here if that machine is gone",
            run.path().display()
        )));
    }
    let held = Arc::new(run.lock()?);
    // by its open folder, whatever becomes of the path
    let run = &held.run();
    run.check_folders()?;
    run.make_folders()?;
    let history = History::of(run)?;
    if history.done.is_some() {
        return Ok(Answer::rejected(
            "the run is done; extend it with more iterations, or start a new run with its settings",
        ));
    }
    let changing = Changing {
        run,
        held: Arc::clone(&held),
        history: &history,
    };
    let done = match command {
        Command::Set { edit } => changing.set(edit),
        Command::RollBack { step } => changing.roll_back(*step),
        other => Err(Error::Usage(format!(
            "no engine is running {}, and {other} needs one: start one with `astill resume {}`",
            run.real_path().display(),
            run.reference()
        ))),
    };
    done.map_err(|error| held.named(error))
}

/// A run whose lock this process holds.
struct Changing<'a> {
    run: &'a RunDir,
    held: Arc<EngineLock>,
    history: &'a History,
}

impl Changing<'_> {
    fn set(&self, edit: &str) -> Result<Answer> {
        let resumed = resumption(self.run, self.history, &[])?;
        if !resumed.sets.is_empty() {
            return Ok(Answer::rejected(format!(
                "profile.yaml was edited by hand ({}): resume the run first, so that this takes effect",
                resumed.sets.join(", ")
            )));
        }
        let mut edits = Edits::read(self.run)?;
        let before = edits.apply(&resumed.profile, Moment::Step(u64::MAX))?;
        let after = match before.edited(edit) {
            Ok(after) => after,
            Err(problems) => return Ok(Answer::rejected(Error::Profile(problems).to_string())),
        };
        let stage = (RunStage::Data, resumed.step);
        let at = match moment_of(edit, (&resumed.profile, &after), stage) {
            Ok(at) => at,
            Err(why) => return Ok(Answer::rejected(why)),
        };
        let key = profile::key(key_of(edit));
        let value = |profile| key.map(|key| key.json(profile)).unwrap_or_default();
        let (mut from, to) = (value(&before), value(&after));
        if key_of(edit) == STUDENT_RATE
            && let Some(step) = resumed.step
        {
            // this one is learned, so what the settings say is what it began with
            let set = edits.at(at).filter(|e| key_of(&e.set) == STUDENT_RATE);
            from = match set.last().and_then(|e| value_of(&e.set)) {
                Some(rate) => rate.into(),
                None => self.learned(step)?.into(),
            };
        }
        self.held.check()?;
        edits.push(Edit {
            at,
            set: edit.to_string(),
        })?;
        let answer = Answer::changed(from, to);
        let command = Command::Set { edit: edit.into() };
        self.record([answered(command, &answer)])?;
        Ok(answer)
    }

    /// Goes back to the checkpoint of `to`.
    fn roll_back(&self, to: u64) -> Result<Answer> {
        let last = self.history.steps;
        let steps = checkpoints::steps(self.run.path())?;
        if !steps.contains(&to) {
            let there: Vec<String> = steps.iter().map(u64::to_string).collect();
            let found = match there.is_empty() {
                true => "the run has none".into(),
                false => format!("only of {}", there.join(", ")),
            };
            return Ok(Answer::rejected(format!(
                "there is no checkpoint of step {to}, {found}"
            )));
        }
        let learned = self.learned(to)?;
        let from = last.max(steps.last().copied().unwrap_or(to));
        let mut edits = Edits::read(self.run)?;
        let requested_after = edits.all().len();
        self.held.check()?;
        // in this order, as an engine does: at every moment in between, the edits are true
        checkpoints::remove_after(self.run.path(), to)?;
        edits.move_back_to(Moment::Step(to), requested_after, learned)?;
        let answer = Answer::changed(from, to);
        let command = Command::RollBack { step: to };
        self.record([
            answered(command, &answer),
            EventKind::RolledBack { from, to },
        ])?;
        Ok(answer)
    }

    /// The student rate that was learned by the checkpoint of `step`.
    fn learned(&self, step: u64) -> Result<f64> {
        let state = DistillationState::load_step(self.run.path(), step, Device::Cpu)?;
        Ok(state.numbers.student_lr)
    }

    fn record(&self, events: impl IntoIterator<Item = EventKind>) -> Result<()> {
        let (listener, _) = crossbeam_channel::unbounded();
        let mut recorder = Recorder::open(self.run, Arc::clone(&self.held), listener)?;
        for event in events {
            recorder.take(event)?;
        }
        recorder.flush()
    }
}

fn answered(command: Command, answer: &Answer) -> EventKind {
    EventKind::Command(CommandAnswered::new(command, answer.clone()))
}
