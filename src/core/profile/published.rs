//! The constants that published programs normalise each data set with.

use super::choices::Kind;
use std::path::Path;

/// Mean and standard deviation of each channel, of pixels in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelConstants {
    pub mean: &'static [f64],
    pub std: &'static [f64],
}

/// Source: DC, DSA, MTT and the programs that followed them; MTT has them for CIFAR-100 as well. The deviations are means over images of
/// each image's own deviation, so they are smaller than those of all pixels.
pub const CIFAR10: ChannelConstants = ChannelConstants {
    mean: &[0.4914, 0.4822, 0.4465],
    std: &[0.2023, 0.1994, 0.2010],
};

/// Source: DC, DSA, DC-BENCH. Programs that match trajectories have [`CIFAR10`] instead.
pub const CIFAR100: ChannelConstants = ChannelConstants {
    mean: &[0.5071, 0.4866, 0.4409],
    std: &[0.2673, 0.2564, 0.2762],
};

/// Source: torchvision's models; MTT uses them for Tiny ImageNet and for subsets of ImageNet.
pub const IMAGENET: ChannelConstants = ChannelConstants {
    mean: &[0.485, 0.456, 0.406],
    std: &[0.229, 0.224, 0.225],
};

/// Source: DC, DSA, DC-BENCH; the same for the three below.
const MNIST: ChannelConstants = ChannelConstants {
    mean: &[0.1307],
    std: &[0.3081],
};

const FASHION_MNIST: ChannelConstants = ChannelConstants {
    mean: &[0.2861],
    std: &[0.3530],
};

const SVHN: ChannelConstants = ChannelConstants {
    mean: &[0.4377, 0.4438, 0.4728],
    std: &[0.1980, 0.2010, 0.1970],
};

/// The constants for a data set in programs that match trajectories; none where publications agree on
/// none. Those of kinds that hold any data set are known by its name: that of the Hub, or of the folder
/// or file at `path`.
#[must_use]
pub fn channel_constants(kind: Kind, path: Option<&Path>) -> Option<ChannelConstants> {
    match kind {
        Kind::Cifar10 | Kind::Cifar100 => Some(CIFAR10),
        Kind::TinyImagenet | Kind::ImageFolder => Some(IMAGENET),
        Kind::Shapes => None,
        Kind::Parquet | Kind::Idx | Kind::Npz | Kind::Webdataset => match &*set_name(path?) {
            "cifar10" | "cifar100" => Some(CIFAR10),
            "mnist" => Some(MNIST),
            "fashionmnist" => Some(FASHION_MNIST),
            "svhn" => Some(SVHN),
            "tinyimagenet" | "imagenette" | "imagewoof" | "imagenet1k" => Some(IMAGENET),
            _ => None,
        },
    }
}

/// The name of the data set at a path, in lower case and without marks between its words: "fashionmnist"
/// of `hf:zalando-datasets/fashion_mnist`, `FashionMNIST/raw`, `fashion-mnist.npz`, and the folders
/// `OWNER--NAME` and `datasets--OWNER--NAME`.
fn set_name(path: &Path) -> String {
    const INNER: [&str; 2] = ["raw", "data"];
    let text = path.to_string_lossy();
    let names = text
        .trim_start_matches("hf:")
        .split('/')
        .filter(|name| !name.is_empty());
    let mut names: Vec<&str> = names.collect();
    if text.starts_with("hf:") {
        // a configuration may follow
        names.truncate(2);
    }
    while let [.., _, last] = names.as_slice()
        && INNER.contains(last)
    {
        names.pop();
    }
    let last = names.last().copied().unwrap_or_default();
    let of_hub: Vec<&str> = last.trim_start_matches("datasets--").split("--").collect();
    let name = match of_hub.as_slice() {
        [_, name, ..] => name,
        _ => last,
    };
    const ENDS: [&str; 3] = [".npz", ".parquet", ".tar"];
    let end = ENDS.iter().find_map(|end| name.strip_suffix(end));
    let name = end.unwrap_or(name).to_lowercase();
    name.replace(['-', '_', ' '], "")
}

/// The name by which the constants of the data set at a path are known; none if they are not.
#[must_use]
pub fn known_name(path: &str) -> Option<String> {
    let name = set_name(Path::new(path));
    channel_constants(Kind::Parquet, Some(Path::new(&name))).map(|_| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_known_by_the_name_of_the_set() {
        let of = |kind, path: &str| channel_constants(kind, Some(Path::new(path)));
        for (kind, path, constants) in [
            (Kind::Parquet, "hf:uoft-cs/cifar10", Some(CIFAR10)),
            (
                Kind::Parquet,
                "hf:ufldl-stanford/svhn/cropped_digits",
                Some(SVHN),
            ),
            (
                Kind::Parquet,
                "/cache/datasets--ufldl-stanford--svhn",
                Some(SVHN),
            ),
            (Kind::Parquet, "/data/uoft-cs--cifar100", Some(CIFAR10)),
            (Kind::Parquet, "svhn", Some(SVHN)),
            (Kind::Idx, "mnist", Some(MNIST)),
            (Kind::Idx, "/data/FashionMNIST/raw", Some(FASHION_MNIST)),
            (Kind::Npz, "mnist.npz", Some(MNIST)),
            (Kind::Parquet, "/data/cifar10.parquet", Some(CIFAR10)),
            (Kind::Npz, "pathmnist.npz", None),
            (Kind::Idx, "/data/mnist/kmnist", None),
            (Kind::ImageFolder, "mine", Some(IMAGENET)),
            (Kind::Shapes, "mnist", None),
        ] {
            assert_eq!(of(kind, path), constants, "{path}");
        }
        assert_eq!(channel_constants(Kind::Idx, None), None);
    }
}
