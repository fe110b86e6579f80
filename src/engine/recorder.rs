//! The engine's voice: every event goes to `events.jsonl`, a line for people to `run.log`, and to whoever listens in this process.

use super::event::{Event, LONGEST_LINE, What};
use crate::run::RunDir;
use crate::{Error, Result, foreign_file};
use crossbeam_channel::Sender;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
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
    next: u64,
    /// Whether the last line may not be whole, because writing it failed.
    torn: bool,
    last_progress: Option<Instant>,
    listener: Sender<Event>,
}

impl Recorder {
    /// Goes on after the events that are there already. A torn last line, as a killed engine leaves it, is closed with a
    /// line end so that it stays one bad line.
    pub fn open(run: &RunDir, listener: Sender<Event>) -> Result<Self> {
        let events_path = run.events();
        let next = next_seq(&events_path)?;
        let events = append(&events_path)?;
        Ok(Self { events, log: append(&run.log())?, events_path, next, torn: false, last_progress: None, listener })
    }

    /// Writes an event and passes it on; never waits for a listener.
    pub fn record(&mut self, what: What) -> Result<()> {
        if let What::Progress { done, total, .. } = &what {
            if self.last_progress.is_some_and(|t| t.elapsed() < PROGRESS_EVERY) && done < total {
                return Ok(());
            }
            self.last_progress = Some(Instant::now());
        }
        let event = Event { seq: self.next, time: now(), what };
        let mut line = serde_json::to_vec(&event).map_err(|e| Error::file(&self.events_path, e.to_string()))?;
        line.push(b'\n');
        if std::mem::replace(&mut self.torn, true) {
            self.events.write_all(b"\n").map_err(Error::io("write", &self.events_path))?;
        }
        self.events.write_all(&line).map_err(Error::io("write", &self.events_path))?;
        (self.torn, self.next) = (false, self.next.saturating_add(1));
        let is_progress = matches!(event.what, What::Progress { .. });
        if let Some(text) = super::text::line(&event.what).filter(|_| !is_progress) {
            // the log is for people; losing a line of it must not end a run
            let _ = writeln!(self.log, "{} {text}", event.time);
        }
        // nobody listening is fine
        let _ = self.listener.send(event);
        Ok(())
    }
}

fn append(path: &Path) -> Result<File> {
    foreign_file::open_own(path, OpenOptions::new().create(true).append(true)).map_err(Error::io("open", path))
}

/// The number that follows the last event of a file; 0 if there is none. Ends a torn last line.
fn next_seq(path: &Path) -> Result<u64> {
    let mut file = match foreign_file::open_own(path, OpenOptions::new().append(true)) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(Error::io("open", path)(e)),
    };
    let mut next = 0;
    let take = |line: &[u8]| {
        if let Ok(event) = serde_json::from_slice::<Seq>(line) {
            next = event.seq.saturating_add(1);
        }
    };
    foreign_file::for_each_line(&file, LONGEST_LINE, take).map_err(Error::io("read", path))?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(-1)).is_ok() {
        file.read_exact(&mut last).map_err(Error::io("read", path))?;
    }
    if last != *b"\n" {
        file.write_all(b"\n").map_err(Error::io("write", path))?;
    }
    Ok(next)
}

#[derive(serde::Deserialize)]
struct Seq {
    seq: u64,
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbering_goes_on_after_a_torn_line() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::create(runs.path(), "p", None)?;
        let (tx, rx) = crossbeam_channel::unbounded();
        let warn = |text: &str| What::Warning { message: text.into() };
        {
            let mut recorder = Recorder::open(&run, tx.clone())?;
            recorder.record(warn("a"))?;
            recorder.record(warn("b"))?;
        }
        append(&run.events())?.write_all(br#"{"seq":2,"ti"#).map_err(Error::io("write", run.events()))?;
        Recorder::open(&run, tx)?.record(warn("c"))?;
        assert_eq!(rx.try_iter().map(|e| e.seq).collect::<Vec<_>>(), [0, 1, 2]);
        let text = std::fs::read_to_string(run.events()).map_err(Error::io("read", run.events()))?;
        assert_eq!(text.lines().filter_map(|l| serde_json::from_str::<Event>(l).ok()).count(), 3);
        assert_eq!(text.lines().count(), 4);
        Ok(())
    }
}
