//! How far a fetch is, for people.

use astill_core::console::to_stderr;
use astill_core::text::{duration, harmless};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Gets told what happens.
pub trait Progress {
    /// A sentence.
    fn say(&mut self, sentence: &str);

    /// So many of the bytes of `what` are there; `total` is none where nobody knows.
    fn bytes(&mut self, what: &str, done: u64, total: Option<u64>);

    /// Whether nobody wants the data set any more.
    fn is_ended(&self) -> bool {
        false
    }
}

/// How fast bytes come, and when it is time for another line about it.
#[derive(Debug, Default)]
struct Pace {
    /// What is coming, since when, and from how many bytes on.
    now: Option<(String, Instant, u64)>,
    shown: Option<Instant>,
}

impl Pace {
    /// The next line, which is due `every` so often.
    fn line(
        &mut self,
        what: &str,
        done: u64,
        total: Option<u64>,
        every: Duration,
    ) -> Option<String> {
        let is_same = |(name, ..): &(String, Instant, u64)| name == what;
        if !self.now.as_ref().is_some_and(is_same) {
            self.now = Some((what.into(), Instant::now(), done));
            self.shown = None;
        }
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= every);
        if !is_due && total != Some(done) {
            return None;
        }
        self.shown = Some(Instant::now());
        let (_, since, from) = self.now.as_ref()?;
        let here = done.saturating_sub(*from);
        Some(line(what, done, total, here, since.elapsed()))
    }
}

/// On stderr: a line that is rewritten on a terminal, else a line now and then.
#[derive(Debug)]
pub struct Terminal {
    is_terminal: bool,
    pace: Pace,
    /// Whether the cursor is behind a line that is rewritten.
    is_open: bool,
}

impl Terminal {
    pub fn new() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            pace: Pace::default(),
            is_open: false,
        }
    }

    /// Ends a line that was being rewritten.
    fn finish(&mut self) {
        if std::mem::take(&mut self.is_open) {
            let _ = writeln!(std::io::stderr());
        }
        self.pace.shown = None;
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

/// Whatever is said next, an error for example, begins a line of its own.
impl Drop for Terminal {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Progress for Terminal {
    fn say(&mut self, sentence: &str) {
        self.finish();
        to_stderr(sentence);
    }

    fn bytes(&mut self, what: &str, done: u64, total: Option<u64>) {
        let every = match self.is_terminal {
            true => Duration::from_millis(200),
            false => Duration::from_secs(10),
        };
        let Some(line) = self.pace.line(what, done, total, every) else {
            return;
        };
        if self.is_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
            let _ = std::io::stderr().flush();
            self.is_open = true;
        } else {
            to_stderr(line);
        }
    }
}

/// Lines for somebody who shows the latest one, a few a second.
pub struct Lines<'a> {
    report: &'a dyn Fn(String),
    is_ended: &'a dyn Fn() -> bool,
    pace: Pace,
}

impl<'a> Lines<'a> {
    pub fn new(report: &'a dyn Fn(String), is_ended: &'a dyn Fn() -> bool) -> Self {
        Self {
            report,
            is_ended,
            pace: Pace::default(),
        }
    }
}

impl Progress for Lines<'_> {
    fn say(&mut self, sentence: &str) {
        (self.report)(sentence.into());
    }

    fn bytes(&mut self, what: &str, done: u64, total: Option<u64>) {
        const EVERY: Duration = Duration::from_millis(300);
        if let Some(line) = self.pace.line(what, done, total, EVERY) {
            (self.report)(line);
        }
    }

    fn is_ended(&self) -> bool {
        (self.is_ended)()
    }
}

/// "cifar-10-binary.tar.gz: 45 % of 170.1 MB, 3.2 MB/s, 29 s left".
fn line(what: &str, done: u64, total: Option<u64>, here: u64, taken: Duration) -> String {
    let what = harmless(what);
    let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let speed = here as f64 / taken.as_secs_f64().max(0.001);
    let rate = match taken.as_secs_f64() > 0.5 {
        true => format!(", {}/s", mb(speed as u64)),
        false => String::new(),
    };
    match total {
        Some(total) if total > 0 => {
            let left = total.saturating_sub(done) as f64 / speed.max(1.);
            let left = match taken.as_secs_f64() > 0.5 && done < total {
                true => format!(", {} left", duration(left)),
                false => String::new(),
            };
            let percent = 100 * done / total;
            format!("{what}: {percent} % of {}{rate}{left}", mb(total))
        }
        _ => format!("{what}: {}{rate}", mb(done)),
    }
}
