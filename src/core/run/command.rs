//! What can be asked of a running engine, and what it answers. On the socket both are a JSON object
//! a line.

use super::event::CommandStatus;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// The longest line that an engine reads from a socket, in bytes.
pub const LONGEST_LINE: usize = 4096;

/// Something to ask of an engine. It takes effect between two steps (of distillation, of an
/// expert's epoch, of an evaluation).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    Pause,
    Resume,
    /// Write a checkpoint now.
    Checkpoint,
    /// Evaluate the images as they are now.
    Evaluate,
    /// Write a checkpoint and end. `reason` says who asks, for the record.
    Stop {
        reason: String,
    },
    /// Go back to the checkpoint of this step.
    RollBack {
        step: u64,
    },
    /// Change a setting: "section.key=value", as after `--set`.
    Set {
        edit: String,
    },
}

impl Command {
    /// The command's name, as `astill send` takes it and events hold it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Checkpoint => "checkpoint",
            Self::Evaluate => "evaluate",
            Self::Stop { .. } => "stop",
            Self::RollBack { .. } => "roll_back",
            Self::Set { .. } => "set",
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RollBack { step } => write!(f, "roll_back {step}"),
            Self::Set { edit } => write!(f, "set {edit}"),
            other => f.write_str(other.name()),
        }
    }
}

/// An engine's answer: accepted, or rejected with a reason. `from` and `to` are the old and the new
/// value of what changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub status: CommandStatus,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub from: Option<Value>,
    #[serde(default)]
    pub to: Option<Value>,
}

impl Answer {
    pub fn accepted() -> Self {
        Self {
            status: CommandStatus::Accepted,
            reason: None,
            from: None,
            to: None,
        }
    }

    pub fn changed(from: impl Into<Value>, to: impl Into<Value>) -> Self {
        Self {
            from: Some(from.into()),
            to: Some(to.into()),
            ..Self::accepted()
        }
    }

    pub fn rejected(reason: impl Into<String>) -> Self {
        Self {
            status: CommandStatus::Rejected,
            reason: Some(reason.into()),
            from: None,
            to: None,
        }
    }

    pub fn is_accepted(&self) -> bool {
        self.status == CommandStatus::Accepted
    }
}

/// "accepted: 100 → 30", "rejected: it is paused already".
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_accepted() {
            "accepted"
        } else {
            "rejected"
        })?;
        match (&self.reason, &self.from, &self.to) {
            (Some(reason), ..) => write!(f, ": {reason}"),
            (None, Some(from), Some(to)) => write!(f, ": {from} → {to}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_lines_of_json() {
        for (command, line) in [
            (Command::Pause, r#"{"command":"pause"}"#),
            (
                Command::RollBack { step: 7 },
                r#"{"command":"roll_back","step":7}"#,
            ),
            (
                Command::Set {
                    edit: "distill.lr_lr=0".into(),
                },
                r#"{"command":"set","edit":"distill.lr_lr=0"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&command).expect("serialises"), line);
            assert_eq!(
                serde_json::from_str::<Command>(line).expect("parses"),
                command
            );
        }
        for bad in [
            "",
            "{}",
            r#"{"command":"explode"}"#,
            r#"{"command":"set"}"#,
            r#"{"command":"roll_back","step":-1}"#,
        ] {
            assert!(serde_json::from_str::<Command>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_read_as_a_sentence() {
        assert_eq!(
            Answer::changed(100., 30.).to_string(),
            "accepted: 100.0 → 30.0"
        );
        assert_eq!(
            Answer::rejected("it is paused already").to_string(),
            "rejected: it is paused already"
        );
        assert_eq!(Answer::accepted().to_string(), "accepted");
    }
}
