//! What a data set holds, before its images are read.

use super::layout::Labelling;
use super::pixels::{ANYWHERE, check_memory, gib, memory};
use super::split::per_class;
use super::split_plan::SplitPlan;
use super::zca;
use astill_core::{Error, Result};

/// What a data set holds, known without decoding an image. Counts are per class, in label order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    pub classes: Vec<String>,
    /// What the files call them where `classes` has readable names.
    pub ids: Option<Vec<String>>,
    /// 1 (grey) or 3.
    pub channels: usize,
    /// After the limit, without the held-out share.
    pub train: Vec<usize>,
    pub validation: Vec<usize>,
    pub test: Vec<usize>,
    /// Training images that the files hold, before the limit: all of them are read.
    pub stored: usize,
}

/// The eigenvectors of a symmetric matrix of this side take minutes; the time grows with its cube.
const LARGEST_MATRIX: usize = 12_288;

impl Inventory {
    /// Of a data set with these labels, of whose training images the plan holds some out.
    pub(super) fn of(labelling: Labelling, plan: &SplitPlan, channels: usize) -> Self {
        let Labelling {
            classes,
            ids,
            labels,
        } = labelling;
        let count = |labels: &[i64]| per_class(labels.iter().copied(), classes.len());
        let of_train = |rows: &[i64]| {
            let labels = rows.iter().map(|row| labels.train[*row as usize]);
            per_class(labels, classes.len())
        };
        let validation = match labels.validation.is_empty() {
            true => of_train(&plan.validation),
            false => count(&labels.validation),
        };
        Self {
            channels,
            train: of_train(&plan.train),
            validation,
            test: count(&labels.test),
            stored: labels.train.len(),
            classes,
            ids,
        }
    }

    /// Checks that this machine has the memory for all images, at `size` × `size` pixels.
    ///
    /// # Errors
    /// [`Error::Usage`] if it has not.
    pub fn check_memory(&self, size: i64) -> Result<()> {
        let sum = |counts: &[usize]| counts.iter().sum::<usize>();
        // the validation share is one of those that are stored, or a part of its own
        let learned_from = self.stored.max(sum(&self.train) + sum(&self.validation));
        let count = learned_from.saturating_add(sum(&self.test));
        check_memory(count, self.channels, size.max(0) as usize)
    }

    /// Checks that the training images can be whitened at `size` × `size` pixels.
    ///
    /// # Errors
    /// [`Error::Usage`] if the matrix whose eigenvectors are needed is too large, or this machine lacks
    /// the memory.
    pub fn check_whitening(&self, size: i64) -> Result<()> {
        let images: usize = self.train.iter().sum();
        let numbers = (size.max(0) as usize)
            .saturating_pow(2)
            .saturating_mul(self.channels);
        let side = images.min(numbers);
        let remedy = "set dataset.zca to false, or lower dataset.size or dataset.train_limit";
        if side > LARGEST_MATRIX {
            return Err(Error::Usage(format!(
                "dataset.zca: found {images} training images of {numbers} numbers each, so that the \
                 eigenvectors of a matrix of {side} × {side} would be needed, expected at most \
                 {LARGEST_MATRIX} × {LARGEST_MATRIX}; {remedy}"
            )));
        }
        let all = [&self.train, &self.validation, &self.test];
        let all: f64 = all.iter().flat_map(|of| of.iter()).map(|n| *n as f64).sum();
        // whitened images are floating-point numbers
        let needed = zca::bytes_to_fit(images, numbers) + 4. * all * numbers as f64;
        match memory() {
            Some(there) if needed > ANYWHERE && needed > there => Err(Error::Usage(format!(
                "dataset.zca: whitening {images} training images of {numbers} numbers each takes {:.1} GiB, \
                 but this machine, or what limits this process, has {:.1} GiB of memory; {remedy}",
                gib(needed),
                gib(there)
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_no_memory_holds_are_refused_before_they_are_read() {
        let of = |stored, test| Inventory {
            classes: vec!["a".into()],
            ids: None,
            channels: 3,
            train: vec![1],
            validation: Vec::new(),
            test: vec![test],
            stored,
        };
        assert!(of(1000, 1000).check_memory(32).is_ok());
        assert!(of(1 << 40, 1).check_memory(32).is_err());
        assert!(of(1, 1 << 40).check_memory(32).is_err());
        assert!(of(1 << 20, 1).check_memory(i64::MAX).is_err());
    }

    #[test]
    fn whitening_costs_what_the_smaller_of_images_and_pixels_costs() {
        let of = |train: usize| Inventory {
            classes: vec!["a".into()],
            ids: None,
            channels: 3,
            train: vec![train],
            validation: Vec::new(),
            test: vec![1],
            stored: train,
        };
        let refused = |train, size| of(train).check_whitening(size).unwrap_err().to_string();
        // of 49,152 numbers each
        assert!(of(1000).check_whitening(128).is_ok());
        assert!(of(100_000).check_whitening(32).is_ok());
        assert!(refused(13_000, 128).contains("13000 × 13000"));
        assert!(refused(20_000, 65).contains("12675 × 12675"));
        assert!(refused(12_000, 1 << 20).contains("GiB"));
        assert!(refused(12_000, i64::MAX).contains("GiB"));
    }
}
