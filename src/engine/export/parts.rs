//! Whether the parts of a distilled set can be used together, whatever files they come from.

use crate::data::{Normalisation, Zca};
use crate::distill::{Labels, all_finite};
use astill_core::{Error, Result};
use std::path::Path;
use tch::{Kind, Tensor};

/// More classes, or longer names, than any data set has: what is made of them would be too large.
const MOST_CLASSES: usize = 100_000;
const LONGEST_NAME: usize = 500;

/// The parts of a set that its files have.
#[derive(Debug)]
pub struct Parts<'a> {
    pub images: &'a Tensor,
    pub labels: Option<&'a Labels>,
    pub student_lr: Option<f64>,
    pub normalisation: Option<&'a Normalisation>,
    pub classes: Option<&'a [String]>,
}

impl Parts<'_> {
    /// What keeps them from being used together; none if they fit.
    pub fn flaw(&self) -> Option<String> {
        let (shape, kind) = (self.images.size(), self.images.kind());
        if shape.len() != 4 || self.images.numel() == 0 || kind != Kind::Float {
            return Some(format!(
                "holds images of the shape {shape:?} and type {kind:?}, expected f32 (images, channels, \
                 rows, columns)"
            ));
        }
        if !all_finite(self.images) {
            return Some("holds images that are not finite".into());
        }
        if self
            .student_lr
            .is_some_and(|lr| !lr.is_finite() || lr <= 0.)
        {
            return Some("has a learned rate that is not a number above 0".into());
        }
        let of_classes = self.classes.and_then(flaw_of_classes);
        let of_normalisation = || {
            let normalisation = self.normalisation?;
            flaw_of_normalisation(normalisation, &shape)
        };
        of_classes
            .or_else(of_normalisation)
            .or_else(|| flaw_of_labels(self.labels?, shape[0], self.classes.map(<[String]>::len)))
    }
}

fn flaw_of_classes(classes: &[String]) -> Option<String> {
    let is_long = |name: &String| name.chars().count() > LONGEST_NAME;
    if !(1..=MOST_CLASSES).contains(&classes.len()) || classes.iter().any(is_long) {
        return Some(format!(
            "names {} classes, expected 1 to {MOST_CLASSES} with names of at most {LONGEST_NAME} letters",
            classes.len()
        ));
    }
    None
}

/// What is wrong with the normalisation of images of this shape.
fn flaw_of_normalisation(normalisation: &Normalisation, shape: &[i64]) -> Option<String> {
    let pixels: i64 = shape.iter().skip(1).product();
    let parts = match normalisation {
        Normalisation::Channels { mean, std } => {
            vec![(mean, vec![shape[1]]), (std, vec![shape[1]])]
        }
        Normalisation::Zca(zca) => {
            let kept = zca.variances.numel() as i64;
            vec![
                (&zca.mean, vec![1, pixels]),
                (&zca.directions, vec![pixels, kept]),
                (&zca.variances, vec![kept]),
            ]
        }
    };
    for (part, wanted) in &parts {
        if part.size() != *wanted || part.kind() != Kind::Float {
            return Some(format!(
                "has a normalisation of {:?} {:?} where images {shape:?} need f32 {wanted:?}",
                part.kind(),
                part.size()
            ));
        }
    }
    let divisor = match normalisation {
        Normalisation::Channels { std, .. } => std.min().double_value(&[]),
        Normalisation::Zca(zca) => zca.eps,
    };
    let is_usable = parts.iter().all(|(part, _)| all_finite(part)) && divisor > 0.;
    (!is_usable || divisor.is_infinite())
        .then(|| "has a normalisation that is not finite, or divides by 0".into())
}

/// What is wrong with the labels of so many images.
fn flaw_of_labels(labels: &Labels, images: i64, classes: Option<usize>) -> Option<String> {
    let (size, kind) = (labels.tensor().size(), labels.tensor().kind());
    if size.first() != Some(&images) {
        return Some(format!(
            "holds {images} images, but there are {} labels",
            size.first().copied().unwrap_or(0)
        ));
    }
    match labels {
        Labels::Soft(probabilities) => {
            let of = size.get(1).copied().unwrap_or(0);
            let is_unfit = classes.is_some_and(|classes| classes as i64 != of);
            let is_odd = of == 0 || kind != Kind::Float || !all_finite(probabilities);
            (is_unfit || is_odd).then(|| {
                format!(
                    "expected a probability of each of {} classes, found soft labels {size:?} of type \
                     {kind:?}",
                    classes.map_or(of, |classes| classes as i64)
                )
            })
        }
        Labels::Hard(labels) => {
            let (least, most) = (labels.min().int64_value(&[]), labels.max().int64_value(&[]));
            let is_unfit = least < 0 || classes.is_some_and(|classes| most >= classes as i64);
            (is_unfit || kind != Kind::Int64).then(|| {
                format!(
                    "found labels {least} to {most} of type {kind:?}, expected whole numbers from 0 up \
                     to the number of classes"
                )
            })
        }
    }
}

/// The normalisation whose tensors `named` gives: "mean" and "std", or the factors of a whitening;
/// none if there are none.
///
/// # Errors
/// Some of them are missing or do not fit together; [`Parts::flaw`] says whether they fit the images.
pub fn normalisation(
    named: &mut dyn FnMut(&str) -> Result<Option<Tensor>>,
    of: &Path,
) -> Result<Option<Normalisation>> {
    let unfit = |flaw: String| Error::file(of, flaw);
    let needed = |name: &str, tensor: Option<Tensor>| {
        let tensor = tensor.map(|tensor| tensor.to_kind(Kind::Float));
        tensor.ok_or_else(|| unfit(format!("has a normalisation without {name}")))
    };
    let normalisation = if let Some(mean) = named("zca_mean")? {
        let directions = needed("zca_directions", named("zca_directions")?)?;
        let variances = needed("zca_variances", named("zca_variances")?)?;
        let eps = named("zca_eps")?.filter(|eps| eps.numel() == 1);
        let eps = eps.ok_or_else(|| unfit("has a whitening without one number zca_eps".into()))?;
        let eps = eps.to_kind(Kind::Double).reshape([1]).double_value(&[0]);
        // before the transform is made of them
        let mean = mean.to_kind(Kind::Float);
        let fits = mean.dim() == 2
            && variances.dim() == 1
            && directions.size() == [mean.size()[1], variances.size()[0]];
        if !fits {
            return Err(unfit(format!(
                "has a whitening of {:?}, {:?} and {:?}, which do not fit together",
                mean.size(),
                directions.size(),
                variances.size()
            )));
        }
        Normalisation::Zca(Zca::new(mean, directions, variances, eps))
    } else {
        match (named("mean")?, named("std")?) {
            (None, None) => return Ok(None),
            (mean, std) => Normalisation::Channels {
                mean: needed("mean", mean)?,
                std: needed("std", std)?,
            },
        }
    };
    Ok(Some(normalisation))
}
