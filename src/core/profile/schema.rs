//! The one table of profile keys: name, type, default, range, unit, meaning and source of each.
//! The typed settings, validation, docs/profiles.md and the app's screen for live changes follow
//! from it. A new key is one entry here.

use super::auto::Auto;
use super::choices::{
    Activation, AugmentFamily, Background, Color, Init, Intermediate, Keep, Kind, LabelKind,
    MatchAt, NetworkKind, Norm, NormalisedBy, Parameters, Pooling, Start, Unreadable,
};
use super::key::{
    ProfileKey, above, list_of, names, number, one_of, one_of_or_path, path, section, switch, text,
    whole,
};
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

    /// The families of augmentation; empty without any.
    #[must_use]
    pub fn augmentation(&self) -> &[AugmentFamily] {
        self.dataset.augment.as_deref().unwrap_or_default()
    }

    /// How many synthetic images a class has: `ipc`, or several in the room of each.
    #[must_use]
    pub fn images_per_class(&self) -> usize {
        let distill = &self.distill;
        match distill.parameters {
            Parameters::Pixels => distill.ipc,
            Parameters::Frequency | Parameters::Tiles => distill.ipc * distill.images_per_room,
        }
    }

    /// How many of an expert's epochs distillation reads: T⁺ − 1 + M.
    #[must_use]
    pub fn epochs_read(&self) -> usize {
        self.distill.max_start_epoch - 1 + self.distill.expert_epochs
    }

    /// How many epochs expert number `index` (from 0) is trained for.
    ///
    /// The first ones are trained to the end where the initial images or the labels need a trained
    /// network.
    #[must_use]
    pub fn epochs_trained(&self, index: u64) -> usize {
        let distill = &self.distill;
        let of_labels = match distill.labels {
            LabelKind::Soft => distill.label_experts as u64,
            LabelKind::Hard => 0,
        };
        let is_representative = distill.init.chosen() == Some(Init::Representative);
        let of_images = u64::from(is_representative || distill.correct_only);
        match self.expert.train_epochs {
            Auto::Value(epochs) => epochs,
            Auto::Auto if index < of_labels.max(of_images) => self.expert.epochs,
            Auto::Auto => self.epochs_read(),
        }
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
const DATM: &str = "DATM";
const FTD: &str = "FTD";
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
    /// directory, then in the data folder; ~ is the home folder, and hf:OWNER/NAME what `astill
    /// fetch` has made of that data set, or else what is in the local cache of the Hugging Face Hub.
    path: Option<PathBuf> = None, path()
        .null("the folder named like the kind, in the data folder").source(OURS);

    /// Side of the square images that the networks see; images of an image-folder are resized to
    /// it.
    size: i64 = 32, whole(8, 512).unit("pixels").source("CIFAR");

    /// Use at most this many of the training images.
    train_limit: Option<usize> = None, whole(1, 100_000_000)
        .unit("images").null("all of them").source(OURS);

    /// Only these classes, with labels in this order; or the name of one of the field's subsets of
    /// ImageNet: nette, woof, fruit, meow, squawk, yellow.
    classes: Option<Vec<String>> = None, names()
        .null("all of them, sorted by name").source(MTT);

    /// Column of the labels in parquet files.
    label: Option<String> = None, text()
        .null("the only column of class labels").source(OURS);

    /// Column of the images in parquet files.
    image: Option<String> = None, text()
        .null("the only column of images").source(OURS);

    /// Configuration of a Hugging Face data set that has several, or one of several sets of idx in a
    /// folder.
    configuration: Option<String> = None, text()
        .null("the only one, or the one called default").source(OURS);

    /// Fraction of every class drawn as test images, for files that have no test part.
    test: Option<f64> = None, above(0., 0.9)
        .null("the files' own test part").source(OURS);

    /// Seed of the choice of those test images.
    test_seed: u64 = 0, whole(0, u64::MAX).source(OURS);

    /// Fraction of the training images held out for choosing the best iteration. If the files have
    /// a validation part besides a test part, that is used and nothing is held out.
    validation: f64 = 0.1, number(0., 0.5).source(OURS);

    /// Whiten the images (ZCA, eps 0.1); false: subtract each channel's mean and divide by its
    /// standard deviation.
    zca: bool = true, switch().source("AST, CIFAR-10");

    /// Whose statistics that is: those of the images trained on, or `field`, what published programs
    /// use: for channels their constants for the set, for ZCA all training images, without limit
    /// or held-out share. Experts and sets of others live in the field's.
    normalisation: NormalisedBy = NormalisedBy::Own, one_of(NormalisedBy::NAMES).source(OURS);

    /// What to do about images that cannot be read or placed: refuse to start, or skip them with a
    /// warning; both count them and name the first few. The run directory gets the full list.
    unreadable: Unreadable = Unreadable::Refuse, one_of(Unreadable::NAMES).source(OURS);

    /// Channels of the images: as they are stored (grey images have one), grey, or red, green and
    /// blue.
    color: Color = Color::Auto, one_of(Color::NAMES).source(OURS);

    /// What transparent images are laid over.
    background: Background = Background::White, one_of(Background::NAMES).source(OURS);

    /// Families of augmentation (DSA) that experts, students and evaluation draw from. Leave out
    /// flip where left and right mean something, as in digits and text.
    augment: Option<Vec<AugmentFamily>> = Some(AugmentFamily::ALL.to_vec()),
        list_of(AugmentFamily::NAMES).null("no augmentation").source("DSA");

    /// Seed of the choice of validation images. Runs that differ only in `seed` share their
    /// data and so their experts.
    seed: u64 = 0, whole(0, u64::MAX).source(OURS);
}

section! {
    /// The network of experts and students.
    pub struct NetworkSettings for network

    /// Network of experts and students. The names that end in -bn have batch norm, the other
    /// resnet18 and vgg11 instance norm, and alexnet none. The keys below are those of convnets.
    kind: NetworkKind = NetworkKind::Convnet, one_of(NetworkKind::NAMES).source(AST);

    /// Channels of every convolution.
    width: i64 = 128, whole(1, 4096).unit("channels").source(AST);

    /// Blocks of convolution, norm, activation and pooling; usually 3 for 32 pixels, 4 for 64, 5
    /// for 128.
    depth: usize = 3, whole(1, 9).unit("blocks").source(AST);

    /// Normalisation after every convolution of a convnet (convnet-bn has batch norm); `group` has
    /// 4 groups.
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

    /// Length of an expert's training (E), which its learning rate follows.
    epochs: usize = 50, whole(1, 10_000).unit("epochs").source(AST);

    /// How many of these epochs are trained. Distillation reads only the first: those up to
    /// max_start_epoch − 1 + expert_epochs.
    train_epochs: Auto<usize> = Auto::Auto, whole(1, 10_000).unit("epochs")
        .auto("those that are read; and all of them for the experts that choose the initial images or give labels")
        .source(OURS);

    /// Checkpoints per epoch. More of them give more starting points from the same training.
    per_epoch: usize = 1, whole(1, 100).unit("checkpoints").source(MTT);

    /// Which of these checkpoints stay on disk. A run that reads one that was not kept, or trains such
    /// an expert further, trains it again from the beginning, and says so.
    keep: Keep = Keep::All, one_of(Keep::NAMES).source(OURS);

    /// Real images per training step.
    batch: usize = 256, whole(1, 65_536).unit("images").source(AST);

    /// Learning rate of the experts.
    lr: f64 = 0.003, above(0., 10.).source(AST).live();

    /// The learning rate is multiplied by this once, after epoch E/2 + 2, where the momentum
    /// starts afresh; 1 leaves both alone.
    lr_decay: f64 = 0.6, above(0., 1.).source(AST).live();

    /// Momentum of the experts' SGD.
    momentum: f64 = 0.9, momentum().source(AST).live();

    /// Weight decay of the experts' SGD.
    weight_decay: f64 = 0.001, number(0., 1.).source(AST).live();

    /// Clipping loss: scale the loss of the first ten epochs from 0.5 up to 1, for a smoother
    /// start.
    clipping: bool = true, switch().source(AST).live();

    /// Weight λ of the gradient penalty; 0 switches it off.
    gradient_penalty: f64 = 2., number(0., 1000.).source(AST).live();

    /// Radius ρ within which the experts look for flat minima (GSAM), relative to the weights;
    /// 0 switches it off.
    gsam_rho: f64 = 0., number(0., 10.).source(FTD).live();

    /// Weight α of the surrogate gap in GSAM; without gsam_rho it has no effect.
    gsam_alpha: f64 = 0.3, number(0., 10.).source(FTD).live();

    /// Imported experts to use instead of training some: the name that `astill import experts`
    /// prints, or the path of its folder. The first `count` of them are used, and the keys above
    /// other than epochs and train_epochs have no effect.
    from: Option<PathBuf> = None, path().null("train them").source(OURS);

    /// Seed of the experts' initial weights, batches and augmentation. Runs that differ only in
    /// `seed` share their experts.
    seed: u64 = 0, whole(0, u64::MAX).source(OURS);
}

section! {
    /// How the synthetic images are learned.
    pub struct DistillSettings for distill

    /// Synthetic images per class.
    ipc: usize = 10, whole(1, 10_000).unit("images").source(AST);

    /// What the synthetic images start from: the real images nearest to k-means centres, random
    /// real images, noise; or a distilled set: a safetensors file or the folder of a run, or an
    /// images_best.pt of another program, with its labels_best.pt beside it.
    init: Start = Start::Chosen(Init::Representative), one_of_or_path(Init::NAMES).source(AST);

    /// Take the initial images only from those that the expert which chooses them classifies correctly.
    correct_only: bool = false, switch().source(DATM);

    /// What of the synthetic images is learned. Frequencies and tiles fit several images into the
    /// room of one, so their results stand in columns of their own.
    parameters: Parameters = Parameters::Pixels, one_of(Parameters::NAMES).source(AST);

    /// How many images share the room of one, for frequencies and tiles: there are ipc times as
    /// many images.
    images_per_room: usize = 4, whole(1, 64).unit("images").source("FreD");

    /// One class each, or a probability of every class.
    labels: LabelKind = LabelKind::Hard, one_of(LabelKind::NAMES).source(AST);

    /// Experts whose mean gives the soft labels; each is trained to its last epoch.
    label_experts: usize = 1, whole(1, 10_000).unit("networks").source(OURS);

    /// Updates of the synthetic images.
    iterations: usize = 5000, whole(1, 10_000_000).unit("iterations").source(AST).live();

    /// Student steps per iteration (N).
    syn_steps: usize = 30, whole(1, 10_000).unit("steps").source(AST_CIFAR10).live();

    /// Expert epochs that the student's N steps should reproduce (M).
    expert_epochs: usize = 2, whole(1, 1000).unit("epochs").source(AST_CIFAR10);

    /// Each iteration starts from a random epoch of an expert, at least min_start_epoch and below this (T⁺).
    max_start_epoch: usize = 20, whole(1, 10_000).unit("epochs").source(AST_CIFAR10).live();

    /// The first epoch that an iteration may start from.
    min_start_epoch: usize = 0, whole(0, 10_000).unit("epochs").source(DATM).live();

    /// At first iterations start only from epochs below this; the bound rises to max_start_epoch.
    expand_from: Option<usize> = None, whole(1, 10_000).unit("epochs")
        .null("max_start_epoch from the beginning").source(DATM).live();

    /// The iteration at which the bound reaches max_start_epoch, if it rises at all.
    expand_until: usize = 1000, whole(1, 10_000_000).unit("iterations").source(DATM).live();

    /// Follow every expert's mirror image too: the same network for images flipped left to right.
    mirror: bool = false, switch().source(OURS);

    /// Draws of expert and start that each update takes the mean gradient of (K); an iteration takes K times
    /// as long.
    segments: usize = 1, whole(1, 1024).source(OURS);

    /// Synthetic images per student step.
    batch: Option<usize> = None, whole(1, 10_000_000)
        .unit("images").null("all of them").source(AST).live();

    /// Update of the synthetic images, as a share of their initial root mean square: each image is
    /// scaled by the size of its latest gradients, and the share falls to a tenth of this by a
    /// cosine.
    step: Option<f64> = Some(0.06), above(0., 10.)
        .null("plain SGD with lr_images").source(OURS).live();

    /// Learning rate of the synthetic images where step is null.
    lr_images: f64 = 100., number(0., 1e9).source(AST_CIFAR10).live();

    /// Longer image gradients are shortened to this many times the median length of the latest.
    clip_gradient: Option<f64> = Some(3.), above(0., 1e6)
        .null("never").source(OURS).live();

    /// Initial value of the student's learning rate (α), which is learned. With momentum 0.9 a step
    /// moves the weights ten times as far.
    lr_student: Auto<f64> = Auto::Auto, above(0., 100.)
        .auto("the one that fits best, found by a few rollouts before the first update")
        .source(OURS).live();

    /// Learning rate of the student's learning rate; 0 keeps that fixed.
    lr_lr: Auto<f64> = Auto::Auto, number(0., 1000.)
        .auto("Gauss-Newton steps of its logarithm").source(OURS).live();

    /// Learning rate of soft labels; 0 keeps them as the experts gave them.
    lr_labels: f64 = 0., number(0., 1e6).source(DATM).live();

    /// An update is left out if its final ratio is above this.
    max_ratio: Option<f64> = None, above(0., 1e6).null("no limit").source(DATM).live();

    /// Decay β of the moving average of the images, which is then what is evaluated and saved; 0
    /// switches it off.
    ema: f64 = 0., number(0., 0.99999).source(FTD).live();

    /// Momentum of the student's SGD (μ).
    momentum: f64 = 0.9, momentum().source(AST).live();

    /// Scale the student's loss by how late the start epoch is.
    balance: bool = true, switch().source(AST).live();

    /// Also match the expert's epochs between start and end: not at all, each with weight 1, or
    /// with weights that grow towards 1.
    intermediate: Intermediate = Intermediate::Sum, one_of(Intermediate::NAMES).source(AST).live();

    /// Which of the student's points is compared with the expert's last checkpoint: the end, or
    /// the nearest.
    match_at: MatchAt = MatchAt::End, one_of(MatchAt::NAMES).source("AST; nearest is ATT's").live();

    /// Leave this share of the parameters out of the matching loss: those that differ least.
    drop_parameters: f64 = 0., number(0., 0.99).source("PAD").live();

    /// Size of the random perturbation of the student's initial weights; 0 switches it off.
    perturbation: f64 = 1., number(0., 100.).source(AST).live();
}

section! {
    /// How a distilled set is evaluated.
    pub struct EvaluateSettings for evaluate

    /// Iterations between evaluations; there is always one at the end.
    every: usize = 500, whole(1, 10_000_000).unit("iterations").source(OURS).live();

    /// Networks to train on the synthetic images in an evaluation; the first one chooses the best
    /// step. Convnets have the width, depth, activation and pooling of the section network.
    networks: Vec<NetworkKind> = vec![NetworkKind::Convnet], list_of(NetworkKind::NAMES)
        .source(AST);

    /// Fresh networks per evaluation.
    repeats: usize = 5, whole(1, 1000).unit("networks").source(MTT);

    /// Measure the test set at every evaluation too, and report the best of these figures as
    /// paper_style_max, which is what most papers report. Otherwise the test set is used once, for
    /// the result.
    paper_style: bool = false, switch().source(MTT);

    /// Learning rate of these networks.
    lr: Auto<f64> = Auto::Auto, above(0., 10.)
        .auto("the learned rate of the student").source(MTT);

    /// Length of each network's training, in passes over the synthetic images.
    epochs: usize = 1000, whole(1, 100_000).unit("epochs").source(MTT);
}

const SEED: ProfileKey = ProfileKey {
    path: "seed",
    meaning: "Seed of everything random, except the data and the experts, which have their own.",
    get: |profile| profile.seed.into(),
    set: |profile, value| {
        profile.seed = serde_json::from_value(value)?;
        Ok(())
    },
    ..whole(0, u64::MAX).source(OURS)
};
