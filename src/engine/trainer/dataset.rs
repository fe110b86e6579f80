//! The phase that loads the data set.

use super::RunPlan;
use super::control::Control;
use crate::data::{Dataset, DatasetRequest, count_left_out, list_left_out};
use crate::memory;
use astill_core::files::atomic;
use astill_core::profile::Profile;
use astill_core::run::event::{DatasetLoaded, EventKind};
use astill_core::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tch::Device;

/// The file of a run that lists everything that its data set leaves out: one line per file, with its
/// name and the reason, separated by a tab.
const LEFT_OUT: &str = "left_out.txt";

/// The folder of a profile's data set, with `data` as the folder of data sets.
pub fn dataset_folder(profile: &Profile, data: &Path) -> PathBuf {
    match profile.dataset.path.as_deref().map(|p| expanded(p, data)) {
        // a relative path is looked for in the working directory, then among the data sets
        Some(path) if path.is_relative() && !path.exists() => data.join(path),
        Some(path) => std::path::absolute(&path).unwrap_or(path),
        None => data.join(profile.dataset.kind.to_string()),
    }
}

/// Checks that a profile's `dataset.path` leads somewhere.
///
/// # Errors
/// [`Error::Usage`] that names every place where the folder was looked for.
pub fn check_path(profile: &Profile, data: &Path) -> Result<()> {
    let Some(given) = &profile.dataset.path else {
        return Ok(());
    };
    let path = expanded(given, data);
    if path.exists() || data.join(&path).exists() {
        return Ok(());
    }
    let here = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
    if let Some(name) = of_hub(given) {
        return Err(Error::Usage(format!(
            "dataset.path is {}, but neither {} nor {} exists; run `astill fetch hf:{name}`",
            given.display(),
            data.join(hub_folder(name)).display(),
            here.display()
        )));
    }
    let places = match path.is_relative() {
        true => format!(
            "neither {} nor {} exists",
            here.display(),
            data.join(&path).display()
        ),
        false => format!("{} does not exist", here.display()),
    };
    let fetched = FETCHED.iter().find(|(folder, _)| given.ends_with(folder));
    let fetch = fetched.map(|(_, set)| format!("run `astill fetch {set}`, or "));
    Err(Error::Usage(format!(
        "dataset.path is {}, but {places}; {}set it to the folder that holds the data set",
        given.display(),
        fetch.unwrap_or_default()
    )))
}

/// Where `astill fetch` puts the sets that are not in the folder of their kind.
const FETCHED: [(&str, &str); 4] = [
    ("imagenette2-160", "imagenette"),
    ("mnist", "mnist"),
    ("fashion-mnist", "fashion-mnist"),
    ("svhn", "svhn"),
];

/// The path with the home folder in the place of a leading ~; for "hf:OWNER/NAME", the folder in
/// `data` that `astill fetch` makes of that data set, or that in the local cache of the Hugging Face
/// Hub.
fn expanded(path: &Path, data: &Path) -> PathBuf {
    if let Some(name) = of_hub(path) {
        let fetched = data.join(hub_folder(name));
        return match fetched.is_dir() {
            true => std::path::absolute(&fetched).unwrap_or(fetched),
            // which holds all configurations
            false => hub_cache().join(cached(configured(name).0)),
        };
    }
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_path_buf(),
    }
}

/// The name of a data set of the Hub, which may end with a configuration.
fn of_hub(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix("hf:")
}

/// OWNER/NAME and CONFIG of "OWNER/NAME/CONFIG".
fn configured(name: &str) -> (&str, Option<&str>) {
    match name.match_indices('/').nth(1) {
        Some((at, _)) => (&name[..at], Some(&name[at + 1..])),
        None => (name, None),
    }
}

/// What the folder of OWNER/NAME is called in the local cache of the Hub.
fn cached(name: &str) -> String {
    format!("datasets--{}", hub_folder(name))
}

/// The configuration that `dataset.path` names, where `folder` holds all of them.
fn configuration(path: Option<&Path>, folder: &Path) -> Option<String> {
    let (name, configuration) = configured(path.and_then(of_hub)?);
    let is_cached = folder
        .file_name()
        .is_some_and(|own| own == cached(name).as_str());
    configuration.filter(|_| is_cached).map(str::to_owned)
}

/// What the folder of a data set of the Hub is called.
fn hub_folder(name: &str) -> String {
    name.replace('/', "--")
}

/// Where the programs of Hugging Face keep what they have downloaded.
fn hub_cache() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let below = |name: &str, rest: &str| folder(name).map(|path| Path::new(&path).join(rest));
    let home = std::env::home_dir().unwrap_or_default();
    below("HF_HUB_CACHE", "")
        .or_else(|| below("HUGGINGFACE_HUB_CACHE", ""))
        .or_else(|| below("HF_HOME", "hub"))
        .or_else(|| below("XDG_CACHE_HOME", "huggingface/hub"))
        .unwrap_or_else(|| home.join(".cache/huggingface/hub"))
}

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
            .or_else(|| configuration(set.path.as_deref(), folder)),
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
    }))?;
    control.record_memory()?;
    Ok(dataset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_fetched_of_the_hub_comes_before_its_cache() {
        let data = tempfile::TempDir::new().unwrap();
        let found = || expanded(Path::new("hf:o/n"), data.path());
        assert!(found().ends_with("datasets--o--n"));
        std::fs::create_dir(data.path().join("o--n")).unwrap();
        assert_eq!(found(), data.path().join("o--n"));
        // the cache has all configurations in one folder, what was fetched has one
        let path = Path::new("hf:o/m/c");
        let folder = expanded(path, data.path());
        assert!(folder.ends_with("datasets--o--m"));
        assert_eq!(configuration(Some(path), &folder).as_deref(), Some("c"));
        let fetched = data.path().join("o--m--c");
        std::fs::create_dir(&fetched).unwrap();
        assert_eq!(expanded(path, data.path()), fetched);
        assert_eq!(configuration(Some(path), &fetched), None);
    }
}
