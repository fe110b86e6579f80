//! The terminal below a program that draws no screen.

use crate::text::harmless;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt::Display;
use std::io::Write;

/// How long a last line waits for somebody who reads stderr.
const LAST_LINE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// Prints a line for people to stderr; a reader that has gone away is not an error.
pub fn to_stderr(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{}", harmless(&text.to_string()));
}

/// As [`to_stderr`], for the last line of a program that was asked to stop: where nobody reads, it ends
/// without.
pub fn to_stderr_if_read(text: impl Display) {
    let stderr = std::io::stderr();
    let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
    if poll(&mut ready, Some(&LAST_LINE)).is_ok_and(|n| n > 0) {
        to_stderr(text);
    }
}
