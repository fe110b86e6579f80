//! The phase that loads the data set.

use super::RunPlan;
use super::control::Control;
use crate::data::{Dataset, DatasetRequest};
use astill_core::profile::Profile;
use astill_core::run::event::{DatasetLoaded, EventKind};
use astill_core::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder of a profile's data set, with `data` as the folder of data sets.
pub fn dataset_folder(profile: &Profile, data: &Path) -> PathBuf {
    match &profile.dataset.path {
        // a relative path is looked for in the working directory, then among the data sets
        Some(path) if path.is_relative() && !path.exists() => data.join(path),
        Some(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        None => data.join(profile.dataset.kind.to_string()),
    }
}

/// What to load for a profile: its data set in `folder`, with a cache in `data`.
pub fn data_request(profile: &Profile, folder: &Path, data: &Path) -> DatasetRequest {
    let set = &profile.dataset;
    DatasetRequest {
        kind: set.kind,
        folder: folder.to_path_buf(),
        size: set.size,
        train_limit: set.train_limit,
        validation: set.validation,
        zca: set.zca,
        normalisation: set.normalisation,
        seed: set.seed,
        unreadable: set.unreadable,
        cache: data.join("cache"),
    }
}

/// Loads the data set of a run onto its device.
pub(super) fn load(plan: &RunPlan, control: &mut Control) -> Result<Dataset> {
    let request = data_request(&plan.profile, &plan.folder, &plan.data);
    let mut watch = control.watch("", Duration::ZERO);
    let mut dataset = request.load(&mut watch)?;
    drop(watch);
    for path in &dataset.damaged_caches {
        control.warn(format!(
            "{} was damaged and has been rebuilt from the same images",
            path.display()
        ))?;
    }
    if dataset.train.all_equal() {
        return Err(Error::Usage(format!(
            "all {} training images in {} are the same, so there is nothing to learn from them; look \
             whether they are what you expect (a drawing in black ink on a transparent ground is all \
             black)",
            dataset.train.len(),
            plan.folder.display()
        )));
    }
    dataset.train.to_device(plan.device);
    dataset.validation.to_device(plan.device);
    dataset.test.to_device(plan.device);
    dataset.normalisation = dataset.normalisation.to_device(plan.device);
    if let Some(left_out) = &dataset.left_out {
        control.warn(left_out)?;
        // the counts that the profile was checked against were those of the files
        plan.profile
            .check_classes(
                &dataset.classes,
                &dataset.train.per_class(dataset.classes.len()),
                "dataset.unreadable=skip",
            )
            .map_err(Error::Profile)?;
    }
    control.record(EventKind::Dataset(DatasetLoaded {
        classes: dataset.classes.clone(),
        train: dataset.train.len() as u64,
        validation: dataset.validation.len() as u64,
        test: dataset.test.len() as u64,
        size: dataset.size,
        normalisation: dataset.normalisation.name().into(),
    }))?;
    control.record_memory()?;
    Ok(dataset)
}
