//! What experts were trained for, from the name of their folder and the shapes of their tensors.

use super::with_field;
use crate::network::{self, Task};
use astill_core::imagenet::subset_ids;
use astill_core::profile::{Kind, NetworkKind, Norm, Profile};
use astill_core::{Error, Result};
use std::path::Path;

/// The profile that the folder `from` (…/buffers/CIFAR10_NO_ZCA/ConvNet) and the shapes of its first
/// checkpoint describe; all other keys have their defaults.
///
/// # Errors
/// It is not clear which data set or network that is.
pub fn profile(from: &Path, shapes: &[Vec<i64>]) -> Result<Profile> {
    let path = std::path::absolute(from).unwrap_or_else(|_| from.to_path_buf());
    let names: Vec<&str> = path.iter().filter_map(|name| name.to_str()).collect();
    let mut places = (0..names.len()).rev();
    let found = places.find_map(|at| data_set(&names[at..]));
    let Found {
        kind,
        is_whitened,
        size,
        subset,
    } = found.ok_or_else(|| {
        Error::Usage(
            "it is not clear which data set these experts were trained on; name a profile that has \
             it, for example --profile cifar10-ipc1 --set dataset.zca=false"
                .into(),
        )
    })?;
    let mut profile = Profile::new(kind);
    profile.dataset.zca = is_whitened;
    profile.dataset.size = size;
    profile.dataset.classes = subset.map(|subset| vec![subset]);
    let [channels, classes] = [
        shapes.first().and_then(|shape| shape.get(1)).copied(),
        shapes.last().and_then(|shape| shape.first()).copied(),
    ];
    let (Some(channels), Some(classes)) = (channels, classes) else {
        return Err(unknown(shapes));
    };
    let task = Task {
        channels,
        size: profile.dataset.size,
        classes,
    };
    let network = &mut profile.network;
    network.width = shapes[0].first().copied().unwrap_or(1);
    network.depth = shapes.iter().filter(|shape| shape.len() == 4).count();
    network.norm = match shapes.get(2).map(Vec::len) {
        Some(1) => Norm::Instance,
        Some(3) => Norm::Layer,
        _ => Norm::None,
    };
    let is_it = |kind: &&NetworkKind| {
        // larger networks than any that a profile can name would take long to describe
        let is_possible = network.depth <= 64 && task.classes <= 1 << 20 && network.width <= 4096;
        let built = is_possible.then(|| network::build(**kind, network, task).ok());
        built.flatten().is_some_and(|net| net.shapes() == shapes)
    };
    let found = NetworkKind::ALL.iter().find(is_it).copied();
    network.kind = found.ok_or_else(|| unknown(shapes))?;
    Ok(with_field(profile))
}

/// What the names of folders say.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    kind: Kind,
    is_whitened: bool,
    size: i64,
    /// Of ImageNet, as `dataset.classes` names it.
    subset: Option<String>,
}

/// The data set that a folder and those in it are named after, where MTT writes experts:
/// CIFAR10_NO_ZCA (without the end if images are whitened), Tiny, or ImageNet/imagenette/128.
fn data_set(names: &[&str]) -> Option<Found> {
    let upper = names.first()?.to_uppercase();
    let (set, is_whitened) = match upper.strip_suffix("_NO_ZCA") {
        Some(set) => (set, false),
        None => (upper.as_str(), true),
    };
    let found = |kind, is_whitened, size| Found {
        kind,
        is_whitened,
        size,
        subset: None,
    };
    match set {
        "CIFAR10" => Some(found(Kind::Cifar10, is_whitened, 32)),
        "CIFAR100" => Some(found(Kind::Cifar100, is_whitened, 32)),
        "TINY" => Some(found(Kind::TinyImagenet, false, 64)),
        "IMAGENET" => {
            let subset = names.get(1)?.strip_prefix("image")?;
            subset_ids(subset)?;
            Some(Found {
                subset: Some(subset.to_owned()),
                ..found(Kind::ImageFolder, false, names.get(2)?.parse().ok()?)
            })
        }
        _ => None,
    }
}

fn unknown(shapes: &[Vec<i64>]) -> Error {
    let some: Vec<String> = shapes.iter().take(6).map(|s| format!("{s:?}")).collect();
    Error::Usage(format!(
        "no network has the shapes of these checkpoints: {} tensors, the first ones {}; name the \
         profile that they were trained with (--profile, --set network.…)",
        shapes.len(),
        some.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use astill_core::profile::NormalisedBy;

    /// The shapes of a ConvNet of this width, depth and number of classes for images of this side.
    fn shapes(width: i64, depth: u32, classes: i64, side: i64) -> Vec<Vec<i64>> {
        let mut shapes = Vec::new();
        for block in 0..depth {
            let channels = if block == 0 { 3 } else { width };
            shapes.extend([
                vec![width, channels, 3, 3],
                vec![width],
                vec![width],
                vec![width],
            ]);
        }
        let side = side >> depth;
        shapes.extend([vec![classes, width * side * side], vec![classes]]);
        shapes
    }

    #[test]
    fn the_folders_of_mtt_name_data_set_and_network() -> Result<()> {
        let cases = [
            (
                "buffers/CIFAR10_NO_ZCA/ConvNet",
                Kind::Cifar10,
                false,
                (128, 3, 10, 32),
            ),
            (
                "buffers/CIFAR100/ConvNet",
                Kind::Cifar100,
                true,
                (128, 3, 100, 32),
            ),
            (
                "b/Tiny/ConvNetD4/replay_buffer_0.pt",
                Kind::TinyImagenet,
                false,
                (128, 4, 200, 64),
            ),
            (
                "b/ImageNet/imagenette/128/ConvNetD5",
                Kind::ImageFolder,
                false,
                (64, 5, 10, 128),
            ),
        ];
        for (folder, kind, is_whitened, (width, depth, classes, side)) in cases {
            let found = profile(Path::new(folder), &shapes(width, depth, classes, side))?;
            let (set, network) = (&found.dataset, &found.network);
            assert_eq!(
                (set.kind, set.zca, set.size),
                (kind, is_whitened, side),
                "{folder}"
            );
            assert_eq!((network.width, network.depth), (width, depth as usize));
            assert_eq!(
                (network.kind, network.norm),
                (NetworkKind::Convnet, Norm::Instance)
            );
            if kind == Kind::ImageFolder {
                assert_eq!(set.classes, Some(vec!["nette".to_owned()]));
            } else {
                assert_eq!(set.normalisation, NormalisedBy::Field);
            }
        }
        for unknown in ["experts", "ImageNet/imagenette", "ImageNet/all/128"] {
            let refused = profile(Path::new(unknown), &shapes(8, 3, 10, 32));
            assert!(
                refused.is_err_and(|e| e.to_string().contains("--profile")),
                "{unknown}"
            );
        }
        Ok(())
    }
}
