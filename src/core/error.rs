//! The one error type of the library: what went wrong, where, and what the user can do about it.

use std::path::{Path, PathBuf};

/// The result of everything in this library that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The settings that take memory.
pub const SMALLER: &str = "distill.batch, expert.batch, network.width, distill.ipc or, where the \
                           network is wide, distill.syn_steps";

/// What can go wrong. Each message says what was expected, what was found, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A profile, a `--set` or a combination of settings that cannot be run. Nothing was created.
    #[error("{}", crate::profile::problems_text(.0))]
    Profile(Vec<crate::profile::Problem>),
    /// A wrong use of the program (an unknown run, a name that is taken, a missing data set).
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
    /// A file is not what it should be.
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    /// Training left the finite numbers; the message says what to change.
    #[error("{0}")]
    Diverged(String),
    /// libtorch refused an operation or ran out of memory.
    #[error("libtorch failed while {doing}: {message}")]
    Libtorch { doing: String, message: String },
    /// There was not enough memory, on the host or on the device; the message is libtorch's.
    #[error(
        "out of memory: {0}. Nothing before the last checkpoint, or the last epoch of an expert, \
         is lost. Where distillation needs too much, a smaller distill.batch may help, also on \
         this run: resume it with --detach, and `astill send RUN set distill.batch=…`. Else start \
         a new run with a smaller {SMALLER}"
    )]
    Memory(String),
    /// The caller asked to stop; everything up to the last finished step is safe.
    #[error("stopped")]
    Interrupted,
}

impl Error {
    /// For `map_err`: an operation on `path` that the operating system refused. `doing` is an
    /// infinitive: "read", "create".
    pub fn io(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    /// A file whose content is not what it should be; `problem` says what was expected and what was
    /// found.
    pub fn file(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::File {
            path: path.as_ref().to_path_buf(),
            problem: problem.into(),
        }
    }

    /// Whether the system had no memory to give.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Memory(_))
            || matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::OutOfMemory)
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
