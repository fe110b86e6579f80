//! A network that is trained on all real images with hard labels: the accuracy that a distilled set
//! is to recover.
//!
//! SGD with momentum and weight decay as everywhere, learning rate 0.01 that falls to a tenth at the
//! half, no augmentation. Source: DD-Ranking's settings for real data.

use crate::data::Dataset;
use crate::distill::evaluate::{BATCH, Learner};
use crate::distill::{Labels, evaluate};
use crate::network::{Network, Weights};
use crate::progress::{Watch, report};
use crate::random;
use crate::tensor_file::{self, TensorFile};
use astill_core::Result;
use astill_core::profile::Profile;
use astill_core::text::{duration, percent};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;
use tch::Device;

/// The learning rate at the beginning.
const LR: f64 = 0.01;
/// Changes when the training itself changes, so that older networks are not used as if they were new
/// ones.
const VERSION: u32 = 2;
/// The metadata key of [`State`].
const STATE: &str = "full";

/// What the training needs.
#[derive(Debug)]
pub struct FullData<'a> {
    pub net: &'a dyn Network,
    /// The network's name.
    pub network: &'a str,
    pub dataset: &'a Dataset,
    pub profile: &'a Profile,
    pub epochs: u64,
    /// The folder in which the network is kept for other runs.
    pub cache: PathBuf,
    pub device: Device,
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct State {
    epochs: u64,
    /// On the test set in per cent, once it is trained.
    accuracy: Option<f64>,
}

/// The trained network.
#[derive(Debug)]
pub struct FullNetwork {
    pub weights: Weights,
    /// On the test set, in per cent.
    pub accuracy: f64,
}

impl FullData<'_> {
    /// Trains the network, or reads it where it has been trained before; an interrupted training
    /// continues after its last epoch.
    ///
    /// # Errors
    /// What `watch` and the network come to; a file that cannot be written costs time only.
    pub fn network(
        &self,
        tell: &mut dyn FnMut(String),
        watch: &mut Watch<'_>,
    ) -> Result<FullNetwork> {
        let (mut learner, mut state) = self
            .read()
            .unwrap_or_else(|| (self.fresh(), State::default()));
        let begin = (Instant::now(), state.epochs);
        while state.epochs < self.epochs {
            self.epoch(&mut learner, state.epochs, watch)?;
            state.epochs += 1;
            let each = begin.0.elapsed().as_secs_f64() / (state.epochs - begin.1) as f64;
            tell(format!(
                "all real images, epoch {} of {}, about {} left",
                state.epochs,
                self.epochs,
                duration(each * (self.epochs - state.epochs) as f64)
            ));
            self.write(&learner, state);
        }
        let accuracy = match state.accuracy {
            Some(accuracy) => accuracy,
            None => {
                let test = &self.dataset.test;
                let accuracy = evaluate::accuracy(self.net, &learner.weights, test, watch)?;
                let accuracy_is = Some(accuracy);
                self.write(
                    &learner,
                    State {
                        accuracy: accuracy_is,
                        ..state
                    },
                );
                accuracy
            }
        };
        tell(format!("all real images: {} %", percent(accuracy)));
        Ok(FullNetwork {
            weights: learner.weights,
            accuracy,
        })
    }

    /// Seconds of one epoch, extrapolated from a step.
    pub fn seconds_per_epoch(&self) -> f64 {
        let mut learner = self.fresh();
        let n = self.dataset.train.len();
        let rows: Vec<i64> = (0..n.min(BATCH) as i64).collect();
        let begin = Instant::now();
        self.step(&mut learner, &rows, LR);
        crate::device::synchronize(self.device);
        begin.elapsed().as_secs_f64() * n as f64 / rows.len().max(1) as f64
    }

    /// The network before its first step.
    fn fresh(&self) -> Learner {
        let weights = Weights::fresh(self.net, &mut self.generator(None));
        Learner {
            weights: weights.to_device(self.device),
            velocity: None,
        }
    }

    fn epoch(&self, learner: &mut Learner, epoch: u64, watch: &mut Watch<'_>) -> Result<()> {
        let lr = learner.begin_epoch(epoch as usize, self.epochs as usize, LR);
        let n = self.dataset.train.len();
        let order = random::permutation(&mut self.generator(Some(epoch)), n);
        for (step, rows) in (0..).zip(order.chunks(BATCH)) {
            report(watch, "images", step * BATCH as u64, n as u64)?;
            self.step(learner, rows, lr);
        }
        Ok(())
    }

    fn step(&self, learner: &mut Learner, rows: &[i64], lr: f64) {
        let (images, labels) = self.dataset.train.batch(rows);
        let analytic = self.net.analytic(&images);
        let batch = (&images, &Labels::Hard(labels));
        learner.step(self.net, analytic.as_deref(), batch, lr);
    }

    /// For the initial weights, or the order of an epoch.
    fn generator(&self, epoch: Option<u64>) -> ChaCha8Rng {
        let index: Vec<u64> = epoch.into_iter().collect();
        random::generator(self.profile.seed, "full data", &index)
    }

    /// The file of this very training.
    fn file(&self) -> PathBuf {
        let dataset = &self.profile.dataset;
        let key = json!([
            VERSION,
            self.dataset.fingerprint,
            self.dataset.test_content,
            dataset.normalisation,
            dataset.train_limit,
            dataset.validation,
            dataset.zca,
            dataset.seed,
            self.network,
            self.profile.network,
            self.profile.seed,
            self.epochs,
        ]);
        let hash = blake3::hash(key.to_string().as_bytes()).to_hex();
        self.cache.join(format!("full-{}.safetensors", &hash[..32]))
    }

    fn read(&self) -> Option<(Learner, State)> {
        let file = TensorFile::open_sealed(&self.file()).ok()?;
        let state: State = serde_json::from_str(file.metadata(STATE).ok()?).ok()?;
        let weights = Weights {
            theta: file.tensor("theta").ok()?,
            running: match file.contains("running") {
                true => file.tensor("running").ok()?,
                false => self.net.init_running(),
            },
        };
        let velocity = file.contains("velocity").then(|| file.tensor("velocity"));
        let is_own = weights.theta.size() == [self.net.parameters()] && state.epochs <= self.epochs;
        is_own.then_some((
            Learner {
                weights: weights.to_device(self.device),
                velocity: velocity.transpose().ok()?.map(|v| v.to_device(self.device)),
            },
            state,
        ))
    }

    fn write(&self, learner: &Learner, state: State) {
        let Weights { theta, running } = &learner.weights;
        let mut tensors = vec![("theta", theta)];
        if running.numel() > 0 {
            tensors.push(("running", running));
        }
        tensors.extend(learner.velocity.as_ref().map(|v| ("velocity", v)));
        let text = json!(state).to_string();
        let _ = std::fs::create_dir_all(&self.cache);
        // without it, only time is lost
        let _ = tensor_file::write_sealed(&self.file(), &tensors, (STATE, text));
    }
}
