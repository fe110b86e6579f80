//! Records what happens: every event goes to `events.jsonl`, a line for people to `run.log`, and to
//! the listener in this process.

use astill_core::describe::line;
use astill_core::run::RunDir;
use astill_core::run::event::{Event, EventKind, LONGEST_LINE};
use astill_core::{Error, Result, files::untrusted};
use crossbeam_channel::Sender;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Progress events closer together than this are not written.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Writes events in order; owned by the trainer thread.
#[derive(Debug)]
pub struct Recorder {
    events: File,
    log: File,
    events_path: std::path::PathBuf,
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
    pub fn open(run: &RunDir, listener: Sender<Event>) -> Result<Self> {
        let events_path = run.events();
        let events = append(&events_path)?;
        let (next, length) = whole_lines(&events).map_err(Error::io("read", &events_path))?;
        let (log, unwritten) = (append(&run.log())?, VecDeque::new());
        Ok(Self {
            events,
            log,
            events_path,
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
            let _ = writeln!(self.log, "{} {text}", event.time);
        }
        // there need not be a listener
        let _ = self.listener.send(event);
        Ok(())
    }

    /// Writes the events that are not in the file yet. After an error they are kept for the next
    /// time, and no part of a line stays.
    pub fn flush(&mut self) -> Result<()> {
        while let Some(line) = self.unwritten.pop_front() {
            if let Err(error) = self.append(&line) {
                self.unwritten.push_front(line);
                // if not now, then before the next line
                let _ = self.cut();
                return Err(Error::io("write", &self.events_path)(error));
            }
        }
        Ok(())
    }

    /// How many events are not in the file yet.
    pub fn unwritten(&self) -> usize {
        self.unwritten.len()
    }

    fn append(&mut self, line: &[u8]) -> std::io::Result<()> {
        if self.events.metadata().is_ok_and(|m| m.nlink() == 0) {
            // it was removed: what is written there is lost
            self.events = untrusted::open_own(
                &self.events_path,
                OpenOptions::new().create(true).append(true),
            )?;
            (self.length, self.torn) = (self.events.metadata()?.len(), false);
        }
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

fn append(path: &Path) -> Result<File> {
    untrusted::open_own(path, OpenOptions::new().create(true).append(true))
        .map_err(Error::io("open", path))
}

/// The number that follows the last event of a file, 0 if there is none, and the bytes of its whole
/// lines.
fn whole_lines(file: &File) -> std::io::Result<(u64, u64)> {
    let length = untrusted::whole_lines(file)?;
    let mut next = 0;
    let take = |line: &[u8]| {
        if let Ok(event) = serde_json::from_slice::<Seq>(line) {
            next = event.seq.saturating_add(1);
        }
    };
    untrusted::for_each_line(file.take(length), LONGEST_LINE, take)?;
    Ok((next, length))
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
    fn numbering_continues_and_a_torn_line_is_cut_off() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::create(runs.path(), "p", None)?;
        let (tx, rx) = crossbeam_channel::unbounded();
        let record = |recorder: &mut Recorder, text: &str| {
            recorder.take(EventKind::Warning {
                message: text.into(),
            })?;
            recorder.flush()
        };
        let mut recorder = Recorder::open(&run, tx.clone())?;
        record(&mut recorder, "a")?;
        record(&mut recorder, "b")?;
        append(&run.events())?
            .write_all(br#"{"seq":2,"ti"#)
            .map_err(Error::io("write", run.events()))?;
        record(&mut Recorder::open(&run, tx.clone())?, "c")?;
        // a file that was removed is started again, with the numbers that follow
        let mut recorder = Recorder::open(&run, tx)?;
        std::fs::remove_file(run.events()).map_err(Error::io("remove", run.events()))?;
        record(&mut recorder, "d")?;
        assert_eq!(
            rx.try_iter().map(|e| e.seq).collect::<Vec<_>>(),
            [0, 1, 2, 3]
        );
        let text =
            std::fs::read_to_string(run.events()).map_err(Error::io("read", run.events()))?;
        assert_eq!(
            text.lines()
                .map(|l| serde_json::from_str::<Event>(l).map(|e| e.seq).ok())
                .collect::<Vec<_>>(),
            [Some(3)]
        );
        Ok(())
    }
}
