//! The terminal below a program that draws no screen.

use crate::text::harmless;
use std::fmt::Display;
use std::io::Write;

/// Prints a line for people to stderr; a reader that has gone away is not an error.
pub fn to_stderr(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{}", harmless(&text.to_string()));
}
