//! What happens beside the screen: effects carried out, keys read, the events of a run followed.
//! The answers are messages.

use super::app::{Batch, Effect, Message};
use super::backend::{Backend, Command};
use super::events_file::EventsFile;
use super::picture::Picture;
use super::terminal::is_hung_up;
use astill_core::run::{EngineAt, RunDir};
use astill_core::{Error, Result};
use crossterm::event::{self, Event as Input};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{Sender, UnboundedSender};
use tokio::sync::oneshot;

/// How often a log of events is looked at when its end is reached.
const POLL_EVERY: Duration = Duration::from_millis(100);
/// After so many looks, whether there is an engine; sooner to make sure that there is none. One
/// that starts or ends is missing for a moment in which its events do not say so.
const LOOKS_PER_CHECK: u32 = 20;
const LOOKS_TO_MAKE_SURE: u32 = 10;
/// Bytes of events that are read at once.
const BUDGET: usize = 2 << 20;
/// How long what is there may take to be read. crossterm looks at nothing at all without some time
/// to do it.
const READING: Duration = Duration::from_millis(1);
/// How long the reading of keys waits before it looks for a new size of the terminal.
const KEY_PATIENCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// Carries effects out.
#[derive(Debug)]
pub struct EffectRunner<B> {
    backend: Arc<B>,
    messages: UnboundedSender<Message>,
    batches: Sender<(RunDir, Batch)>,
    /// To a thread of their own, so that they arrive in the order in which they were given.
    commands: std::sync::mpsc::Sender<(RunDir, Command)>,
    /// Set to end the reading of the last run's events.
    follower: Arc<AtomicBool>,
    /// The list of runs is being looked at.
    listing: Arc<AtomicBool>,
}

impl<B: Backend> EffectRunner<B> {
    pub fn new(
        backend: Arc<B>,
        messages: UnboundedSender<Message>,
        batches: Sender<(RunDir, Batch)>,
    ) -> Result<Self> {
        let (commands, given) = std::sync::mpsc::channel::<(RunDir, Command)>();
        let (engine, answers) = (backend.clone(), messages.clone());
        thread("commands", messages.clone(), move || {
            for (run, command) in given {
                let answer = engine.send(&run, &command).map_err(|e| e.to_string());
                if answers
                    .send(Message::Answered(run, command, answer))
                    .is_err()
                {
                    return;
                }
            }
        })?;
        Ok(Self {
            backend,
            messages,
            batches,
            commands,
            follower: Arc::default(),
            listing: Arc::default(),
        })
    }

    /// Begins what the app wants done; inside a tokio runtime.
    pub fn carry_out(&mut self, effect: Effect) {
        let backend = self.backend.clone();
        match effect {
            // a slow disk: one look at a time
            Effect::List if self.listing.swap(true, Ordering::Relaxed) => {}
            Effect::List => {
                let listing = self.listing.clone();
                self.beside(move || {
                    let listed = Message::Listed(backend.profiles(), backend.runs());
                    listing.store(false, Ordering::Relaxed);
                    listed
                });
            }
            Effect::Preview(reference) => self.beside(move || {
                let preview = backend.preview(&reference);
                Message::Previewed(reference, Box::new(preview))
            }),
            Effect::Start(reference) => self.beside(move || {
                Message::Started(backend.start(&reference).map_err(|e| e.to_string()))
            }),
            Effect::Resume(run) => self.beside(move || {
                let resumed = backend.resume(&run).map_err(|e| e.to_string());
                Message::Resumed(run, resumed)
            }),
            Effect::Follow(run) => self.follow(run),
            Effect::Profile(run) => self.beside(move || {
                let profile = backend
                    .profile(&run)
                    .map(Box::new)
                    .map_err(|e| e.to_string());
                Message::Profile(run, profile)
            }),
            Effect::Checkpoints(run) => self.beside(move || {
                let steps = backend.checkpoints(&run);
                Message::Checkpoints(run, steps)
            }),
            Effect::Send(run, command) => {
                if let Err(lost) = self.commands.send((run, command)) {
                    let (run, command) = lost.0;
                    let _ = self.messages.send(Message::Answered(
                        run,
                        command,
                        Err("it could not be sent".into()),
                    ));
                }
            }
            Effect::Picture(run, sample) => self.beside(move || {
                let picture = run
                    .own_file(&sample.file)
                    .and_then(|p| Picture::open(&p))
                    .map_err(|e| e.to_string());
                Message::Picture(run, sample, picture)
            }),
            // about the terminal itself, which the loop has
            Effect::Suspend | Effect::Retake | Effect::Leave => {}
        }
    }

    /// Does something that may take its time.
    fn beside(&self, work: impl FnOnce() -> Message + Send + 'static) {
        let messages = self.messages.clone();
        tokio::task::spawn_blocking(move || {
            let message = catch_unwind(AssertUnwindSafe(work))
                .unwrap_or_else(|_| Message::Panicked("something beside the screen".into()));
            // nobody listens any more when the app has ended
            let _ = messages.send(message);
        });
    }

    /// Follows this run's events, and no other's.
    fn follow(&mut self, run: RunDir) {
        self.follower.store(true, Ordering::Relaxed);
        self.follower = Arc::default();
        let (ended, backend) = (self.follower.clone(), self.backend.clone());
        let (batches, messages) = (self.batches.clone(), self.messages.clone());
        let begun = thread("events", self.messages.clone(), move || {
            follow(&run, &*backend, &ended, &batches, &messages)
        });
        if let Err(problem) = begun {
            let _ = self.messages.send(Message::Trouble(problem.to_string()));
        }
    }
}

/// Reads the events of a run as they come, until `ended` is set or nobody listens any more.
fn follow<B: Backend>(
    run: &RunDir,
    backend: &B,
    ended: &AtomicBool,
    batches: &Sender<(RunDir, Batch)>,
    messages: &UnboundedSender<Message>,
) {
    let mut file = EventsFile::open(run.events());
    let (mut looks_left, mut missed, mut was) = (0, false, None);
    let (mut was_at_end, mut told) = (false, false);
    while !ended.load(Ordering::Relaxed) {
        match file.poll(BUDGET) {
            Ok(events) => {
                let (restarted, at_end) = (file.restarted(), file.at_end());
                if !events.is_empty() || restarted || at_end != was_at_end {
                    let total = std::fs::metadata(run.events()).map_or(0, |m| m.len());
                    let batch = Batch {
                        events,
                        restarted,
                        read: (file.position(), total),
                        at_end,
                    };
                    if batches.blocking_send((run.clone(), batch)).is_err() {
                        return;
                    }
                }
                was_at_end = at_end;
                told = false;
                if !at_end {
                    continue;
                }
            }
            Err(problem) if !told => {
                let problem = Error::io("read", run.events())(problem);
                let _ = messages.send(Message::Trouble(problem.to_string()));
                told = true;
            }
            Err(_) => {}
        }
        if looks_left == 0 {
            let engine = backend.engine(run);
            let is_sure = engine == EngineAt::Here || missed;
            looks_left = if is_sure {
                LOOKS_PER_CHECK
            } else {
                LOOKS_TO_MAKE_SURE
            };
            missed = engine != EngineAt::Here;
            if is_sure
                && was.as_ref() != Some(&engine)
                && messages
                    .send(Message::Engine(run.clone(), was.insert(engine).clone()))
                    .is_err()
            {
                return;
            }
        }
        looks_left -= 1;
        std::thread::sleep(POLL_EVERY);
    }
}

/// Reads keys in a thread of its own. What comes back is told when the terminal has gone away.
pub fn read_keys(messages: UnboundedSender<Message>) -> Result<oneshot::Receiver<()>> {
    let (gone, hung_up) = oneshot::channel();
    let terminal = keyboard()?;
    thread("keys", messages.clone(), move || {
        // crossterm would read from a terminal that has gone away without an end: look first. Its
        // feature use-dev-tty matters: the other way to read forgets keys that come together with a
        // new size, or with more than 1024 others, until the next key
        while !is_hung_up(&terminal) {
            let mut ready = [PollFd::new(&terminal, PollFlags::IN)];
            if poll(&mut ready, Some(&KEY_PATIENCE)).is_err() && is_hung_up(&terminal) {
                break;
            }
            while !is_hung_up(&terminal) && event::poll(READING).unwrap_or(false) {
                let message = match event::read() {
                    Ok(Input::Key(key)) => Message::Key(key),
                    Ok(Input::Paste(text)) => Message::Paste(text),
                    Ok(Input::Resize(columns, rows)) => Message::Resize(columns, rows),
                    Ok(Input::Mouse(mouse)) => Message::Mouse(mouse),
                    _ => continue,
                };
                if messages.send(message).is_err() {
                    return;
                }
            }
        }
        let _ = gone.send(());
    })?;
    Ok(hung_up)
}

/// What crossterm reads keys from.
fn keyboard() -> Result<OwnedFd> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        stdin
            .as_fd()
            .try_clone_to_owned()
            .map_err(Error::io("read keys from", "the terminal"))
    } else {
        File::open("/dev/tty")
            .map(OwnedFd::from)
            .map_err(Error::io("open", "/dev/tty"))
    }
}

/// A thread whose panic is told.
fn thread(
    name: &'static str,
    messages: UnboundedSender<Message>,
    work: impl FnOnce() + Send + 'static,
) -> Result<()> {
    let guarded = move || {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            let _ = messages.send(Message::Panicked(format!("the thread \"{name}\"")));
        }
    };
    std::thread::Builder::new()
        .name(name.into())
        .spawn(guarded)
        .map(|_| ())
        .map_err(Error::io("start a thread for", name))
}
