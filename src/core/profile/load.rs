//! Loading: a profile, what it extends, what `--set` changes; and a profile checked once more with
//! the data, or changed while its run is running.

use super::draft::Draft;
use super::problem::{Location, Origin, Problem, Problems, Result};
use super::rules::{Conflict, conflicts_with};
use super::schema::Profile;
use super::source::{self, Text};
use crate::yaml;
use std::collections::BTreeMap;
use std::path::Path;

/// A valid profile.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The built-in name, or the file's name without its ending.
    pub name: String,
    pub profile: Profile,
    /// Where each key was given; a key that is not in here has its default.
    pub locations: BTreeMap<&'static str, Location>,
}

/// Loads the profile behind a built-in name or a path (it contains a `/`, ends in .yaml or .yml, or
/// is a file), with everything it extends, then applies `sets`, each "section.key=value" with the
/// value in YAML. The last one wins.
///
/// # Errors
/// Every problem there is.
pub fn load(reference: &str, sets: &[String]) -> Result<Loaded> {
    let (name, first) = name_and_text(reference)?;
    let mut draft = Draft::new(Profile::default());
    draft.chain(first);
    for set in sets {
        draft.set(Origin::Set(set.clone()), set);
    }
    draft.require();
    let (profile, locations) = draft.finish()?;
    Ok(Loaded {
        name,
        profile,
        locations,
    })
}

/// The name of the profile behind `reference`, and its text.
pub(super) fn name_and_text(reference: &str) -> Result<(String, Text)> {
    let first = source::find(reference, Some(Path::new(""))).map_err(|(file, message)| {
        let origin = file.unwrap_or_else(|| Origin::Reference(reference.into()));
        Problems(vec![Problem::new(origin.at(None), None, message)])
    })?;
    Ok((first.name(), first))
}

impl Loaded {
    /// Checks what needs the data: `classes` are the names, `train_per_class` the training images
    /// of each.
    ///
    /// # Errors
    /// `distill.ipc` exceeds the smallest class, `expert.batch` the training images, or
    /// `distill.batch` the synthetic set.
    pub fn check_classes(&self, classes: &[String], train_per_class: &[usize]) -> Result<()> {
        let whole = || Origin::Reference(self.name.clone()).at(None);
        let problem = |conflict: Conflict| {
            let location = conflict.location(&self.locations).unwrap_or_else(whole);
            conflict.problem(location)
        };
        Problems::refuse(
            conflicts_with(&self.profile, classes, train_per_class)
                .into_iter()
                .map(problem)
                .collect(),
        )
    }
}

impl Profile {
    /// The profile as YAML, every key written out; [`Profile::from_resolved`] reads it back to an
    /// equal profile.
    pub fn to_yaml(&self) -> String {
        yaml::emit(self)
    }

    /// Reads back what [`Profile::to_yaml`] wrote to `path`. The same checks as for any profile,
    /// but nothing to extend.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn from_resolved(text: &str, path: &Path) -> Result<Self> {
        let origin = Origin::File(path.into());
        let mut draft = Draft::new(Self::default());
        match source::decode(text.as_bytes()) {
            Ok(text) => {
                if let Some((_, location)) = draft.document(&Text { origin, text }) {
                    let message = "found extends, but the profile of a run is complete; remove it";
                    draft.problem(location, None, message);
                }
                draft.require();
            }
            Err(message) => draft.problem(origin.at(None), None, message),
        }
        Ok(draft.finish()?.0)
    }

    /// What [`Loaded::check_classes`] checks, for this profile after the live change `edit`.
    ///
    /// # Errors
    /// As [`Loaded::check_classes`].
    pub fn check_classes(
        &self,
        classes: &[String],
        train_per_class: &[usize],
        edit: &str,
    ) -> Result<()> {
        let location = Origin::Edit(edit.into()).at(None);
        Problems::refuse(
            conflicts_with(self, classes, train_per_class)
                .into_iter()
                .map(|c| c.problem(location.clone()))
                .collect(),
        )
    }

    /// This profile with other values of some keys, each "section.key=value", for a new run.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn changed(&self, sets: &[String]) -> Result<Self> {
        let mut draft = Draft::new(self.clone());
        for set in sets {
            draft.set(Origin::Set(set.clone()), set);
        }
        Ok(draft.finish()?.0)
    }

    /// This profile with one key changed by "section.key=value", for a run that is running.
    ///
    /// # Errors
    /// It is not such a text, the value or the resulting combination is refused, or the key is not
    /// `live`.
    pub fn edited(&self, edit: &str) -> Result<Self> {
        let origin = Origin::Edit(edit.into());
        let mut draft = Draft::new(self.clone());
        if let Some(key) = draft.set(origin.clone(), edit)
            && !key.live
        {
            let message = "cannot change during a run; expected a live key (docs/profiles.md); \
                           start a new run to change this one";
            draft.problem(origin.at(None), Some(key.path), message);
        }
        Ok(draft.finish()?.0)
    }
}
