//! A distilled set that distillation starts from (`distill.init: FILE`).

use crate::data::Normalisation;
use crate::export::{self, Provenance};
use crate::set_files;
use astill_core::profile::{Init, NormalisedBy, Profile, channel_constants};
use astill_core::run::RunDir;
use astill_core::{Error, Result};
use std::path::Path;
use tch::{Device, Tensor};

/// The images of a distilled set, as many of each class as a profile asks for.
#[derive(Debug)]
pub struct StartingSet {
    /// f32 (n, C, H, W), class after class.
    images: Tensor,
    /// How these images were made from pixels; none where they are in the space of the run.
    normalisation: Option<Normalisation>,
}

impl StartingSet {
    /// Reads a file or the folder of a run. Of each of the `classes` classes, the first images are
    /// taken, as many as the profile learns; they must have as many channels as the data set.
    ///
    /// # Errors
    /// There is no such set, it is damaged, its images have another size, or a class has too few.
    pub fn read(path: &Path, profile: &Profile, (classes, channels): (usize, i64)) -> Result<Self> {
        let run = || export::of_run(&RunDir::at(path));
        let file = match set_files::find(path) {
            Some(file) => file,
            None if path.is_dir() => run()?,
            None => {
                return Err(Error::Usage(format!(
                    "distill.init: found {}, expected one of {}, or a distilled set: a file or the \
                     folder of a run, but nothing is there",
                    path.display(),
                    Init::NAMES.join(", ")
                )));
            }
        };
        let set = set_files::read(&file)?;
        let size = set.images.size();
        let expected = [channels, profile.dataset.size, profile.dataset.size];
        if size[1..] != expected {
            return Err(Error::file(
                path,
                format!(
                    "holds images of the shape {size:?}, expected (images, channels, rows, columns) \
                     with {expected:?}, as dataset.size is {}",
                    profile.dataset.size
                ),
            ));
        }
        let of_images = set.labels_of(classes)?.classes();
        let of_images: Vec<i64> = (0..size[0]).map(|n| of_images.int64_value(&[n])).collect();
        let per_class = profile.images_per_class();
        let mut rows = Vec::new();
        for class in 0..classes as i64 {
            let of_class = (0i64..).zip(&of_images).filter(|(_, c)| **c == class);
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
        let normalisation = match (&set.provenance, set.normalisation) {
            (Some(_), Some(own)) => Some(own),
            (provenance, _) => {
                if let Some(provenance) = provenance {
                    check_whitening(path, provenance, profile)?;
                }
                of_the_field(path, profile)?
            }
        };
        Ok(Self {
            images: set.images.index_select(0, &Tensor::from_slice(&rows)),
            normalisation,
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

/// Refuses images that say that they are whitened for a run that does not whiten, and the other way
/// round.
fn check_whitening(path: &Path, provenance: &Provenance, profile: &Profile) -> Result<()> {
    let is_whitened = provenance.normalisation == Normalisation::ZCA;
    if is_whitened == profile.dataset.zca {
        return Ok(());
    }
    let (are, wanted) = match is_whitened {
        true => ("are whitened", "are not"),
        false => ("are not whitened", "are"),
    };
    Err(Error::file(
        path,
        format!(
            "holds images that {are}, but those of this run {wanted}; set dataset.zca={is_whitened} and \
             dataset.normalisation=field, or start from best.safetensors of its run"
        ),
    ))
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
            Ok(channel_constants(set.kind, set.path.as_deref()).map(Normalisation::of_constants))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use astill_core::profile;
    use serde_json::json;

    #[test]
    fn images_that_say_that_they_are_whitened_fit_a_run_that_whitens() {
        for (normalisation, zca, is_refused) in [
            ("zca", true, false),
            ("zca", false, true),
            ("channels", false, false),
            ("channels", true, true),
        ] {
            let provenance = json!({
                "program": "astill", "profile": {}, "edits": [], "classes": ["a", "b"],
                "normalisation": normalisation, "space": "field", "data_content": "", "step": 1,
                "validation_accuracy": null, "results": [], "paper_style_max": null,
            });
            let provenance = serde_json::from_value(provenance).unwrap();
            let zca = format!("dataset.zca={zca}");
            let profile = profile::load("cifar10-cpu", &[zca]).unwrap().profile;
            let checked = check_whitening(Path::new("set"), &provenance, &profile);
            assert_eq!(checked.is_err(), is_refused, "{normalisation}: {checked:?}");
        }
    }
}
