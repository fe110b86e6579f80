//! What is written to the terminal goes through a thread of its own: one that nobody reads, because
//! a connection stalls or Ctrl-S was pressed, takes nothing, and must not keep the app from signals.

use super::BlockingTerminal;
use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a frame is waited for: usually it is gone at once.
const FRAME_PATIENCE: Duration = Duration::from_millis(200);

/// What the thread has yet to write, and how it went.
#[derive(Debug, Default)]
struct Queue {
    unwritten: usize,
    failure: Option<io::Error>,
}

/// Writes to the terminal in order.
#[derive(Debug, Clone)]
pub struct TerminalWriter {
    texts: Sender<Vec<u8>>,
    queue: Arc<(Mutex<Queue>, Condvar)>,
}

impl TerminalWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn new(terminal: File) -> io::Result<Self> {
        let (texts, given) = channel::<Vec<u8>>();
        let queue = Arc::<(Mutex<Queue>, Condvar)>::default();
        let shared = queue.clone();
        let mut terminal = BlockingTerminal(terminal);
        let write = move || {
            for text in given {
                let written = terminal.write_all(&text).and_then(|()| terminal.flush());
                let mut queue = lock(&shared.0);
                queue.unwritten -= 1;
                queue.failure = written.err().or(queue.failure.take());
                shared.1.notify_all();
            }
        };
        std::thread::Builder::new()
            .name("terminal".into())
            .spawn(write)?;
        Ok(Self { texts, queue })
    }

    /// Has `text` written, after what was given before, and waits for it as long as `patience`.
    /// Whether all is written by then.
    ///
    /// # Errors
    /// Writing has failed, this time or earlier.
    pub fn write_within(&self, text: &[u8], patience: Duration) -> io::Result<bool> {
        lock(&self.queue.0).unwritten += 1;
        if self.texts.send(text.to_vec()).is_err() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let waiting = |queue: &mut Queue| queue.unwritten > 0 && queue.failure.is_none();
        let waited = self
            .queue
            .1
            .wait_timeout_while(lock(&self.queue.0), patience, waiting);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match queue.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(queue.unwritten == 0),
        }
    }

    /// Whether the terminal has not taken yet what it was given.
    pub fn is_busy(&self) -> bool {
        lock(&self.queue.0).unwritten > 0
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Write for TerminalWriter {
    /// Takes all of it, and waits a little.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_within(bytes, FRAME_PATIENCE)
            .map(|_| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
