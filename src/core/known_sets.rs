//! The data sets that `astill fetch` knows by name: how a profile reads them, and how large they are.

use crate::profile::Kind;
use std::path::Path;

/// A data set with a name of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownSet {
    /// What `astill fetch` calls it.
    pub name: &'static str,
    pub kind: Kind,
    /// Its folder among the data sets, as `dataset.path` names it; none where it is that of its kind.
    pub path: Option<&'static str>,
    /// None where they are not known without its files.
    pub counts: Option<KnownCounts>,
}

/// How large a data set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownCounts {
    pub classes: usize,
    /// Images of every class: of the mean class where they differ.
    pub train: usize,
    pub test: usize,
    pub channels: usize,
}

/// All of them.
pub const KNOWN_SETS: [KnownSet; 7] = [
    set("cifar10", Kind::Cifar10, None, counts(10, 5000, 1000, 3)),
    set("cifar100", Kind::Cifar100, None, counts(100, 500, 100, 3)),
    set(
        "tiny-imagenet",
        Kind::TinyImagenet,
        None,
        counts(200, 500, 50, 3),
    ),
    set(
        "imagenette",
        Kind::ImageFolder,
        Some("imagenette2-160"),
        counts(10, 946, 392, 3),
    ),
    set("mnist", Kind::Idx, Some("mnist"), counts(10, 6000, 1000, 1)),
    set(
        "fashion-mnist",
        Kind::Idx,
        Some("fashion-mnist"),
        counts(10, 6000, 1000, 1),
    ),
    set("svhn", Kind::Parquet, Some("svhn"), None),
];

const fn set(
    name: &'static str,
    kind: Kind,
    path: Option<&'static str>,
    counts: Option<KnownCounts>,
) -> KnownSet {
    KnownSet {
        name,
        kind,
        path,
        counts,
    }
}

const fn counts(classes: usize, train: usize, test: usize, channels: usize) -> Option<KnownCounts> {
    Some(KnownCounts {
        classes,
        train,
        test,
        channels,
    })
}

/// The set that a profile means, by the kind and the folder that it names.
#[must_use]
pub fn known_set(kind: Kind, path: Option<&Path>) -> Option<&'static KnownSet> {
    let is_it = |set: &&KnownSet| match (set.path, path) {
        (None, _) => set.kind == kind,
        (Some(own), Some(path)) => set.kind == kind && path.ends_with(own),
        (Some(_), None) => false,
    };
    KNOWN_SETS.iter().find(is_it)
}

/// The set whose folder this is among the data sets, whatever kind a profile reads it as.
#[must_use]
pub fn set_in(path: &Path) -> Option<&'static KnownSet> {
    let is_it = |set: &&KnownSet| set.path.is_some_and(|own| path.ends_with(own));
    KNOWN_SETS.iter().find(is_it)
}
