//! Who holds a run: the text of its lock file.
//!
//! ```text
//! node7                                   the name of the machine
//! boot 0b8f…                              which start of which kernel; the same in its containers
//! process 4711                            the process id, as its own container counts
//! user 1000                               who it works for; the file may be another user's
//! ```
//!
//! Locks of older engines hold the first line alone.

use rustix::io::Errno;
use rustix::process::{Pid, geteuid, getpid, test_kill_process};
use std::fmt;
use std::fs;

/// The kernel's own name for its latest start.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What the lock of a run says about the engine that wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    pub host: String,
    pub boot: Option<String>,
    pub process: Option<u32>,
    pub user: Option<u32>,
}

impl Holder {
    /// This process.
    pub fn this() -> Self {
        Self {
            host: host(),
            boot: boot(),
            process: u32::try_from(getpid().as_raw_nonzero().get()).ok(),
            user: Some(geteuid().as_raw()),
        }
    }

    /// Reads the text of a lock; none if it names nobody, as after an engine that ended normally.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let host = lines.next().filter(|host| !host.is_empty())?.to_string();
        let mut holder = Self {
            host,
            ..Self::default()
        };
        for line in lines {
            match line.split_once(' ') {
                Some(("boot", id)) => holder.boot = Some(id.into()),
                Some(("process", id)) => holder.process = id.parse().ok(),
                Some(("user", id)) => holder.user = id.parse().ok(),
                _ => {}
            }
        }
        Some(holder)
    }

    /// Whether this machine has no process of its id any more; those of other users may be hidden
    /// otherwise.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let id = self.process.and_then(|id| i32::try_from(id).ok());
        let id = id.and_then(Pid::from_raw);
        id.is_some_and(|id| test_kill_process(id) == Err(Errno::SRCH))
    }

    /// Whether it is, or was, on the machine of this process. A machine may have changed its name
    /// since, and containers have names of their own; the kernel's start decides where it is known.
    pub fn is_here(&self) -> bool {
        let is_same_boot = self.boot.is_some() && self.boot == boot();
        is_same_boot || self.host == host()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.host)?;
        for (name, value) in [
            ("boot", self.boot.clone()),
            ("process", self.process.map(|id| id.to_string())),
            ("user", self.user.map(|id| id.to_string())),
        ] {
            if let Some(value) = value {
                writeln!(f, "{name} {value}")?;
            }
        }
        Ok(())
    }
}

/// The name of this machine.
fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn boot() -> Option<String> {
    let id = fs::read_to_string(BOOT_ID).ok()?;
    Some(id.trim().to_string()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_read_back_and_so_is_that_of_an_older_engine() {
        let this = Holder::this();
        assert_eq!(Holder::parse(&this.to_string()), Some(this.clone()));
        assert!(this.is_here() && this.process == Some(std::process::id()));
        let killed = Holder {
            // above the highest id that Linux gives
            process: Some(1 << 23),
            ..this.clone()
        };
        assert!(killed.is_gone() && !this.is_gone());
        let old = Holder::parse("elsewhere");
        assert_eq!(old.as_ref().map(|h| h.host.as_str()), Some("elsewhere"));
        assert!(old.is_some_and(|h| !h.is_here() && h.process.is_none()));
        assert_eq!(Holder::parse(""), None);
    }

    #[test]
    fn a_machine_that_has_changed_its_name_is_still_this_one() {
        let renamed = Holder {
            host: "of-yesterday".into(),
            ..Holder::this()
        };
        assert!(renamed.boot.is_none() || renamed.is_here());
        let unknown_line = Holder::parse("a\nfuture 1\nprocess x\n");
        assert!(unknown_line.is_some_and(|h| h.host == "a" && h.process.is_none()));
    }
}
