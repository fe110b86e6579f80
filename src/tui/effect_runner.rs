//! What happens in the background: effects are carried out, the events of runs followed. The results
//! are messages.

mod previews;

use crate::tui::backend::{Backend, Command};
use crate::tui::context::Effect;
use crate::tui::events_file::EventsFile;
use crate::tui::message::{EventBatch, Message};
use crate::tui::picture::Picture;
use astill_core::run::event::Event;
use astill_core::run::{EngineAt, RunDir};
use astill_core::{Error, Result};
use previews::{Asked, REST};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{Sender, UnboundedSender};

/// How often the file of events is read again once its end was reached.
const POLL_EVERY: Duration = Duration::from_millis(100);
const COMPARED_EVERY: Duration = Duration::from_millis(500);
/// Polls between two checks for an engine, and fewer before a missing one is reported: while an
/// engine starts or ends it is missing for a moment, although its events do not show that.
const POLLS_PER_CHECK: u32 = 20;
const POLLS_TO_CONFIRM: u32 = 10;
/// Bytes of events that are read at once.
const BUDGET: usize = 2 << 20;
/// Carries effects out.
#[derive(Debug)]
pub struct EffectRunner<B> {
    backend: Arc<B>,
    messages: UnboundedSender<Message>,
    batches: Sender<Message>,
    /// To a thread of their own, so that they reach the engine in the order in which they were given.
    commands: std::sync::mpsc::Sender<(RunDir, Command)>,
    /// To another, which works out one preview at a time.
    previews: std::sync::mpsc::Sender<Asked>,
    /// Set to stop following the previous run.
    follower: Arc<AtomicBool>,
    /// Set to stop following the runs that were compared.
    comparer: Arc<AtomicBool>,
    /// The list of runs is being read.
    listing: Arc<AtomicBool>,
}

impl<B: Backend> EffectRunner<B> {
    pub fn new(
        backend: Arc<B>,
        messages: UnboundedSender<Message>,
        batches: Sender<Message>,
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
        let (previews, work) =
            previews::channel_and_worker(backend.clone(), messages.clone(), REST);
        thread("previews", messages.clone(), work)?;
        Ok(Self {
            backend,
            messages,
            batches,
            commands,
            previews,
            follower: Arc::default(),
            comparer: Arc::default(),
            listing: Arc::default(),
        })
    }

    /// Begins what the app wants done; inside a tokio runtime.
    pub fn carry_out(&mut self, effect: Effect) {
        let backend = self.backend.clone();
        match effect {
            // on a slow disk: one listing at a time
            Effect::List if self.listing.swap(true, Ordering::Relaxed) => {}
            Effect::List => {
                let listing = self.listing.clone();
                self.in_background(move || {
                    let listed =
                        Message::Listed(backend.profiles(), backend.runs(), backend.ablations());
                    listing.store(false, Ordering::Relaxed);
                    listed
                });
            }
            // the thread lives as long as the app, unless it has panicked, which was reported
            Effect::Preview(asked) => _ = self.previews.send(asked),
            Effect::Start(new) => self.in_background(move || {
                Message::Started(backend.start(&new).map_err(|e| e.to_string()))
            }),
            Effect::Fetch(set) => {
                let messages = self.messages.clone();
                self.in_background(move || {
                    let report = |line| _ = messages.send(Message::Fetching(line));
                    let fetched = backend.fetch(&set, &report).map_err(|e| e.to_string());
                    Message::Fetched(set, fetched)
                });
            }
            Effect::Resume(run, sets) => self.in_background(move || {
                let resumed = backend.resume(&run, &sets).map_err(|e| e.to_string());
                Message::Resumed(run, resumed)
            }),
            Effect::Template(run) => self.in_background(move || {
                let template = backend.template(&run).map_err(|e| e.to_string());
                Message::Template(run, template.map(Box::new))
            }),
            Effect::Delete(run) => self.in_background(move || {
                let deleted = backend.delete(&run).map_err(|e| e.to_string());
                Message::Moved(run, deleted.map(|()| None))
            }),
            Effect::Rename(run, name) => self.in_background(move || {
                let renamed = backend.rename(&run, &name).map_err(|e| e.to_string());
                Message::Moved(run, renamed.map(Some))
            }),
            Effect::Note(run, note) => self.in_background(move || {
                let written = backend.write_note(&run, &note).map_err(|e| e.to_string());
                Message::Noted(run, written)
            }),
            Effect::RunCommand(command, run) => {
                self.in_background(move || match backend.run_command(&command, &run) {
                    Ok(()) => Message::Noticed(format!("{command}: done")),
                    Err(problem) => Message::Trouble(problem.to_string()),
                })
            }
            Effect::Follow(run) => self.follow(run),
            Effect::Unfollow => self.follower.store(true, Ordering::Relaxed),
            Effect::FollowCompared(runs) => self.follow_compared(runs),
            Effect::Compare(runs) => self.in_background(move || {
                let compared = backend.compare(&runs).map(Arc::new);
                Message::Comparison(compared.map_err(|e| e.to_string()))
            }),
            Effect::Profile(run) => self.in_background(move || {
                let profile = backend
                    .profile(&run)
                    .map(Box::new)
                    .map_err(|e| e.to_string());
                Message::Profile(run, profile)
            }),
            Effect::Checkpoints(run) => self.in_background(move || {
                let steps = backend.checkpoints(&run);
                Message::Checkpoints(run, steps)
            }),
            Effect::Send(run, command) => {
                if let Err(lost) = self.commands.send((run, command)) {
                    let (run, command) = lost.0;
                    let _ = self.messages.send(Message::Answered(
                        run,
                        command,
                        Err("could not be sent".into()),
                    ));
                }
            }
            Effect::Picture(run, sample) => self.in_background(move || {
                let picture = run
                    .own_file(&sample.file)
                    .and_then(|p| Picture::open(&p))
                    .map_err(|e| e.to_string());
                Message::Picture(run, sample, picture)
            }),
            // about the terminal itself, which the loop has
            Effect::AskGraphics
            | Effect::SendGraphicsQuestion
            | Effect::Suspend
            | Effect::Retake
            | Effect::Notify(_)
            | Effect::Leave => {}
        }
    }

    /// Does something that may take a while.
    fn in_background(&self, work: impl FnOnce() -> Message + Send + 'static) {
        let messages = self.messages.clone();
        tokio::task::spawn_blocking(move || {
            let message = catch_unwind(AssertUnwindSafe(work))
                .unwrap_or_else(|_| Message::Panicked("a background task".into()));
            // the receiver is gone once the app has ended
            let _ = messages.send(message);
        });
    }

    /// Follows the events of these runs for a comparison, and of no others.
    fn follow_compared(&mut self, runs: Vec<RunDir>) {
        self.comparer.store(true, Ordering::Relaxed);
        self.comparer = Arc::default();
        if runs.is_empty() {
            return;
        }
        let (ended, batches, messages) = (
            self.comparer.clone(),
            self.batches.clone(),
            self.messages.clone(),
        );
        let begun = thread("comparison", self.messages.clone(), move || {
            follow_compared(runs, &ended, &batches, &messages)
        });
        if let Err(problem) = begun {
            let _ = self.messages.send(Message::Trouble(problem.to_string()));
        }
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

/// What was read last of a run's events.
fn batch_of(run: &RunDir, file: &EventsFile, events: Vec<Event>) -> EventBatch {
    let total = std::fs::metadata(run.events()).map_or(0, |m| m.len());
    EventBatch {
        events,
        restarted: file.restarted(),
        read: (file.position(), total),
        at_end: file.at_end(),
    }
}

/// Reads the events of several runs as they come, until `ended` is set or the app has ended.
fn follow_compared(
    runs: Vec<RunDir>,
    ended: &AtomicBool,
    batches: &Sender<Message>,
    messages: &UnboundedSender<Message>,
) {
    let open = |run: RunDir| (EventsFile::open(run.events()), run, false);
    let mut files: Vec<(EventsFile, RunDir, bool)> = runs.into_iter().map(open).collect();
    while !ended.load(Ordering::Relaxed) {
        let mut has_more = false;
        for (file, run, reported) in &mut files {
            let was_at_end = file.at_end();
            match file.poll(BUDGET) {
                Ok(events) => {
                    has_more |= !file.at_end();
                    *reported = false;
                    let is_news = !events.is_empty() || file.restarted();
                    if is_news || file.at_end() != was_at_end {
                        let batch = batch_of(run, file, events);
                        let message = Message::ComparedEvents(run.clone(), batch);
                        if batches.blocking_send(message).is_err() {
                            return;
                        }
                    }
                }
                Err(problem) if !*reported => {
                    let problem = Error::io("read", run.events())(problem);
                    let _ = messages.send(Message::Trouble(problem.to_string()));
                    *reported = true;
                }
                Err(_) => {}
            }
        }
        if !has_more {
            std::thread::sleep(COMPARED_EVERY);
        }
    }
}

/// Reads the events of a run as they come, until `ended` is set or the app has ended.
fn follow<B: Backend>(
    run: &RunDir,
    backend: &B,
    ended: &AtomicBool,
    batches: &Sender<Message>,
    messages: &UnboundedSender<Message>,
) {
    let mut file = EventsFile::open(run.events());
    let (mut polls_left, mut missed, mut was) = (0, false, None);
    let (mut was_at_end, mut reported) = (false, false);
    while !ended.load(Ordering::Relaxed) {
        match file.poll(BUDGET) {
            Ok(events) => {
                let (restarted, at_end) = (file.restarted(), file.at_end());
                if !events.is_empty() || restarted || at_end != was_at_end {
                    let batch = batch_of(run, &file, events);
                    let batch = Message::Events(run.clone(), batch);
                    if batches.blocking_send(batch).is_err() {
                        return;
                    }
                }
                was_at_end = at_end;
                reported = false;
                if !at_end {
                    continue;
                }
            }
            Err(problem) if !reported => {
                let problem = Error::io("read", run.events())(problem);
                let _ = messages.send(Message::Trouble(problem.to_string()));
                reported = true;
            }
            Err(_) => {}
        }
        if polls_left == 0 {
            let engine = backend.engine(run);
            let is_sure = engine == EngineAt::Here || missed;
            polls_left = if is_sure {
                POLLS_PER_CHECK
            } else {
                POLLS_TO_CONFIRM
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
        polls_left -= 1;
        std::thread::sleep(POLL_EVERY);
    }
}

/// Starts a thread whose panic is reported.
pub fn thread(
    name: &'static str,
    messages: UnboundedSender<Message>,
    work: impl FnOnce() + Send + 'static,
) -> Result<()> {
    let guarded = move || {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            let _ = messages.send(Message::Panicked(format!("the \"{name}\" thread")));
        }
    };
    std::thread::Builder::new()
        .name(name.into())
        .spawn(guarded)
        .map(|_| ())
        .map_err(Error::io("start a thread for", name))
}
