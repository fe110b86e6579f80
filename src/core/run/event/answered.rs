//! The event of a command: as it is written today, and as older engines wrote it.

use crate::run::command::{Answer, Command, CommandStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A command that somebody sent, and how the engine answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Fields", try_from = "Fields")]
pub struct CommandAnswered {
    pub command: Command,
    pub answer: Answer,
    /// Whether an older engine wrote the command as one text, "roll_back 7".
    was_text: bool,
}

/// The keys of the event. A command and its answer share the key `reason`: `stop` is always
/// accepted, so there it is the reason of the request.
#[derive(Debug, Serialize, Deserialize)]
struct Fields {
    command: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edit: Option<String>,
    status: CommandStatus,
    reason: Option<String>,
    from: Option<Value>,
    to: Option<Value>,
}

impl CommandAnswered {
    pub fn new(command: Command, answer: Answer) -> Self {
        Self {
            command,
            answer,
            was_text: false,
        }
    }

    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.answer.is_accepted()
    }

    /// Why a stop was requested; for other commands, the reason of the answer.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match &self.command {
            Command::Stop { reason } if self.is_accepted() => Some(reason),
            _ => self.answer.reason.as_deref(),
        }
    }

    /// From which step to which the run went back, if an older engine recorded no more than this
    /// command: those wrote no event once it had happened.
    pub(super) fn old_roll_back(&self) -> Option<(u64, u64)> {
        let Command::RollBack { step } = self.command else {
            return None;
        };
        let from = self.answer.from.as_ref().and_then(Value::as_u64);
        (self.was_text && self.is_accepted()).then(|| (from.unwrap_or(step), step))
    }
}

impl From<CommandAnswered> for Fields {
    fn from(answered: CommandAnswered) -> Self {
        let reason = answered.reason().map(String::from);
        let (step, edit) = match &answered.command {
            Command::RollBack { step } => (Some(*step), None),
            Command::Set { edit } => (None, Some(edit.clone())),
            _ => (None, None),
        };
        Self {
            command: answered.command.name().into(),
            step,
            edit,
            status: answered.answer.status,
            reason,
            from: answered.answer.from,
            to: answered.answer.to,
        }
    }
}

impl TryFrom<Fields> for CommandAnswered {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let (name, argument) = match fields.command.split_once(' ') {
            Some((name, argument)) => (name, Some(argument)),
            None => (fields.command.as_str(), None),
        };
        let (mut reason, is_accepted) = (fields.reason, fields.status == CommandStatus::Accepted);
        let command = match name {
            "pause" => Command::Pause,
            "resume" => Command::Resume,
            "checkpoint" => Command::Checkpoint,
            "evaluate" => Command::Evaluate,
            "stop" if is_accepted => Command::Stop {
                reason: reason.take().unwrap_or_default(),
            },
            "stop" => Command::Stop {
                reason: String::new(),
            },
            "roll_back" => Command::RollBack {
                step: fields
                    .step
                    .or_else(|| argument?.parse().ok())
                    .ok_or("roll_back without a step")?,
            },
            "set" => Command::Set {
                edit: fields
                    .edit
                    .or_else(|| argument.map(String::from))
                    .ok_or("set without an edit")?,
            },
            other => return Err(format!("unknown command {other}")),
        };
        Ok(Self {
            command,
            answer: Answer {
                status: fields.status,
                reason,
                from: fields.from,
                to: fields.to,
            },
            was_text: argument.is_some(),
        })
    }
}
