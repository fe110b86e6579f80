//! Trains networks on small sets and tests them.

use super::ScoresRequest;
use super::full_data::{FullData, FullNetwork};
use super::policy::Policy;
use super::record::Record;
use crate::data::{DataSplit, Dataset};
use crate::device;
use crate::distill::soft_labels::{expert_logits, initial_logits};
use crate::distill::{Labels, TrainingSet, evaluate};
use crate::export::DistilledSet;
use crate::network::{Network, Weights};
use crate::progress::Progress;
use crate::random;
use astill_core::Result;
use astill_core::cli::ScoresProtocol;
use astill_core::profile::Auto;
use astill_core::scores::{BenchAugmentation, Measured, Score, Trained};
use astill_core::text::{count, duration, percent, significant};
use std::ops::ControlFlow;
use std::time::Instant;
use tch::{Kind, Tensor};

/// The learning rates that are tried where none is given. Source: DD-Ranking.
const RATES: [f64; 5] = [0.001, 0.005, 0.01, 0.05, 0.1];
/// DC-BENCH's learning rate.
const BENCH_RATE: f64 = 0.01;
/// Evaluations of a run are numbered 0 and 1; these networks are different ones.
const OCCASION: u64 = 2;
/// The network that a learning rate is chosen with.
const TUNING: u64 = u64::MAX;

/// Trains networks and tests them.
pub struct Judge<'a> {
    request: &'a ScoresRequest,
    net: &'a dyn Network,
    set: &'a DistilledSet,
    /// Those of the set, on the device.
    images: Tensor,
    labels: Labels,
    dataset: &'a Dataset,
    /// What gives soft labels to real images.
    teacher: Option<Weights>,
    record: Record,
    /// Networks that have been trained since `begin`.
    done: usize,
    begin: Instant,
    tell: &'a mut dyn FnMut(String),
}

/// Images with their labels, and how they are augmented.
struct Task {
    images: Tensor,
    labels: Labels,
    augmentation: BenchAugmentation,
}

impl<'a> Judge<'a> {
    /// Of the distilled set of a run, with what has been measured of it before.
    pub fn new(
        request: &'a ScoresRequest,
        net: &'a dyn Network,
        set: &'a DistilledSet,
        dataset: &'a Dataset,
        record: Record,
        tell: &'a mut dyn FnMut(String),
    ) -> Self {
        Self {
            request,
            net,
            set,
            images: set.images.to_device(request.device),
            labels: set.labels.to_device(request.device),
            dataset,
            teacher: None,
            record,
            done: 0,
            begin: Instant::now(),
            tell,
        }
    }

    /// What has been measured.
    pub fn into_record(self) -> Record {
        self.record
    }

    /// Whether the labels of the set are soft.
    pub fn is_soft(&self) -> bool {
        matches!(self.set.labels, Labels::Soft(_))
    }

    /// What is measured, in order. With hard labels there is one kind of labels only.
    fn parts(&self) -> Vec<Trained> {
        let hard = self.is_soft().then_some(Trained::DistilledHard);
        let bench = BenchAugmentation::ALL.map(Trained::Bench);
        [Trained::Distilled]
            .into_iter()
            .chain(hard)
            .chain([
                Trained::DistilledPlain,
                Trained::Random,
                Trained::RandomPlain,
            ])
            .chain(bench)
            .collect()
    }

    /// The accuracy of all real images, given or measured; announces what everything will take.
    ///
    /// # Errors
    pub fn full_data(&mut self, network: &str) -> Result<f64> {
        let request = self.request;
        let full = FullData {
            net: self.net,
            network,
            dataset: self.dataset,
            profile: &request.profile,
            epochs: request.protocol.full_epochs,
            cache: request.data.join("cache"),
            device: request.device,
        };
        let given = request.protocol.full_accuracy;
        let is_needed = given.is_none() || self.is_soft();
        self.announce(is_needed.then_some(&full))?;
        if !is_needed {
            return Ok(given.unwrap_or_default());
        }
        let mut watch = |_: Progress<'_>| ControlFlow::Continue(());
        let FullNetwork { weights, accuracy } = full.network(self.tell, &mut watch)?;
        self.teacher = Some(weights);
        self.begin = Instant::now();
        Ok(given.unwrap_or(accuracy))
    }

    /// Says how long all this will take.
    fn announce(&mut self, full: Option<&FullData<'_>>) -> Result<()> {
        const TIMED: u64 = 2;
        let ScoresProtocol {
            epochs,
            full_epochs,
            ..
        } = self.request.protocol;
        let begin = Instant::now();
        let task = self.task(Trained::Distilled, 0);
        let weights = self.train(Trained::Distilled, &task, BENCH_RATE, TUNING, TIMED)?;
        let each = begin.elapsed().as_secs_f64() / TIMED as f64 * epochs as f64;
        let tested = self.dataset.test.len().min(256);
        let begin = Instant::now();
        let rows: Vec<i64> = (0..tested as i64).collect();
        let (images, _) = self.dataset.test.batch(&rows);
        let _ = expert_logits(self.net, &[weights], &images);
        device::synchronize(self.request.device);
        let share = self.dataset.test.len() as f64 / tested.max(1) as f64;
        let test = begin.elapsed().as_secs_f64() * share;
        let networks = self.networks_left();
        let device = device::name(self.request.device);
        (self.tell)(format!(
            "{} on small sets, about {} on {device}",
            count(networks, "network"),
            duration(networks as f64 * (each + test))
        ));
        if let Some(full) = full {
            (self.tell)(format!(
                "one network on all {} real images for {full_epochs} epochs, at most about {} \
                 (--full-epochs shortens it; --full-accuracy PERCENT gives its accuracy)",
                self.dataset.train.len(),
                duration(full.seconds_per_epoch() * full_epochs as f64)
            ));
        }
        (self.tell)("it can be interrupted: called again, it continues".into());
        Ok(())
    }

    /// The networks on small sets that have not been measured.
    fn networks_left(&self) -> usize {
        let repeats = self.request.protocol.repeats;
        let of_part = |part: &Trained| {
            let left =
                (0..repeats).filter(|r| self.record.get(&key(*part, &r.to_string())).is_none());
            let rates = match self.rate(*part) {
                None if self.record.get(&key(*part, "lr")).is_none() => RATES.len(),
                _ => 0,
            };
            left.count() + rates
        };
        self.parts().iter().map(of_part).sum()
    }

    /// Measures everything that has not been measured yet.
    ///
    /// # Errors
    /// A result cannot be written.
    pub fn all(&mut self) -> Result<Vec<Measured>> {
        let parts = self.parts();
        parts.into_iter().map(|part| self.measure(part)).collect()
    }

    /// The learning rate for `part`; none where it is searched for.
    fn rate(&self, part: Trained) -> Option<f64> {
        let own = match self.request.profile.evaluate.lr {
            Auto::Value(lr) => lr,
            Auto::Auto => self.set.student_lr,
        };
        match part {
            Trained::Distilled | Trained::DistilledPlain => Some(own),
            Trained::DistilledHard | Trained::Random | Trained::RandomPlain => None,
            Trained::Bench(_) => Some(BENCH_RATE),
        }
    }

    fn measure(&mut self, part: Trained) -> Result<Measured> {
        let lr = match self.rate(part) {
            Some(lr) => lr,
            None => self.search(part)?,
        };
        let mut values = Vec::new();
        for repeat in 0..self.request.protocol.repeats {
            let key = key(part, &repeat.to_string());
            let value = match self.record.get(&key) {
                Some(value) => value,
                None => {
                    let test = &self.dataset.test;
                    let value = self.accuracy(part, lr, repeat, test)?;
                    self.record.put(key, value)?;
                    value
                }
            };
            values.push(value);
        }
        let Score { mean, std } = Score::of(&values);
        Ok(Measured {
            what: part,
            lr,
            mean,
            std,
            values,
        })
    }

    /// The learning rate that gives the best accuracy on the validation share, or on the test set
    /// where there is none.
    fn search(&mut self, part: Trained) -> Result<f64> {
        if let Some(lr) = self.record.get(&key(part, "lr")) {
            return Ok(lr);
        }
        let validation = &self.dataset.validation;
        let split = if validation.is_empty() {
            &self.dataset.test
        } else {
            validation
        };
        let mut best = (f64::NEG_INFINITY, RATES[0]);
        for lr in RATES {
            let accuracy = self.accuracy(part, lr, TUNING, split)?;
            if accuracy > best.0 {
                best = (accuracy, lr);
            }
        }
        self.record.put(key(part, "lr"), best.1)?;
        Ok(best.1)
    }

    /// The accuracy of one network on `split`.
    fn accuracy(&mut self, part: Trained, lr: f64, repeat: u64, split: &DataSplit) -> Result<f64> {
        // searched with the images of the first network
        let task = self.task(part, if repeat == TUNING { 0 } else { repeat });
        let weights = self.train(part, &task, lr, repeat, self.request.protocol.epochs)?;
        let mut watch = |_: Progress<'_>| ControlFlow::Continue(());
        let accuracy = evaluate::accuracy(self.net, &weights, split, &mut watch)?;
        self.report(part, lr, repeat, accuracy);
        Ok(accuracy)
    }

    fn report(&mut self, part: Trained, lr: f64, repeat: u64, accuracy: f64) {
        self.done += 1;
        // this one is still among those that are left
        let left = self.networks_left().saturating_sub(1);
        let each = self.begin.elapsed().as_secs_f64() / self.done as f64;
        let which = match repeat {
            TUNING => format!("to find a learning rate, {}", significant(lr, 2)),
            repeat => format!(
                "network {} of {}",
                repeat + 1,
                self.request.protocol.repeats
            ),
        };
        (self.tell)(format!(
            "{}, {which}: {} %, about {} left",
            part.describe(),
            percent(accuracy),
            duration(each * left as f64)
        ));
    }

    fn train(
        &self,
        part: Trained,
        task: &Task,
        lr: f64,
        repeat: u64,
        epochs: u64,
    ) -> Result<Weights> {
        let policy = Policy {
            augmentation: task.augmentation,
            families: self.request.profile.augmentation(),
            normalisation: &self.dataset.normalisation,
        };
        let set = TrainingSet {
            images: &task.images,
            labels: &task.labels,
            lr,
        };
        evaluate::train_augmented(
            self.net,
            &set,
            epochs as usize,
            &|rng, batch| policy.apply(rng, batch),
            self.request.profile.seed,
            &[OCCASION, number(part), repeat],
            &mut |_: Progress<'_>| ControlFlow::Continue(()),
        )
    }

    /// What network number `repeat` is trained on.
    fn task(&self, part: Trained, repeat: u64) -> Task {
        let own = |augmentation| Task {
            images: self.images.shallow_clone(),
            labels: self.labels.shallow_clone(),
            augmentation,
        };
        match part {
            Trained::Distilled => own(BenchAugmentation::Dsa),
            Trained::DistilledPlain => own(BenchAugmentation::None),
            Trained::Bench(augmentation) => own(augmentation),
            Trained::DistilledHard => Task {
                labels: self.hard_labels(),
                ..own(BenchAugmentation::Dsa)
            },
            Trained::Random => self.random(repeat, BenchAugmentation::Dsa),
            Trained::RandomPlain => self.random(repeat, BenchAugmentation::None),
        }
    }

    /// The classes of the distilled images, which are stored class after class.
    fn hard_labels(&self) -> Labels {
        let (images, classes) = (self.images.size()[0] as usize, self.dataset.classes.len());
        match images.is_multiple_of(classes) {
            true => {
                Labels::in_class_order(classes, images / classes).to_device(self.request.device)
            }
            false => Labels::Hard(self.labels.classes()),
        }
    }

    /// As many random real images as the room of the distilled ones holds, others for every network.
    fn random(&self, repeat: u64, augmentation: BenchAugmentation) -> Task {
        let profile = &self.request.profile;
        let classes = self.dataset.classes.len();
        let of_class = |class: usize| -> Vec<i64> {
            let rows = self.dataset.train.rows_of(class as i64);
            let index = [repeat, class as u64];
            let mut rng = random::generator(profile.seed, "scores: random real images", &index);
            let order = random::permutation(&mut rng, rows.len());
            let chosen = order.iter().take(profile.distill.ipc);
            chosen.map(|i| rows[*i as usize]).collect()
        };
        let rows: Vec<i64> = (0..classes).flat_map(of_class).collect();
        let (images, classes) = self.dataset.train.batch(&rows);
        let labels = match &self.teacher {
            Some(teacher) if self.is_soft() => {
                let teachers = [teacher.shallow_clone()];
                let logits = expert_logits(self.net, &teachers, &images);
                Labels::Soft(initial_logits(&logits, &classes).softmax(1, None::<Kind>))
            }
            _ => Labels::Hard(classes),
        };
        Task {
            images,
            labels,
            augmentation,
        }
    }
}

/// The name of a value in the record.
fn key(part: Trained, value: &str) -> String {
    let name = serde_json::to_string(&part).unwrap_or_default();
    format!("{} {value}", name.replace('"', ""))
}

/// A number that no other part has, for its random numbers.
fn number(part: Trained) -> u64 {
    match part {
        Trained::Distilled => 0,
        Trained::DistilledHard => 1,
        Trained::DistilledPlain => 2,
        Trained::Random => 3,
        Trained::RandomPlain => 4,
        Trained::Bench(augmentation) => 10 + augmentation as u64,
    }
}
