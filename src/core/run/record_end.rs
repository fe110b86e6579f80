//! The end of a record: as much of it as it takes to know how a run is, read from the back, so that
//! long runs take no longer than short ones.

use super::EngineAt;
use super::event::{EvalSplit, Event, EventKind, ImageSet, LONGEST_LINE, RunOutcome};
use crate::files::untrusted;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// The longest first line that is read.
const HEAD: u64 = 1 << 16;
/// The bytes at the end of which every event is read; an event takes some hundreds.
const TAIL: u64 = 1 << 16;
/// The bytes before them that are read at a time, for what the end does not say.
const BLOCK: u64 = 1 << 20;
/// How far into a line its kind is looked for.
const KIND_WITHIN: usize = 200;
const KIND: &[u8] = b"\"kind\":\"";
const STEP: &str = "distill_step";
/// Kinds that fill a long record and say nothing about the state of a run that the end would not.
const PASSED_OVER: [&str; 7] = [
    STEP,
    "expert_epoch",
    "progress",
    "memory",
    "samples",
    "checkpoint",
    "warning",
];

/// The first event of a record, and those at its end, oldest first.
#[derive(Debug, Default)]
pub struct RecordEnd {
    pub first: Option<Event>,
    pub last: Vec<Event>,
    /// Every event that says something was read.
    is_whole: bool,
}

/// What the events read so far say.
#[derive(Debug, Default)]
struct Known {
    started: bool,
    /// The latest engine has reported its end.
    finished: bool,
    done: bool,
    accuracy: bool,
    /// An evaluation of the distilled images with older events in front of it: if it tested them,
    /// that was read too.
    evaluated: bool,
    steps: usize,
    paused_or_resumed: bool,
}

impl RecordEnd {
    /// Reads a record back until it says how the run is. It says more of one with an engine: whether it
    /// is paused; and of one whose engine is gone without a word: how that was started.
    ///
    /// # Errors
    /// The file cannot be read, or is not a regular file.
    pub fn read(path: &Path, engine: &EngineAt) -> io::Result<Self> {
        let file = untrusted::open(path)?;
        let mut line = Vec::new();
        let from = BufReader::new((&file).take(HEAD)).read_until(b'\n', &mut line)? as u64;
        let first = serde_json::from_slice(&line).ok();
        let mut end = file.metadata()?.len();
        let mut last = Vec::new();
        // the beginning of a line whose rest is in the block after it
        let mut rest = Vec::new();
        while end > from {
            let is_tail = last.is_empty() && rest.is_empty();
            let start = end
                .saturating_sub(if is_tail { TAIL } else { BLOCK })
                .max(from);
            let mut bytes = block(&file, start, end)?;
            bytes.append(&mut rest);
            let mut lines = bytes.split(|b| *b == b'\n');
            // in the middle of a line, unless this is the beginning
            if start > from {
                rest = lines.next().unwrap_or_default().to_vec();
                // no event is that long
                if rest.len() > LONGEST_LINE {
                    rest.clear();
                }
            }
            let lines: Vec<&[u8]> = lines.collect();
            // the latest step, where the events after this block hold none
            let steps = Known::from(last.as_slice()).steps;
            let is_step = |line: &&[u8]| kind(line) == Some(STEP);
            let latest = lines.iter().rposition(is_step).filter(|_| steps == 0);
            let is_wanted = |(place, line): &(usize, &[u8])| {
                is_tail || Some(*place) == latest || !is_passed_over(line)
            };
            let wanted = lines.into_iter().enumerate().filter(is_wanted);
            let mut events: Vec<Event> = wanted
                .filter_map(|(_, line)| serde_json::from_slice(line).ok())
                .collect();
            events.append(&mut last);
            last = events;
            end = start;
            if Known::from(last.as_slice()).is_enough(engine) {
                break;
            }
        }
        Ok(Self {
            first,
            last,
            is_whole: end <= from,
        })
    }

    /// The start of the latest engine, if that was read.
    pub fn has_start(&self) -> bool {
        let starts = |event: &Event| matches!(event.what, EventKind::RunStarted(_));
        let first = self.first.iter().filter(|_| self.is_whole);
        first.chain(&self.last).any(starts)
    }
}

fn block(mut file: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(end - start).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The kind of the event on a line, as its text.
fn kind(line: &[u8]) -> Option<&str> {
    let head = &line[..line.len().min(KIND_WITHIN)];
    let at = head.windows(KIND.len()).position(|w| w == KIND)?;
    let rest = &head[at + KIND.len()..];
    let end = rest.iter().position(|b| *b == b'"')?;
    str::from_utf8(&rest[..end]).ok()
}

pub(super) fn is_passed_over(line: &[u8]) -> bool {
    kind(line).is_some_and(|kind| PASSED_OVER.contains(&kind))
}

/// The step of a line that is a whole distillation step, as far as its beginning says.
pub(super) fn step(line: &[u8]) -> Option<u64> {
    const FIELD: &[u8] = b",\"step\":";
    if kind(line) != Some(STEP) || !line.ends_with(b"}") {
        return None;
    }
    let head = &line[..line.len().min(KIND_WITHIN)];
    let at = head.windows(FIELD.len()).position(|w| w == FIELD)?;
    let digits = line[at + FIELD.len()..].split(|b| !b.is_ascii_digit());
    str::from_utf8(digits.into_iter().next()?)
        .ok()?
        .parse()
        .ok()
}

impl From<&[Event]> for Known {
    fn from(events: &[Event]) -> Self {
        let mut known = Self::default();
        for (place, event) in events.iter().enumerate() {
            match &event.what {
                EventKind::RunStarted(_) => (known.started, known.finished) = (true, false),
                EventKind::RunFinished(finished) => {
                    known.finished = true;
                    known.done = finished.status == RunOutcome::Done;
                    let is_distilled = |r: &super::event::Headline| r.labels == ImageSet::Distilled;
                    known.accuracy |= finished.results.iter().any(is_distilled);
                }
                EventKind::Evaluation(evaluation) if evaluation.labels == ImageSet::Distilled => {
                    known.accuracy |= evaluation.split == EvalSplit::Test;
                    known.evaluated |= place > 0;
                }
                EventKind::DistillStep(_) => known.steps += 1,
                EventKind::Command(answered) => {
                    use super::command::Command::{Pause, Resume};
                    let is_it = matches!(answered.command, Pause | Resume);
                    known.paused_or_resumed |= is_it && answered.is_accepted();
                }
                _ => {}
            }
        }
        known
    }
}

impl Known {
    fn is_enough(&self, engine: &EngineAt) -> bool {
        let is_running = matches!(engine, EngineAt::Here | EngineAt::Host(_));
        let is_killed = matches!(engine, EngineAt::Nowhere) && !self.finished;
        // one step may still end after a pause was asked for
        let is_pause_known = !is_running || self.paused_or_resumed || self.steps > 1;
        let is_place_known = self.started || self.steps > 0;
        let has_accuracy = self.accuracy || self.evaluated;
        let is_start_known = self.started || !is_killed;
        is_place_known && has_accuracy && (is_pause_known || self.started) && is_start_known
    }
}
