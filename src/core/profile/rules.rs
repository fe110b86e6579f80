//! The rules that involve several settings, or settings and the data.

use super::auto::Auto;
use super::choices::{
    AugmentFamily, Color, Kind, LabelKind, NetworkKind, Norm, NormalisedBy, Parameters, Pooling,
};
use super::problem::{Location, Origin, Problem};
use super::published;
use super::schema::Profile;
use std::collections::BTreeMap;

/// A combination that cannot be run.
#[derive(Debug)]
pub(super) struct Conflict {
    /// The keys involved, first the one to change first.
    pub keys: &'static [&'static str],
    /// The values found, and what to change.
    pub message: String,
}

impl Conflict {
    /// Where to report it: at a `--set` rather than in a file, and at the first key rather than the
    /// others. None if all keys have their defaults.
    pub fn location(&self, given: &BTreeMap<&'static str, Location>) -> Option<Location> {
        let locations = || self.keys.iter().filter_map(|k| given.get(k));
        locations()
            .find(|l| matches!(l.origin, Origin::Set(_) | Origin::Edit(_)))
            .or_else(|| locations().next())
            .cloned()
    }

    pub fn problem(self, location: Location) -> Problem {
        let key = self.keys.first().map(|k| k.to_string());
        Problem::new(location, key, self.message)
    }
}

/// What is wrong with a profile whose values are each within their range.
pub(super) fn conflicts(p: &Profile) -> Vec<Conflict> {
    [
        start_within_experts(p),
        trained_within_schedule(p),
        start_window_is_open(p),
        labels_by_experts(p),
        images_share_a_room(p),
        mirror_image_is_exact(p),
        mirror_images_are_seen(p),
        steps_for_every_epoch(p),
        imported_experts_have_one_checkpoint_per_epoch(p),
        chosen_images_are_real(p),
        image_survives_pooling(p),
        groups_divide_width(p),
        constants_are_known(p),
        colour_is_chosen_for_files(p),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What is wrong with a profile for a data set of these classes, with this many training images
/// each.
pub(super) fn conflicts_with(
    p: &Profile,
    classes: &[String],
    train_per_class: &[usize],
) -> Vec<Conflict> {
    let (ipc, per_class) = (p.distill.ipc, p.images_per_class());
    let set = per_class.saturating_mul(classes.len());
    let in_a_room = per_class / ipc.max(1);
    let found_ipc = match in_a_room {
        0 | 1 => ipc.to_string(),
        several => format!("{ipc} × distill.images_per_room {several}"),
    };
    let mut found = Vec::new();
    if let Some((class, &images)) = classes.iter().zip(train_per_class).min_by_key(|(_, n)| **n)
        && images < per_class
    {
        let remedy = match images / in_a_room.max(1) {
            0 if images > 0 => format!("distill.images_per_room to {images}"),
            most => format!("distill.ipc to {most}"),
        };
        found.push(Conflict {
            keys: &["distill.ipc"],
            message: format!(
                "found {found_ipc}, but class {class:?}, the smallest, has only {images} training \
                 images; lower {remedy} or less, raise dataset.train_limit, or lower \
                 dataset.validation"
            ),
        });
    }
    let images = train_per_class
        .iter()
        .fold(0_usize, |sum, n| sum.saturating_add(*n));
    if p.expert.batch > images {
        found.push(Conflict {
            keys: &["expert.batch"],
            message: format!(
                "found {}, but there are only {images} training images; lower expert.batch to \
                 {images} or less, or raise dataset.train_limit",
                p.expert.batch
            ),
        });
    }
    let batches = images.div_ceil(p.expert.batch.max(1));
    if p.expert.per_epoch > batches.max(1) {
        found.push(Conflict {
            keys: &["expert.per_epoch", "expert.batch"],
            message: format!(
                "found {}, but an epoch has only {batches} training steps; lower expert.per_epoch to \
                 {batches} or less, or lower expert.batch",
                p.expert.per_epoch
            ),
        });
    }
    if let Some(batch) = p.distill.batch
        && batch > set
    {
        found.push(Conflict {
            keys: &["distill.batch", "distill.ipc"],
            message: format!(
                "found {batch}, larger than the set of {set} synthetic images (distill.ipc {found_ipc} \
                 × {} classes); lower distill.batch, or write null for all of them",
                classes.len()
            ),
        });
    }
    found
}

fn start_within_experts(p: &Profile) -> Option<Conflict> {
    let (start, matched) = (p.distill.max_start_epoch, p.distill.expert_epochs);
    let (key, epochs) = match p.expert.train_epochs {
        Auto::Value(trained) => ("expert.train_epochs", trained.min(p.expert.epochs)),
        Auto::Auto => ("expert.epochs", p.expert.epochs),
    };
    let read = p.epochs_read();
    (read > epochs).then(|| Conflict {
        keys: &[
            "distill.max_start_epoch",
            "distill.expert_epochs",
            "expert.epochs",
            "expert.train_epochs",
        ],
        message: format!(
            "found {start}, and with distill.expert_epochs {matched} distillation reads {read} \
             epochs, more than {key} {epochs}; lower distill.max_start_epoch or \
             distill.expert_epochs, or raise {key} to {read}"
        ),
    })
}

fn trained_within_schedule(p: &Profile) -> Option<Conflict> {
    let (trained, epochs) = (p.expert.train_epochs.given()?, p.expert.epochs);
    (trained > epochs).then(|| Conflict {
        keys: &["expert.train_epochs", "expert.epochs"],
        message: format!(
            "found {trained}, more than expert.epochs {epochs}, the length of the whole training; \
             lower expert.train_epochs, or raise expert.epochs to {trained}"
        ),
    })
}

fn start_window_is_open(p: &Profile) -> Option<Conflict> {
    let d = &p.distill;
    let (first, last) = (d.min_start_epoch, d.max_start_epoch);
    if first >= last {
        return Some(Conflict {
            keys: &["distill.min_start_epoch", "distill.max_start_epoch"],
            message: format!(
                "found {first}, expected less than distill.max_start_epoch {last}; lower \
                 distill.min_start_epoch, or raise distill.max_start_epoch"
            ),
        });
    }
    let from = d.expand_from?;
    (from <= first || from > last).then(|| Conflict {
        keys: &["distill.expand_from", "distill.max_start_epoch"],
        message: format!(
            "found {from}, expected more than distill.min_start_epoch {first} and at most \
             distill.max_start_epoch {last}"
        ),
    })
}

fn labels_by_experts(p: &Profile) -> Option<Conflict> {
    let (labels, count) = (p.distill.label_experts, p.expert.count);
    (p.distill.labels == LabelKind::Soft && labels > count).then(|| Conflict {
        keys: &["distill.label_experts", "expert.count"],
        message: format!(
            "found {labels}, more than expert.count {count}; lower distill.label_experts, or raise \
             expert.count"
        ),
    })
}

/// The layouts with a fixed number of channels read them as they are.
fn colour_is_chosen_for_files(p: &Profile) -> Option<Conflict> {
    let (kind, color) = (p.dataset.kind, p.dataset.color);
    let is_fixed = matches!(
        kind,
        Kind::Shapes | Kind::Cifar10 | Kind::Cifar100 | Kind::TinyImagenet
    );
    (is_fixed && color != Color::Auto).then(|| Conflict {
        keys: &["dataset.color", "dataset.kind"],
        message: format!(
            "found {color}, but {kind} is read with the colours that it has; leave dataset.color out, or \
             use files of images (dataset.kind: image-folder)"
        ),
    })
}

fn mirror_images_are_seen(p: &Profile) -> Option<Conflict> {
    let flipped = p.dataset.augment.as_ref();
    let flips = flipped.is_some_and(|families| families.contains(&AugmentFamily::Flip));
    (p.distill.mirror && !flips).then(|| Conflict {
        keys: &["distill.mirror", "dataset.augment"],
        message:
            "found true, but dataset.augment has no flip, so experts never see mirror images; set \
                  distill.mirror to false, or add flip"
                .into(),
    })
}

fn mirror_image_is_exact(p: &Profile) -> Option<Conflict> {
    let (size, kind) = (p.dataset.size, p.network.kind);
    let (depth, key) = match kind {
        NetworkKind::Resnet18 | NetworkKind::Resnet18Bn => {
            return p.distill.mirror.then(|| Conflict {
                keys: &["distill.mirror", "network.kind"],
                message: format!(
                    "found true, but {kind} halves images by leaving out every second column, so \
                     the mirror image of an expert is no expert; set distill.mirror to false, or \
                     choose another network.kind"
                ),
            });
        }
        NetworkKind::Vgg11 | NetworkKind::Vgg11Bn => (5, ""),
        NetworkKind::Alexnet => (3, ""),
        NetworkKind::Convnet | NetworkKind::ConvnetBn if p.network.pooling == Pooling::None => {
            return None;
        }
        NetworkKind::Convnet | NetworkKind::ConvnetBn => (p.network.depth, "network.depth "),
    };
    let whole = 1_i64.checked_shl(u32::try_from(depth).ok()?)?;
    (p.distill.mirror && size % whole != 0).then(|| {
        let below = (size / whole * whole).max(whole);
        Conflict {
            keys: &["distill.mirror", "dataset.size", "network.depth"],
            message: format!(
                "found true, but dataset.size {size} cannot be halved {key}{depth} times without a \
                 remainder, so the mirror image of an expert is no expert; set distill.mirror to \
                 false, or dataset.size to {below} or {}",
                below + whole
            ),
        }
    })
}

fn images_share_a_room(p: &Profile) -> Option<Conflict> {
    let (images, size) = (p.distill.images_per_room, p.dataset.size as usize);
    let allowed: Vec<String> = (1..=8_usize)
        .filter(|k| size.is_multiple_of(*k))
        .map(|k| (k * k).to_string())
        .collect();
    let fits = allowed.contains(&images.to_string());
    (p.distill.parameters == Parameters::Tiles && !fits).then(|| Conflict {
        keys: &[
            "distill.images_per_room",
            "distill.parameters",
            "dataset.size",
        ],
        message: format!(
            "found {images}, but k × k tiles fill the room of one image, and dataset.size {size} \
             must be a multiple of k; expected one of: {}",
            allowed.join(", ")
        ),
    })
}

fn imported_experts_have_one_checkpoint_per_epoch(p: &Profile) -> Option<Conflict> {
    let per_epoch = p.expert.per_epoch;
    (p.expert.from.is_some() && per_epoch != 1).then(|| Conflict {
        keys: &["expert.per_epoch", "expert.from"],
        message: format!(
            "found {per_epoch}, but imported experts (expert.from) have one checkpoint per epoch; \
             set expert.per_epoch to 1"
        ),
    })
}

fn chosen_images_are_real(p: &Profile) -> Option<Conflict> {
    (p.distill.correct_only && p.distill.init.chosen().is_none()).then(|| Conflict {
        keys: &["distill.correct_only", "distill.init"],
        message:
            "found true, but distill.init is a distilled set, of which no images are left out; \
                  set distill.correct_only to false"
                .into(),
    })
}

fn steps_for_every_epoch(p: &Profile) -> Option<Conflict> {
    let (steps, matched) = (p.distill.syn_steps, p.distill.expert_epochs);
    (steps < matched).then(|| Conflict {
        keys: &["distill.syn_steps", "distill.expert_epochs"],
        message: format!(
            "found {steps}, fewer than distill.expert_epochs {matched}; raise distill.syn_steps to \
             {matched} or more, or lower distill.expert_epochs"
        ),
    })
}

/// Whether a network of the profile has the settings of its section `network`.
fn has_convnet(p: &Profile) -> bool {
    let mut used = p.evaluate.networks.iter().chain([&p.network.kind]);
    used.any(|kind| kind.is_convnet())
}

fn image_survives_pooling(p: &Profile) -> Option<Conflict> {
    let (size, depth) = (p.dataset.size, p.network.depth);
    let side = u32::try_from(depth)
        .ok()
        .and_then(|d| size.checked_shr(d))
        .unwrap_or(0);
    (has_convnet(p) && p.network.pooling != Pooling::None && side < 1).then(|| Conflict {
        keys: &["network.depth", "dataset.size"],
        message: format!(
            "found {depth}, but halving dataset.size {size} that many times by pooling leaves no \
             pixel; lower network.depth to {} or less, raise dataset.size, or set network.pooling \
             to none",
            size.max(1).ilog2()
        ),
    })
}

fn groups_divide_width(p: &Profile) -> Option<Conflict> {
    let width = p.network.width;
    (has_convnet(p) && p.network.norm == Norm::Group && width % 4 != 0).then(|| Conflict {
        keys: &["network.width", "network.norm"],
        message: format!(
            "found {width}, but network.norm group needs a multiple of 4; use {}, or another norm",
            (width / 4 + 1) * 4
        ),
    })
}

fn constants_are_known(p: &Profile) -> Option<Conflict> {
    let kind = p.dataset.kind;
    let wanted = p.dataset.normalisation == NormalisedBy::Field && !p.dataset.zca;
    (wanted && published::channel_constants(kind, p.dataset.path.as_deref()).is_none()).then(|| {
        Conflict {
            keys: &["dataset.normalisation", "dataset.kind", "dataset.zca"],
            message: format!(
                "found field, but published programs share no mean and deviation for this data set \
             (dataset.kind {kind}), as far as the name of its folder tells; set dataset.normalisation to own, or \
             dataset.zca to true, or give the folder the name of the data set, such as cifar10 or mnist"
            ),
        }
    })
}
