//! The signals that ask a program to stop or to save, and what a program inherits of them.

use crate::{Error, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Signals within this time count as one request to stop: a shell and a batch system signal the
/// process and its group.
pub const ONE_REQUEST: Duration = Duration::from_secs(1);

/// What a signal asks of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To write a checkpoint and continue: SIGUSR1.
    Checkpoint,
    /// To write a checkpoint and stop, as batch systems ask before a limit: SIGUSR2 and SIGXCPU,
    /// which may come any number of times.
    StopBeforeLimit,
    /// The same; a second one means at once.
    Stop,
}

impl Asked {
    /// What `signal` asks.
    #[must_use]
    pub fn by(signal: i32) -> Self {
        match signal {
            SIGUSR1 => Self::Checkpoint,
            SIGUSR2 | SIGXCPU => Self::StopBeforeLimit,
            _ => Self::Stop,
        }
    }
}

/// Undoes what the starter of this process has set: blocked signals are let through, and ignored
/// ones have their usual effect again, except for SIGHUP, which nohup ignores on purpose, and
/// SIGPIPE, which Rust ignores itself. SIGUSR1, which batch systems send to everything in a job, no
/// longer ends this process; programs that it starts do not inherit that. To be called first thing
/// in `main`.
///
/// # Errors
/// The system refuses to catch SIGUSR1.
pub fn reset_inherited() -> Result<()> {
    let ignored = ignored_signals(&status());
    // SAFETY: system calls with constants and a set on the stack, while there is no other thread;
    // none of these signals has a handler yet
    unsafe {
        for signal in
            (1..=MOST).filter(|s| is_ignored(*s, ignored) && ![SIGHUP, libc::SIGPIPE].contains(s))
        {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
    signal_hook::flag::register(SIGUSR1, Arc::new(AtomicBool::new(false)))
        .map(|_| ())
        .map_err(Error::io("catch", "SIGUSR1"))
}

/// From here on SIGUSR2 and SIGXCPU, which tell a job that its time is over, do not end this process;
/// programs that it starts do not inherit that.
///
/// # Errors
/// The system refuses to catch them.
pub fn outlive_limits() -> Result<()> {
    for signal in [SIGUSR2, SIGXCPU] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
            .map_err(Error::io("catch", "signals"))?;
    }
    Ok(())
}

/// The highest signal with a name; the real-time ones above mean nothing here.
const MOST: i32 = 31;

/// The signals that ask to stop at a terminal or by an administrator, except SIGHUP where this
/// process was started to ignore it, as nohup does. From here on they no longer end the process.
///
/// # Errors
/// The system refuses to catch them.
pub fn stop_signals() -> Result<Signals> {
    caught(&[SIGINT, SIGTERM, SIGHUP])
}

/// Those signals and the ones of batch systems: everything that [`Asked`] knows.
///
/// # Errors
/// As [`stop_signals`].
pub fn engine_signals() -> Result<Signals> {
    caught(&[SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU])
}

fn caught(signals: &[i32]) -> Result<Signals> {
    let ignored = ignored_signals(&status());
    let wanted = signals.iter().filter(|s| !is_ignored(**s, ignored));
    Signals::new(wanted).map_err(Error::io("wait for", "signals"))
}

fn is_ignored(signal: i32, ignored: u64) -> bool {
    ignored & (1 << (signal - 1)) != 0
}

/// Empty where there is no /proc, so that every signal counts.
fn status() -> String {
    std::fs::read_to_string("/proc/self/status").unwrap_or_default()
}

/// The mask of ignored signals in the text of /proc/PID/status: bit n - 1 is signal n.
fn ignored_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        let status = "Name:\tx\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert_eq!(
            ignored_signals(status),
            1 << (SIGHUP - 1) | 1 << (libc::SIGPIPE - 1)
        );
        assert_eq!(ignored_signals("SigIgn:\tnonsense\n"), 0);
        assert_eq!(ignored_signals(""), 0);
    }

    #[test]
    fn only_the_signals_of_batch_systems_may_come_again() {
        assert_eq!(Asked::by(SIGUSR1), Asked::Checkpoint);
        assert_eq!(Asked::by(SIGUSR2), Asked::StopBeforeLimit);
        assert_eq!(Asked::by(SIGXCPU), Asked::StopBeforeLimit);
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            assert_eq!(Asked::by(signal), Asked::Stop);
        }
    }
}
