//! What a data set holds, before its images are read.

use super::pixels::check_memory;
use astill_core::Result;

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

impl Inventory {
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
}
