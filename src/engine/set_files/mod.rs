//! Distilled sets in files: those of `astill export`, and the `images_best.pt` of other programs.
//!
//! A set is a file, or a folder that holds one. A safetensors file of astill says everything about itself.
//! The others may have `astill.json` beside them (in an .npz it is the array "metadata"); without it, a
//! profile has to say what the images are.

mod npz;
mod safetensors;
mod torch;

use crate::data::Normalisation;
use crate::distill::Labels;
use crate::export::{self, Parts, Provenance};
use astill_core::cli::Space;
use astill_core::files::untrusted;
use astill_core::{Error, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// What astill writes beside the tensors of a set.
const METADATA: &str = "astill.json";
/// More than the metadata of any set.
const LARGEST_METADATA: u64 = 64 << 20;

/// A set as its files hold it.
#[derive(Debug)]
pub struct FoundSet {
    /// The file of the images, for messages.
    pub file: PathBuf,
    /// f32 (n, C, H, W), finite.
    pub images: Tensor,
    /// Of the images; none where no file has them.
    pub labels: Option<Labels>,
    /// The learned rate; none where no file has it.
    pub student_lr: Option<f64>,
    /// How the images were made from pixels; none where only a data set tells.
    pub normalisation: Option<Normalisation>,
    /// What astill says about the set; none for those of other programs.
    pub provenance: Option<Provenance>,
}

/// The file of a set: `path` itself, or what a folder holds of the names that sets have.
pub fn find(path: &Path) -> Option<PathBuf> {
    const NAMES: [&str; 5] = [
        export::FILE,
        "images_best.pt",
        "images_best_0.pt",
        "images.pt",
        "distilled.npz",
    ];
    if path.is_file() {
        return Some(path.to_path_buf());
    }
    let files = NAMES.iter().map(|name| path.join(name));
    files.into_iter().find(|file| file.is_file())
}

/// Reads the set in `file`.
///
/// # Errors
/// It is not a distilled set, or damaged; its images, labels and metadata do not fit together.
pub fn read(file: &Path) -> Result<FoundSet> {
    let is_called = |extension: &str| file.extension().is_some_and(|e| e == extension);
    let set = if is_called("safetensors")
        && let Some(set) = safetensors::of_others(file)?
    {
        set
    } else if is_called("safetensors") {
        let set = export::read(file)?;
        return Ok(FoundSet {
            file: file.to_path_buf(),
            images: set.images,
            labels: Some(set.labels),
            student_lr: Some(set.student_lr),
            normalisation: Some(set.normalisation),
            provenance: Some(set.provenance),
        });
    } else if is_called("npz") {
        npz::read(file)?
    } else {
        torch::read(file)?
    };
    let parts = Parts {
        images: &set.images,
        labels: set.labels.as_ref(),
        student_lr: set.student_lr,
        normalisation: set.normalisation.as_ref(),
        classes: set.provenance.as_ref().map(|p| p.classes.as_slice()),
    };
    match parts.flaw() {
        Some(flaw) => Err(Error::file(file, flaw)),
        None => Ok(set),
    }
}

/// Labels as programs store them: classes (n) or (n, 1); or (n, K), probabilities, or logits of which
/// they are made by a softmax, as DATM does it.
///
/// # Errors
/// They have another shape.
fn labels(tensor: &Tensor, of: &Path) -> Result<Labels> {
    let size = tensor.size();
    match *size.as_slice() {
        [_] | [_, 1] => {
            let whole = tensor.to_kind(Kind::Int64);
            // whole numbers may be stored as others
            let is_same = !tensor.is_floating_point() || whole.to_kind(tensor.kind()).equal(tensor);
            match is_same {
                true => Ok(Labels::Hard(whole.reshape([-1]))),
                false => Err(Error::file(
                    of,
                    "expected the numbers of classes as labels, found numbers that are not whole",
                )),
            }
        }
        [n, k] if n > 0 && k > 1 => {
            let values = tensor.to_kind(Kind::Float);
            let sums = values.sum_dim_intlist(1i64, false, Kind::Double);
            let off = (sums - 1.).abs().max().double_value(&[]);
            let least = values.min().double_value(&[]);
            Ok(match least >= 0. && off < 1e-3 {
                true => Labels::Soft(values),
                false => Labels::of_logits(&values),
            })
        }
        _ => Err(Error::file(
            of,
            format!("expected labels (images) or (images, classes), found the shape {size:?}"),
        )),
    }
}

/// What astill wrote about the set in `file` beside it; none if nothing is there.
fn metadata_beside(file: &Path) -> Result<Option<Value>> {
    let path = file.with_file_name(METADATA);
    if !path.is_file() {
        return Ok(None);
    }
    let text = untrusted::read_text(&path, LARGEST_METADATA).map_err(Error::io("read", &path))?;
    let value = serde_json::from_str(&text)
        .map_err(|e| Error::file(&path, format!("expected what `astill export` writes: {e}")))?;
    Ok(Some(value))
}

/// The provenance in what astill wrote about a set, and the normalisation where that is one of
/// channels.
///
/// # Errors
/// It is not what `astill export` writes.
pub fn of_metadata(metadata: &Value, of: &Path) -> Result<(Provenance, Option<Normalisation>)> {
    let wrong = |problem: String| {
        Error::file(
            of,
            format!("expected what `astill export` writes: {problem}"),
        )
    };
    let provenance: Provenance =
        serde_json::from_value(metadata.clone()).map_err(|e| wrong(e.to_string()))?;
    let mut channels = |key: &str| {
        let Some(stated) = metadata.get(key).filter(|stated| !stated.is_null()) else {
            return Ok(None);
        };
        let values = stated.as_array().into_iter().flatten();
        let values: Option<Vec<f32>> = values.map(|v| Some(v.as_f64()? as f32)).collect();
        match values.filter(|values| !values.is_empty()) {
            Some(values) => Ok(Some(Tensor::from_slice(&values))),
            None => Err(wrong(format!(
                "{key} is {stated}, and not a list of numbers"
            ))),
        }
    };
    Ok((provenance, export::normalisation(&mut channels, of)?))
}

impl FoundSet {
    /// The space that its numbers are in; that of published programs where nothing tells.
    pub fn space(&self) -> Space {
        self.provenance.as_ref().map_or(Space::Field, |p| p.space)
    }

    /// How many classes its labels are of; none where only a data set tells.
    pub fn classes(&self) -> Option<usize> {
        match (&self.provenance, &self.labels) {
            (Some(provenance), _) => Some(provenance.classes.len()),
            (None, Some(Labels::Soft(probabilities))) => {
                probabilities.size().get(1).map(|k| *k as usize)
            }
            (None, _) => None,
        }
    }

    /// Its labels, or where no file has them, those of as many images for each of `classes` classes,
    /// one class after the other.
    ///
    /// # Errors
    /// The images are not as many for each class, or a label is none of the classes.
    pub fn labels_of(&self, classes: usize) -> Result<Labels> {
        let count = self.images.size()[0] as usize;
        let problem = match &self.labels {
            Some(Labels::Hard(labels)) if labels.max().int64_value(&[]) >= classes as i64 => {
                format!(
                    "found the label {}, expected {classes} classes",
                    labels.max().int64_value(&[])
                )
            }
            Some(Labels::Soft(labels)) if labels.size()[1] != classes as i64 => {
                format!(
                    "found soft labels of {} classes, expected {classes}",
                    labels.size()[1]
                )
            }
            Some(labels) => return Ok(labels.shallow_clone()),
            None if classes > 0 && count.is_multiple_of(classes) => {
                return Ok(Labels::in_class_order(classes, count / classes));
            }
            None => format!(
                "holds {count} images without labels, which are not equally many for each of \
                 {classes} classes; save the labels as labels_best.pt beside it"
            ),
        };
        Err(Error::file(&self.file, problem))
    }
}
