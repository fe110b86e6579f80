//! Sets of other programs in safetensors: images, labels and perhaps a rate, by their usual names.

use super::{FoundSet, labels};
use crate::export::PROVENANCE;
use crate::tensor_file::TensorFile;
use astill_core::{Error, Result};
use std::path::Path;
use tch::{Kind, Tensor};

/// The set in `file`; none if astill wrote it, which then says more about itself, or if it is not of this
/// form.
///
/// # Errors
/// As [`super::read`].
pub fn of_others(file: &Path) -> Result<Option<FoundSet>> {
    let tensors = TensorFile::open(file)?;
    if tensors.metadata(PROVENANCE).is_ok() {
        return Ok(None);
    }
    let named = |names: &[&str]| -> Result<Option<Tensor>> {
        let name = names.iter().find(|name| tensors.contains(name));
        name.map(|name| tensors.tensor(name)).transpose()
    };
    let Some(images) = named(&["images", "image"])? else {
        return Ok(None);
    };
    if !images.is_floating_point() {
        return Err(Error::file(
            file,
            format!(
                "holds images of whole numbers ({:?}), expected the normalised numbers that networks learn \
                 from, as float32",
                images.kind()
            ),
        ));
    }
    let stored = named(&["labels", "label"])?;
    let rate = named(&["lr", "syn_lr"])?;
    let rate = match rate {
        Some(rate) if rate.numel() == 1 => {
            Some(rate.to_kind(Kind::Double).reshape([1]).double_value(&[0]))
        }
        Some(_) => {
            return Err(Error::file(
                file,
                "expected one number as lr, the learned rate",
            ));
        }
        None => None,
    };
    Ok(Some(FoundSet {
        file: file.to_path_buf(),
        images: images.to_kind(Kind::Float),
        labels: stored.map(|tensor| labels(&tensor, file)).transpose()?,
        student_lr: rate,
        normalisation: None,
        provenance: None,
    }))
}
