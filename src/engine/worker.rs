//! `astill work`: computes segments of a run that an engine distils, here or on another machine.

use crate::device;
use crate::distill::{Labels, TrainingSet};
use crate::network::Network;
use crate::tensor_file::Tensors;
use crate::trainer;
use crate::trainer::segment::{Solved, Solver};
use crate::trainer::store::Trajectory;
use crate::wire::{self, Address, FromWorker, Greeting, ToWorker, Welcome};
use astill_core::files::untrusted;
use astill_core::run::list::{RunState, summary};
use astill_core::run::{History, Holder, RunDir};
use astill_core::{Error, Result};
use std::io::ErrorKind;
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tch::{Device, Tensor};

/// How often a worker that came before its engine looks for it.
const LOOK: Duration = Duration::from_millis(500);
/// How long an engine that has ended the connection takes to end.
const FAREWELL: Duration = Duration::from_secs(10);
const LARGEST_ADDRESS: u64 = 4096;

/// Computes segments of `run` until its engine has no more. `data` is where this machine has the
/// folder of data, if not where the run's record says. `say` is told what it waits for.
///
/// # Errors
/// The run is over, and not done; its engine refuses, or is gone; its experts are not here.
pub fn work(
    run: &RunDir,
    data: Option<PathBuf>,
    device: Device,
    say: &mut dyn FnMut(&str),
) -> Result<()> {
    let Some((mut stream, address)) = connect(run, say)? else {
        return Ok(());
    };
    stream.set_nodelay(true).map_err(wire::lost)?;
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
    let welcome = match wire::receive::<ToWorker>(&mut stream, wire::LONGEST)?.0 {
        ToWorker::Welcome(welcome) => welcome,
        ToWorker::Refused(why) => {
            return Err(Error::Usage(format!("the engine takes no help: {why}")));
        }
        ToWorker::End => return Ok(()),
        ToWorker::Set { .. } | ToWorker::Segment { .. } => return Err(surprise()),
    };
    let (net, experts) = match equipment(run, data, &welcome) {
        Ok(found) => found,
        Err(error) => {
            // the engine tells its user
            let _ = wire::send(&mut stream, &FromWorker::Failed(error.to_string()), &[]);
            return Err(error);
        }
    };
    wire::send(&mut stream, &FromWorker::Ready, &[])?;
    say("computing segments");
    let solver = Solver {
        net: net.as_ref(),
        experts: &experts,
        device,
        // segments come in any order
        ahead: None,
    };
    match serve(&mut stream, &solver) {
        // an engine that ends does not wait for what it needs no more
        Err(Error::Network(_)) if has_ended(run) => Ok(()),
        ended => ended,
    }
}

/// A connection to the engine, waiting for it where it is not that far yet; none if the run is done.
fn connect(run: &RunDir, say: &mut dyn FnMut(&str)) -> Result<Option<(TcpStream, Address)>> {
    let path = run.path().join(wire::ADDRESS);
    let mut has_said = false;
    loop {
        match untrusted::read_text(&path, LARGEST_ADDRESS) {
            Ok(text) => {
                let address: Address = serde_json::from_str(&text)
                    .map_err(|e| Error::file(&path, format!("not an engine's address: {e}")))?;
                // an engine that was killed leaves its address behind
                if let Ok(stream) = TcpStream::connect(&address.address) {
                    return Ok(Some((stream, address)));
                }
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("read", &path)(e)),
        }
        match summary(run.clone()).state {
            RunState::Done => return Ok(None),
            RunState::Stopped | RunState::Failed | RunState::Dead => {
                let it = run.reference();
                return Err(Error::Usage(format!(
                    "the run {it} has no engine, so there is nothing to compute; resume it first with \
                     `astill resume {it}`"
                )));
            }
            RunState::Running | RunState::Paused | RunState::Waiting | RunState::Elsewhere => {}
        }
        if !has_said {
            say("waiting for the run to distil with distill.segments above 1");
            has_said = true;
        }
        std::thread::sleep(LOOK);
    }
}

/// Whether the run's engine has reported its end, or does so in a moment.
fn has_ended(run: &RunDir) -> bool {
    let state = || summary(run.clone()).state;
    let begin = Instant::now();
    while run.has_engine() && begin.elapsed() < FAREWELL {
        std::thread::sleep(LOOK);
    }
    matches!(
        state(),
        RunState::Done | RunState::Stopped | RunState::Failed
    )
}

/// The network and the experts of the run.
fn equipment(
    run: &RunDir,
    data: Option<PathBuf>,
    welcome: &Welcome,
) -> Result<(Box<dyn Network>, Vec<Trajectory>)> {
    tch::set_num_threads(welcome.threads);
    let profile = run.read_profile()?;
    device::allow_tf32(profile.network.tf32);
    let net = trainer::network(&profile, welcome.classes, welcome.channels)?;
    let data = match data {
        Some(data) => data,
        None => History::of(run)?.data.unwrap_or_default(),
    };
    let experts = welcome.experts.iter().map(|file| {
        let path: &Path = &data.join(file);
        Trajectory::open(path, welcome.per_epoch)
    });
    Ok((net, experts.collect::<Result<_>>()?))
}

/// Images, labels and student rate that segments are computed for.
struct Given {
    images: Tensor,
    labels: Labels,
    lr: f64,
}

fn serve(stream: &mut TcpStream, solver: &Solver<'_>) -> Result<()> {
    let mut given: Option<Given> = None;
    loop {
        let (message, mut tensors) = wire::receive::<ToWorker>(stream, wire::LONGEST)?;
        match (message, &given) {
            (ToWorker::Set { is_soft }, _) => {
                given = Some(Given::new(is_soft, &mut tensors, solver.device)?);
            }
            (ToWorker::Segment { segment, settings }, Some(given)) => {
                let set = TrainingSet {
                    images: &given.images,
                    labels: &given.labels,
                    lr: given.lr,
                };
                let go_on = &mut |_: crate::progress::Progress<'_>| ControlFlow::Continue(());
                match solver.solve(&settings, segment, &set, go_on) {
                    Ok(unread) => send(stream, unread.read(&[]).0)?,
                    Err(error) => {
                        wire::send(stream, &FromWorker::Failed(error.to_string()), &[])?;
                        return Err(error);
                    }
                }
            }
            (ToWorker::End, _) => return Ok(()),
            (ToWorker::Segment { .. } | ToWorker::Welcome(_) | ToWorker::Refused(_), _) => {
                return Err(surprise());
            }
        }
    }
}

fn send(stream: &mut TcpStream, solved: Solved) -> Result<()> {
    let tensors = wire::outcome_tensors(&solved.outcome);
    let tensors: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, t)| (*name, t)).collect();
    let record = solved.record;
    wire::send(stream, &FromWorker::Solved { record }, &tensors)
}

fn surprise() -> Error {
    Error::Network("the engine sent something else than a worker expects".into())
}

impl Given {
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
}
