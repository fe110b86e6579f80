//! Inputs that nobody meant, and the trying of them.

mod generator;

use super::place;
use super::place::row;
#[allow(unused_imports)] // each test program uses a part
pub use generator::{Inputs, SHORT, count};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No input of a few kilobytes may keep a parser for longer, in time of a processor.
const LONGEST: Duration = Duration::from_secs(5);

/// Nor may it stand still, however much else the machine does.
const HANGING: Duration = Duration::from_secs(60);

/// Nor may it take so much more memory, in MiB.
const MOST_MEMORY: u64 = 1024;

/// The most memory that this process has had at a time, in MiB; 0 where the system does not say.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}

/// The processor time that this thread has taken; none where the system does not say.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// A folder for files that are written a million times: in memory, where the system has a
/// folder for that.
pub fn folder() -> std::io::Result<TempDir> {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new())
}

/// Gives `parse` many inputs, made of those that it must take and of odd ones. It says whether it
/// took one; a panic, or an input that takes too long, fails the test.
pub fn try_many(
    parser: &str,
    valid: Vec<Vec<u8>>,
    odd: Vec<Vec<u8>>,
    parse: impl FnMut(&[u8]) -> bool,
) {
    try_as_many_as(count(), parser, valid, odd, parse);
}

/// As [`try_many`], with this many inputs.
#[allow(dead_code)] // each test program uses a part
pub fn try_as_many_as(
    count: u64,
    parser: &str,
    valid: Vec<Vec<u8>>,
    odd: Vec<Vec<u8>>,
    mut parse: impl FnMut(&[u8]) -> bool,
) {
    let taken = valid.iter().filter(|s| parse(s)).count();
    assert_eq!(
        taken,
        valid.len(),
        "{parser}: inputs that are valid must be taken"
    );
    let before = peak();
    let mut inputs = Inputs::new([valid, odd].concat());
    let (mut taken, mut longest) = (0, Duration::ZERO);
    let begin = processor_time();
    let mut before_these = begin;
    for number in 0..count {
        let input = inputs.next();
        let begin = Instant::now();
        let parsed = catch_unwind(AssertUnwindSafe(|| parse(&input)));
        let took = begin.elapsed();
        longest = longest.max(took);
        if took > LONGEST {
            let busy = processor_time().zip(before_these);
            let busy = busy.map_or(took, |(now, before)| now - before);
            assert!(
                busy < LONGEST && took < HANGING,
                "{parser}: input {number} took {took:?}: {}",
                input.escape_ascii()
            );
        }
        // the most ever, so that now and then is often enough
        if number % 256 == 255 || number + 1 == count {
            let more = peak().saturating_sub(before);
            assert!(
                more < MOST_MEMORY,
                "{parser}: one of the inputs {} to {number} took {more} MiB",
                number - number % 256
            );
            before_these = processor_time();
        }
        match parsed {
            Ok(took) => taken += u64::from(took),
            Err(_) => panic!(
                "{parser}: a panic at input {number}: {}",
                input.escape_ascii()
            ),
        }
    }
    let spent = processor_time().zip(begin).map(|(end, begin)| end - begin);
    tell(parser, count, taken, longest, spent);
}

/// The row of a parser; `spent` is the processor time of all inputs.
pub fn tell(parser: &str, tried: u64, taken: u64, longest: Duration, spent: Option<Duration>) {
    let each = spent.map_or(String::new(), |spent| {
        format!("{} µs each, ", spent.as_micros() / u128::from(tried.max(1)))
    });
    let outcome = format!(
        "no panic; {taken} taken, the others refused; {each}at most {} ms",
        longest.as_millis()
    );
    row(&format!("hostile input: {parser}"), tried, "none", &outcome);
}
