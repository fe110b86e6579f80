//! The one error type of astill: what went wrong, where, and what the user can do about it.

use crate::profile::{Problems, memory_advice};
use std::path::{Path, PathBuf};

/// The result of anything in astill that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong. Each message says what was expected, what was found, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A profile, a `--set` or a combination of settings that cannot be run. Nothing was created.
    #[error(transparent)]
    Profile(Problems),
    /// The program was used wrongly (an unknown run, a name that is taken, a missing data set).
    /// Nothing was created.
    #[error("{0}")]
    Usage(String),
    /// The operating system refused something.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// A file is damaged, or not the kind of file that was expected.
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    /// The run under an engine is no longer its own: another may have it, or it is gone. Nothing may
    /// be written there any more.
    #[error("{}: {problem}", path.display())]
    RunLost { path: PathBuf, problem: String },
    /// The network did not give what was asked for; the message says from where, and what to do.
    #[error("{0}")]
    Network(String),
    /// Training diverged: a number is no longer finite. The message says what to change.
    #[error("{0}")]
    Diverged(String),
    /// libtorch refused an operation or ran out of memory.
    #[error("libtorch failed while {doing}: {message}")]
    Libtorch { doing: String, message: String },
    /// There was not enough memory, on the host or on the device; the message is libtorch's.
    #[error(
        "out of memory: {0}. Everything up to the last checkpoint, or the last completed epoch of an \
         expert, is saved. {advice}", advice = memory_advice()
    )]
    Memory(String),
    /// The same where nothing was done yet; the message also says what to do.
    #[error("out of memory: {0}")]
    NoRoom(String),
    /// The caller asked to stop; everything up to the last finished step is saved.
    #[error("stopped")]
    Interrupted,
}

impl Error {
    /// For `map_err`: the operating system refused an operation on `path`. `doing` is an
    /// infinitive: "read", "create".
    pub fn io(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    /// A file with unexpected content; `problem` says what was expected and what was found.
    pub fn file(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::File {
            path: path.as_ref().to_path_buf(),
            problem: problem.into(),
        }
    }

    /// The same error about the path `to` in the place of `from`, in its text as well.
    #[must_use]
    pub fn renamed(self, from: &Path, to: &Path) -> Self {
        let moved = |path: PathBuf| match path.strip_prefix(from) {
            Ok(rest) if rest.as_os_str().is_empty() => to.to_path_buf(),
            Ok(rest) => to.join(rest),
            Err(_) => path,
        };
        let (old, new) = (from.display().to_string(), to.display().to_string());
        let reworded = |text: String| text.replace(&old, &new);
        match self {
            Self::Io {
                doing,
                path,
                source,
            } => Self::Io {
                doing,
                path: moved(path),
                source,
            },
            Self::File { path, problem } => Self::File {
                path: moved(path),
                problem: reworded(problem),
            },
            Self::Usage(text) => Self::Usage(reworded(text)),
            Self::Memory(text) => Self::Memory(reworded(text)),
            other => other,
        }
    }

    /// Whether the cause is that memory ran out.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Memory(_) | Self::NoRoom(_))
            || matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::OutOfMemory)
    }

    /// Whether the system has refused something for a reason that does not pass by itself, as a full
    /// disk does: it is not allowed, or not possible there.
    pub fn is_refusal(&self) -> bool {
        const REFUSALS: [i32; 10] = [
            libc::EPERM,
            libc::EACCES,
            libc::EROFS,
            libc::ENOSYS,
            libc::EOPNOTSUPP,
            libc::EINVAL,
            libc::ENOTDIR,
            libc::EISDIR,
            libc::ELOOP,
            libc::ENAMETOOLONG,
        ];
        matches!(self, Self::Io { source, .. }
            if source.raw_os_error().is_some_and(|code| REFUSALS.contains(&code)))
    }

    /// The exit status of a program that ends with this error: 2 for wrong usage or profile,
    /// otherwise 1.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Profile(_) | Self::Usage(_) => 2,
            _ => 1,
        }
    }
}
