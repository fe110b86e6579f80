//! One safetensors file: what a run writes at its end, and what other formats are made from.

use super::{DistilledSet, Export, ExportSource, Provenance};
use crate::data::{Normalisation, Zca};
use crate::distill::Labels;
use crate::tensor_file::{self, TensorFile};
use astill_core::{Error, Result};
use std::path::Path;
use tch::Tensor;

/// The one value of [`Safetensors`].
pub const SAFETENSORS: Safetensors = Safetensors;

/// The metadata key of the [`Provenance`], as JSON.
const PROVENANCE: &str = "astill";

/// Tensors "images", "labels" i64 (n), for soft labels also "soft_labels" (n, K), "student_lr" f64
/// (1), and those of the normalisation: "mean" and
/// "std", or "zca_mean", "zca_transform" and "zca_inverse".
#[derive(Debug)]
pub struct Safetensors;

impl Export for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn description(&self) -> &'static str {
        "one file of tensors with every setting and result; for Python, `safetensors.torch.load_file`"
    }

    fn file_name(&self) -> &'static str {
        "best.safetensors"
    }

    fn write(&self, source: &ExportSource<'_>, path: &Path) -> Result<()> {
        let set = source.set;
        let student_lr = Tensor::from_slice(&[set.student_lr]);
        let classes = set.labels.classes();
        let mut tensors = vec![
            ("images", &set.images),
            ("labels", &classes),
            ("student_lr", &student_lr),
        ];
        if let Labels::Soft(probabilities) = &set.labels {
            tensors.push(("soft_labels", probabilities));
        }
        match &set.normalisation {
            Normalisation::Channels { mean, std } => tensors.extend([("mean", mean), ("std", std)]),
            Normalisation::Zca(zca) => tensors.extend([
                ("zca_mean", &zca.mean),
                ("zca_transform", &zca.transform),
                ("zca_inverse", &zca.inverse),
            ]),
        }
        let provenance =
            serde_json::to_string(&set.provenance).map_err(|e| Error::file(path, e.to_string()))?;
        tensor_file::write(path, &tensors, Some((PROVENANCE, provenance)))
    }
}

/// Reads a distilled set that [`Safetensors`] wrote, onto the CPU.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::File`] if it does not hold a distilled set.
pub fn read(path: &Path) -> Result<DistilledSet> {
    let file = TensorFile::open(path)?;
    let broken = |problem: String| Error::file(path, format!("not a distilled set: {problem}"));
    let provenance: Provenance = serde_json::from_str(file.metadata(PROVENANCE)?)
        .map_err(|e| broken(format!("its metadata \"{PROVENANCE}\": {e}")))?;
    let (images, labels) = (file.tensor("images")?, file.tensor("labels")?);
    match (images.size().as_slice(), labels.size().as_slice()) {
        ([n, _, _, _], [m]) if n == m => {}
        (images, labels) => {
            return Err(broken(format!(
                "expected images (n, C, H, W) with labels (n), found {images:?} with {labels:?}"
            )));
        }
    }
    let rate = file.tensor("student_lr")?;
    if rate.numel() != 1 {
        return Err(broken(format!(
            "expected one student rate, found {}",
            rate.numel()
        )));
    }
    let normalisation = if file.contains("zca_mean") {
        Normalisation::Zca(Zca {
            mean: file.tensor("zca_mean")?,
            transform: file.tensor("zca_transform")?,
            inverse: file.tensor("zca_inverse")?,
        })
    } else {
        Normalisation::Channels {
            mean: file.tensor("mean")?,
            std: file.tensor("std")?,
        }
    };
    let labels = if file.contains("soft_labels") {
        let probabilities = file.tensor("soft_labels")?;
        let expected = [images.size()[0], provenance.classes.len() as i64];
        if probabilities.size() != expected {
            return Err(broken(format!(
                "expected soft labels {expected:?}, found {:?}",
                probabilities.size()
            )));
        }
        Labels::Soft(probabilities)
    } else {
        Labels::Hard(labels)
    };
    Ok(DistilledSet {
        student_lr: rate.double_value(&[0]),
        images,
        labels,
        normalisation,
        provenance,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;
    use astill_core::profile::LabelKind;
    use astill_core::run::event::{Headline, ImageSet};
    use serde_json::json;
    use tch::{Device, Kind};

    fn set(normalisation: Normalisation) -> DistilledSet {
        let mut rng = random::generator(0, "test", &[]);
        DistilledSet {
            images: random::normal(&mut rng, 2 * 3 * 4 * 4).view([2, 3, 4, 4]),
            labels: Labels::Hard(Tensor::from_slice(&[0i64, 1])),
            student_lr: 0.1 + 0.2,
            provenance: Provenance {
                program: "astill 0.0.0".into(),
                profile: json!({ "a key of another version": 1.5 }),
                edits: json!([]),
                classes: vec!["cat".into(), "dog".into()],
                class_ids: None,
                normalisation: normalisation.name().into(),
                data_content: "0123".into(),
                step: Some(7),
                validation_accuracy: Some(100. / 3.),
                results: vec![Headline {
                    network: "convnet".into(),
                    labels: ImageSet::Distilled,
                    label_kind: LabelKind::Hard,
                    mean: 50.,
                    std: 0.1,
                    values: vec![49.9, 50.1],
                }],
                paper_style_max: None,
            },
            normalisation,
        }
    }

    fn write(set: &DistilledSet, path: &Path) -> Result<()> {
        SAFETENSORS.write(&ExportSource { set, run: None }, path)
    }

    #[test]
    fn a_set_is_read_back_as_it_was_written() -> Result<()> {
        let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let some = |shape: &[i64]| Tensor::rand(shape, (Kind::Float, Device::Cpu));
        let channels = Normalisation::Channels {
            mean: some(&[3]),
            std: some(&[3]),
        };
        let zca = Normalisation::Zca(Zca {
            mean: some(&[1, 48]),
            transform: some(&[48, 48]),
            inverse: some(&[48, 48]),
        });
        for set in [channels, zca].map(set) {
            let path = folder.path().join(SAFETENSORS.file_name());
            write(&set, &path)?;
            let back = read(&path)?;
            assert!(
                back.images.equal(&set.images) && back.labels.tensor().equal(set.labels.tensor())
            );
            assert_eq!(back.student_lr, set.student_lr);
            assert_eq!(back.provenance, set.provenance);
            let pixels = |s: &DistilledSet| s.normalisation.invert(&s.images);
            assert!(pixels(&back).equal(&pixels(&set)));
        }
        Ok(())
    }

    #[test]
    fn what_is_not_a_distilled_set_is_refused() -> Result<()> {
        let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let path = folder.path().join("x.safetensors");
        let mut flawed = set(Normalisation::Channels {
            mean: Tensor::from_slice(&[0f32; 3]),
            std: Tensor::from_slice(&[1f32; 3]),
        });
        flawed.labels = Labels::Hard(Tensor::from_slice(&[0i64]));
        write(&flawed, &path)?;
        let refused = read(&path).err().map(|e| e.to_string());
        assert!(
            refused.is_some_and(|e| e.contains("[2, 3, 4, 4]") && e.contains("[1]")),
            "the error names both shapes"
        );
        tensor_file::write(&path, &[("images", &flawed.images)], None)?;
        assert!(matches!(read(&path), Err(Error::File { .. })));
        Ok(())
    }
}
