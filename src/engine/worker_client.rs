//! `astill work`: computes segments and trains networks for the engine of a run, here or on another
//! machine.

use crate::device;
use crate::distill::evaluate::{self, Course};
use crate::distill::{Labels, TrainingSet};
use crate::network::{Network, Weights};
use crate::progress::Progress;
use crate::tensor_file::Tensors;
use crate::threads;
use crate::trainer;
use crate::trainer::segment::{Solved, Solver};
use crate::trainer::store::Trajectory;
use crate::wire::{
    self, Address, ExpertFile, FromWorker, Greeting, NetworkTask, ToWorker, Welcome,
};
use astill_core::files::untrusted;
use astill_core::profile::Profile;
use astill_core::run::list::{RunState, summary};
use astill_core::run::{EngineAt, History, Holder, RunDir, inbox};
use astill_core::{Error, Result};
use std::io::ErrorKind;
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};
use tch::{Device, Tensor};

/// How often a worker looks whether there is something new.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an engine may be out of reach, or show no sign of life, before a worker gives up: network
/// file systems may be a minute late.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long the end of a run takes to appear in its record after the connection has ended: on this
/// machine, and through a network file system.
const END_HERE: Duration = Duration::from_secs(10);
const END_ELSEWHERE: Duration = Duration::from_secs(90);
const LARGEST_ADDRESS: u64 = 4096;

/// Who computes for which run.
#[derive(Debug, Clone, Copy)]
pub struct Worker<'a> {
    pub run: &'a RunDir,
    /// Where this machine has the folder of data, if not where the run's record says.
    pub data: Option<&'a Path>,
    pub device: Device,
    /// It has seen the run's engine already, so a run that has none now has ended.
    pub has_seen_engine: bool,
}

/// Computes for a run until its engine has no more to do, however the run ends. `report` is told what
/// the worker waits for.
///
/// # Errors
/// The run shares nothing, or has no engine; its engine refuses, cannot be reached, or is gone
/// without having reported its end; this machine has other experts.
pub fn work(worker: &Worker<'_>, report: &mut dyn FnMut(&str)) -> Result<()> {
    let Worker { run, device, .. } = *worker;
    check_shared(run)?;
    let Some((mut stream, address)) = connect(worker, report)? else {
        return Ok(());
    };
    wire::prepare(&stream)?;
    let holder = Holder::this();
    let process = holder.process.unwrap_or_default();
    let greeting = Greeting {
        token: address.token,
        version: env!("CARGO_PKG_VERSION").into(),
        name: format!(
            "{} process {process} on {}",
            holder.host,
            device::name(device)
        ),
    };
    wire::send(&mut stream, &greeting, &[])?;
    let welcome = match wire::receive::<ToWorker>(&mut stream, wire::LONGEST_WELCOME)?.0 {
        ToWorker::Welcome(welcome) => welcome,
        ToWorker::Refused(why) => {
            return Err(Error::Usage(format!(
                "the engine refused this worker: {why}"
            )));
        }
        ToWorker::End => return Ok(()),
        ToWorker::Set { .. } | ToWorker::Segment { .. } | ToWorker::Network(_) => {
            return Err(unexpected_message());
        }
    };
    let equipment = match Equipment::find(run, worker.data, &welcome) {
        Ok(found) => found,
        Err(error) => {
            // the engine tells its user
            let _ = wire::send(&mut stream, &FromWorker::Failed(error.to_string()), &[]);
            return Err(error);
        }
    };
    wire::send(&mut stream, &FromWorker::Ready, &[])?;
    report("computing for the run");
    match serve(&mut stream, &equipment, device) {
        // an engine that ends does not wait for what it does not need any more
        Err(Error::Network(_)) if has_ended(run) => Ok(()),
        ended => ended,
    }
}

/// # Errors
/// [`Error::Usage`] if the updates of a run have one segment only, and its engine serves no workers.
fn check_shared(run: &RunDir) -> Result<()> {
    match run.read_profile()?.distill.segments {
        1 if !run.path().join(wire::ADDRESS).exists() => Err(Error::Usage(format!(
            "the updates of the run {} have one segment (distill.segments is 1), so there is nothing to \
             share: only a new run can have more, for example with --set distill.segments=4",
            run.reference()
        ))),
        _ => Ok(()),
    }
}

/// A connection to the engine, waiting for it where it is not that far yet; none if the run ends
/// meanwhile, or is done.
fn connect(
    worker: &Worker<'_>,
    report: &mut dyn FnMut(&str),
) -> Result<Option<(TcpStream, Address)>> {
    let run = worker.run;
    let path = run.path().join(wire::ADDRESS);
    let mut has_waited = false;
    let mut unreachable: Option<Instant> = None;
    let mut life = SignsOfLife::new(run);
    loop {
        match untrusted::read_text(&path, LARGEST_ADDRESS) {
            Ok(text) => {
                let address: Address = serde_json::from_str(&text)
                    .map_err(|e| Error::file(&path, format!("not an engine's address: {e}")))?;
                match reach(&address.address) {
                    Ok(stream) => return Ok(Some((stream, address))),
                    // an engine that was killed leaves its address behind
                    Err(problem) if summary(run.clone()).state.may_have_engine() => {
                        let since = *unreachable.get_or_insert_with(Instant::now);
                        // a new engine may have to wait for the lock of one that has failed
                        let is_hopeless = match worker.has_seen_engine {
                            true => since.elapsed() > 2 * PATIENCE,
                            false => {
                                is_of_another_machine(run, &address) || since.elapsed() > PATIENCE
                            }
                        };
                        if is_hopeless {
                            return Err(out_of_reach(run, &address, &problem));
                        }
                    }
                    Err(_) => {}
                }
            }
            Err(e) if e.kind() == ErrorKind::NotFound => unreachable = None,
            Err(e) => return Err(Error::io("read", &path)(e)),
        }
        let found = summary(run.clone());
        match found.state {
            RunState::Done => return Ok(None),
            RunState::Stopped | RunState::Failed if has_waited || worker.has_seen_engine => {
                return Ok(None);
            }
            RunState::Stopped | RunState::Failed | RunState::Dead => {
                let it = run.reference();
                return Err(Error::Usage(format!(
                    "the run {it} has no engine, so there is nothing to compute; resume it first with \
                     `astill resume {it}`"
                )));
            }
            RunState::Elsewhere if life.are_missing(run) => {
                return Err(Error::Usage(format!(
                    "{}, and there was no sign of it for {} minutes; if it is gone, resume the run with \
                     `astill resume {}`",
                    found.doubt(),
                    PATIENCE.as_secs() / 60,
                    run.reference()
                )));
            }
            RunState::Running | RunState::Paused | RunState::Waiting | RunState::Elsewhere => {}
        }
        if !has_waited {
            report("waiting for the run to have all its experts");
            has_waited = true;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// What an engine shows of itself where its lock is not visible: new events, and the file that it
/// touches while it reads commands.
struct SignsOfLife {
    events: u64,
    since: Instant,
}

impl SignsOfLife {
    fn new(run: &RunDir) -> Self {
        Self {
            events: length_of_events(run),
            since: Instant::now(),
        }
    }

    /// Whether there have been none for long.
    fn are_missing(&mut self, run: &RunDir) -> bool {
        let events = length_of_events(run);
        if events != self.events || (self.since.elapsed() > PATIENCE && inbox::is_read(run)) {
            *self = Self {
                events,
                since: Instant::now(),
            };
        }
        self.since.elapsed() > PATIENCE
    }
}

fn length_of_events(run: &RunDir) -> u64 {
    std::fs::metadata(run.events()).map_or(0, |found| found.len())
}

/// Connects to "HOST:PORT".
fn reach(address: &str) -> std::io::Result<TcpStream> {
    let mut problem = ErrorKind::AddrNotAvailable.into();
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => problem = error,
        }
    }
    Err(problem)
}

/// Whether only processes of the engine's machine can connect to it, and this is another one. Through a
/// tunnel they can, too.
fn is_of_another_machine(run: &RunDir, address: &Address) -> bool {
    let host = address
        .address
        .rsplit_once(':')
        .map_or("", |(host, _)| host);
    let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    ip.is_some_and(|ip| ip.is_loopback())
        && matches!(run.engine(), EngineAt::Host(_) | EngineAt::MaybeRemote(_))
}

fn out_of_reach(run: &RunDir, address: &Address, problem: &std::io::Error) -> Error {
    let (it, address) = (run.reference(), &address.address);
    Error::Usage(format!(
        "the engine of the run {it} cannot be reached at {address} ({problem}): resume the run with \
         --listen and an address that this machine reaches, or forward that port to its machine, for \
         example with `ssh -L`"
    ))
}

/// Whether the run's engine has reported its end, or does so in a moment.
fn has_ended(run: &RunDir) -> bool {
    let begin = Instant::now();
    loop {
        let patience = match summary(run.clone()).state {
            RunState::Done | RunState::Stopped | RunState::Failed => return true,
            RunState::Dead => return false,
            RunState::Running | RunState::Paused | RunState::Waiting => END_HERE,
            RunState::Elsewhere => END_ELSEWHERE,
        };
        if begin.elapsed() > patience {
            return false;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// What a worker computes with.
struct Equipment {
    profile: Profile,
    net: Box<dyn Network>,
    experts: Vec<Trajectory>,
    /// Those that evaluate, with their names in the profile.
    networks: Vec<(String, Box<dyn Network>)>,
}

impl Equipment {
    fn find(run: &RunDir, data: Option<&Path>, welcome: &Welcome) -> Result<Self> {
        if let Some(threads) = welcome.threads {
            threads::check_for(threads.into())?;
            tch::set_num_threads(threads);
        }
        let profile =
            Profile::from_resolved(&welcome.profile, &run.profile()).map_err(Error::Profile)?;
        device::allow_tf32(profile.network.tf32);
        let (classes, channels) = (welcome.classes, welcome.channels);
        let net = trainer::network(&profile, classes, channels)?;
        let networks = trainer::evaluation_networks(&profile, classes, channels)?;
        let data = match data {
            Some(data) => data.to_path_buf(),
            None => History::of(run)?.data.unwrap_or_default(),
        };
        let per_epoch = profile.expert.per_epoch;
        let experts = welcome
            .experts
            .iter()
            .zip(0..)
            .map(|(expert, index)| {
                let found = open(&data, expert, per_epoch)?;
                match found.has_all(&profile.checkpoints_read(index)) {
                    true => Ok(found),
                    false => Err(Error::file(
                        data.join(&expert.path),
                        "lacks checkpoints that the run reads (expert.keep: needed of another run); copy the \
                         engine's trajectories here, or share its folder of data",
                    )),
                }
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            profile,
            net,
            experts,
            networks,
        })
    }

    /// Trains a network of an evaluation on `set`.
    fn train(&self, task: &NetworkTask, set: &TrainingSet<'_>) -> Result<Weights> {
        let named = self.networks.iter().find(|(name, _)| *name == task.network);
        let (_, net) = named.ok_or_else(unexpected_message)?;
        let Profile { evaluate, seed, .. } = &self.profile;
        let course = Course {
            epochs: evaluate.epochs,
            augment: self.profile.augmentation(),
        };
        evaluate::train(net.as_ref(), set, course, *seed, &task.index, &mut go_on)
    }
}

/// A worker is ended from outside.
fn go_on(_: Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// An expert of the run.
///
/// # Errors
/// It is not in this folder of data, or that has another one.
fn open(data: &Path, expert: &ExpertFile, per_epoch: usize) -> Result<Trajectory> {
    let path = data.join(&expert.path);
    let found = Trajectory::open(&path, per_epoch)?;
    let (there, wanted) = (found.epochs().len(), expert.epochs);
    if there < wanted {
        let problem = format!("has {there} of the {wanted} epochs that the run uses");
        return Err(Error::file(path, problem));
    }
    match found.hash_after(wanted)? == expert.weights {
        true => Ok(found),
        false => Err(Error::file(
            path,
            "is another expert than the engine's, so this worker's results would differ: the bits of an \
             expert depend on the machine and the number of threads that trained it; copy the engine's \
             trajectories here, or share its folder of data",
        )),
    }
}

/// What everything is computed for: images, labels, and the rate of the student or of the networks.
struct ReceivedSet {
    images: Tensor,
    labels: Labels,
    lr: f64,
}

fn serve(stream: &mut TcpStream, equipment: &Equipment, device: Device) -> Result<()> {
    let solver = Solver {
        net: equipment.net.as_ref(),
        experts: &equipment.experts,
        device,
        // segments come in any order
        ahead: None,
    };
    let mut received: Option<ReceivedSet> = None;
    loop {
        let (message, mut tensors) = wire::receive::<ToWorker>(stream, wire::LONGEST)?;
        let set = received.as_ref().map(ReceivedSet::training_set);
        let sent = match (message, set) {
            (ToWorker::Set { is_soft }, _) => {
                received = Some(ReceivedSet::new(is_soft, &mut tensors, device)?);
                continue;
            }
            (ToWorker::Segment { segment, settings }, Some(set)) => solver
                .solve(&settings, segment, &set, &mut go_on)
                .and_then(|unread| send_solved(stream, unread.read())),
            (ToWorker::Network(task), Some(set)) => {
                equipment.train(&task, &set).and_then(|weights| {
                    let weights = weights.to_device(Device::Cpu);
                    wire::send(
                        stream,
                        &FromWorker::Trained,
                        &wire::weight_tensors(&weights),
                    )
                })
            }
            (ToWorker::End, _) => return Ok(()),
            (
                ToWorker::Segment { .. }
                | ToWorker::Network(_)
                | ToWorker::Welcome(_)
                | ToWorker::Refused(_),
                _,
            ) => return Err(unexpected_message()),
        };
        if let Err(error) = sent {
            // where the engine still listens, it tells its user
            let _ = wire::send(stream, &FromWorker::Failed(error.to_string()), &[]);
            return Err(error);
        }
    }
}

fn send_solved(stream: &mut TcpStream, solved: Solved) -> Result<()> {
    let tensors = wire::outcome_tensors(&solved.outcome);
    let tensors: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, t)| (*name, t)).collect();
    let record = solved.record;
    wire::send(stream, &FromWorker::Solved { record }, &tensors)
}

fn unexpected_message() -> Error {
    Error::Network("the engine sent an unexpected message".into())
}

impl ReceivedSet {
    fn new(is_soft: bool, tensors: &mut Tensors, device: Device) -> Result<Self> {
        let labels = wire::tensor(tensors, "labels")?.to_device(device);
        let lr = wire::numbers(tensors, "lr")?;
        Ok(Self {
            images: wire::tensor(tensors, "images")?.to_device(device),
            labels: match is_soft {
                true => Labels::Soft(labels),
                false => Labels::Hard(labels),
            },
            lr: lr.first().copied().unwrap_or(f64::NAN),
        })
    }

    fn training_set(&self) -> TrainingSet<'_> {
        TrainingSet {
            images: &self.images,
            labels: &self.labels,
            lr: self.lr,
        }
    }
}
