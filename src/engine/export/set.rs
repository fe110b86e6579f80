//! A distilled set in memory.

use super::provenance::{Provenance, protocol};
use crate::data::Normalisation;
use crate::distill::Labels;
use astill_core::profile::Profile;
use astill_core::{Error, Result};
use serde_json::Value;
use tch::{Kind, Tensor};

/// A distilled set with all that is needed to use it.
#[derive(Debug)]
pub struct DistilledSet {
    /// f32 (n, C, H, W), class after class, in the network's input space;
    /// [`Normalisation::invert`] gives the pixels.
    pub images: Tensor,
    /// Of the images (n).
    pub labels: Labels,
    /// α, the learned student rate: networks that train on the set begin with it.
    pub student_lr: f64,
    pub normalisation: Normalisation,
    pub provenance: Provenance,
}

/// Real images to test networks on.
#[derive(Debug)]
pub struct TestImages {
    /// u8 (n, C, H, W).
    pub pixels: Tensor,
    /// i64 (n).
    pub labels: Tensor,
}

impl DistilledSet {
    /// Of the images: (n, C, H, W).
    ///
    /// # Errors
    /// They have another number of dimensions.
    pub fn shape(&self) -> Result<[i64; 4]> {
        let size = self.images.size();
        <[i64; 4]>::try_from(size.as_slice())
            .map_err(|_| Error::Usage(format!("expected images (n, C, H, W), found {size:?}")))
    }

    /// How many images a class has, which must be as many for each. Softly labelled images belong to
    /// no class alone, so only their number counts.
    ///
    /// # Errors
    /// [`Error::Usage`] if the classes have different numbers of images.
    pub fn images_per_class(&self) -> Result<usize> {
        let classes = self.provenance.classes.len();
        let n = self.images.size().first().copied().unwrap_or(0) as usize;
        if let Labels::Soft(_) = self.labels
            && n.is_multiple_of(classes.max(1))
        {
            return Ok(n / classes.max(1));
        }
        let mut counts = vec![0usize; classes];
        for label in self.class_of_each() {
            if let Some(count) = usize::try_from(label).ok().and_then(|l| counts.get_mut(l)) {
                *count += 1;
            }
        }
        let first = counts.first().copied().unwrap_or(0);
        match counts.iter().position(|count| *count != first) {
            None => Ok(first),
            Some(other) => Err(Error::Usage(format!(
                "expected as many images of every class, found {first} of class 0 and {} of class \
                 {other}; use a format without that rule, for example pt",
                counts[other]
            ))),
        }
    }

    /// The label of every image; the most probable class where labels are soft.
    pub fn class_of_each(&self) -> Vec<i64> {
        let classes = self.labels.classes().to_kind(Kind::Int64);
        (0..classes.size().first().copied().unwrap_or(0))
            .map(|row| classes.int64_value(&[row]))
            .collect()
    }

    /// The profile of the run that distilled it.
    ///
    /// # Errors
    /// [`Error::Usage`] if another version wrote it, with keys that this one does not know.
    pub fn profile(&self) -> Result<Profile> {
        serde_json::from_value(self.provenance.profile.clone()).map_err(|e| {
            Error::Usage(format!(
                "the profile in the set's metadata is that of another version of astill ({e}), so \
                 its data set and networks are unknown; export it with --format safetensors, npz or \
                 png and --space own or pixels"
            ))
        })
    }

    /// How networks are trained on it; null if that is unknown.
    pub fn protocol(&self) -> Value {
        match (&self.provenance.protocol, self.profile(), self.shape()) {
            (Value::Null, Ok(profile), Ok([_, channels, ..])) => {
                let classes = self.provenance.classes.len();
                protocol(&profile, classes, channels, self.student_lr)
            }
            (known, ..) => known.clone(),
        }
    }

    /// The pixels as bytes, u8 (n, C, H, W), and the share of the numbers that lay outside of black
    /// and white and were clipped.
    pub fn pixels(&self) -> (Tensor, f64) {
        let pixels = self.normalisation.invert_unclamped(&self.images);
        // less than half a grey level is rounding, not clipping
        let outside = pixels
            .lt(-0.5 / 255.)
            .logical_or(&pixels.gt(1. + 0.5 / 255.));
        let share = outside.to_kind(Kind::Float).mean(Kind::Double);
        let bytes = (pixels.clamp(0., 1.) * 255.).round().to_kind(Kind::Uint8);
        (bytes, share.double_value(&[]))
    }
}
