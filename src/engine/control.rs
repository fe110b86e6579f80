//! What connects the trainer with the rest of the program: it records what happens and hears what is asked of it.

use super::event::{CommandStatus, What};
use super::recorder::Recorder;
use crate::progress::{Progress, Watch};
use crate::{Error, Result};
use crossbeam_channel::Receiver;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What can be asked of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Write a checkpoint and end. `reason` says who asks, for the record.
    Stop { reason: String },
}

/// The trainer's side of the channels.
#[derive(Debug)]
pub struct Control {
    recorder: Recorder,
    commands: Receiver<Command>,
    stopping: Option<String>,
    failure: Option<Error>,
}

impl Control {
    pub fn new(recorder: Recorder, commands: Receiver<Command>) -> Self {
        Self { recorder, commands, stopping: None, failure: None }
    }

    /// Writes an event.
    pub fn record(&mut self, what: What) -> Result<()> {
        self.recorder.record(what)
    }

    /// Writes a warning for the user.
    pub fn warn(&mut self, message: impl Into<String>) -> Result<()> {
        self.record(What::Warning { message: message.into() })
    }

    /// Takes the commands that have come. [`Error::Interrupted`] if one of them asks to stop.
    pub fn check(&mut self) -> Result<()> {
        while let Ok(Command::Stop { reason }) = self.commands.try_recv() {
            let first = self.stopping.is_none();
            self.stopping.get_or_insert_with(|| reason.clone());
            if first {
                self.record(What::Command {
                    command: "stop".into(),
                    status: CommandStatus::Accepted,
                    reason: Some(reason),
                    from: None,
                    to: None,
                })?;
            }
        }
        if self.stopping.is_some() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// For long work: passes its progress on as events, under `label`, once it has taken longer than `patience`, and stops it
    /// when a command asks to.
    pub fn watch<'a>(&'a mut self, label: &'a str, patience: Duration) -> Box<Watch<'a>> {
        let begin = Instant::now();
        Box::new(move |progress: Progress<'_>| {
            let heard = self.check();
            let told = if heard.is_ok() && begin.elapsed() >= patience {
                let what = format!("{label}{}", progress.what);
                self.record(What::Progress { what, done: progress.done, total: progress.total })
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
