//! Trains fresh networks on a set of images and records their accuracy.

use super::control::Control;
use super::worker_server::{Answer, Job, Networks, Next};
use super::workers::Workers;
use crate::data::Dataset;
use crate::distill::evaluate::Course;
use crate::distill::{Labels, TrainingSet, all_finite, evaluate};
use crate::network::{Network, Weights};
use crate::wire::NetworkTask;
use astill_core::Result;
use astill_core::profile::LabelKind;
use astill_core::run::event::{EvalSplit, Evaluation, EventKind, ImageSet};
use astill_core::text::{count, number};
use std::time::Duration;

/// The networks of the headline are numbered [HEADLINE, 0, repeat].
pub const HEADLINE: u64 = 1;

/// What an evaluation needs besides the images.
#[derive(Debug)]
pub struct Evaluator<'a> {
    /// Its name in the profile.
    pub network: &'a str,
    /// The network of that name.
    pub net: &'a dyn Network,
    pub dataset: &'a Dataset,
    pub repeats: u64,
    pub course: Course<'a>,
    /// The learning rate of the networks; none means that of the student.
    pub lr: Option<f64>,
    /// Whether the test set is measured at every evaluation, not only by the headline.
    pub tests: bool,
    pub seed: u64,
    /// Who helps to train the networks.
    pub workers: Option<&'a Workers>,
}

/// Which evaluation this is: it names the networks, so that the same one always trains the same
/// networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// During training, after a step; chooses the best step.
    Step(u64),
    /// The headline, with networks that have not been used to choose.
    Headline,
}

impl Occasion {
    /// What names the random numbers of a network.
    fn index(self, repeat: u64) -> [u64; 3] {
        match self {
            Self::Step(step) => [0, step, repeat],
            Self::Headline => [HEADLINE, 0, repeat],
        }
    }
}

/// The accuracies in per cent of one evaluation, one per network.
#[derive(Debug, Clone, PartialEq)]
pub struct Accuracies {
    /// On the validation share; empty if there is none, and for the headline.
    pub validation: Vec<f64>,
    /// On the test set; empty where only the validation share is measured.
    pub test: Vec<f64>,
}

impl Evaluator<'_> {
    /// Trains `repeats` networks on `set` and measures each: on the validation share during the run,
    /// on the test set for the headline, or wherever the profile asks for it. Records one event
    /// per split.
    pub fn evaluate(
        &self,
        set: &TrainingSet<'_>,
        labels: ImageSet,
        step: u64,
        occasion: Occasion,
        control: &mut Control,
    ) -> Result<Accuracies> {
        let set = &TrainingSet {
            images: set.images,
            labels: set.labels,
            lr: self.lr.unwrap_or(set.lr),
        };
        let mut accuracies = Accuracies {
            validation: Vec::new(),
            test: Vec::new(),
        };
        let shared = self.workers.map(|workers| {
            self.share(workers, set, (labels, occasion), control)
                .inspect_err(|_| workers.server.cancel())
        });
        let mut shared = shared.transpose()?.into_iter().flatten();
        let mut diverged = 0;
        for repeat in 0..self.repeats {
            let weights = match shared.next() {
                Some(weights) => weights,
                None => self.train(set, (labels, occasion), repeat, control)?,
            };
            let label = self.label(labels, repeat);
            let mut watch = control.watch(&label, Duration::ZERO);
            diverged += u64::from(!all_finite(&weights.theta));
            let is_chosen_by =
                occasion != Occasion::Headline && !self.dataset.validation.is_empty();
            if is_chosen_by {
                accuracies.validation.push(evaluate::accuracy(
                    self.net,
                    &weights,
                    &self.dataset.validation,
                    &mut watch,
                )?);
            }
            if self.tests || !is_chosen_by {
                accuracies.test.push(evaluate::accuracy(
                    self.net,
                    &weights,
                    &self.dataset.test,
                    &mut watch,
                )?);
            }
        }
        if diverged > 0 {
            control.warn(format!(
                "{diverged} of {} that learned from {labels} images diverged at the rate {}, which \
                 counts as guessing: a lower evaluate.lr suits these images",
                count(self.repeats as usize, "network"),
                number(set.lr)
            ))?;
        }
        for (split, values) in [
            (EvalSplit::Validation, &accuracies.validation),
            (EvalSplit::Test, &accuracies.test),
        ] {
            if !values.is_empty() {
                let (mean, std) = evaluate::mean_std(values);
                let (network, values) = (self.network.to_string(), values.clone());
                control.record(EventKind::Evaluation(Evaluation {
                    step,
                    network,
                    labels,
                    label_kind: match set.labels {
                        Labels::Hard(_) => LabelKind::Hard,
                        Labels::Soft(_) => LabelKind::Soft,
                    },
                    split,
                    mean,
                    std,
                    values,
                }))?;
            }
        }
        Ok(accuracies)
    }

    /// Names a network to whoever watches.
    fn label(&self, labels: ImageSet, repeat: u64) -> String {
        let (number, all) = (repeat + 1, self.repeats);
        format!("{labels} images, network {number} of {all}: ")
    }

    /// Trains a network.
    fn train(
        &self,
        set: &TrainingSet<'_>,
        (labels, occasion): (ImageSet, Occasion),
        repeat: u64,
        control: &mut Control,
    ) -> Result<Weights> {
        let label = self.label(labels, repeat);
        let mut watch = control.watch(&label, Duration::ZERO);
        let index = occasion.index(repeat);
        evaluate::train(self.net, set, self.course, self.seed, &index, &mut watch)
    }

    /// All networks, trained with the help of whoever is there.
    fn share(
        &self,
        workers: &Workers,
        set: &TrainingSet<'_>,
        what: (ImageSet, Occasion),
        control: &mut Control,
    ) -> Result<Vec<Weights>> {
        let server = &workers.server;
        let task = |repeat| NetworkTask {
            network: self.network.into(),
            index: what.1.index(repeat),
        };
        let networks = Networks::new(self.net, (0..self.repeats).map(task).collect());
        server.begin(Job::Networks(networks), set)?;
        let answers = loop {
            match server.next() {
                Next::Compute(repeat) => {
                    let weights = self.train(set, what, repeat, control)?;
                    server.put(repeat, Answer::Network(weights));
                }
                Next::Wait => control.answer_requests()?,
                Next::Done(answers) => break answers,
            }
        };
        workers.record_changes(control)?;
        let device = set.images.device();
        let weights = answers.into_iter().filter_map(|answer| match answer {
            Answer::Network(weights) => Some(weights.to_device(device)),
            Answer::Segment(_) => None,
        });
        Ok(weights.collect())
    }
}
