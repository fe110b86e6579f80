//! What is wrong with a profile, and where.

use std::fmt;
use std::path::PathBuf;

/// Who gave a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    /// A profile inside the program, by name.
    Builtin(String),
    /// The text after `--set`.
    Set(String),
    /// The text of an edit of a run that is going on.
    Edit(String),
    /// The profile as the user named it, when there is nothing behind the name.
    Reference(String),
}

/// Where a setting was given: by whom, and on which line (from 1) if that has lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub source: Source,
    pub line: Option<usize>,
}

/// One thing that is wrong with a profile: what was found, what was expected and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub location: Location,
    /// The key's full path ("distill.ipc"), if the problem is with one.
    pub key: Option<String>,
    pub message: String,
}

impl Problem {
    pub(super) fn new(
        location: Location,
        key: impl Into<Option<String>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            location,
            key: key.into(),
            message: message.into(),
        }
    }
}

impl Source {
    /// The place that is this source as a whole, or a line of it.
    pub(super) fn at(&self, line: impl Into<Option<usize>>) -> Location {
        Location {
            source: self.clone(),
            line: line.into(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Builtin(name) => write!(f, "built-in {name}"),
            Self::Set(text) => write!(f, "--set {text}"),
            Self::Edit(text) => write!(f, "set {text}"),
            Self::Reference(name) => write!(f, "profile {name:?}"),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.source),
            None => write!(f, "{}", self.source),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{}: {key}: {}", self.location, self.message),
            None => write!(f, "{}: {}", self.location, self.message),
        }
    }
}

/// All problems, a line each.
pub fn problems_text(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(Problem::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
