//! A run's `events.jsonl`, read from outside while it grows.

mod parse;

use astill_core::files::untrusted;
use astill_core::run::RunDir;
use astill_core::run::event::{Event, LONGEST_LINE};
use astill_core::{Error, Result};
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

/// So many bytes from the beginning tell one file from another: the first event has the name of the
/// run and the time in them.
const HEAD: usize = 256;

/// How much is read beyond the budget at a time, where a line is not yet whole.
const MORE: usize = 64 << 10;

/// Bytes of a whole record that are read at a time.
const AT_A_TIME: usize = 4 << 20;

/// What a record brings when it is read from its first line to its end.
#[derive(Debug)]
pub enum Found<'a> {
    Event(&'a Event),
    /// The record was replaced meanwhile: what came before no longer counts.
    Restart,
}

/// Hands everything that is in the record of a run at the moment to `take`; the number of its lines that
/// are no events.
///
/// # Errors
/// The record is there and cannot be read; or what `take` returns.
pub fn read_whole(run: &RunDir, mut take: impl FnMut(Found<'_>) -> Result<()>) -> Result<u64> {
    let mut file = EventsFile::open(run.events());
    loop {
        let events = file
            .poll(AT_A_TIME)
            .map_err(Error::io("read", run.events()))?;
        if file.restarted() {
            take(Found::Restart)?;
        }
        events
            .iter()
            .try_for_each(|event| take(Found::Event(event)))?;
        if file.at_end() {
            return Ok(file.skipped());
        }
    }
}

/// Follows an `events.jsonl` from its first line on.
///
/// Only whole lines count as read: what is behind the last line end is read again by the next poll,
/// because an engine that starts again may have changed it.
#[derive(Debug)]
pub struct EventsFile {
    path: PathBuf,
    open: Option<Open>,
    skipped: u64,
    restarted: bool,
    at_end: bool,
}

/// A file of which some lines have been read.
#[derive(Debug)]
struct Open {
    file: File,
    /// Device and inode: what the path pointed to.
    identity: (u64, u64),
    /// Its first bytes, as far as they have been read.
    head: Vec<u8>,
    /// Where the first line begins that has not been read.
    next: u64,
    /// Whether that is inside of a line too long to be an event.
    too_long: bool,
}

impl EventsFile {
    /// The file need not be there yet: until it is, there are no events.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            open: None,
            skipped: 0,
            restarted: false,
            at_end: false,
        }
    }

    /// Events that were appended since the last call, from about `budget` bytes of the file: at
    /// least one line if there is one. A last line without its end is left for later.
    ///
    /// # Errors
    /// The file exists and cannot be read.
    pub fn poll(&mut self, budget: usize) -> io::Result<Vec<Event>> {
        self.restarted = false;
        let Some(open) = self.current()? else {
            self.at_end = true;
            return Ok(Vec::new());
        };
        let (bytes, at_end) = open.read(budget.max(1))?;
        let Some(end) = bytes.iter().rposition(|&b| b == b'\n') else {
            self.at_end = at_end;
            return Ok(Vec::new());
        };
        let mut begin = 0;
        if std::mem::take(&mut open.too_long) {
            // the tail of a line that was given up earlier
            begin = bytes
                .iter()
                .position(|&b| b == b'\n')
                .map_or(0, |at| at + 1);
        }
        open.advance(&bytes[..=end]);
        let (events, skipped) = parse::lines(&bytes[begin..=end]);
        self.skipped += skipped + u64::from(begin > 0);
        self.at_end = at_end;
        Ok(events)
    }

    /// Lines that were no events: torn by a killed engine, or of a kind that a newer version
    /// writes. Over the whole file.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Whether the file was cut or replaced, so that the last poll began with its first line again:
    /// what came before no longer counts.
    pub fn restarted(&self) -> bool {
        self.restarted
    }

    /// Whether the last poll came to the end of the file.
    pub fn at_end(&self) -> bool {
        self.at_end
    }

    /// Bytes of the file that have been read.
    pub fn position(&self) -> u64 {
        self.open.as_ref().map_or(0, |o| o.next)
    }

    /// The file to read on in, opened anew if it is another than last time; none while there is
    /// none.
    fn current(&mut self) -> io::Result<Option<&mut Open>> {
        let found = match std::fs::metadata(&self.path) {
            Ok(found) => found,
            // a run that was deleted has shown all that it will
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(self.open.as_mut()),
            Err(e) => return Err(e),
        };
        let known = match &self.open {
            Some(open) => open.is_still(&found)?,
            None => false,
        };
        if !known {
            let file = match untrusted::open(&self.path) {
                Ok(file) => file,
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e),
            };
            self.restarted = self.open.as_ref().is_some_and(|o| o.next > 0);
            self.skipped = 0;
            let identity = identity(&file.metadata()?);
            self.open = Some(Open {
                file,
                identity,
                head: Vec::new(),
                next: 0,
                too_long: false,
            });
        }
        Ok(self.open.as_mut())
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Open {
    /// Whether the file that the path now points to is this one, with what has been read of it
    /// still there.
    fn is_still(&self, found: &Metadata) -> io::Result<bool> {
        if identity(found) != self.identity || found.len() < self.next {
            return Ok(false);
        }
        let mut head = vec![0; self.head.len()];
        match self.file.read_exact_at(&mut head, 0) {
            Ok(()) => Ok(head == self.head),
            // cut in this moment
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// About `budget` bytes from the next line on, more if the line needs it, and whether the file
    /// ends there.
    fn read(&mut self, budget: usize) -> io::Result<(Vec<u8>, bool)> {
        let mut bytes = Vec::new();
        // one more than there is shows the end
        let left = self
            .file
            .metadata()?
            .len()
            .saturating_sub(self.next)
            .saturating_add(1);
        let mut at_end = fill(
            &self.file,
            self.next,
            &mut bytes,
            budget.min(usize::try_from(left).unwrap_or(usize::MAX)),
        )?;
        while !at_end && !bytes.contains(&b'\n') {
            if bytes.len() > LONGEST_LINE {
                self.next += bytes.len() as u64;
                self.too_long = true;
                bytes.clear();
            }
            let more = bytes.len() + MORE.max(bytes.len());
            at_end = fill(&self.file, self.next, &mut bytes, more)?;
        }
        Ok((bytes, at_end))
    }

    /// Counts whole lines as read.
    fn advance(&mut self, lines: &[u8]) {
        if self.next == 0 {
            self.head = lines[..lines.len().min(HEAD)].to_vec();
        }
        self.next += lines.len() as u64;
    }
}

/// Reads on until `bytes`, which begin at `from`, are `length` many; whether the file ended before.
fn fill(file: &File, from: u64, bytes: &mut Vec<u8>, length: usize) -> io::Result<bool> {
    let mut have = bytes.len();
    bytes.resize(length, 0);
    while have < length {
        match file.read_at(&mut bytes[have..], from + have as u64) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(have);
    Ok(have < length)
}

#[cfg(test)]
mod tests;
