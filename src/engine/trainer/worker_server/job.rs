//! What is shared out among the engine and its workers: the segments of an iteration, or the networks
//! of an evaluation.

use crate::distill::TrainingSet;
use crate::distill::iteration::{Segment, Settings, Start};
use crate::network::{Network, Weights};
use crate::trainer::segment::Solved;
use crate::wire::{NetworkTask, ToWorker};
use astill_core::{Error, Result};
use tch::{Kind, Tensor};

/// How many kinds of jobs there are.
pub const KINDS: usize = 2;

/// Shape and kind of a tensor.
type Form = (Vec<i64>, Kind);

/// Tasks that do not depend on each other, so that it does not matter who computes them, nor when.
#[derive(Debug)]
pub enum Job {
    Segments(Segments),
    Networks(Networks),
}

/// What a task comes to.
#[derive(Debug)]
pub enum Answer {
    Segment(Solved),
    Network(Weights),
}

/// The segments of an iteration.
#[derive(Debug)]
pub struct Segments {
    seed: u64,
    iteration: u64,
    settings: Settings,
    /// Of the images and of soft labels, which their gradients have too.
    images: Form,
    labels: Option<Form>,
}

/// The networks of an evaluation.
#[derive(Debug)]
pub struct Networks {
    tasks: Vec<NetworkTask>,
    /// Of the weights and of the running statistics.
    forms: [Form; 2],
}

impl Segments {
    /// Those of an iteration on `set`.
    pub fn new((seed, iteration): (u64, u64), settings: &Settings, set: &TrainingSet<'_>) -> Self {
        let is_soft = set.labels.is_soft();
        Self {
            seed,
            iteration,
            settings: settings.clone(),
            images: form(set.images),
            labels: is_soft.then(|| form(set.labels.tensor())),
        }
    }

    fn segment(&self, number: u64) -> Segment {
        Segment {
            seed: self.seed,
            iteration: self.iteration,
            number,
        }
    }

    fn check(&self, number: u64, solved: &Solved, experts: u64) -> Result<()> {
        let Solved { record, outcome } = solved;
        check_form("a gradient", &outcome.gradient, "the images", &self.images)?;
        let labels = outcome.label_gradient.as_ref().map(form);
        if labels != self.labels {
            let (found, wanted) = (labels, &self.labels);
            return Err(unexpected(&format!(
                "a gradient of labels of the form {found:?}, where the labels have {wanted:?}"
            )));
        }
        let found = Start {
            expert: record.expert,
            mirrored: record.mirrored,
            epoch: record.start_epoch as usize,
            part: record.start_part as usize,
        };
        let start = Start::draw(&self.settings, self.segment(number), experts);
        match found == start {
            true => Ok(()),
            false => Err(unexpected(&format!("{found:?}, where {start:?} was drawn"))),
        }
    }
}

impl Networks {
    /// These networks, all built like `net`.
    pub fn new(net: &dyn Network, tasks: Vec<NetworkTask>) -> Self {
        let running = net.init_running();
        Self {
            tasks,
            forms: [(vec![net.parameters()], Kind::Float), form(&running)],
        }
    }

    fn check(&self, weights: &Weights) -> Result<()> {
        let [theta, running] = &self.forms;
        check_form("weights", &weights.theta, "the network", theta)?;
        check_form(
            "running statistics",
            &weights.running,
            "the network",
            running,
        )
    }
}

impl Job {
    /// Its kind, below [`KINDS`].
    pub fn kind(&self) -> usize {
        match self {
            Self::Segments(_) => 0,
            Self::Networks(_) => 1,
        }
    }

    /// How many tasks it has.
    pub fn tasks(&self) -> usize {
        match self {
            Self::Segments(segments) => segments.settings.segments,
            Self::Networks(networks) => networks.tasks.len(),
        }
    }

    /// What a worker is told for a task.
    pub fn message(&self, number: u64) -> ToWorker {
        match self {
            Self::Segments(segments) => ToWorker::Segment {
                segment: segments.segment(number),
                settings: segments.settings.clone(),
            },
            Self::Networks(networks) => ToWorker::Network(networks.tasks[number as usize].clone()),
        }
    }

    /// The bytes of the tensors of an answer.
    pub fn bytes(&self) -> u64 {
        let forms: Vec<&Form> = match self {
            Self::Segments(segments) => segments.labels.iter().chain([&segments.images]).collect(),
            Self::Networks(networks) => networks.forms.iter().collect(),
        };
        let bytes = |(shape, kind): &Form| {
            let numbers: i64 = shape.iter().product();
            numbers.unsigned_abs() * kind.elt_size_in_bytes() as u64
        };
        forms.into_iter().map(bytes).sum()
    }

    /// Checks that an answer of a worker is that to this task: what does not fit would end the run
    /// where it is used.
    ///
    /// # Errors
    /// [`Error::Network`] if it is not.
    pub fn check(&self, number: u64, answer: &Answer, experts: u64) -> Result<()> {
        match (self, answer) {
            (Self::Segments(segments), Answer::Segment(solved)) => {
                segments.check(number, solved, experts)
            }
            (Self::Networks(networks), Answer::Network(weights)) => networks.check(weights),
            (Self::Segments(_), Answer::Network(_)) => {
                Err(unexpected("a network, where it was given a segment"))
            }
            (Self::Networks(_), Answer::Segment(_)) => {
                Err(unexpected("a segment, where it was given a network"))
            }
        }
    }
}

fn form(tensor: &Tensor) -> Form {
    (tensor.size(), tensor.kind())
}

fn check_form(what: &str, tensor: &Tensor, of: &str, wanted: &Form) -> Result<()> {
    let found = form(tensor);
    match found == *wanted {
        true => Ok(()),
        false => Err(unexpected(&format!(
            "{what} of the form {found:?}, where {of} has {wanted:?}"
        ))),
    }
}

/// A worker answered something that it should not have.
pub fn unexpected(what: &str) -> Error {
    Error::Network(format!("it answered {what}"))
}
