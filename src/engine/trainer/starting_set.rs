//! A distilled set that distillation starts from (`distill.init: FILE`).

use crate::data::Normalisation;
use crate::export;
use crate::torch_file::{Item, StoredTensor, TorchFile};
use astill_core::profile::{Init, NormalisedBy, Profile, channel_constants};
use astill_core::run::RunDir;
use astill_core::{Error, Result};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// The images of a distilled set, as many of each class as a profile asks for.
#[derive(Debug)]
pub struct StartingSet {
    /// f32 (n, C, H, W), class after class.
    images: Tensor,
    /// How these images were made from pixels; none where they are in the space of the run.
    normalisation: Option<Normalisation>,
}

/// A set as a file holds it.
struct Set {
    /// (n, C, H, W).
    images: Tensor,
    /// The class of each.
    classes: Vec<i64>,
    normalisation: Option<Normalisation>,
}

impl StartingSet {
    /// Reads a file or the folder of a run. Of each of the `classes` classes, the first images are
    /// taken, as many as the profile learns. They have as many `channels` as the data set.
    ///
    /// # Errors
    /// There is no such set, it is damaged, its images have another size, or a class has too few.
    pub fn read(path: &Path, profile: &Profile, classes: usize, channels: i64) -> Result<Self> {
        let set = if path.is_dir() {
            let file = match path.join("images_best.pt") {
                images if images.is_file() => images,
                _ => export::of_run(&RunDir::at(path))?,
            };
            read_file(&file, profile, classes)?
        } else if path.is_file() {
            read_file(path, profile, classes)?
        } else {
            return Err(Error::Usage(format!(
                "distill.init: found {}, expected one of {}, or a distilled set: a file or the folder \
                 of a run, but nothing is there",
                path.display(),
                Init::NAMES.join(", ")
            )));
        };
        let size = set.images.size();
        let expected = [channels, profile.dataset.size, profile.dataset.size];
        if size.len() != 4 || size[1..] != expected || size[0] as usize != set.classes.len() {
            return Err(Error::file(
                path,
                format!(
                    "holds images of the shape {size:?} with {} labels, expected (images, channels, \
                     rows, columns) with {expected:?}, as images of the data set have channels: \
                     {channels}, and dataset.size is {}",
                    set.classes.len(),
                    profile.dataset.size
                ),
            ));
        }
        let per_class = profile.images_per_class();
        let mut rows = Vec::new();
        for class in 0..classes as i64 {
            let of_class = (0i64..).zip(&set.classes).filter(|(_, c)| **c == class);
            let before = rows.len();
            rows.extend(of_class.map(|(row, _)| row).take(per_class));
            if rows.len() - before < per_class {
                return Err(Error::file(
                    path,
                    format!(
                        "holds {} images of class {class}, expected {per_class} (distill.ipc); lower \
                         distill.ipc, or start from another set",
                        rows.len() - before
                    ),
                ));
            }
        }
        let images = set.images.to_kind(Kind::Float);
        let images = images.index_select(0, &Tensor::from_slice(&rows));
        if !crate::distill::all_finite(&images) {
            return Err(Error::file(path, "holds images that are not finite"));
        }
        Ok(Self {
            images,
            normalisation: set.normalisation,
        })
    }

    /// The images (n, C, H, W) in the space of `normalisation`, on `device`.
    pub fn images(&self, normalisation: &Normalisation, device: Device) -> Tensor {
        match &self.normalisation {
            None => self.images.to_device(device),
            Some(own) => {
                let pixels = own.invert_unclamped(&self.images);
                normalisation.apply(&pixels.to_device(device))
            }
        }
    }
}

fn read_file(path: &Path, profile: &Profile, classes: usize) -> Result<Set> {
    if path.extension().is_some_and(|e| e == "safetensors") {
        let set = export::read(path)?;
        let labels = set.labels.classes();
        return Ok(Set {
            images: set.images,
            classes: whole_numbers(&labels),
            normalisation: Some(set.normalisation),
        });
    }
    let file = TorchFile::open(path)?;
    let wrong = || {
        Error::file(
            path,
            "expected images (n, C, H, W), or a list or dict of images and labels",
        )
    };
    let (images, labels) = of_item(file.content()).ok_or_else(wrong)?;
    let labels = match labels {
        Some(labels) => Some(file.tensor(labels)?),
        None => labels_beside(path)?,
    };
    let images = file.tensor(images)?;
    let count = images.size().first().copied().unwrap_or(0) as usize;
    let of_class = count / classes.max(1);
    let labels = match labels {
        Some(labels) if labels.dim() == 2 => whole_numbers(&labels.argmax(1, false)),
        Some(labels) => whole_numbers(&labels.reshape([-1])),
        None if count.is_multiple_of(classes) => (0..classes as i64)
            .flat_map(|class| vec![class; of_class])
            .collect(),
        None => {
            return Err(Error::file(
                path,
                format!(
                    "holds {count} images without labels, which are no whole number for each of \
                     {classes} classes; save the labels as labels_best.pt beside it"
                ),
            ));
        }
    };
    Ok(Set {
        images,
        classes: labels,
        normalisation: of_the_field(path, profile)?,
    })
}

/// How others normalise; none where the run does the same.
fn of_the_field(path: &Path, profile: &Profile) -> Result<Option<Normalisation>> {
    let set = &profile.dataset;
    match (set.normalisation, set.zca) {
        (NormalisedBy::Field, _) => Ok(None),
        (NormalisedBy::Own, true) => Err(Error::file(
            path,
            "holds images that are whitened as published programs do it, which the whitening of this \
             run does not fit; set dataset.normalisation=field, or dataset.zca=false where they are \
             not whitened",
        )),
        (NormalisedBy::Own, false) => {
            Ok(channel_constants(set.kind).map(Normalisation::of_constants))
        }
    }
}

/// The images and the labels in what a file holds.
fn of_item(item: &Item) -> Option<(&StoredTensor, Option<&StoredTensor>)> {
    match item {
        Item::Tensor(images) => Some((images, None)),
        Item::List(items) => match items.as_slice() {
            [Item::Tensor(images), Item::Tensor(labels), ..] => Some((images, Some(labels))),
            [Item::Tensor(images)] => Some((images, None)),
            _ => None,
        },
        Item::Dict(entries) => {
            let named = |names: [&str; 2]| {
                let found = entries
                    .iter()
                    .find(|(name, _)| names.contains(&name.as_str()));
                match found {
                    Some((_, Item::Tensor(tensor))) => Some(tensor),
                    _ => None,
                }
            };
            Some((named(["images", "image"])?, named(["labels", "label"])))
        }
        _ => None,
    }
}

/// The labels that other programs write into a file of their own: labels_best.pt beside
/// images_best.pt.
fn labels_beside(path: &Path) -> Result<Option<Tensor>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(name.replacen("images", "labels", 1));
    if !name.contains("images") || !beside.is_file() {
        return Ok(None);
    }
    let file = TorchFile::open(&beside)?;
    match file.content() {
        Item::Tensor(labels) => file.tensor(labels).map(Some),
        _ => Err(Error::file(&beside, "expected a tensor of labels")),
    }
}

fn whole_numbers(labels: &Tensor) -> Vec<i64> {
    let labels = labels.to_kind(Kind::Int64);
    (0..labels.size().first().copied().unwrap_or(0))
        .map(|row| labels.int64_value(&[row]))
        .collect()
}
