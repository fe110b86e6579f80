//! The phase that loads the data set.

use super::RunPlan;
use super::control::Control;
use crate::data::{Dataset, DatasetRequest, count_left_out, list_left_out};
use crate::memory;
use astill_core::dataset_folder;
use astill_core::files::atomic;
use astill_core::profile::{Kind, Profile};
use astill_core::run::event::{DatasetLoaded, EventKind};
use astill_core::{Error, Result};
use std::path::Path;
use std::time::Duration;
use tch::Device;

/// The file of a run that lists everything that its data set leaves out: one line per file, with its
/// name and the reason, separated by a tab.
const LEFT_OUT: &str = "left_out.txt";

/// What to load for a profile: its data set in `folder`, with a cache in `data`.
pub fn data_request(profile: &Profile, folder: &Path, data: &Path) -> DatasetRequest {
    let set = &profile.dataset;
    DatasetRequest {
        classes: set.classes.clone(),
        label: set.label.clone(),
        image: set.image.clone(),
        configuration: set
            .configuration
            .clone()
            .or_else(|| dataset_folder::configuration(set.path.as_deref(), folder)),
        train_limit: set.train_limit,
        validation: set.validation,
        test: set.test,
        test_seed: set.test_seed,
        zca: set.zca,
        normalisation: set.normalisation,
        seed: set.seed,
        unreadable: set.unreadable,
        color: set.color,
        background: set.background,
        ..DatasetRequest::new(set.kind, folder, set.size, data.join("cache"))
    }
}

/// The profile of a run for another process, which finds the data set in `folder` wherever it is
/// started.
pub fn with_data_in(profile: &Profile, folder: &Path, data: &Path) -> Profile {
    let mut profile = profile.clone();
    if profile.dataset.kind != Kind::Shapes {
        // the name of a data set of the Hub may have told it
        profile.dataset.configuration = data_request(&profile, folder, data).configuration;
        profile.dataset.path = Some(folder.to_path_buf());
    }
    profile
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
    if plan.device != Device::Cpu {
        // the copies of all images on the host, which nobody needs any more
        memory::return_freed();
    }
    if !dataset.left_out.is_empty() {
        let list = list_left_out(&dataset.left_out);
        let path = plan.run.path().join(LEFT_OUT);
        control.write_with_retry(|_| atomic::write_atomically(&path, list.as_bytes()))?;
    }
    for warning in &dataset.warnings {
        control.warn(&warning.message)?;
    }
    if let Some(lost) = &dataset.lost {
        control.warn(format!("{lost}; all of them are listed in {LEFT_OUT}"))?;
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
        left_out: count_left_out(&dataset.left_out),
        notes: dataset.notes.clone(),
        warnings: dataset.warnings.clone(),
        content: dataset.fingerprint.clone(),
    }))?;
    control.record_memory()?;
    Ok(dataset)
}
