//! The commands that a running engine takes, and its answers. On the socket both are JSON objects,
//! one per line.

use crate::text::number;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// The longest line that an engine reads from a socket, in bytes.
pub const LONGEST_LINE: usize = 4096;

/// The reason of a pause that nobody has asked for: the numbers of the run are not finite.
pub const PAUSED_BY_ITSELF: &str = "the run paused by itself";

/// A command to a running engine. It takes effect between two steps (of distillation, of an
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
    /// Write a checkpoint and end. `reason` says who requested it, for the record.
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
    /// The command's name, as the socket and the events spell it.
    #[must_use]
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
            Self::RollBack { step } => write!(f, "roll-back {step}"),
            Self::Set { edit } => write!(f, "set {edit}"),
            other => f.write_str(other.name()),
        }
    }
}

/// Whether an engine accepted a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandStatus {
    Accepted,
    Rejected,
}

impl fmt::Display for CommandStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// An engine's answer to a command. Accepted: it takes effect; a `reason` says why that may take a
/// while. Rejected: nothing changes, and `reason` says why. `from` and `to` are the old and the new
/// value of what changes, if a value does.
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

    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.status == CommandStatus::Accepted
    }

    /// The reason without the command at its beginning, as the refusal of an edit has it.
    #[must_use]
    pub fn reason_for(&self, command: &Command) -> Option<&str> {
        let reason = self.reason.as_deref()?;
        Some(
            reason
                .strip_prefix(&format!("{command}: "))
                .unwrap_or(reason),
        )
    }

    /// ": 100 → 30"; empty where no value changes.
    #[must_use]
    pub fn change(&self) -> String {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => format!(": {} → {}", written(from), written(to)),
            (None, Some(to)) => format!(": {}", written(to)),
            _ => String::new(),
        }
    }
}

/// A value as people write it: 30, not 30.0, and a text without quotes. A number of more digits than
/// anybody writes was learned, and is rounded as on the screens.
fn written(value: &Value) -> String {
    const MOST: usize = 12;
    match value {
        Value::String(text) => text.clone(),
        other => match (other.to_string(), other.as_f64()) {
            (text, Some(learned)) if other.is_f64() && text.len() > MOST => number(learned),
            (text, _) => text.trim_end_matches(".0").into(),
        },
    }
}

/// "accepted: 100 → 30", "rejected: the run is already paused".
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{}: {reason}", self.status),
            None => write!(f, "{}{}", self.status, self.change()),
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
        assert_eq!(Answer::changed(100., 30.).to_string(), "accepted: 100 → 30");
        assert_eq!(
            Answer::changed(0.016418273940652847, 0.0123456).to_string(),
            "accepted: 0.01642 → 0.0123456"
        );
        assert_eq!(
            Answer::rejected("the run is already paused").to_string(),
            "rejected: the run is already paused"
        );
        assert_eq!(Answer::accepted().to_string(), "accepted");
    }
}
