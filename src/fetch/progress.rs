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
}

/// On stderr: a line that is rewritten on a terminal, else a line now and then.
#[derive(Debug)]
pub struct Terminal {
    is_terminal: bool,
    /// What is coming, since when, and from how many bytes on.
    now: Option<(String, Instant, u64)>,
    shown: Option<Instant>,
}

impl Terminal {
    pub fn new() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            now: None,
            shown: None,
        }
    }
}

impl Terminal {
    /// Ends a line that was being rewritten.
    pub fn finish(&mut self) {
        if self.is_terminal && self.shown.take().is_some() {
            let _ = writeln!(std::io::stderr());
        }
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
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
        let is_new = self.now.as_ref().is_none_or(|(name, ..)| name != what);
        if is_new {
            self.now = Some((what.into(), Instant::now(), done));
            self.shown = None;
        }
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= every);
        if !is_due && total != Some(done) {
            return;
        }
        self.shown = Some(Instant::now());
        let Some((_, since, from)) = &self.now else {
            return;
        };
        let line = line(
            what,
            done,
            total,
            done.saturating_sub(*from),
            since.elapsed(),
        );
        if self.is_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
            let _ = std::io::stderr().flush();
        } else {
            to_stderr(line);
        }
    }
}

/// Lines for somebody who shows the latest one, a few a second.
pub struct Lines<'a> {
    report: &'a dyn Fn(String),
    since: Instant,
    from: Option<(String, u64)>,
    shown: Option<Instant>,
}

impl<'a> Lines<'a> {
    pub fn new(report: &'a dyn Fn(String)) -> Self {
        Self {
            report,
            since: Instant::now(),
            from: None,
            shown: None,
        }
    }
}

impl Progress for Lines<'_> {
    fn say(&mut self, sentence: &str) {
        (self.report)(sentence.into());
    }

    fn bytes(&mut self, what: &str, done: u64, total: Option<u64>) {
        const EVERY: Duration = Duration::from_millis(300);
        if self.from.as_ref().is_none_or(|(name, _)| name != what) {
            (self.from, self.since) = (Some((what.into(), done)), Instant::now());
        }
        if self.shown.is_some_and(|shown| shown.elapsed() < EVERY) {
            return;
        }
        self.shown = Some(Instant::now());
        let from = self.from.as_ref().map_or(0, |(_, from)| *from);
        let here = done.saturating_sub(from);
        (self.report)(line(what, done, total, here, self.since.elapsed()));
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
