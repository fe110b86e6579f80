//! The workers of a run: other processes, here or on other machines, that compute segments of its
//! iterations. Any may come late, be slow or die: what none has computed, the engine computes itself,
//! and the result is the same.

use super::segment::Solved;
use crate::distill::TrainingSet;
use crate::distill::iteration::{Segment, Settings};
use crate::wire::{self, Address, FromWorker, Greeting, ToWorker, Welcome};
use astill_core::files::atomic::write_privately;
use astill_core::run::event::WorkerChange;
use astill_core::run::{EngineLock, Holder};
use astill_core::{Error, Result};
use rand::Rng;
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tch::Tensor;

/// Who has connected says what it wants within this time.
const GREETING: Duration = Duration::from_secs(10);
/// How long the end of a run waits for workers to take their leave.
const FAREWELL: Duration = Duration::from_secs(2);
/// The longest wait between two looks for commands.
const LOOK: Duration = Duration::from_millis(50);
/// A segment that has been out for so many times as long as one takes here, and this time more, is
/// computed here as well.
const OVERDUE: f64 = 4.;
const GRACE: Duration = Duration::from_secs(5);
/// The most connections at a time.
const CONNECTIONS: usize = 1024;

/// The engine's side of its workers, as long as this lives.
#[derive(Debug)]
pub struct Workers {
    shared: Arc<Shared>,
    held: Arc<EngineLock>,
    file: PathBuf,
    address: SocketAddr,
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
    /// Open connections.
    connections: usize,
    /// Counts the jobs, so that nothing of an earlier one is taken for this one's.
    job: u64,
    todo: VecDeque<u64>,
    /// Segments that a worker has, since when.
    out: BTreeMap<u64, Instant>,
    solved: BTreeMap<u64, Solved>,
    content: Option<Arc<Content>>,
    /// How long the engine's own latest segment took.
    own: Duration,
    /// Who has come and gone.
    news: Vec<WorkerChange>,
}

/// What workers get for the segments of one iteration.
#[derive(Debug)]
struct Content {
    seed: u64,
    iteration: u64,
    settings: Settings,
    set: Vec<u8>,
}

/// What the engine does next.
pub enum Next {
    /// Compute this segment itself.
    Solve(u64),
    /// Look for commands, and ask again.
    Wait,
    /// All segments are there, in their order.
    Done(Vec<Solved>),
}

impl Workers {
    /// Listens on `host` (port 0: any that is free) for workers of the run behind `held`, and writes
    /// where into its folder.
    ///
    /// # Errors
    /// Nothing can listen there, or the file cannot be written.
    pub fn listen(held: &Arc<EngineLock>, host: &str, welcome: Welcome) -> Result<Self> {
        let refused = |e| Error::Usage(format!("cannot listen for workers on {host}: {e}"));
        let listener = TcpListener::bind((host, 0)).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let mut random = rand::rng();
        let token = format!("{:016x}{:016x}", random.next_u64(), random.next_u64());
        let file = held.run().path().join(wire::ADDRESS);
        let told = Address {
            // an address that stands for all of this machine's is none to connect to
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
        let workers = Self {
            shared: Arc::clone(&shared),
            held: Arc::clone(held),
            file,
            address,
        };
        std::thread::Builder::new()
            .name("workers".into())
            .spawn(move || accept(&shared, &listener))
            .map_err(Error::io("start a thread for", "workers"))?;
        Ok(workers)
    }

    /// Offers the segments of an iteration to whoever is there.
    ///
    /// # Errors
    /// The images cannot be sent.
    pub fn begin(
        &self,
        (seed, iteration): (u64, u64),
        settings: &Settings,
        set: &TrainingSet<'_>,
    ) -> Result<()> {
        let is_soft = set.labels.is_soft();
        let rate = Tensor::from_slice(&[set.lr]);
        let tensors = [
            ("images", set.images),
            ("labels", set.labels.tensor()),
            ("lr", &rate),
        ];
        let content = Content {
            seed,
            iteration,
            settings: settings.clone(),
            set: wire::frame(&ToWorker::Set { is_soft }, &tensors)?,
        };
        let mut state = self.shared.lock();
        state.job += 1;
        state.todo = (0..settings.segments as u64).collect();
        state.out.clear();
        state.solved.clear();
        state.content = Some(Arc::new(content));
        self.shared.changed.notify_all();
        Ok(())
    }

    /// What the engine does next.
    pub fn next(&self) -> Next {
        let mut state = self.shared.lock();
        if let Some(number) = state.todo.pop_front() {
            return Next::Solve(number);
        }
        let count = state.content.as_ref().map_or(0, |c| c.settings.segments);
        if state.solved.len() == count {
            state.content = None;
            let solved = std::mem::take(&mut state.solved);
            return Next::Done(solved.into_values().collect());
        }
        let patience = state.own.mul_f64(OVERDUE) + GRACE;
        let overdue = state
            .out
            .iter()
            .find(|(_, since)| since.elapsed() > patience);
        if let Some((&number, _)) = overdue {
            state.out.remove(&number);
            return Next::Solve(number);
        }
        drop(self.shared.changed.wait_timeout(state, LOOK));
        Next::Wait
    }

    /// Takes a segment that the engine has computed in this time.
    pub fn put(&self, number: u64, solved: Solved, time: Duration) {
        let mut state = self.shared.lock();
        state.own = time;
        state.solved.entry(number).or_insert(solved);
    }

    /// Drops the iteration that was begun.
    pub fn cancel(&self) {
        let mut state = self.shared.lock();
        state.job += 1;
        state.todo.clear();
        state.content = None;
    }

    /// Who has come and gone since this was asked last.
    pub fn news(&self) -> Vec<WorkerChange> {
        std::mem::take(&mut self.shared.lock().news)
    }
}

impl Workers {
    /// Sends everybody home, and waits a moment for that; who has come and gone since
    /// [`Self::news`].
    pub fn close(&self) -> Vec<WorkerChange> {
        let mut state = self.shared.lock();
        state.is_closing = true;
        state.content = None;
        self.shared.changed.notify_all();
        let are_there = |state: &mut State| state.workers > 0;
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, FAREWELL, are_there);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.news)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closing = true;
        state.content = None;
        drop(state);
        self.shared.changed.notify_all();
        // wakes the one who waits for connections
        let _ = TcpStream::connect(self.address);
        if self.held.check().is_ok() {
            let _ = std::fs::remove_file(&self.file);
        }
    }
}

impl Shared {
    /// Notes that a worker has come (1) or gone (-1), having solved so many segments.
    fn tell(&self, name: &str, change: i64, solved: u64, reason: Option<String>) {
        let mut state = self.lock();
        state.workers = state.workers.saturating_add_signed(change);
        let news = WorkerChange {
            name: name.into(),
            workers: state.workers,
            has_joined: change > 0,
            solved,
            reason,
        };
        state.news.push(news);
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for stream in listener.incoming() {
        let mut state = shared.lock();
        if state.is_closing {
            return;
        }
        let Ok(stream) = stream else {
            drop(state);
            // there are too many open files, for example
            std::thread::sleep(LOOK);
            continue;
        };
        if state.connections >= CONNECTIONS {
            continue;
        }
        state.connections += 1;
        drop(state);
        let own = Arc::clone(shared);
        let serve = move || {
            serve(&own, stream);
            own.lock().connections -= 1;
        };
        let begun = std::thread::Builder::new()
            .name("worker".into())
            .spawn(serve);
        if begun.is_err() {
            shared.lock().connections -= 1;
        }
    }
}

/// One worker, from its greeting to its end.
fn serve(shared: &Shared, mut stream: TcpStream) {
    let Ok(name) = greet(shared, &mut stream) else {
        return;
    };
    shared.tell(&name, 1, 0, None);
    let mut solved = 0;
    let ended = hand_out(shared, &mut stream, &mut solved);
    shared.tell(
        &name,
        -1,
        solved,
        ended.err().map(|error| error.to_string()),
    );
}

/// The name of a worker that has proved that it may be one.
fn greet(shared: &Shared, stream: &mut TcpStream) -> Result<String> {
    stream
        .set_read_timeout(Some(GREETING))
        .map_err(wire::lost)?;
    stream.set_nodelay(true).map_err(wire::lost)?;
    // a machine that has lost its power says nothing
    rustix::net::sockopt::set_socket_keepalive(&*stream, true)
        .and_then(|()| rustix::net::sockopt::set_tcp_keepidle(&*stream, GREETING))
        .and_then(|()| rustix::net::sockopt::set_tcp_keepintvl(&*stream, GREETING))
        .map_err(|e| wire::lost(e.into()))?;
    let (greeting, _) = wire::receive::<Greeting>(stream, wire::LONGEST_GREETING)?;
    let own = env!("CARGO_PKG_VERSION");
    let refusal = if greeting.token != shared.token {
        Some("this is not the token in the run's folder".to_string())
    } else if greeting.version != own {
        let other = &greeting.version;
        Some(format!("its version is {other}, and the engine's {own}"))
    } else {
        None
    };
    if let Some(refusal) = refusal {
        wire::send(stream, &ToWorker::Refused(refusal.clone()), &[])?;
        return Err(Error::Usage(refusal));
    }
    let welcome = ToWorker::Welcome(shared.welcome.clone());
    wire::send(stream, &welcome, &[])?;
    stream.set_read_timeout(None).map_err(wire::lost)?;
    match wire::receive(stream, wire::LONGEST)?.0 {
        FromWorker::Ready => Ok(greeting.name),
        FromWorker::Failed(why) => Err(Error::Usage(why)),
        FromWorker::Solved { .. } => Err(Error::Usage("it solved what it was not given".into())),
    }
}

/// Gives a worker one segment after the other, until all is over.
fn hand_out(shared: &Shared, stream: &mut TcpStream, solved: &mut u64) -> Result<()> {
    let mut sent = 0;
    while let Some((job, number, content)) = take(shared) {
        if sent != job {
            stream.write_all(&content.set).map_err(wire::lost)?;
            sent = job;
        }
        let answer = solve(stream, number, &content);
        *solved += u64::from(answer.is_ok());
        let mut state = shared.lock();
        let mut problem = None;
        if state.job == job {
            state.out.remove(&number);
        }
        match answer {
            Ok(solved) if state.job == job => drop(state.solved.entry(number).or_insert(solved)),
            Ok(_) => {}
            Err(error) => {
                if state.job == job && !state.solved.contains_key(&number) {
                    state.todo.push_front(number);
                }
                problem = Some(error);
            }
        }
        drop(state);
        shared.changed.notify_all();
        if let Some(error) = problem {
            return Err(error);
        }
    }
    wire::send(stream, &ToWorker::End, &[])
}

/// Has a worker compute a segment.
fn solve(stream: &mut TcpStream, number: u64, content: &Content) -> Result<Solved> {
    let segment = Segment {
        seed: content.seed,
        iteration: content.iteration,
        number,
    };
    let settings = content.settings.clone();
    wire::send(stream, &ToWorker::Segment { segment, settings }, &[])?;
    let (message, mut tensors) = wire::receive::<FromWorker>(stream, wire::LONGEST)?;
    match message {
        FromWorker::Solved { record } => Ok(Solved {
            record,
            outcome: wire::outcome(&mut tensors)?,
        }),
        FromWorker::Failed(why) => Err(Error::Network(why)),
        FromWorker::Ready => Err(Error::Network("it answered something else".into())),
    }
}

/// Waits for a segment that nobody has; none when all is over.
fn take(shared: &Shared) -> Option<(u64, u64, Arc<Content>)> {
    let mut state = shared.lock();
    loop {
        if state.is_closing {
            return None;
        }
        if let Some(content) = state.content.clone()
            && let Some(number) = state.todo.pop_front()
        {
            state.out.insert(number, Instant::now());
            return Some((state.job, number, content));
        }
        state = shared
            .changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner);
    }
}
