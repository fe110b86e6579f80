//! What happens in the background: effects are carried out, the events of runs followed. The results
//! are messages.

mod previews;

use crate::tui::backend::{Backend, Command};
use crate::tui::context::Effect;
use crate::tui::events_file::EventsFile;
use crate::tui::message::{EventBatch, Message};
use crate::tui::picture::Picture;
use astill_core::run::event::{Event, EventKind};
use astill_core::run::{EngineAt, RunDir};
use astill_core::{Error, Result};
use previews::{Asked, REST};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{Sender, UnboundedSender};
use tokio::sync::watch;

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
    commands: std::sync::mpsc::Sender<(RunDir, Command, Change)>,
    /// To another, which works out one preview at a time.
    previews: std::sync::mpsc::Sender<Asked>,
    /// Set to stop following the previous run.
    follower: Arc<AtomicBool>,
    /// Set to stop following the runs that were compared.
    comparer: Arc<AtomicBool>,
    /// The list of runs is being read.
    listing: Arc<AtomicBool>,
    /// Set to stop fetching a data set.
    fetch_ended: Arc<AtomicBool>,
    changes: Changes,
}

/// How many changes outside of the app are under way.
#[derive(Debug, Clone)]
pub struct Changes(watch::Sender<usize>);

/// A change that is under way until this is dropped.
#[derive(Debug)]
struct Change(Changes);

impl Changes {
    pub fn none() -> Self {
        Self(watch::Sender::new(0))
    }

    fn begin(&self) -> Change {
        self.0.send_modify(|n| *n += 1);
        Change(self.clone())
    }

    pub fn are_under_way(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Waits until none is under way.
    pub async fn end(&self) {
        // it cannot fail: the sender is here
        let _ = self.0.subscribe().wait_for(|n| *n == 0).await;
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        self.0.0.send_modify(|n| *n = n.saturating_sub(1));
    }
}

/// Clears a flag when it is dropped, also by a panic.
struct Clearing(Arc<AtomicBool>);

impl Drop for Clearing {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl<B: Backend> EffectRunner<B> {
    pub fn new(
        backend: Arc<B>,
        messages: UnboundedSender<Message>,
        batches: Sender<Message>,
        changes: Changes,
    ) -> Result<Self> {
        let (commands, given) = std::sync::mpsc::channel::<(RunDir, Command, Change)>();
        let (engine, answers) = (backend.clone(), messages.clone());
        thread("commands", messages.clone(), move || {
            for (run, command, change) in given {
                let answer = engine.send(&run, &command).map_err(|e| e.to_string());
                drop(change);
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
            fetch_ended: Arc::default(),
            changes,
        })
    }

    /// Begins what the app wants done; inside a tokio runtime.
    pub fn carry_out(&mut self, effect: Effect) {
        let backend = self.backend.clone();
        match effect {
            // on a slow disk: one listing at a time
            Effect::List if self.listing.swap(true, Ordering::Relaxed) => {}
            Effect::List => {
                let listing = Clearing(self.listing.clone());
                self.in_background(move || {
                    let _until_read = listing;
                    listed(&*backend)
                });
            }
            // the thread lives as long as the app, unless it has panicked, which was reported
            Effect::Preview(asked) => _ = self.previews.send(asked),
            Effect::Start(new) => self.change(new, move |new| backend.start(new), Message::Started),
            Effect::Fetch(set) => {
                let messages = self.messages.clone();
                let report = move |line| _ = messages.send(Message::Fetching(line));
                self.fetch_ended = Arc::default();
                let ended = self.fetch_ended.clone();
                let is_ended = move || ended.load(Ordering::Relaxed);
                self.attempt(
                    set,
                    move |set| backend.fetch(set, &report, &is_ended),
                    Message::Fetched,
                );
            }
            Effect::EndFetch => self.fetch_ended.store(true, Ordering::Relaxed),
            Effect::Resume(run, sets) => {
                self.change(run, move |run| backend.resume(run, &sets), Message::Resumed)
            }
            Effect::Template(run) => self.attempt(
                run,
                move |run| backend.template(run).map(Box::new),
                Message::Template,
            ),
            Effect::Delete(run) => self.change(
                run,
                move |run| backend.delete(run).map(|()| None),
                Message::Moved,
            ),
            Effect::Rename(run, name) => self.change(
                run,
                move |run| backend.rename(run, &name).map(Some),
                Message::Moved,
            ),
            Effect::Note(run, note) => self.change(
                run,
                move |run| backend.write_note(run, &note),
                Message::Noted,
            ),
            Effect::RunCommand(command, run) => {
                self.in_background(move || match backend.run_command(&command, &run) {
                    Ok(()) => Message::Noticed(format!("{command}: done")),
                    Err(problem) => Message::Trouble(problem.to_string()),
                })
            }
            Effect::Follow(run) => self.follow(run),
            Effect::Unfollow => self.follower.store(true, Ordering::Relaxed),
            Effect::FollowCompared(runs) => self.follow_compared(runs),
            Effect::Compare(runs) => self.attempt(
                runs,
                move |runs| backend.compare(runs).map(Arc::new),
                Message::Comparison,
            ),
            Effect::Profile(run) => self.attempt(
                run,
                move |run| backend.profile(run).map(Box::new),
                Message::Profile,
            ),
            Effect::Checkpoints(run) => self.in_background(move || {
                let steps = backend.checkpoints(&run).map_err(|e| e.to_string());
                Message::Checkpoints(run, steps)
            }),
            Effect::Send(run, command) => {
                let change = self.changes.begin();
                if let Err(lost) = self.commands.send((run, command, change)) {
                    let (run, command, _) = lost.0;
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
            Effect::AskTerminal(_)
            | Effect::Suspend
            | Effect::Retake
            | Effect::Notify(_)
            | Effect::Leave => {}
        }
    }

    /// As [`Self::attempt`], for what changes something outside of the app, which must not be left half
    /// done.
    fn change<S: Send + 'static, T>(
        &self,
        subject: S,
        work: impl FnOnce(&S) -> Result<T> + Send + 'static,
        message: impl FnOnce(S, Result<T, String>) -> Message + Send + 'static,
    ) {
        let change = self.changes.begin();
        let work = move |subject: &S| {
            let _until_done = change;
            work(subject)
        };
        self.attempt(subject, work, message);
    }

    /// Does something that may take a while and may fail, and reports what came of it: a panic, too.
    fn attempt<S: Send + 'static, T>(
        &self,
        subject: S,
        work: impl FnOnce(&S) -> Result<T> + Send + 'static,
        message: impl FnOnce(S, Result<T, String>) -> Message + Send + 'static,
    ) {
        let messages = self.messages.clone();
        tokio::task::spawn_blocking(move || {
            let done = catch_unwind(AssertUnwindSafe(|| work(&subject)));
            let done = done.unwrap_or_else(|_| {
                let _ = messages.send(Message::Panicked("a background task".into()));
                Err(Error::Usage("a bug in astill: the task panicked".into()))
            });
            // the receiver is gone once the app has ended
            let _ = messages.send(message(subject, done.map_err(|e| e.to_string())));
        });
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

/// What the menu lists, or why it cannot.
fn listed(backend: &impl Backend) -> Message {
    let runs = backend.runs();
    match runs.and_then(|runs| Ok((runs, backend.ablations()?))) {
        Ok((runs, ablations)) => Message::Listed(backend.profiles(), runs, ablations),
        Err(problem) => Message::Unlisted(problem.to_string()),
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
        unreadable: file.skipped(),
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
    let (mut was_at_end, mut reported, mut unreadable) = (false, false, 0);
    while !ended.load(Ordering::Relaxed) {
        match file.poll(BUDGET) {
            Ok(events) => {
                let (restarted, at_end) = (file.restarted(), file.at_end());
                let is_start = |e: &Event| matches!(e.what, EventKind::RunStarted(_));
                if restarted || events.iter().any(is_start) {
                    // what was found holds no more, and is to be reported again
                    (polls_left, missed, was) = (0, false, None);
                }
                let is_news = !events.is_empty() || restarted || file.skipped() != unreadable;
                unreadable = file.skipped();
                if is_news || at_end != was_at_end {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_under_way_until_it_is_done_or_has_panicked() {
        let changes = Changes::none();
        assert!(!changes.are_under_way());
        let (one, two) = (changes.begin(), changes.begin());
        drop(one);
        assert!(changes.are_under_way());
        let panics = catch_unwind(AssertUnwindSafe(move || {
            let _until_done = two;
            std::panic::resume_unwind(Box::new("a bug"));
        }));
        assert!(panics.is_err() && !changes.are_under_way());
    }
}
