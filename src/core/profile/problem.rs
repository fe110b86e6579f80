//! What is wrong with a profile, and where.

use std::fmt;
use std::path::PathBuf;

/// Who gave a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    File(PathBuf),
    /// A profile inside the program, by name.
    Builtin(String),
    /// The text after `--set`.
    Set(String),
    /// The text of a change to a running run.
    Edit(String),
    /// The profile as the user named it, when no profile has that name.
    Reference(String),
}

/// Where a setting was given: by whom, and for a text of several lines on which line (from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub origin: Origin,
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

impl Origin {
    /// This origin as a whole, or a line of it.
    pub(super) fn at(&self, line: impl Into<Option<usize>>) -> Location {
        Location {
            origin: self.clone(),
            line: line.into(),
        }
    }
}

impl fmt::Display for Origin {
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
            Some(line) => write!(f, "{}:{line}", self.origin),
            None => write!(f, "{}", self.origin),
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

/// Everything that is wrong with a profile; printed with one line per problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// # Errors
    /// These problems, if there are any.
    pub(super) fn refuse(problems: Vec<Problem>) -> Result<()> {
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Self(problems)),
        }
    }
}

/// What reading or changing a profile comes to.
pub(super) type Result<T, E = Problems> = std::result::Result<T, E>;
