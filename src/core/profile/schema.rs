//! The one table of profile keys. Validation, docs/profiles.md and the screen for live edits all
//! read it.

use std::fmt;

/// A key of a profile.
#[derive(Debug)]
pub struct Key {
    /// "section.name", or the name alone for a key outside all sections.
    pub path: &'static str,
    pub range: Range,
    /// What null means, if the key may be null.
    pub null: Option<&'static str>,
    /// As YAML. `None`: the key must be given.
    pub default: Option<&'static str>,
    /// "" for a pure number or a choice.
    pub unit: &'static str,
    pub meaning: &'static str,
    /// Where the default comes from.
    pub source: &'static str,
    /// Whether a run that is going on can take a new value (the expert keys: between two epochs).
    pub live: bool,
}

/// What a key may be. Bounds belong to the range, except `above` of a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    Whole {
        min: u64,
        max: u64,
    },
    Number {
        min: f64,
        max: f64,
    },
    Above {
        above: f64,
        max: f64,
    },
    Switch,
    Choice(&'static [&'static str]),
    /// One or more of these, none twice.
    List(&'static [&'static str]),
    Path,
}

impl Key {
    /// "distill" of "distill.ipc"; "" for a key outside all sections.
    pub fn section(&self) -> &'static str {
        self.path.split_once('.').map_or("", |(section, _)| section)
    }

    /// "ipc" of "distill.ipc".
    pub fn name(&self) -> &'static str {
        self.path
            .split_once('.')
            .map_or(self.path, |(_, name)| name)
    }

    /// What may stand there, as in "expected …".
    pub fn expected(&self) -> String {
        match self.null {
            Some(meaning) => format!("{}, or null ({meaning})", self.range),
            None => self.range.to_string(),
        }
    }

    const fn new(
        path: &'static str,
        range: Range,
        default: &'static str,
        meaning: &'static str,
        source: &'static str,
    ) -> Self {
        Self {
            path,
            range,
            null: None,
            default: Some(default),
            unit: "",
            meaning,
            source,
            live: false,
        }
    }

    const fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    const fn null(self, meaning: &'static str) -> Self {
        Self {
            null: Some(meaning),
            ..self
        }
    }

    const fn live(self) -> Self {
        Self { live: true, ..self }
    }

    const fn required(self) -> Self {
        Self {
            default: None,
            ..self
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole { min, max: u64::MAX } => {
                write!(f, "a whole number from {min} to 2^64 − 1")
            }
            Self::Whole { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Number { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Above { above, max } => write!(f, "a number above {above} and up to {max}"),
            Self::Switch => write!(f, "true or false"),
            Self::Choice([only]) => write!(f, "{only}"),
            Self::Choice(names) => write!(f, "one of {}", names.join(", ")),
            Self::List(names) => write!(
                f,
                "a list in brackets, [ ], of one or more of: {}",
                names.join(", ")
            ),
            Self::Path => write!(f, "a path as text"),
        }
    }
}

/// Every key, section by section, in the order in which a profile is written.
pub fn schema() -> &'static [Key] {
    KEYS
}

/// The key with this full path.
pub fn key(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.path == path)
}

/// The names of the sections, in order.
pub(super) fn sections() -> Vec<&'static str> {
    let mut names: Vec<_> = KEYS
        .iter()
        .map(Key::section)
        .filter(|s| !s.is_empty())
        .collect();
    names.dedup();
    names
}

const fn whole(min: u64, max: u64) -> Range {
    Range::Whole { min, max }
}

const fn number(min: f64, max: f64) -> Range {
    Range::Number { min, max }
}

const fn above(above: f64, max: f64) -> Range {
    Range::Above { above, max }
}

/// A momentum of 1 never forgets; this much already averages over a thousand steps.
const MOMENTUM: Range = number(0., 0.999);

const AST: &str = "AST";
const MTT: &str = "MTT";
const OURS: &str = "this program";

static KEYS: &[Key] = &[
    Key::new(
        "dataset.kind",
        Range::Choice(&[
            "shapes",
            "cifar10",
            "cifar100",
            "tiny-imagenet",
            "image-folder",
        ]),
        "",
        "Which data set, and so how its files are laid out; `shapes` is drawn by the program and \
         needs no files.",
        "",
    )
    .required(),
    Key::new(
        "dataset.path",
        Range::Path,
        "null",
        "The folder that holds the files, or its parent. A relative path is looked for in the \
         working directory, then in the data folder.",
        OURS,
    )
    .null("the folder named like the kind, in the data folder"),
    Key::new(
        "dataset.size",
        whole(8, 512),
        "32",
        "Side of the square images that the networks see; images of an image-folder are resized to \
         it.",
        "CIFAR",
    )
    .unit("pixels"),
    Key::new(
        "dataset.train_limit",
        whole(1, 100_000_000),
        "null",
        "Use only this many of the training images.",
        OURS,
    )
    .unit("images")
    .null("all of them"),
    Key::new(
        "dataset.validation",
        number(0., 0.5),
        "0.1",
        "Share of the training images held out to choose the best iteration by.",
        OURS,
    ),
    Key::new(
        "dataset.zca",
        Range::Switch,
        "true",
        "Whiten the images (ZCA, eps 0.1); false: subtract the mean and divide by the deviation of \
         each channel.",
        "AST, CIFAR-10",
    ),
    Key::new(
        "dataset.unreadable",
        Range::Choice(&["refuse", "skip"]),
        "refuse",
        "What to do about image files that cannot be read: end with an error, or go on without \
         them; both count them and name the first.",
        OURS,
    ),
    Key::new(
        "network.kind",
        Range::Choice(&["convnet"]),
        "convnet",
        "The network of experts and students.",
        AST,
    ),
    Key::new(
        "network.width",
        whole(1, 4096),
        "128",
        "Channels of every convolution.",
        AST,
    )
    .unit("channels"),
    Key::new(
        "network.depth",
        whole(1, 9),
        "3",
        "Blocks of convolution, norm, activation and pooling; usual are 3 for 32 pixels, 4 for 64, \
         5 for 128.",
        AST,
    )
    .unit("blocks"),
    Key::new(
        "network.norm",
        Range::Choice(&["instance", "layer", "group", "none"]),
        "instance",
        "Normalisation after every convolution; `group` has 4 groups.",
        AST,
    ),
    Key::new(
        "network.activation",
        Range::Choice(&["relu", "leaky_relu", "sigmoid"]),
        "relu",
        "Non-linearity of every block.",
        AST,
    ),
    Key::new(
        "network.pooling",
        Range::Choice(&["avg", "max", "none"]),
        "avg",
        "2×2 pooling that ends every block and halves the side.",
        AST,
    ),
    Key::new(
        "network.tf32",
        Range::Switch,
        "false",
        "On a GPU: round the factors of products from 23 to 10 bits of mantissa (TF32), which is \
         faster and less exact. No effect on the CPU.",
        OURS,
    ),
    Key::new(
        "expert.count",
        whole(1, 10_000),
        "100",
        "Expert networks to train on the real images.",
        AST,
    )
    .unit("networks"),
    Key::new(
        "expert.epochs",
        whole(1, 10_000),
        "50",
        "Length of every expert's training (E); a checkpoint is kept after each epoch.",
        AST,
    )
    .unit("epochs"),
    Key::new(
        "expert.batch",
        whole(1, 65_536),
        "256",
        "Real images per training step.",
        AST,
    )
    .unit("images"),
    Key::new(
        "expert.lr",
        above(0., 10.),
        "0.01",
        "Learning rate of the experts; × 0.6 once, in the second half. AST's program has 0.003 by \
         default, its README 0.01.",
        "AST, README",
    )
    .live(),
    Key::new(
        "expert.momentum",
        MOMENTUM,
        "0.9",
        "Momentum of the experts' SGD.",
        AST,
    )
    .live(),
    Key::new(
        "expert.weight_decay",
        number(0., 1.),
        "0.001",
        "Weight decay of the experts' SGD.",
        AST,
    )
    .live(),
    Key::new(
        "expert.clipping",
        Range::Switch,
        "true",
        "Clipping loss: scale the loss of the first ten epochs from 0.5 up to 1, for a smoother \
         start.",
        AST,
    )
    .live(),
    Key::new(
        "expert.gradient_penalty",
        number(0., 1000.),
        "2.0",
        "Weight λ of the gradient penalty; 0 switches it off.",
        AST,
    )
    .live(),
    Key::new(
        "distill.ipc",
        whole(1, 10_000),
        "10",
        "Synthetic images per class.",
        AST,
    )
    .unit("images"),
    Key::new(
        "distill.init",
        Range::Choice(&["representative", "real", "noise"]),
        "representative",
        "What the synthetic images start from: the real images nearest to k-means centres, random \
         real images, or noise.",
        AST,
    ),
    Key::new(
        "distill.iterations",
        whole(1, 10_000_000),
        "5000",
        "Updates of the synthetic images.",
        AST,
    )
    .unit("iterations")
    .live(),
    Key::new(
        "distill.syn_steps",
        whole(1, 10_000),
        "30",
        "Student steps per iteration (N).",
        "AST, CIFAR-10 ipc 10",
    )
    .unit("steps")
    .live(),
    Key::new(
        "distill.expert_epochs",
        whole(1, 1000),
        "2",
        "Expert epochs that those steps are to reproduce (M).",
        "AST, CIFAR-10 ipc 10",
    )
    .unit("epochs"),
    Key::new(
        "distill.max_start_epoch",
        whole(1, 10_000),
        "20",
        "The student starts at an expert's epoch drawn from 0 to this, exclusive (T⁺).",
        "AST, CIFAR-10 ipc 10",
    )
    .unit("epochs")
    .live(),
    Key::new(
        "distill.batch",
        whole(1, 10_000_000),
        "null",
        "Synthetic images per student step.",
        AST,
    )
    .unit("images")
    .null("all of them")
    .live(),
    Key::new(
        "distill.lr_images",
        number(0., 1e9),
        "100.0",
        "Learning rate of the synthetic images.",
        "AST, CIFAR-10 ipc 10",
    )
    .live(),
    Key::new(
        "distill.lr_lr",
        number(0., 1000.),
        "1.0e-6",
        "Learning rate of the student's learning rate; 0 keeps it fixed.",
        "AST, CIFAR-10 ipc 10",
    )
    .live(),
    Key::new(
        "distill.lr_student",
        above(0., 100.),
        "0.01",
        "The student's learning rate (α) at the start; it is learned. With momentum 0.9 a step is \
         worth ten.",
        "AST, CIFAR-10 ipc 10",
    )
    .live(),
    Key::new(
        "distill.momentum",
        MOMENTUM,
        "0.9",
        "Momentum of the student's SGD (μ).",
        AST,
    )
    .live(),
    Key::new(
        "distill.balance",
        Range::Switch,
        "true",
        "Scale the student's loss by how late the start epoch is.",
        AST,
    )
    .live(),
    Key::new(
        "distill.intermediate",
        Range::Choice(&["off", "sum", "ramp"]),
        "sum",
        "Also match the expert's epochs on the way: not at all, with weight 1, or with weights \
         that grow to 1.",
        AST,
    )
    .live(),
    Key::new(
        "distill.perturbation",
        number(0., 100.),
        "1.0",
        "Size of the random perturbation of the student's first weights; 0 switches it off.",
        AST,
    )
    .live(),
    Key::new(
        "evaluate.every",
        whole(1, 10_000_000),
        "500",
        "Evaluate after every so many iterations, and at the end.",
        OURS,
    )
    .unit("iterations")
    .live(),
    Key::new(
        "evaluate.networks",
        Range::List(&["convnet"]),
        "[convnet]",
        "Networks that are trained on the synthetic images to judge them.",
        AST,
    ),
    Key::new(
        "evaluate.repeats",
        whole(1, 1000),
        "5",
        "Fresh networks per evaluation.",
        MTT,
    )
    .unit("networks"),
    Key::new(
        "evaluate.epochs",
        whole(1, 100_000),
        "1000",
        "Training of every such network, in passes over the synthetic images.",
        MTT,
    )
    .unit("epochs"),
    Key::new(
        "seed",
        whole(0, u64::MAX),
        "0",
        "All randomness comes from it.",
        OURS,
    ),
];
