//! Sets in files of `torch.save`: `images_best.pt` with `labels_best.pt`, `lr_best.pt` and others beside
//! it, the five files that DC-BENCH reads, or images and labels in one file.

use super::{FoundSet, labels, metadata_beside, of_metadata};
use crate::export::normalisation;
use crate::torch_file::{Item, StoredTensor, TorchFile};
use astill_core::{Error, Result};
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// Reads the set whose images are in `file`.
///
/// # Errors
/// As [`super::read`].
pub fn read(file: &Path) -> Result<FoundSet> {
    let (images, inside) = images_of(file)?;
    let beside = |what: &str| beside(file, what);
    let stored = match inside {
        Some(labels) => Some(labels),
        None => parts(file, "labels")?,
    };
    let rate = match beside("lr") {
        Some(path) if path.is_file() => Some(number(&path)?),
        _ => None,
    };
    let metadata = metadata_beside(file)?;
    let stated_rate = metadata.as_ref().and_then(|m| m["student_lr"].as_f64());
    let of = metadata
        .map(|metadata| of_metadata(&metadata, file))
        .transpose()?;
    let (provenance, of_channels) = of.unzip();
    let mut named = |name: &str| {
        let path = file.with_file_name(format!("{name}.pt"));
        path.is_file().then(|| tensor(&path)).transpose()
    };
    let stated = match provenance.is_some() {
        true => normalisation(&mut named, file)?,
        // whatever lies beside a set of another program is not known to be of it
        false => None,
    };
    if !images.is_floating_point() {
        return Err(Error::file(
            file,
            format!(
                "holds images of whole numbers ({:?}), expected the normalised numbers that networks learn \
                 from, as float32; convert its pixels as the program that made it does",
                images.kind()
            ),
        ));
    }
    let labels = stored.map(|tensor| labels(&tensor, file)).transpose()?;
    Ok(FoundSet {
        file: file.to_path_buf(),
        images: images.to_kind(Kind::Float),
        labels,
        student_lr: stated_rate.or(rate),
        normalisation: stated.or(of_channels.flatten()),
        provenance,
    })
}

/// The images of a file and of those that continue it, and the labels where they are in it too.
fn images_of(path: &Path) -> Result<(Tensor, Option<Tensor>)> {
    if is_split(path) {
        let images = parts(path, "images")?;
        let images = images.ok_or_else(|| Error::file(path, "expected images_best_0.pt, …"))?;
        return Ok((images, None));
    }
    let file = TorchFile::open(path)?;
    let (images, labels) = of_item(file.content()).map_err(|problem| Error::file(path, problem))?;
    let labels = labels.map(|labels| file.tensor(labels)).transpose()?;
    Ok((file.tensor(images)?, labels))
}

/// Whether this is the first file of a set that is in several, as DC-BENCH reads them. A number in any
/// other name says something else, such as the iteration in images_5000.pt.
fn is_split(images: &Path) -> bool {
    images
        .file_name()
        .is_some_and(|name| name == "images_best_0.pt")
}

/// The tensor `what` ("labels") of a set, put together where it is in several files; none where no
/// file has it.
fn parts(images: &Path, what: &str) -> Result<Option<Tensor>> {
    /// More than there are.
    const MOST: u32 = 1000;
    let Some(first) = beside(images, what).filter(|path| path.is_file()) else {
        return Ok(None);
    };
    if !is_split(images) {
        return tensor(&first).map(Some);
    }
    let file = |part: u32| first.with_file_name(format!("{what}_best_{part}.pt"));
    let there: Vec<u32> = (0..MOST).filter(|part| file(*part).is_file()).collect();
    if let Some((absent, _)) = (0..).zip(&there).find(|(part, there)| part != *there) {
        return Err(Error::file(
            file(absent),
            "is missing, but files that continue it are there; get it again",
        ));
    }
    let tensors = there.iter().map(|part| tensor(&file(*part)));
    let tensors = tensors.collect::<Result<Vec<_>>>()?;
    let whole = Tensor::f_cat(&tensors, 0);
    whole.map(Some).map_err(|_| {
        Error::file(
            &first,
            "and the files that continue it have different shapes",
        )
    })
}

/// The file beside `images` that has `what` instead of "images" in its name; none if it has no such
/// name.
fn beside(images: &Path, what: &str) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    let other = name.contains("images");
    other.then(|| images.with_file_name(name.replacen("images", what, 1)))
}

/// The one number of a file, the learned rate: itself, or as a tensor.
fn number(path: &Path) -> Result<f64> {
    let file = TorchFile::open(path)?;
    match file.content() {
        Item::Number(number) => return Ok(*number),
        Item::Tensor(stored) => {
            let tensor = file.tensor(stored)?;
            if tensor.numel() == 1 {
                return Ok(tensor.to_kind(Kind::Double).reshape([1]).double_value(&[0]));
            }
        }
        Item::List(_) | Item::Dict(_) | Item::Other => {}
    }
    Err(Error::file(path, "expected one number, the learned rate"))
}

/// The one tensor of a file.
fn tensor(path: &Path) -> Result<Tensor> {
    let file = TorchFile::open(path)?;
    match file.content() {
        Item::Tensor(stored) => file.tensor(stored),
        _ => Err(Error::file(path, "expected one tensor")),
    }
}

/// The images and the labels in what a file holds.
///
/// # Errors
/// What was expected. Labels that are there in another form are not taken for none: the images would
/// get those of the order of classes.
fn of_item(
    item: &Item,
) -> std::result::Result<(&StoredTensor, Option<&StoredTensor>), &'static str> {
    const WANTED: &str = "expected images (n, C, H, W), or a list or dict of images and labels";
    let (images, found) = match item {
        Item::Tensor(_) => (Some(item), None),
        Item::List(items) => (items.first(), items.get(1)),
        Item::Dict(entries) => {
            let named = |names: [&str; 2]| {
                let mut entries = entries.iter();
                let found = entries.find(|(name, _)| names.contains(&name.as_str()));
                found.map(|(_, item)| item)
            };
            (named(["images", "image"]), named(["labels", "label"]))
        }
        Item::Number(_) | Item::Other => (None, None),
    };
    let Some(Item::Tensor(images)) = images else {
        return Err(WANTED);
    };
    match found {
        None => Ok((images, None)),
        Some(Item::Tensor(labels)) => Ok((images, Some(labels))),
        Some(_) => Err(
            "expected its labels as one tensor, found something else; save them with \
             torch.tensor(labels)",
        ),
    }
}
