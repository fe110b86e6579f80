use super::connection::GREETING_TIMEOUT;
use super::*;
use crate::distill::Labels;
use crate::distill::found::Outcome;
use crate::distill::iteration::{Segment, Settings, Start, Starts};
use crate::distill::perturb::PerturbationStatistics;
use crate::network::{self, Network, Weights};
use crate::trainer::segment::Solved;
use crate::wire::{FromWorker, Greeting};
use astill_core::profile::Profile;
use astill_core::run::RunDir;
use astill_core::run::event::SegmentStep;
use std::io::Read;
use std::net::SocketAddr;
use tch::{Device, Kind};

const SIZE: [i64; 4] = [2, 1, 4, 4];
const EXPERTS: u64 = 3;

fn settings(segments: usize) -> Settings {
    Settings {
        starts: Starts::before(2),
        segments,
        ..Settings::plain()
    }
}

fn convnet() -> Result<Box<dyn Network>> {
    let settings = Profile::default().network;
    let task = network::Task {
        channels: 1,
        size: 16,
        classes: 2,
    };
    network::build(settings.kind, &settings, task)
}

/// An answer to the segment of this number of the first iteration.
fn solved(settings: &Settings, number: u64) -> Solved {
    let segment = Segment {
        number,
        ..Segment::first(7, 0)
    };
    let start = Start::draw(settings, segment, EXPERTS);
    Solved {
        record: SegmentStep {
            expert: start.expert,
            mirrored: start.mirrored,
            start_epoch: start.epoch as u64,
            start_part: start.part as u64,
            ..SegmentStep::default()
        },
        outcome: Outcome {
            matching_loss: number as f64,
            final_ratio: 1.,
            intermediate: Vec::new(),
            reach: 1.,
            alignment: 1.,
            balance_factor: 1.,
            perturbation: PerturbationStatistics {
                relative: 0.,
                per_layer: Vec::new(),
            },
            gradient: Tensor::ones(SIZE, (Kind::Float, Device::Cpu)),
            label_gradient: None,
            image_gradient: 1.,
            lr_gradient: 1.,
            curvature: 1.,
            nearest: 1.,
        },
    }
}

/// A server of a run in a folder of its own.
struct Served {
    server: WorkerServer,
    address: SocketAddr,
    run: RunDir,
    _runs: tempfile::TempDir,
}

fn served() -> Result<Served> {
    let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
    let (run, lock) = RunDir::create(runs.path(), "p", None, "")?;
    let listener = Listener::bind(None)?;
    let address = listener.socket.local_addr().map_err(wire::lost)?;
    let expert = wire::ExpertFile {
        path: "e".into(),
        epochs: 3,
        weights: String::new(),
    };
    let welcome = Welcome {
        profile: String::new(),
        classes: 2,
        channels: 1,
        threads: Some(1),
        experts: vec![expert; EXPERTS as usize],
    };
    let server = WorkerServer::start(&Arc::new(lock), listener, welcome)?;
    Ok(Served {
        server,
        address,
        run,
        _runs: runs,
    })
}

impl Served {
    /// A connection that has greeted with this token and version.
    fn greeted(&self, token: &str, version: &str) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address).map_err(wire::lost)?;
        let greeting = Greeting {
            token: token.into(),
            version: version.into(),
            name: "w".into(),
        };
        wire::send(&mut stream, &greeting, &[])?;
        Ok(stream)
    }

    fn token(&self) -> &str {
        &self.server.shared.token
    }

    /// A worker that has joined.
    fn worker(&self) -> Result<TcpStream> {
        let mut stream = self.greeted(self.token(), env!("CARGO_PKG_VERSION"))?;
        let welcome = wire::receive::<ToWorker>(&mut stream, wire::LONGEST)?.0;
        assert!(matches!(welcome, ToWorker::Welcome(_)));
        wire::send(&mut stream, &FromWorker::Ready, &[])?;
        self.wait_for_change();
        Ok(stream)
    }

    /// Waits until a worker has come or gone.
    fn wait_for_change(&self) -> WorkerChange {
        let state = self.server.shared.lock();
        let is_waiting = |state: &mut State| state.changes.is_empty();
        let changed = self.server.shared.changed.wait_while(state, is_waiting);
        let mut state = changed.unwrap_or_else(PoisonError::into_inner);
        state.changes.remove(0)
    }

    /// Offers a job on a set of two images.
    fn offer(&self, job: impl FnOnce(&TrainingSet<'_>) -> Job) -> Result<()> {
        let images = Tensor::zeros(SIZE, (Kind::Float, Device::Cpu));
        let labels = Labels::in_class_order(2, 1);
        let set = TrainingSet {
            images: &images,
            labels: &labels,
            lr: 0.1,
        };
        self.server.begin(job(&set), &set)
    }

    /// Offers the first iteration with these settings.
    fn begin(&self, settings: &Settings) -> Result<()> {
        self.offer(|set| Job::Segments(Segments::new((7, 0), settings, set)))
    }

    /// Offers an evaluation with two networks.
    fn begin_networks(&self, net: &dyn Network) -> Result<()> {
        let tasks = [0, 1].map(|repeat| wire::NetworkTask {
            network: "convnet".into(),
            index: [0, 0, repeat],
        });
        self.offer(|_| Job::Networks(Networks::new(net, tasks.to_vec())))
    }
}

fn refusal(stream: &mut TcpStream) -> Result<String> {
    match wire::receive::<ToWorker>(stream, wire::LONGEST)?.0 {
        ToWorker::Refused(why) => Ok(why),
        other => panic!("{other:?}"),
    }
}

/// The number of the segment that a worker is given.
fn given(stream: &mut TcpStream) -> Result<u64> {
    loop {
        match wire::receive::<ToWorker>(stream, wire::LONGEST)?.0 {
            ToWorker::Segment { segment, .. } => return Ok(segment.number),
            ToWorker::Network(task) => return Ok(task.index[2]),
            ToWorker::Set { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

fn answer(stream: &mut TcpStream, solved: Solved) -> Result<()> {
    let tensors = wire::outcome_tensors(&solved.outcome);
    let tensors: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, t)| (*name, t)).collect();
    let record = solved.record;
    wire::send(stream, &FromWorker::Solved { record }, &tensors)
}

#[test]
fn a_stranger_is_refused_without_a_word_in_the_record_and_a_worker_with_one() -> Result<()> {
    let served = served()?;
    let version = env!("CARGO_PKG_VERSION");
    let mut stranger = served.greeted("guessed", version)?;
    assert!(refusal(&mut stranger)?.contains("not the token"));
    let mut older = served.greeted(served.token(), "0.0.1")?;
    assert!(refusal(&mut older)?.contains("its version is 0.0.1"));
    // it is the only change
    let change = served.wait_for_change();
    assert!(!change.has_joined && change.workers == 0);
    assert!(change.reason.is_some_and(|why| why.contains("0.0.1")));
    // one that cannot compute says why
    let mut failing = served.greeted(served.token(), version)?;
    wire::send(&mut failing, &FromWorker::Failed("no data".into()), &[])?;
    assert_eq!(served.wait_for_change().reason, Some("no data".into()));
    assert!(served.server.changes().is_empty());
    Ok(())
}

#[test]
fn many_silent_connections_keep_no_worker_out() -> Result<()> {
    let served = served()?;
    let silent: Vec<TcpStream> = (0..3 * MOST_STRANGERS)
        .map(|_| TcpStream::connect(served.address).map_err(wire::lost))
        .collect::<Result<_>>()?;
    served.worker()?;
    // the oldest were closed for the others
    let mut first = &silent[0];
    assert!(matches!(first.read(&mut [0]), Ok(0) | Err(_)));
    assert!(served.server.shared.lock().strangers.len() <= MOST_STRANGERS);
    Ok(())
}

#[test]
fn segments_are_shared_and_come_back_in_their_order() -> Result<()> {
    let served = served()?;
    let mut worker = served.worker()?;
    let settings = settings(2);
    served.begin(&settings)?;
    let number = given(&mut worker)?;
    let Next::Compute(own) = served.server.next() else {
        panic!("the engine gets the other one");
    };
    assert_eq!(own + number, 1);
    answer(&mut worker, solved(&settings, number))?;
    served
        .server
        .put(own, Answer::Segment(solved(&settings, own)));
    let all = loop {
        match served.server.next() {
            // the answer is on its way, or the engine is ahead of it
            Next::Wait => {}
            Next::Compute(number) => {
                let solved = solved(&settings, number);
                served.server.put(number, Answer::Segment(solved));
            }
            Next::Done(all) => break all,
        }
    };
    let losses = all.iter().filter_map(|answer| match answer {
        Answer::Segment(solved) => Some(solved.outcome.matching_loss),
        Answer::Network(_) => None,
    });
    let losses: Vec<f64> = losses.collect();
    assert_eq!(losses, [0., 1.]);
    Ok(())
}

#[test]
fn an_answer_that_does_not_fit_costs_the_worker_and_not_the_run() -> Result<()> {
    let settings = settings(1);
    let right = || solved(&settings, 0);
    let zeros = |size: &[i64], kind| Tensor::zeros(size, (kind, Device::Cpu));
    let mut wrong = [right(), right(), right(), right()];
    wrong[0].outcome.gradient = zeros(&[2, 1, 4, 5], Kind::Float);
    wrong[1].outcome.gradient = zeros(&SIZE, Kind::Double);
    wrong[2].outcome.label_gradient = Some(zeros(&[2, 2], Kind::Float));
    wrong[3].record.expert += 1;
    for wrong in wrong {
        let served = served()?;
        let mut worker = served.worker()?;
        served.begin(&settings)?;
        assert_eq!(given(&mut worker)?, 0);
        answer(&mut worker, wrong)?;
        let change = served.wait_for_change();
        assert!(
            change
                .reason
                .is_some_and(|why| why.starts_with("it answered")),
            "it is lost"
        );
        assert!(matches!(served.server.next(), Next::Compute(0)));
    }
    Ok(())
}

/// What a worker answers that has trained a network to weights of this size, all equal.
fn answer_weights(stream: &mut TcpStream, size: i64, value: f64) -> Result<()> {
    let weights = Weights {
        theta: Tensor::full([size], value, (Kind::Float, Device::Cpu)),
        running: Tensor::zeros([0], (Kind::Float, Device::Cpu)),
    };
    wire::send(
        stream,
        &FromWorker::Trained,
        &wire::weight_tensors(&weights),
    )
}

#[test]
fn networks_of_an_evaluation_are_shared_and_come_back_in_their_order() -> Result<()> {
    let served = served()?;
    let mut worker = served.worker()?;
    let net = convnet()?;
    served.begin_networks(net.as_ref())?;
    let number = given(&mut worker)?;
    answer_weights(&mut worker, net.parameters(), number as f64)?;
    let all = loop {
        match served.server.next() {
            Next::Wait => {}
            Next::Compute(number) => {
                let size = [net.parameters()];
                let theta = Tensor::full(size, number as f64, (Kind::Float, Device::Cpu));
                let running = net.init_running();
                let weights = Weights { theta, running };
                served.server.put(number, Answer::Network(weights));
            }
            Next::Done(all) => break all,
        }
    };
    let values = all.iter().filter_map(|answer| match answer {
        Answer::Network(weights) => Some(weights.theta.double_value(&[0])),
        Answer::Segment(_) => None,
    });
    assert_eq!(values.collect::<Vec<f64>>(), [0., 1.]);
    Ok(())
}

#[test]
fn weights_of_another_network_and_answers_of_another_kind_cost_the_worker() -> Result<()> {
    let net = convnet()?;
    for is_segment in [false, true] {
        let served = served()?;
        let mut worker = served.worker()?;
        served.begin_networks(net.as_ref())?;
        given(&mut worker)?;
        match is_segment {
            true => answer(&mut worker, solved(&settings(1), 0))?,
            false => answer_weights(&mut worker, net.parameters() + 1, 0.)?,
        }
        let change = served.wait_for_change();
        let why = change.reason.unwrap_or_default();
        assert!(why.starts_with("it answered"), "{why}");
    }
    Ok(())
}

#[test]
fn where_it_listens_is_written_for_its_user_alone_and_removed_at_the_end() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let served = served()?;
    let file = served.run.path().join(wire::ADDRESS);
    let found = file.metadata().map_err(Error::io("inspect", &file))?;
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    let begin = Instant::now();
    drop(served.server);
    assert!(!file.exists() && begin.elapsed() < GREETING_TIMEOUT);
    assert!(TcpStream::connect(served.address).is_err());
    Ok(())
}
