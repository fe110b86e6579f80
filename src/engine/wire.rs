//! What an engine and the workers that compute for it say to each other: messages in JSON, each with
//! the tensors that belong to it. docs/protocol.md describes them.
//!
//! A frame is its length (u64, little-endian) and a safetensors file of that length, with the message
//! as its metadata. Numbers of a result are tensors too, so that every bit arrives.

use crate::distill::found::Outcome;
use crate::distill::iteration::{Segment, Settings};
use crate::distill::perturb::PerturbationStatistics;
use crate::network::Weights;
use crate::tensor_file::{self, Tensors};
use astill_core::run::event::SegmentStep;
use astill_core::{Error, Result};
use rustix::net::sockopt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tch::Tensor;

/// The file in the run's folder that says where its engine listens.
pub const ADDRESS: &str = "workers.json";
/// No frame is longer, in bytes.
pub const LONGEST: u64 = 16 << 30;
/// Nor are a greeting, a message without tensors, and a welcome.
pub const LONGEST_GREETING: u64 = 1 << 16;
pub const LONGEST_WELCOME: u64 = 1 << 24;
/// A machine that has lost its power, or its network, says nothing. After this time without a packet
/// it is asked whether it is there, this often, and again after as long …
const ASKED_AFTER: Duration = Duration::from_secs(10);
const ASKED_TIMES: u32 = 6;
/// … and so long may it leave what was sent unconfirmed.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(60);

const MESSAGE: &str = "message";
const NUMBERS: usize = 9;

/// Where an engine listens, and what proves that a worker may read the run's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    pub address: String,
    pub token: String,
}

/// The first message of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    pub token: String,
    pub version: String,
    /// Where it runs, for people.
    pub name: String,
}

/// What an engine says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToWorker {
    /// What the worker is to compute with.
    Welcome(Welcome),
    /// Why it cannot help.
    Refused(String),
    /// The images (n, C, H, W) and labels that everything is computed for from here on, with the
    /// rate of the student or of the networks.
    Set {
        is_soft: bool,
    },
    Segment {
        segment: Segment,
        settings: Settings,
    },
    Network(NetworkTask),
    /// There is nothing more to do.
    End,
}

/// A network of an evaluation, which learns from the set alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkTask {
    /// Its name in the profile, which says how it is trained.
    pub network: String,
    /// What names its random numbers.
    pub index: [u64; 3],
}

/// Everything that a result depends on, except for what comes with the tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The engine's own, with every key, as YAML: the file in the run's folder may have been edited.
    pub profile: String,
    pub classes: usize,
    pub channels: i64,
    /// Intra-op threads of an engine on a CPU: sums depend on their number.
    pub threads: Option<i32>,
    pub experts: Vec<ExpertFile>,
}

/// An expert of the run, and what shows that a worker has the same one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpertFile {
    /// Below the folder of data if it is there.
    pub path: PathBuf,
    /// How many of its epochs the run uses; the file may hold more.
    pub epochs: usize,
    /// The BLAKE3 hash of the weights after these epochs, which depend on all before them.
    pub weights: String,
}

/// What a worker says after its greeting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromWorker {
    /// It can compute.
    Ready,
    Solved {
        record: SegmentStep,
    },
    Trained,
    /// Why it cannot.
    Failed(String),
}

/// The bytes of a frame.
///
/// # Errors
/// A tensor cannot be stored.
pub fn frame(message: &impl Serialize, tensors: &[(&str, &Tensor)]) -> Result<Vec<u8>> {
    let text = serde_json::json!(message).to_string();
    let body = tensor_file::encode(tensors, (MESSAGE, text))?;
    let mut bytes = (body.len() as u64).to_le_bytes().to_vec();
    bytes.extend(body);
    Ok(bytes)
}

/// Sends a message.
///
/// # Errors
/// The other side is gone.
pub fn send(
    to: &mut impl Write,
    message: &impl Serialize,
    tensors: &[(&str, &Tensor)],
) -> Result<()> {
    let bytes = frame(message, tensors)?;
    to.write_all(&bytes).map_err(lost)
}

/// Receives a message of at most `longest` bytes.
///
/// # Errors
/// The other side is gone, or sends something else.
pub fn receive<M: DeserializeOwned>(from: &mut impl Read, longest: u64) -> Result<(M, Tensors)> {
    let mut length = [0; 8];
    from.read_exact(&mut length).map_err(lost)?;
    let length = u64::from_le_bytes(length);
    if length > longest {
        return Err(unexpected(format!("a message of {length} bytes")));
    }
    let mut body = Vec::new();
    // memory grows with what arrives, not with what was announced
    from.take(length).read_to_end(&mut body).map_err(lost)?;
    if body.len() as u64 != length {
        return Err(lost(std::io::ErrorKind::UnexpectedEof.into()));
    }
    let (metadata, tensors) = tensor_file::decode(&body)?;
    let message = metadata.get(MESSAGE).map_or("", String::as_str);
    let message = serde_json::from_str(message).map_err(|e| unexpected(e.to_string()))?;
    Ok((message, tensors))
}

/// Makes a connection notice when the other side is gone, and send without delay.
///
/// # Errors
/// The system refuses it.
pub fn prepare(stream: &TcpStream) -> Result<()> {
    let within = CONFIRMED_WITHIN.as_millis().try_into().unwrap_or(u32::MAX);
    sockopt::set_tcp_nodelay(stream, true)
        .and_then(|()| sockopt::set_socket_keepalive(stream, true))
        .and_then(|()| sockopt::set_tcp_keepidle(stream, ASKED_AFTER))
        .and_then(|()| sockopt::set_tcp_keepintvl(stream, ASKED_AFTER))
        .and_then(|()| sockopt::set_tcp_keepcnt(stream, ASKED_TIMES))
        .and_then(|()| sockopt::set_tcp_user_timeout(stream, within))
        .map_err(|error| lost(error.into()))
}

/// Reads of a connection until a moment, however little comes at a time.
#[derive(Debug)]
pub struct Until<'a> {
    pub stream: &'a TcpStream,
    pub end: Instant,
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut stream = self.stream;
        stream.read(buffer)
    }
}

/// For `map_err`: the connection broke.
pub fn lost(error: std::io::Error) -> Error {
    Error::Network(format!("the connection broke: {error}"))
}

fn unexpected(what: impl std::fmt::Display) -> Error {
    Error::Network(format!(
        "the other side sent something unexpected: {what}; are both of the same version of astill?"
    ))
}

/// A tensor of a message.
///
/// # Errors
/// It is missing.
pub fn tensor(tensors: &mut Tensors, name: &str) -> Result<Tensor> {
    tensors
        .remove(name)
        .ok_or_else(|| unexpected(format!("no tensor {name:?}")))
}

/// The numbers of a 64-bit tensor of a message.
///
/// # Errors
/// It is missing or of another type.
pub fn numbers(tensors: &mut Tensors, name: &str) -> Result<Vec<f64>> {
    let tensor = tensor(tensors, name)?;
    Vec::try_from(&tensor).map_err(|e| unexpected(format!("{name}: {e}")))
}

/// What `segment` found, as tensors.
#[must_use]
pub fn outcome_tensors(outcome: &Outcome) -> Vec<(&'static str, Tensor)> {
    let numbers = [
        outcome.matching_loss,
        outcome.final_ratio,
        outcome.reach,
        outcome.alignment,
        outcome.balance_factor,
        outcome.image_gradient,
        outcome.lr_gradient,
        outcome.curvature,
        outcome.nearest,
    ];
    let perturbation = &outcome.perturbation;
    let mut moved = vec![perturbation.relative];
    moved.extend(&perturbation.per_layer);
    let mut tensors = vec![
        ("numbers", Tensor::from_slice(&numbers)),
        ("intermediate", Tensor::from_slice(&outcome.intermediate)),
        ("perturbation", Tensor::from_slice(&moved)),
        ("gradient", outcome.gradient.shallow_clone()),
    ];
    if let Some(labels) = &outcome.label_gradient {
        tensors.push(("label_gradient", labels.shallow_clone()));
    }
    tensors
}

/// The outcome whose [`outcome_tensors`] these are; its tensors are on the CPU.
///
/// # Errors
/// Something is missing.
pub fn outcome(tensors: &mut Tensors) -> Result<Outcome> {
    let found = numbers(tensors, "numbers")?;
    let found: [f64; NUMBERS] = found
        .try_into()
        .map_err(|_| unexpected("another count of numbers"))?;
    let [
        matching_loss,
        final_ratio,
        reach,
        alignment,
        balance_factor,
        image_gradient,
        lr_gradient,
        curvature,
        nearest,
    ] = found;
    let mut moved = numbers(tensors, "perturbation")?.into_iter();
    Ok(Outcome {
        matching_loss,
        final_ratio,
        intermediate: numbers(tensors, "intermediate")?,
        reach,
        alignment,
        balance_factor,
        perturbation: PerturbationStatistics {
            relative: moved.next().unwrap_or(f64::NAN),
            per_layer: moved.collect(),
        },
        gradient: tensor(tensors, "gradient")?,
        label_gradient: tensors.remove("label_gradient"),
        image_gradient,
        lr_gradient,
        curvature,
        nearest,
    })
}

/// What a network has learned, as tensors.
pub fn weight_tensors(weights: &Weights) -> [(&'static str, &Tensor); 2] {
    [("theta", &weights.theta), ("running", &weights.running)]
}

/// The weights whose [`weight_tensors`] these are; on the CPU.
///
/// # Errors
/// Something is missing.
pub fn weights(tensors: &mut Tensors) -> Result<Weights> {
    Ok(Weights {
        theta: tensor(tensors, "theta")?,
        running: tensor(tensors, "running")?,
    })
}

/// `path` from `folder` on, where it is below it.
#[must_use]
pub fn below(folder: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(folder).unwrap_or(path).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn sample() -> Outcome {
        Outcome {
            matching_loss: 0.1 + 0.2,
            final_ratio: f64::NAN,
            intermediate: vec![f64::INFINITY, 1e-300],
            reach: 1.,
            alignment: -0.,
            balance_factor: 0.73,
            perturbation: PerturbationStatistics {
                relative: 0.01,
                per_layer: vec![0.1; 3],
            },
            gradient: Tensor::randn([2, 3, 4, 4], (Kind::Float, Device::Cpu)),
            label_gradient: Some(Tensor::randn([2, 10], (Kind::Double, Device::Cpu))),
            image_gradient: 3.,
            lr_gradient: -4.,
            curvature: 5.,
            nearest: 17.,
        }
    }

    #[test]
    fn an_outcome_arrives_with_every_bit() -> Result<()> {
        let sent = sample();
        let tensors = outcome_tensors(&sent);
        let tensors: Vec<(&str, &Tensor)> = tensors.iter().map(|(n, t)| (*n, t)).collect();
        let record = SegmentStep {
            expert: 3,
            final_ratio: f64::NAN,
            ..SegmentStep::default()
        };
        let bytes = frame(&FromWorker::Solved { record }, &tensors)?;
        let (message, mut received) = receive::<FromWorker>(&mut bytes.as_slice(), LONGEST)?;
        let FromWorker::Solved { record } = message else {
            panic!("another message");
        };
        assert!(record.expert == 3 && record.final_ratio.is_nan());
        let back = outcome(&mut received)?;
        let bits = |o: &Outcome| {
            let all = [
                o.matching_loss,
                o.final_ratio,
                o.alignment,
                o.curvature,
                o.nearest,
            ];
            all.map(f64::to_bits)
        };
        assert_eq!(bits(&back), bits(&sent));
        assert_eq!(back.gradient, sent.gradient);
        assert_eq!(back.label_gradient, sent.label_gradient);
        assert_eq!(back.perturbation, sent.perturbation);
        Ok(())
    }

    #[test]
    fn a_message_that_comes_byte_by_byte_is_not_waited_for_without_end() -> Result<()> {
        let failed = || Error::io("use", "a connection");
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let mut slow = TcpStream::connect(address).map_err(failed())?;
        let (stream, _) = listener.accept().map_err(failed())?;
        prepare(&stream)?;
        slow.write_all(&[9, 0, 0]).map_err(failed())?;
        let end = Instant::now() + Duration::from_millis(20);
        let mut until = Until {
            stream: &stream,
            end,
        };
        assert!(receive::<Greeting>(&mut until, LONGEST_GREETING).is_err());
        assert!(Instant::now() >= end);
        Ok(())
    }

    #[test]
    fn what_is_not_a_message_is_refused() {
        let refused = |bytes: &[u8]| {
            receive::<FromWorker>(&mut &bytes[..], 1000)
                .map(drop)
                .is_err()
        };
        assert!(refused(b""));
        assert!(refused(&u64::MAX.to_le_bytes()));
        assert!(refused(&[8, 0, 0, 0, 0, 0, 0, 0, 1, 2]));
        let mut whole = frame(&FromWorker::Ready, &[]).expect("encodes");
        assert!(!refused(&whole));
        let middle = whole.len() / 2;
        whole[middle] ^= 0x55;
        assert!(refused(&whole));
        assert!(refused(&frame(&ToWorker::End, &[]).expect("encodes")));
    }
}
