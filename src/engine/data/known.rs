//! How large well-known data sets are, for estimates without their files.

use super::inventory::Inventory;
use super::split_plan::counts;
use astill_core::known_sets::known_set;
use astill_core::profile::Profile;

/// The counts of the data set of a profile, where they are known without its files; its classes have
/// no names.
#[must_use]
pub fn known_inventory(profile: &Profile) -> Option<Inventory> {
    let settings = &profile.dataset;
    let set = known_set(settings.kind, settings.path.as_deref())?.counts?;
    let classes = match settings.classes.as_deref() {
        None => set.classes,
        // one name alone may be that of a subset
        Some([_]) => return None,
        Some(names) => names.len(),
    };
    let stored = vec![set.train; classes];
    let (train, validation) = counts(&stored, settings.train_limit, settings.validation)?;
    Some(Inventory {
        classes: vec![String::new(); classes],
        ids: None,
        channels: set.channels,
        train,
        validation,
        test: vec![set.test; classes],
        stored: set.train * set.classes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use astill_core::{Error, Result, profile};

    #[test]
    fn the_size_of_cifar_10_is_known_and_that_of_a_folder_is_not() -> Result<()> {
        let sets = ["dataset.train_limit=2000".to_string()];
        let load = |name, sets: &[String]| profile::load(name, sets).map_err(Error::Profile);
        let cifar = load("cifar10-ipc10", &sets)?.profile;
        let share = cifar.dataset.validation;
        let found = known_inventory(&cifar).ok_or(Error::Usage("no size".into()))?;
        let sum = |split: &[usize]| split.iter().sum::<usize>();
        assert_eq!(
            sum(&found.train) + sum(&found.validation),
            2000,
            "the limit counts"
        );
        let held_out = sum(&found.validation) as f64;
        assert!((held_out - 2000. * share).abs() < 10., "{held_out}");
        assert_eq!((found.stored, sum(&found.test)), (50_000, 10_000));
        let sets = ["dataset.path=elsewhere".to_string()];
        let folder = load("imagenette-ipc1", &sets)?.profile;
        assert_eq!(known_inventory(&folder), None);
        Ok(())
    }
}
