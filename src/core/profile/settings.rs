//! The settings of a run, typed. What each one means, its unit, range and source stand in
//! [`schema()`](super::schema()).

use super::choices::{Activation, Init, Intermediate, Kind, Norm, Pooling, Unreadable};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;

/// Everything that decides what a run computes. [`Profile::new`] has the defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    pub dataset: Dataset,
    pub network: Network,
    pub expert: Expert,
    pub distill: Distill,
    pub evaluate: Evaluate,
    pub seed: u64,
}

/// The images to distil.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    pub kind: Kind,
    /// As written in the profile: whoever opens the data looks for a relative path in the working
    /// directory, then in the data folder.
    #[serde(serialize_with = "as_text")]
    pub path: Option<PathBuf>,
    /// Pixels of a side.
    pub size: i64,
    pub train_limit: Option<usize>,
    /// The share of the training images held out, 0 to 0.5.
    pub validation: f64,
    pub zca: bool,
    pub unreadable: Unreadable,
}

/// The network of experts and students.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    pub kind: NetworkKind,
    pub width: i64,
    pub depth: usize,
    pub norm: Norm,
    pub activation: Activation,
    pub pooling: Pooling,
    /// On a GPU, factors of products are rounded to TF32.
    pub tf32: bool,
}

/// The kinds of network that can be distilled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkKind {
    Convnet,
}

/// How the expert trajectories are trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expert {
    pub count: usize,
    pub epochs: usize,
    pub batch: usize,
    pub lr: f64,
    pub momentum: f64,
    pub weight_decay: f64,
    pub clipping: bool,
    /// λ of the gradient penalty; 0 switches it off.
    pub gradient_penalty: f64,
}

/// How the synthetic images are learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distill {
    pub ipc: usize,
    pub init: Init,
    pub iterations: usize,
    /// N.
    pub syn_steps: usize,
    /// M.
    pub expert_epochs: usize,
    /// T⁺.
    pub max_start_epoch: usize,
    /// None: all synthetic images in every student step.
    pub batch: Option<usize>,
    pub lr_images: f64,
    pub lr_lr: f64,
    /// α at the start.
    pub lr_student: f64,
    /// μ of the student.
    pub momentum: f64,
    pub balance: bool,
    pub intermediate: Intermediate,
    /// a of the weight perturbation; 0 switches it off.
    pub perturbation: f64,
}

/// How a distilled set is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluate {
    pub every: usize,
    pub networks: Vec<EvalNetwork>,
    pub repeats: usize,
    pub epochs: usize,
}

/// The networks that a distilled set can be judged with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvalNetwork {
    Convnet,
}

/// As in a profile.
impl fmt::Display for EvalNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Profile {
    /// The defaults of every key for a data set of this kind.
    pub fn new(kind: Kind) -> Self {
        Self {
            dataset: Dataset {
                kind,
                path: None,
                size: 32,
                train_limit: None,
                validation: 0.1,
                zca: true,
                unreadable: Unreadable::Refuse,
            },
            network: Network::default(),
            expert: Expert::default(),
            distill: Distill::default(),
            evaluate: Evaluate::default(),
            seed: 0,
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            kind: NetworkKind::Convnet,
            width: 128,
            depth: 3,
            norm: Norm::Instance,
            activation: Activation::Relu,
            pooling: Pooling::Avg,
            tf32: false,
        }
    }
}

impl Default for Expert {
    fn default() -> Self {
        Self {
            count: 100,
            epochs: 50,
            batch: 256,
            lr: 0.01,
            momentum: 0.9,
            weight_decay: 0.001,
            clipping: true,
            gradient_penalty: 2.,
        }
    }
}

impl Default for Distill {
    fn default() -> Self {
        Self {
            ipc: 10,
            init: Init::Representative,
            iterations: 5000,
            syn_steps: 30,
            expert_epochs: 2,
            max_start_epoch: 20,
            batch: None,
            lr_images: 100.,
            lr_lr: 1e-6,
            lr_student: 0.01,
            momentum: 0.9,
            balance: true,
            intermediate: Intermediate::Sum,
            perturbation: 1.,
        }
    }
}

impl Default for Evaluate {
    fn default() -> Self {
        Self {
            every: 500,
            networks: vec![EvalNetwork::Convnet],
            repeats: 5,
            epochs: 1000,
        }
    }
}

/// YAML is text, so a path is written as text; one that came from a profile is text already.
fn as_text<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref()
        .map(|p| p.to_string_lossy())
        .serialize(serializer)
}
