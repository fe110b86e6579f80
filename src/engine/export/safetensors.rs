//! One safetensors file: what a run writes at its end, and what other formats are made from.

use super::parts::{self, Parts};
use super::{Content, DistilledSet, Export, Provenance};
use crate::data::Normalisation;
use crate::distill::Labels;
use crate::tensor_file::{self, TensorFile};
use astill_core::{Error, Result};
use std::path::Path;
use tch::Tensor;

/// The file that holds a distilled set.
pub const FILE: &str = "best.safetensors";

/// The metadata key of the [`Provenance`], as JSON.
pub const PROVENANCE: &str = "astill";

/// The file of [`write()`].
#[derive(Debug)]
pub struct Safetensors;

impl Export for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn description(&self) -> &'static str {
        "one file of tensors with every setting and result, for `safetensors.torch.load_file`; a run \
         writes the same"
    }

    fn holds_test(&self) -> bool {
        true
    }

    fn write(&self, content: &Content<'_>, folder: &Path) -> Result<Vec<String>> {
        write(content.set, &folder.join(FILE))?;
        if let Some(test) = content.test {
            let tensors = [("pixels", &test.pixels), ("labels", &test.labels)];
            tensor_file::write(&folder.join("test.safetensors"), &tensors, None)?;
        }
        Ok(Vec::new())
    }
}

/// Writes a distilled set to `path`, atomically; the same set gives the same bytes.
///
/// Tensors "images", "pixels" u8 (n, C, H, W), "labels" i64 (n), for soft labels also "soft_labels"
/// (n, K), "student_lr" f64 (1), and those of the normalisation: "mean" and "std", or "zca_mean",
/// "zca_directions", "zca_variances" and "zca_eps" f64 (1), as of [`Zca`](crate::data::Zca).
///
/// # Errors
/// [`Error::Io`] where the system refuses to write.
pub fn write(set: &DistilledSet, path: &Path) -> Result<()> {
    let student_lr = Tensor::from_slice(&[set.student_lr]);
    let (classes, (pixels, _)) = (set.labels.classes(), set.pixels());
    let mut tensors = vec![
        ("images", &set.images),
        ("pixels", &pixels),
        ("labels", &classes),
        ("student_lr", &student_lr),
    ];
    if let Labels::Soft(probabilities) = &set.labels {
        tensors.push(("soft_labels", probabilities));
    }
    let eps = match &set.normalisation {
        Normalisation::Zca(zca) => Tensor::from_slice(&[zca.eps]),
        Normalisation::Channels { .. } => Tensor::new(),
    };
    match &set.normalisation {
        Normalisation::Channels { mean, std } => tensors.extend([("mean", mean), ("std", std)]),
        Normalisation::Zca(zca) => tensors.extend([
            ("zca_mean", &zca.mean),
            ("zca_directions", &zca.directions),
            ("zca_variances", &zca.variances),
            ("zca_eps", &eps),
        ]),
    }
    let provenance =
        serde_json::to_string(&set.provenance).map_err(|e| Error::file(path, e.to_string()))?;
    tensor_file::write(path, &tensors, Some((PROVENANCE, provenance)))
}

/// Reads a distilled set that [`write()`] wrote, onto the CPU, and checks that its parts fit together.
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
    let student_lr = number(&file, path, "student_lr")?;
    let mut named = |name: &str| file.contains(name).then(|| file.tensor(name)).transpose();
    let normalisation = parts::normalisation(&mut named, path)?;
    let normalisation = normalisation
        .ok_or_else(|| broken("expected mean and std, or the tensors of a whitening".into()))?;
    let labels = match file.contains("soft_labels") {
        true => Labels::Soft(file.tensor("soft_labels")?),
        false => Labels::Hard(labels),
    };
    let parts = Parts {
        images: &images,
        labels: Some(&labels),
        student_lr: Some(student_lr),
        normalisation: Some(&normalisation),
        classes: Some(&provenance.classes),
    };
    match parts.flaw() {
        Some(flaw) => Err(broken(flaw)),
        None => Ok(DistilledSet {
            student_lr,
            images,
            labels,
            normalisation,
            provenance,
        }),
    }
}

/// The one number of the tensor `name`.
fn number(file: &TensorFile, path: &Path, name: &str) -> Result<f64> {
    let tensor = file.tensor(name)?;
    match tensor.numel() {
        1 => Ok(tensor.flatten(0, -1).double_value(&[0])),
        count => Err(Error::file(
            path,
            format!("not a distilled set: expected one number as \"{name}\", found {count}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Zca;
    use crate::random;
    use astill_core::cli::Space;
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
                space: Space::Own,
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
                protocol: json!({ "epochs": 9 }),
            },
            normalisation,
        }
    }

    #[test]
    fn a_set_is_read_back_as_it_was_written() -> Result<()> {
        let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let some = |shape: &[i64]| Tensor::rand(shape, (Kind::Float, Device::Cpu));
        let channels = Normalisation::Channels {
            mean: some(&[3]),
            std: some(&[3]),
        };
        let zca = Normalisation::Zca(Zca::new(some(&[1, 48]), some(&[48, 7]), some(&[7]), 0.1));
        for set in [channels, zca].map(set) {
            let path = folder.path().join(FILE);
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
    fn a_set_that_cannot_be_trained_on_is_refused() -> Result<()> {
        let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let path = folder.path().join("x.safetensors");
        let good = || {
            set(Normalisation::Channels {
                mean: Tensor::from_slice(&[0f32; 3]),
                std: Tensor::from_slice(&[1f32; 3]),
            })
        };
        let soft = |values: &[f32]| Labels::Soft(Tensor::from_slice(values).view([2, -1]));
        let zca = |eps| {
            let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
            Normalisation::Zca(Zca::new(zeros(&[1, 48]), zeros(&[48, 2]), zeros(&[2]), eps))
        };
        let channels = |mean: f32, std: f32| Normalisation::Channels {
            mean: Tensor::from_slice(&[mean; 3]),
            std: Tensor::from_slice(&[std; 3]),
        };
        type Damage<'a> = Box<dyn Fn(&mut DistilledSet) + 'a>;
        let damages: [(Damage<'_>, &str); 11] = [
            (Box::new(|s| s.student_lr = -1.), "learned rate"),
            (Box::new(|s| s.student_lr = f64::NAN), "learned rate"),
            (Box::new(|s| s.student_lr = f64::INFINITY), "learned rate"),
            (
                Box::new(|s| s.images = &s.images / 0.),
                "images that are not finite",
            ),
            (
                Box::new(|s| s.normalisation = channels(f32::NAN, 1.)),
                "not finite",
            ),
            (
                Box::new(|s| s.normalisation = channels(0., 0.)),
                "divides by 0",
            ),
            (
                Box::new(|s| s.normalisation = channels(0., f32::INFINITY)),
                "not finite",
            ),
            (Box::new(|s| s.normalisation = zca(0.)), "divides by 0"),
            (Box::new(|s| s.normalisation = zca(f64::NAN)), "not finite"),
            (
                Box::new(|s| s.labels = soft(&[0.5, f32::NAN, 0.5, 0.5])),
                "soft labels",
            ),
            (
                Box::new(|s| s.provenance.classes.clear()),
                "names 0 classes",
            ),
        ];
        for (damage, wanted) in damages {
            let mut set = good();
            damage(&mut set);
            write(&set, &path)?;
            let refused = read(&path).map(|_| ()).map_err(|e| e.to_string());
            assert!(
                refused.as_ref().is_err_and(|e| e.contains(wanted)),
                "{wanted}: {refused:?}"
            );
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
