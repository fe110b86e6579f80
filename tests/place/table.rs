//! The table that `make faults` prints.
#![allow(clippy::expect_used)] // clippy takes only functions with #[test] for tests

use std::io::Write;
use std::{env, fs};

/// Whether every fault is to be tried (`make faults`), and not a few of each.
pub fn in_full() -> bool {
    env::var_os("ASTILL_FAULTS").is_some_and(|v| v == "full")
}

/// Tells one line of the table of faults: which, how often it was tried, what was lost at most, how
/// it ended. `make faults` gathers the lines in the file that ASTILL_FAULTS_TABLE names.
pub fn row(fault: &str, tried: u64, lost: &str, outcome: &str) {
    let line = format!("{fault:<58} | {tried:>8} | {lost:<30} | {outcome}\n");
    print!("{line}");
    if let Some(table) = env::var_os("ASTILL_FAULTS_TABLE") {
        let file = fs::OpenOptions::new().create(true).append(true).open(table);
        file.and_then(|mut f| f.write_all(line.as_bytes()))
            .expect("the table can be written");
    }
}
