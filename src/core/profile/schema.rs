//! The one table of profile keys: name, type, default, range, unit, meaning and source of each.
//! The typed settings, validation, docs/profiles.md and the app's screen for live changes follow
//! from it. A new key is one entry here.

use super::choices::{
    Activation, EvalNetwork, Init, Intermediate, Kind, NetworkKind, Norm, Pooling, Unreadable,
};
use super::key::{ProfileKey, above, list_of, number, one_of, path, section, switch, whole};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::LazyLock;

/// Everything that decides what a run computes. The default of every key stands in the table; the
/// data set of `default()` is a stand-in, because every profile must name one ([`Profile::new`]).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    pub dataset: DatasetSettings,
    pub network: NetworkSettings,
    pub expert: ExpertSettings,
    pub distill: DistillSettings,
    pub evaluate: EvaluateSettings,
    pub seed: u64,
}

impl Profile {
    /// The default of every key, for a data set of this kind.
    pub fn new(kind: Kind) -> Self {
        let mut profile = Self::default();
        profile.dataset.kind = kind;
        profile
    }
}

static KEYS: LazyLock<Vec<ProfileKey>> = LazyLock::new(|| {
    [
        DatasetSettings::KEYS,
        NetworkSettings::KEYS,
        ExpertSettings::KEYS,
        DistillSettings::KEYS,
        EvaluateSettings::KEYS,
        &[SEED],
    ]
    .concat()
});

/// Every key, section by section, in the order in which a profile is written.
pub fn schema() -> &'static [ProfileKey] {
    &KEYS
}

/// The key with this full path.
pub fn key(path: &str) -> Option<&'static ProfileKey> {
    schema().iter().find(|k| k.path == path)
}

/// The names of the sections, in order.
pub(super) fn sections() -> Vec<&'static str> {
    let mut names: Vec<_> = schema()
        .iter()
        .map(ProfileKey::section)
        .filter(|s| !s.is_empty())
        .collect();
    names.dedup();
    names
}

const AST: &str = "AST";
const AST_CIFAR10: &str = "AST, CIFAR-10 ipc 10";
const MTT: &str = "MTT";
const OURS: &str = "this program";

/// Momentum of an SGD: 1 would never forget, and 0.999 already averages over a thousand steps.
const fn momentum() -> ProfileKey {
    number(0., 0.999)
}

section! {
    /// The images to distil.
    pub struct DatasetSettings for dataset

    /// Which data set, and so how its files are laid out; `shapes` is drawn by the program and
    /// needs no files.
    kind: Kind = Kind::Shapes, one_of(Kind::NAMES).required();

    /// Folder that holds the files, or its parent. A relative path is looked for in the working
    /// directory, then in the data folder.
    path: Option<PathBuf> = None, path()
        .null("the folder named like the kind, in the data folder").source(OURS);

    /// Side of the square images that the networks see; images of an image-folder are resized to
    /// it.
    size: i64 = 32, whole(8, 512).unit("pixels").source("CIFAR");

    /// Use at most this many of the training images.
    train_limit: Option<usize> = None, whole(1, 100_000_000)
        .unit("images").null("all of them").source(OURS);

    /// Fraction of the training images held out for choosing the best iteration.
    validation: f64 = 0.1, number(0., 0.5).source(OURS);

    /// Whiten the images (ZCA, eps 0.1); false: subtract each channel's mean and divide by its
    /// standard deviation.
    zca: bool = true, switch().source("AST, CIFAR-10");

    /// What to do about image files that cannot be read: refuse to start, or skip them with a
    /// warning; both count them and name the first few.
    unreadable: Unreadable = Unreadable::Refuse, one_of(Unreadable::NAMES).source(OURS);
}

section! {
    /// The network of experts and students.
    pub struct NetworkSettings for network

    /// Network of experts and students.
    kind: NetworkKind = NetworkKind::Convnet, one_of(NetworkKind::NAMES).source(AST);

    /// Channels of every convolution.
    width: i64 = 128, whole(1, 4096).unit("channels").source(AST);

    /// Blocks of convolution, norm, activation and pooling; usually 3 for 32 pixels, 4 for 64, 5
    /// for 128.
    depth: usize = 3, whole(1, 9).unit("blocks").source(AST);

    /// Normalisation after every convolution; `group` has 4 groups.
    norm: Norm = Norm::Instance, one_of(Norm::NAMES).source(AST);

    /// Non-linearity of every block.
    activation: Activation = Activation::Relu, one_of(Activation::NAMES).source(AST);

    /// 2×2 pooling that ends every block and halves the side.
    pooling: Pooling = Pooling::Avg, one_of(Pooling::NAMES).source(AST);

    /// On a GPU, round the factors of products from 23 to 10 bits of mantissa (TF32): faster, but
    /// less exact. No effect on the CPU.
    tf32: bool = false, switch().source(OURS);
}

section! {
    /// How the expert trajectories are trained.
    pub struct ExpertSettings for expert

    /// Expert networks to train on the real images.
    count: usize = 100, whole(1, 10_000).unit("networks").source(AST);

    /// Length of every expert's training (E); its weights are stored after each epoch.
    epochs: usize = 50, whole(1, 10_000).unit("epochs").source(AST);

    /// Real images per training step.
    batch: usize = 256, whole(1, 65_536).unit("images").source(AST);

    /// Learning rate of the experts; multiplied by 0.6 once, in the second half. AST's README has
    /// 0.01, its program defaults to 0.003.
    lr: f64 = 0.01, above(0., 10.).source("AST, README").live();

    /// Momentum of the experts' SGD.
    momentum: f64 = 0.9, momentum().source(AST).live();

    /// Weight decay of the experts' SGD.
    weight_decay: f64 = 0.001, number(0., 1.).source(AST).live();

    /// Clipping loss: scale the loss of the first ten epochs from 0.5 up to 1, for a smoother
    /// start.
    clipping: bool = true, switch().source(AST).live();

    /// Weight λ of the gradient penalty; 0 switches it off.
    gradient_penalty: f64 = 2., number(0., 1000.).source(AST).live();
}

section! {
    /// How the synthetic images are learned.
    pub struct DistillSettings for distill

    /// Synthetic images per class.
    ipc: usize = 10, whole(1, 10_000).unit("images").source(AST);

    /// What the synthetic images start from: the real images nearest to k-means centres, random
    /// real images, or noise.
    init: Init = Init::Representative, one_of(Init::NAMES).source(AST);

    /// Updates of the synthetic images.
    iterations: usize = 5000, whole(1, 10_000_000).unit("iterations").source(AST).live();

    /// Student steps per iteration (N).
    syn_steps: usize = 30, whole(1, 10_000).unit("steps").source(AST_CIFAR10).live();

    /// Expert epochs that the student's N steps should reproduce (M).
    expert_epochs: usize = 2, whole(1, 1000).unit("epochs").source(AST_CIFAR10);

    /// Each iteration starts from a random epoch of an expert, at least 0 and below this (T⁺).
    max_start_epoch: usize = 20, whole(1, 10_000).unit("epochs").source(AST_CIFAR10).live();

    /// Synthetic images per student step.
    batch: Option<usize> = None, whole(1, 10_000_000)
        .unit("images").null("all of them").source(AST).live();

    /// Learning rate of the synthetic images.
    lr_images: f64 = 100., number(0., 1e9).source(AST_CIFAR10).live();

    /// Learning rate of the student's learning rate; 0 keeps it fixed.
    lr_lr: f64 = 1e-6, number(0., 1000.).source(AST_CIFAR10).live();

    /// Initial value of the student's learning rate (α), which is learned. With momentum 0.9 a step
    /// moves the weights ten times as far.
    lr_student: f64 = 0.01, above(0., 100.).source(AST_CIFAR10).live();

    /// Momentum of the student's SGD (μ).
    momentum: f64 = 0.9, momentum().source(AST).live();

    /// Scale the student's loss by how late the start epoch is.
    balance: bool = true, switch().source(AST).live();

    /// Also match the expert's epochs between start and end: not at all, each with weight 1, or
    /// with weights that grow towards 1.
    intermediate: Intermediate = Intermediate::Sum, one_of(Intermediate::NAMES).source(AST).live();

    /// Size of the random perturbation of the student's initial weights; 0 switches it off.
    perturbation: f64 = 1., number(0., 100.).source(AST).live();
}

section! {
    /// How a distilled set is evaluated.
    pub struct EvaluateSettings for evaluate

    /// Iterations between evaluations; there is always one at the end.
    every: usize = 500, whole(1, 10_000_000).unit("iterations").source(OURS).live();

    /// Networks to train on the synthetic images in an evaluation.
    networks: Vec<EvalNetwork> = vec![EvalNetwork::Convnet], list_of(EvalNetwork::NAMES)
        .source(AST);

    /// Fresh networks per evaluation.
    repeats: usize = 5, whole(1, 1000).unit("networks").source(MTT);

    /// Length of each network's training, in passes over the synthetic images.
    epochs: usize = 1000, whole(1, 100_000).unit("epochs").source(MTT);
}

const SEED: ProfileKey = ProfileKey {
    path: "seed",
    meaning: "Seed of everything random.",
    get: |profile| profile.seed.into(),
    set: |profile, value| {
        profile.seed = serde_json::from_value(value)?;
        Ok(())
    },
    ..whole(0, u64::MAX).source(OURS)
};
