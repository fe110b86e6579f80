//! Where the data set of a profile is: `dataset.path`, the home folder, what `astill fetch` has made, and
//! the local cache of the Hugging Face Hub.

use crate::known_sets::set_in;
use crate::profile::Profile;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The folder of a profile's data set, with `data` as the folder of data sets.
#[must_use]
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
    let fetch = set_in(given).map(|set| format!("run `astill fetch {}`, or ", set.name));
    Err(Error::Usage(format!(
        "dataset.path is {}, but {places}; {}set it to the folder that holds the data set",
        given.display(),
        fetch.unwrap_or_default()
    )))
}

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
    at_home(path)
}

/// The path with the home folder in the place of a leading ~.
fn at_home(path: &Path) -> PathBuf {
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

/// The configuration of a data set of the Hub that `dataset.path` names, where `folder` holds all of them.
#[must_use]
pub fn configuration(path: Option<&Path>, folder: &Path) -> Option<String> {
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
    // no shell may have seen the ~ in an environment file
    let below = |name: &str, rest: &str| Some(at_home(Path::new(&folder(name)?)).join(rest));
    let home = std::env::home_dir().unwrap_or_default();
    below("HF_HUB_CACHE", "")
        .or_else(|| below("HUGGINGFACE_HUB_CACHE", ""))
        .or_else(|| below("HF_HOME", "hub"))
        .or_else(|| below("XDG_CACHE_HOME", "huggingface/hub"))
        .unwrap_or_else(|| home.join(".cache/huggingface/hub"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_folder_that_no_shell_has_seen_is_expanded() {
        let home = std::env::home_dir().unwrap();
        assert_eq!(at_home(Path::new("~/hf")), home.join("hf"));
        assert_eq!(at_home(Path::new("/hf/~")), Path::new("/hf/~"));
    }

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
