//! The engine's side of its workers: other processes, here or on other machines, that compute segments
//! of its iterations and train networks of its evaluations. Any may come late, be slow or die: what none
//! has computed, the engine computes itself, and the result is the same.

mod connection;
mod job;
mod pace;

pub use self::job::{Answer, Job, Networks, Segments};

use self::connection::Counts;
use self::job::KINDS;
use self::pace::Pace;
use crate::distill::TrainingSet;
use crate::wire::{self, Address, ToWorker, Welcome};
use astill_core::cli::ListenAddress;
use astill_core::files::atomic::write_privately;
use astill_core::run::event::WorkerChange;
use astill_core::run::{EngineLock, Holder};
use astill_core::{Error, Result};
use rand::Rng;
use std::collections::{BTreeMap, VecDeque};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tch::Tensor;

/// Where only processes of this machine can connect.
const THIS_MACHINE: &str = "127.0.0.1";
/// The most connections that have not shown the token. One more closes the oldest.
const MOST_STRANGERS: usize = 16;
/// How long the end of a run waits for workers to disconnect.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest wait before the engine looks for commands again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A socket for workers to connect to.
#[derive(Debug, Clone)]
pub struct Listener {
    socket: Arc<TcpListener>,
}

impl Listener {
    /// Listens on this address, or on this machine alone if there is none. Without a port, on any that
    /// is free.
    ///
    /// # Errors
    /// [`Error::Usage`] if nothing can listen there.
    pub fn bind(address: Option<&ListenAddress>) -> Result<Self> {
        let host = address.map_or(THIS_MACHINE, |address| &address.host);
        let port = address.and_then(|address| address.port).unwrap_or(0);
        let socket = TcpListener::bind((host, port)).map_err(|error| {
            let shown = address.map_or(THIS_MACHINE.to_string(), ToString::to_string);
            Error::Usage(format!(
                "cannot listen for workers on {shown}: {error}; choose an address of this machine, and \
                 a port that is free, with --listen"
            ))
        })?;
        Ok(Self {
            socket: Arc::new(socket),
        })
    }
}

/// Serves workers, as long as this lives.
#[derive(Debug)]
pub struct WorkerServer {
    shared: Arc<Shared>,
    held: Arc<EngineLock>,
    file: PathBuf,
    listener: Listener,
}

#[derive(Debug)]
struct Shared {
    token: String,
    welcome: Welcome,
    state: Mutex<State>,
    changed: Condvar,
}

/// What there is to do.
#[derive(Debug, Default)]
struct State {
    is_closing: bool,
    /// How many are at work or ready for it.
    workers: u64,
    /// How many connections there have been.
    connections: u64,
    /// Those that have not shown the token, by their number, the oldest first.
    strangers: VecDeque<(u64, TcpStream)>,
    /// Counts the jobs, so that nothing of an earlier one is taken for this one's.
    job: u64,
    /// The kind of the latest job, and what is known of each kind.
    kind: usize,
    experience: [Experience; KINDS],
    todo: VecDeque<u64>,
    /// Tasks that a worker has.
    given: BTreeMap<u64, Given>,
    answers: BTreeMap<u64, Answer>,
    content: Option<Arc<Content>>,
    /// The task that the engine is at, and since when.
    own: Option<(u64, Instant)>,
    changes: Vec<WorkerChange>,
}

/// What is known of the jobs of a kind.
#[derive(Debug, Default)]
struct Experience {
    /// How many there have been.
    jobs: u64,
    /// How long the engine's own latest task took.
    own_time: Duration,
}

/// A task that a worker has: since when, and how long it should take.
#[derive(Debug)]
struct Given {
    since: Instant,
    expected: Option<Duration>,
}

/// What workers get for the tasks of a job.
#[derive(Debug)]
struct Content {
    job: Job,
    /// The frame of images and labels; none where no worker was there when the job began.
    set: Option<Vec<u8>>,
}

/// A task for a worker.
struct Task {
    /// The number of its job, and that among the jobs of its kind.
    job: u64,
    round: u64,
    number: u64,
    content: Arc<Content>,
}

/// What the engine does next.
pub enum Next {
    /// Compute this task itself.
    Compute(u64),
    /// Look for commands, and ask again.
    Wait,
    /// All answers are there, in the order of their tasks.
    Done(Vec<Answer>),
}

impl WorkerServer {
    /// Serves workers of the run behind `held`, and writes into its folder where it listens.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written, or there is no thread.
    pub fn start(held: &Arc<EngineLock>, listener: Listener, welcome: Welcome) -> Result<Self> {
        let file = held.run().path().join(wire::ADDRESS);
        let address = listener
            .socket
            .local_addr()
            .map_err(Error::io("find the address for", &file))?;
        let mut random = rand::rng();
        let token = format!("{:016x}{:016x}", random.next_u64(), random.next_u64());
        let told = Address {
            // nobody can connect to an address that stands for all of this machine's
            address: match address.ip().is_unspecified() {
                true => format!("{}:{}", Holder::this().host, address.port()),
                false => address.to_string(),
            },
            token: token.clone(),
        };
        held.check()?;
        write_privately(&file, serde_json::json!(told).to_string().as_bytes())?;
        let shared = Arc::new(Shared {
            token,
            welcome,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let server = Self {
            shared: Arc::clone(&shared),
            held: Arc::clone(held),
            file,
            listener: listener.clone(),
        };
        std::thread::Builder::new()
            .name("workers".into())
            .spawn(move || connection::accept(&shared, &listener.socket))
            .map_err(Error::io("start a thread for", "workers"))?;
        Ok(server)
    }

    /// Whether anybody is there. Who comes later is given work of the next job.
    pub fn has_workers(&self) -> bool {
        self.shared.lock().workers > 0
    }

    /// Offers the tasks of a job on this set to whoever is there.
    ///
    /// # Errors
    /// The images cannot be sent.
    pub fn begin(&self, job: Job, set: &TrainingSet<'_>) -> Result<()> {
        let has_workers = self.has_workers();
        let frame = || {
            let rate = Tensor::from_slice(&[set.lr]);
            let (images, labels) = (set.images, set.labels.tensor());
            let tensors = [("images", images), ("labels", labels), ("lr", &rate)];
            let is_soft = set.labels.is_soft();
            wire::frame(&ToWorker::Set { is_soft }, &tensors)
        };
        let set = has_workers.then(frame).transpose()?;
        let mut state = self.shared.lock();
        state.job += 1;
        state.kind = job.kind();
        state.experience[job.kind()].jobs += 1;
        state.todo = (0..job.tasks() as u64).collect();
        state.given.clear();
        state.answers.clear();
        state.content = Some(Arc::new(Content { job, set }));
        self.shared.changed.notify_all();
        Ok(())
    }

    /// What the engine does next.
    pub fn next(&self) -> Next {
        let mut state = self.shared.lock();
        if let Some(number) = state.todo.pop_front() {
            return state.compute(number);
        }
        let tasks = state.content.as_ref().map_or(0, |c| c.job.tasks());
        if state.answers.len() == tasks {
            state.content = None;
            let answers = std::mem::take(&mut state.answers);
            return Next::Done(answers.into_values().collect());
        }
        let own = state.own_time();
        let left = |given: &Given| pace::patience(given.expected, own, given.since.elapsed());
        let longest_out = state.given.iter().map(|(n, given)| (left(given), *n)).min();
        match longest_out {
            Some((left, number)) if left.is_zero() => {
                state.given.remove(&number);
                state.compute(number)
            }
            longest_out => {
                let until = longest_out.map_or(POLL_INTERVAL, |(left, _)| left.min(POLL_INTERVAL));
                drop(self.shared.changed.wait_timeout(state, until));
                Next::Wait
            }
        }
    }

    /// Takes the answer to a task that the engine has computed.
    pub fn put(&self, number: u64, answer: Answer) {
        let mut state = self.shared.lock();
        if let Some((_, since)) = state.own.take() {
            let kind = state.kind;
            state.experience[kind].own_time = since.elapsed();
        }
        state.answers.entry(number).or_insert(answer);
    }

    /// Drops the job that was begun.
    pub fn cancel(&self) {
        let mut state = self.shared.lock();
        state.job += 1;
        state.todo.clear();
        state.content = None;
        state.own = None;
    }

    /// Which workers have come and gone since this was asked last.
    pub fn changes(&self) -> Vec<WorkerChange> {
        std::mem::take(&mut self.shared.lock().changes)
    }

    /// Tells the workers that the run ends, and waits a moment for them to disconnect.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.is_closing = true;
        state.content = None;
        self.shared.changed.notify_all();
        let are_there = |state: &mut State| state.workers > 0;
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, CLOSING_TIMEOUT, are_there);
        drop(waited);
    }
}

impl Drop for WorkerServer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closing = true;
        state.content = None;
        for (_, stranger) in state.strangers.drain(..) {
            let _ = stranger.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.changed.notify_all();
        // wakes the thread that accepts connections
        let _ = rustix::net::shutdown(&*self.listener.socket, rustix::net::Shutdown::Both);
        if self.held.check().is_ok() {
            let _ = std::fs::remove_file(&self.file);
        }
    }
}

impl State {
    fn compute(&mut self, number: u64) -> Next {
        self.own = Some((number, Instant::now()));
        Next::Compute(number)
    }

    /// How long the engine's own latest task of this job's kind took.
    fn own_time(&self) -> Duration {
        self.experience[self.kind].own_time
    }

    /// Whether the answers are there sooner if a worker that takes this long gets one of the tasks.
    fn is_worth_giving(&self, expected: Option<Duration>) -> bool {
        let own = self.own_time();
        let at_it = self.own.map_or(Duration::ZERO, |(_, since)| {
            own.saturating_sub(since.elapsed())
        });
        pace::is_worth_giving(expected, own, at_it, self.todo.len())
    }

    /// A connection is over, or has shown that it is a worker's.
    fn remove_stranger(&mut self, number: u64) {
        self.strangers.retain(|(stranger, _)| *stranger != number);
    }
}

impl Shared {
    /// Notes that a worker has joined (1), left (-1), or failed before it could join (0), and what it
    /// has done.
    fn report_change(&self, name: &str, change: i64, done: Counts, reason: Option<String>) {
        let mut state = self.lock();
        state.workers = state.workers.saturating_add_signed(change);
        let change = WorkerChange {
            name: name.into(),
            workers: state.workers,
            has_joined: change > 0,
            solved: done.segments,
            networks: done.networks,
            reason,
        };
        state.changes.push(change);
        drop(state);
        self.changed.notify_all();
    }

    /// The number of a new connection, which may have to introduce itself first.
    fn admit(&self, stream: &TcpStream) -> std::io::Result<u64> {
        let twin = stream.try_clone()?;
        let mut state = self.lock();
        if state.strangers.len() >= MOST_STRANGERS
            && let Some((_, oldest)) = state.strangers.pop_front()
        {
            let _ = oldest.shutdown(Shutdown::Both);
        }
        state.connections += 1;
        let number = state.connections;
        state.strangers.push_back((number, twin));
        Ok(number)
    }

    /// Waits for a task that is worth giving to a worker with these paces, one for each kind of job;
    /// none when the run ends.
    fn take(&self, paces: &[Pace; KINDS]) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if state.is_closing {
                return None;
            }
            if let Some(content) = state.content.clone().filter(|c| c.set.is_some()) {
                let round = state.experience[state.kind].jobs;
                let expected = paces[state.kind].expected(round);
                if state.is_worth_giving(expected)
                    && let Some(number) = state.todo.pop_front()
                {
                    let since = Instant::now();
                    state.given.insert(number, Given { since, expected });
                    return Some(Task {
                        job: state.job,
                        round,
                        number,
                        content,
                    });
                }
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes what a worker has answered. The first answer counts; all are equal.
    fn put(&self, task: &Task, answer: Result<Answer>) -> Result<()> {
        let mut state = self.lock();
        let is_current = state.job == task.job;
        if is_current {
            state.given.remove(&task.number);
        }
        let put = match answer {
            Ok(answer) if is_current => {
                state.answers.entry(task.number).or_insert(answer);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                // the engine may have taken it over, because it was late
                let is_engines = state.own.is_some_and(|(number, _)| number == task.number);
                if is_current && !is_engines && !state.answers.contains_key(&task.number) {
                    state.todo.push_front(task.number);
                }
                Err(error)
            }
        };
        drop(state);
        self.changed.notify_all();
        put
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
