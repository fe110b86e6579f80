//! What a profile chooses by name: data sets, networks and their parts, parts of the method. A new
//! choice is one line here: its name in profiles, its variant, and what it means.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

macro_rules! choices {
    ($(
        $(#[doc = $about:literal])+
        pub enum $Choice:ident { $($name:literal $Variant:ident $meaning:literal)+ }
    )+) => {$(
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $Choice {
            $(#[doc = $meaning] #[serde(rename = $name)] $Variant,)+
        }

        impl $Choice {
            /// The names in profiles, in the order of the variants.
            pub const NAMES: &[&str] = &[$($name),+];

            /// All of them, in the same order.
            pub const ALL: &[Self] = &[$(Self::$Variant),+];

            /// The name in profiles.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$Variant => $name,)+
                }
            }
        }

        /// As in a profile.
        impl fmt::Display for $Choice {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    )+};
}

choices! {
    /// The kinds of data set, which decide how the files are laid out.
    pub enum Kind {
        "shapes" Shapes "Ten classes of shapes that the program draws from a seed; needs no files."
        "cifar10" Cifar10 "CIFAR-10, binary or Python version, unpacked or as tar.gz."
        "cifar100" Cifar100 "CIFAR-100 (fine labels), binary or Python version, unpacked or as tar.gz."
        "tiny-imagenet" TinyImagenet "Tiny ImageNet, as released or with `val/` sorted into classes."
        "image-folder" ImageFolder "A folder per class, in `train/`, `val/` and `test/` or without parts; images of any size."
        "parquet" Parquet "Parquet files of Hugging Face, in a folder or in the local cache of the Hub."
        "webdataset" Webdataset "Tar files of WebDataset: `KEY.png` or another image, and `KEY.cls`."
        "idx" Idx "Files of MNIST and its kin, compressed or not."
        "npz" Npz "NumPy arrays of images and labels, as MedMNIST and Keras have them."
    }

    /// Whose statistics normalise the images.
    pub enum NormalisedBy {
        "own" Own "Those of the images that are trained on."
        "field" Field
            "The constants that published programs use for the set; with ZCA, that of all training images."
    }

    /// What to do about images that cannot be read.
    pub enum Unreadable {
        "refuse" Refuse "End with an error that counts them and names the first few."
        "skip" Skip "Leave them out, with a warning that says the same and a full list in the run."
    }

    /// How many channels images have.
    pub enum Color {
        "auto" Auto "As they are stored: grey images have one channel."
        "grey" Grey "One channel; colours become their luminance."
        "rgb" Rgb "Red, green and blue."
    }

    /// What transparent images are laid over.
    pub enum Background {
        "white" White "As on paper."
        "black" Black "As on a dark screen."
        "grey" Grey "Half of the brightness."
    }

    /// The networks that experts and students can be, and that a distilled set can be evaluated
    /// with.
    pub enum NetworkKind {
        "convnet" Convnet "Blocks of convolution, norm, activation, pooling; then a linear layer."
        "convnet-bn" ConvnetBn "The same with batch norm."
        "resnet18" Resnet18 "ResNet18 with instance norm."
        "resnet18-bn" Resnet18Bn "ResNet18 with batch norm."
        "vgg11" Vgg11 "VGG11 with instance norm."
        "vgg11-bn" Vgg11Bn "VGG11 with batch norm."
        "alexnet" Alexnet "AlexNet, which has no norm."
    }

    /// A family of DSA's augmentation.
    pub enum AugmentFamily {
        "color" Color "Brightness, saturation and contrast."
        "crop" Crop "Moved by up to an eighth of the side."
        "cutout" Cutout "A square of half the side is blanked."
        "flip" Flip "Left to right, half of the images."
        "scale" Scale "Each axis by a factor of up to 1.2."
        "rotate" Rotate "By up to 15 degrees."
    }

    /// The normalisation after every convolution.
    pub enum Norm {
        "instance" Instance "Group norm with one group per channel, with learned scale and shift."
        "layer" Layer "Layer norm over (channels, rows, columns)."
        "group" Group "Group norm with 4 groups."
        "batch" Batch "Batch norm, with running statistics for testing."
        "none" None "No normalisation."
    }

    /// The non-linearity of every block.
    pub enum Activation {
        "relu" Relu "max(0, x)."
        "leaky_relu" LeakyRelu "As ReLU, with slope 0.01 below 0."
        "sigmoid" Sigmoid "1 / (1 + e⁻ˣ)."
    }

    /// The 2×2 pooling, stride 2, that ends every block.
    pub enum Pooling {
        "avg" Avg "The mean of the four."
        "max" Max "The largest of the four."
        "none" None "No pooling: the images keep their size."
    }

    /// Which checkpoints of an expert stay on disk once it is trained.
    pub enum Keep {
        "all" All "Every one, for any profile that shares the experts."
        "needed" Needed "Those that the profile reads, and the last."
    }

    /// What the synthetic images start from.
    pub enum Init {
        "representative" Representative
            "The real images nearest the k-means centres of their class, by an expert's logits."
        "real" Real "Random real images of the class."
        "noise" Noise "Standard normal pixels."
    }

    /// Whether, and with which weights, the student is also compared with the expert's epochs
    /// before the last one (intermediate matching).
    pub enum Intermediate {
        "off" Off "Only the end point counts."
        "sum" Sum "Each of the M − 1 intermediate ratios has weight 1."
        "ramp" Ramp "The j-th of M − 1 intermediate ratios has weight j / M."
    }

    /// Which of the student's points is compared with the expert's last checkpoint.
    pub enum MatchAt {
        "end" End "The point after all N steps."
        "nearest" Nearest "The point nearest to the checkpoint (ATT)."
    }

    /// The labels of the synthetic images.
    pub enum LabelKind {
        "hard" Hard "One class each."
        "soft" Soft "A probability of every class, by experts; learned if lr_labels is above 0."
    }

    /// What of the synthetic images is learned.
    pub enum Parameters {
        "pixels" Pixels "Every pixel."
        "frequency" Frequency "The strongest frequencies of each class (FreD)."
        "tiles" Tiles "Smaller images that are enlarged."
    }
}

impl NetworkKind {
    /// Whether it has the width, depth, activation and pooling of a profile's section `network`.
    #[must_use]
    pub fn is_convnet(self) -> bool {
        matches!(self, Self::Convnet | Self::ConvnetBn)
    }
}

/// What the synthetic images start from: one of [`Init`], or a distilled set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Start {
    Chosen(Init),
    /// A file, or the folder of a run.
    From(PathBuf),
}

impl Start {
    /// None if it is a distilled set.
    #[must_use]
    pub fn chosen(&self) -> Option<Init> {
        match self {
            Self::Chosen(init) => Some(*init),
            Self::From(_) => None,
        }
    }
}
