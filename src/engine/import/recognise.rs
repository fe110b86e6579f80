//! What experts were trained for, from the name of their folder and the shapes of their tensors.

use super::with_field;
use crate::network::{self, Task};
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
    let names = path.iter().rev().filter_map(|name| name.to_str());
    let (kind, is_whitened) = names.into_iter().find_map(data_set).ok_or_else(|| {
        Error::Usage(
            "it is not clear which data set these experts were trained on; name a profile that has \
             it, for example --profile cifar10-ipc1 --set dataset.zca=false"
                .into(),
        )
    })?;
    let mut profile = Profile::new(kind);
    profile.dataset.zca = is_whitened;
    profile.dataset.size = if kind == Kind::TinyImagenet { 64 } else { 32 };
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

/// The data set that the name of a folder stands for, and whether its images are whitened: where MTT
/// writes experts, names end in _NO_ZCA if CIFAR's are not.
fn data_set(name: &str) -> Option<(Kind, bool)> {
    let upper = name.to_uppercase();
    let (set, is_whitened) = match upper.strip_suffix("_NO_ZCA") {
        Some(set) => (set, false),
        None => (upper.as_str(), true),
    };
    match set {
        "CIFAR10" => Some((Kind::Cifar10, is_whitened)),
        "CIFAR100" => Some((Kind::Cifar100, is_whitened)),
        "TINY" => Some((Kind::TinyImagenet, false)),
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
