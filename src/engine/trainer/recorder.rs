//! Records what happens: every event goes to `events.jsonl`, a line for people to `run.log`, and to
//! the listener in this process.

use astill_core::describe::line;
use astill_core::run::event::{Event, EventKind, LONGEST_LINE};
use astill_core::run::{EngineLock, RunDir};
use astill_core::{Error, Result, files::untrusted};
use crossbeam_channel::Sender;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Progress events closer together than this are not written.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// A file that is missing is made again only after this: whoever removes a whole run removes its
/// files one after the other.
const BEFORE_MADE_AGAIN: Duration = Duration::from_millis(300);

/// Writes events in order; owned by the trainer thread.
#[derive(Debug)]
pub struct Recorder {
    held: Arc<EngineLock>,
    events: File,
    log: File,
    events_path: PathBuf,
    log_path: PathBuf,
    /// Bytes of the whole lines in `events`.
    length: u64,
    /// Whether more may be in it, because writing failed.
    torn: bool,
    /// Lines that have not been written yet.
    unwritten: VecDeque<Vec<u8>>,
    next: u64,
    last_progress: Option<Instant>,
    listener: Sender<Event>,
}

impl Recorder {
    /// Continues after the events that are there already. A torn last line, as a killed engine
    /// leaves it, is cut off.
    pub fn open(run: &RunDir, held: Arc<EngineLock>, listener: Sender<Event>) -> Result<Self> {
        let (events_path, log_path) = (run.events(), run.log());
        let events = append(&events_path)?;
        let (next, length) = whole_lines(&events).map_err(Error::io("read", &events_path))?;
        let (log, unwritten) = (append(&log_path)?, VecDeque::new());
        Ok(Self {
            held,
            events,
            log,
            events_path,
            log_path,
            length,
            torn: true,
            unwritten,
            next,
            last_progress: None,
            listener,
        })
    }

    /// Takes an event and passes it on, never waiting for a listener. It is in the file after the
    /// next [`Self::flush`].
    pub fn take(&mut self, what: EventKind) -> Result<()> {
        if let EventKind::Progress { done, total, .. } = &what {
            if self
                .last_progress
                .is_some_and(|t| t.elapsed() < PROGRESS_EVERY)
                && done < total
            {
                return Ok(());
            }
            self.last_progress = Some(Instant::now());
        }
        let event = Event {
            seq: self.next,
            time: now(),
            what,
        };
        let mut json = serde_json::to_vec(&event)
            .map_err(|e| Error::file(&self.events_path, e.to_string()))?;
        json.push(b'\n');
        self.unwritten.push_back(json);
        self.next = self.next.saturating_add(1);
        let is_progress = matches!(event.what, EventKind::Progress { .. });
        if let Some(text) = line(&event.what).filter(|_| !is_progress) {
            // the log is for people; losing a line of it must not end a run
            let _ = self.log_line(&format!("{} {text}", event.time));
        }
        // there need not be a listener
        let _ = self.listener.send(event);
        Ok(())
    }

    /// Writes the events that are not in the file yet. After an error they are kept for the next
    /// time, and no part of a line stays.
    ///
    /// # Errors
    /// [`Error::RunLost`] if the run is no longer this engine's; then nothing is written or cut.
    pub fn flush(&mut self) -> Result<()> {
        while let Some(line) = self.unwritten.pop_front() {
            let ready = self.held.check().and_then(|()| self.find_events());
            let written = ready.and_then(|()| {
                let written = self.append(&line);
                written.map_err(|error| {
                    // if not now, then before the next line
                    let _ = self.cut();
                    Error::io("write", &self.events_path)(error)
                })
            });
            if let Err(error) = written {
                self.unwritten.push_front(line);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes a line to the log, if the run is this engine's.
    fn log_line(&mut self, line: &str) -> Result<()> {
        self.held.check()?;
        if !is_at(&self.log, &self.log_path) {
            self.log = append(&self.log_path)?;
        }
        writeln!(self.log, "{line}").map_err(Error::io("write", &self.log_path))
    }

    /// Opens the events again where the file was removed or another put in its place: what is
    /// written to the old one is lost.
    fn find_events(&mut self) -> Result<()> {
        if is_at(&self.events, &self.events_path) {
            let length = self.events.metadata().map_or(self.length, |m| m.len());
            // emptied in its place
            if length < self.length {
                let whole = untrusted::whole_lines(&self.events);
                self.length = whole.map_err(Error::io("read", &self.events_path))?;
                self.torn = true;
            }
            return Ok(());
        }
        let found = self.events_path.symlink_metadata();
        if found.is_err_and(|e| e.kind() == ErrorKind::NotFound) {
            std::thread::sleep(BEFORE_MADE_AGAIN);
            self.held.check()?;
        }
        self.events = append(&self.events_path)?;
        let length = untrusted::whole_lines(&self.events);
        self.length = length.map_err(Error::io("read", &self.events_path))?;
        self.torn = true;
        Ok(())
    }

    /// How many events are not in the file yet.
    pub fn unwritten(&self) -> usize {
        self.unwritten.len()
    }

    fn append(&mut self, line: &[u8]) -> std::io::Result<()> {
        self.cut()?;
        self.torn = true;
        self.events.write_all(line)?;
        (self.torn, self.length) = (false, self.length + line.len() as u64);
        Ok(())
    }

    /// Removes a part of a line at the end.
    fn cut(&mut self) -> std::io::Result<()> {
        if self.torn {
            self.events.set_len(self.length)?;
            self.torn = false;
        }
        Ok(())
    }
}

/// Whether the open file is the one at `path`; also where that cannot be found out.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(open), Ok(found)) => (open.dev(), open.ino()) == (found.dev(), found.ino()),
        (_, Err(e)) => e.kind() != ErrorKind::NotFound,
        (Err(_), _) => true,
    }
}

fn append(path: &Path) -> Result<File> {
    untrusted::open_own(path, OpenOptions::new().create(true).append(true))
        .map_err(Error::io("open", path))
}

/// The number that follows the last event of a file, 0 if there is none, and the bytes of its whole
/// lines.
fn whole_lines(file: &File) -> std::io::Result<(u64, u64)> {
    let length = untrusted::whole_lines(file)?;
    let next = number_after(length, &mut |at, bytes| file.read_exact_at(bytes, at))?;
    Ok((next, length))
}

/// The number that follows the last event in so many bytes of whole lines. `read` fills a buffer from
/// a place on; it is asked for the end first, as that of a long record takes no longer than a short one's.
fn number_after(
    length: u64,
    read: &mut dyn FnMut(u64, &mut [u8]) -> std::io::Result<()>,
) -> std::io::Result<u64> {
    const BLOCK: u64 = 1 << 20;
    let mut end = length;
    // the beginning of a line whose rest is in the block after it
    let mut rest = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let mut bytes = vec![0; (end - start) as usize];
        read(start, &mut bytes)?;
        bytes.append(&mut rest);
        let mut lines = bytes.split(|byte| *byte == b'\n');
        // in the middle of a line, unless this is the beginning
        if start > 0 {
            rest = lines.next().unwrap_or_default().to_vec();
            // no event is that long
            if rest.len() > LONGEST_LINE {
                rest.clear();
            }
        }
        let mut events = lines.rev().map(serde_json::from_slice::<Seq>);
        if let Some(last) = events.find_map(std::result::Result::ok) {
            return Ok(last.seq.saturating_add(1));
        }
        end = start;
    }
    Ok(0)
}

#[derive(serde::Deserialize)]
struct Seq {
    seq: u64,
}

fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_record_only_the_end_is_read_for_the_next_number() -> std::io::Result<()> {
        let mut record: Vec<u8> = (0..60_000)
            .flat_map(|seq| {
                format!("{{\"seq\":{seq},\"kind\":\"x\",\"text\":\"{seq:050}\"}}\n").into_bytes()
            })
            .collect();
        let next = |record: &[u8]| -> std::io::Result<(u64, usize)> {
            let mut read = 0;
            let next = number_after(record.len() as u64, &mut |at, bytes| {
                read += bytes.len();
                bytes.copy_from_slice(&record[at as usize..][..bytes.len()]);
                Ok(())
            })?;
            Ok((next, read))
        };
        assert!(record.len() > 4 << 20);
        assert_eq!(next(&record)?, (60_000, 1 << 20));
        assert_eq!(next(b"")?, (0, 0));
        assert_eq!(next(b"no event\n\n")?.0, 0);
        // a stretch without events, longer than what is read at a time
        record.extend(std::iter::repeat_n(b'\n', 3 << 20));
        record.extend(b"garbage\n");
        assert_eq!(next(&record)?.0, 60_000);
        // an event that two blocks share
        let mut long = b"{\"seq\":4,\"text\":\"".to_vec();
        long.extend(std::iter::repeat_n(b'x', 3 << 20));
        long.extend(b"\"}\n");
        record.extend(&long);
        assert_eq!(next(&record)?.0, 5);
        Ok(())
    }

    #[test]
    fn numbering_continues_and_a_torn_line_is_cut_off() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::create(runs.path(), "p", None, "")?.0;
        let held = Arc::new(run.lock()?);
        let open = |tx: &Sender<Event>| Recorder::open(&run, Arc::clone(&held), tx.clone());
        let (tx, rx) = crossbeam_channel::unbounded();
        let record = |recorder: &mut Recorder, text: &str| {
            recorder.take(EventKind::Warning {
                message: text.into(),
            })?;
            recorder.flush()
        };
        let mut recorder = open(&tx)?;
        record(&mut recorder, "a")?;
        record(&mut recorder, "b")?;
        append(&run.events())?
            .write_all(br#"{"seq":2,"ti"#)
            .map_err(Error::io("write", run.events()))?;
        record(&mut open(&tx)?, "c")?;
        // a file that was removed is started again, with the numbers that follow
        let mut recorder = open(&tx)?;
        std::fs::remove_file(run.events()).map_err(Error::io("remove", run.events()))?;
        record(&mut recorder, "d")?;
        // so is one that was moved away, and another in its place is continued
        let aside = runs.path().join("aside");
        std::fs::rename(run.events(), &aside).map_err(Error::io("rename", run.events()))?;
        std::fs::copy(&aside, run.events()).map_err(Error::io("copy", &aside))?;
        record(&mut recorder, "e")?;
        // and nothing is written once the run is another engine's
        let lock = run.path().join("lock");
        std::fs::remove_file(&lock).map_err(Error::io("remove", &lock))?;
        assert!(matches!(
            record(&mut recorder, "f"),
            Err(Error::RunLost { .. })
        ));
        assert_eq!(
            rx.try_iter().map(|e| e.seq).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4, 5]
        );
        let text =
            std::fs::read_to_string(run.events()).map_err(Error::io("read", run.events()))?;
        assert_eq!(
            text.lines()
                .map(|l| serde_json::from_str::<Event>(l).map(|e| e.seq).ok())
                .collect::<Vec<_>>(),
            [Some(3), Some(4)]
        );
        Ok(())
    }
}
