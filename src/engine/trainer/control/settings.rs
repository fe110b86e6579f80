//! The settings of a run over its course: those that it began with, and those from each live edit
//! on.

use astill_core::profile::Profile;
use astill_core::run::RunDir;
use astill_core::run::edits::{Edit, Edits, Moment};
use astill_core::{Error, Result};
use std::sync::Arc;

/// An edit is parsed once, when it is read or accepted; after that, the settings of a moment are
/// only looked up.
#[derive(Debug)]
pub struct LiveSettings {
    edits: Edits,
    first: Arc<Profile>,
    /// The settings from each moment on at which some changed: in order, each moment once.
    changes: Vec<(Moment, Arc<Profile>)>,
}

impl LiveSettings {
    /// Those of a run that began with `profile`, with the edits that it has.
    ///
    /// # Errors
    /// The edits cannot be read, or do not fit the profile.
    pub fn read(run: &RunDir, profile: &Profile) -> Result<Self> {
        let (edits, first) = (Edits::read(run)?, Arc::new(profile.clone()));
        let changes = changes(edits.all(), &first)?;
        Ok(Self {
            edits,
            first,
            changes,
        })
    }

    /// The settings that the run began with.
    pub fn first(&self) -> &Profile {
        &self.first
    }

    /// The settings from `moment` on.
    pub fn at(&self, moment: Moment) -> &Arc<Profile> {
        let later = self.changes.partition_point(|(from, _)| *from <= moment);
        self.changes[..later]
            .last()
            .map_or(&self.first, |(_, profile)| profile)
    }

    /// The settings with all edits.
    pub fn latest(&self) -> &Arc<Profile> {
        self.at(Moment::Step(u64::MAX))
    }

    pub fn edits(&self) -> &Edits {
        &self.edits
    }

    /// Adds an edit, which makes `after` of the latest settings, and saves the list.
    ///
    /// # Errors
    /// The list cannot be saved, or the edit does not fit at its moment; then nothing has changed.
    pub fn push(&mut self, edit: Edit, after: Profile) -> Result<()> {
        let is_latest = self.changes.last().is_none_or(|(from, _)| *from <= edit.at);
        let changes = if is_latest {
            let mut changes = self.changes.clone();
            change(&mut changes, edit.at, Arc::new(after));
            changes
        } else {
            // a run that was killed has resumed from before an earlier edit
            changes(
                &[self.edits.all(), std::slice::from_ref(&edit)].concat(),
                &self.first,
            )?
        };
        self.edits.push(edit)?;
        self.changes = changes;
        Ok(())
    }

    /// The run goes back to `moment`, as [`Edits::move_back_to`] says.
    ///
    /// # Errors
    /// The list cannot be saved; then nothing has changed.
    pub fn move_back_to(
        &mut self,
        moment: Moment,
        requested_after: usize,
        learned: f64,
    ) -> Result<()> {
        self.edits.move_back_to(moment, requested_after, learned)?;
        self.changes = changes(self.edits.all(), &self.first)?;
        Ok(())
    }
}

/// The settings from each moment on at which one of `edits` was made.
fn changes(edits: &[Edit], first: &Arc<Profile>) -> Result<Vec<(Moment, Arc<Profile>)>> {
    let mut changes = Vec::new();
    if edits.is_sorted_by_key(|e| e.at) {
        let mut latest = Arc::clone(first);
        for edit in edits {
            latest = Arc::new(latest.edited(&edit.set).map_err(Error::Profile)?);
            change(&mut changes, edit.at, Arc::clone(&latest));
        }
        return Ok(changes);
    }
    // of edits at different moments the one made last wins, even where its moment comes first
    let mut moments: Vec<Moment> = edits.iter().map(|e| e.at).collect();
    moments.sort();
    moments.dedup();
    for moment in moments {
        let made = edits.iter().filter(|e| e.at <= moment);
        let profile = made
            .map(|e| e.set.as_str())
            .try_fold(Profile::clone(first), |profile, set| profile.edited(set))
            .map_err(Error::Profile)?;
        changes.push((moment, Arc::new(profile)));
    }
    Ok(changes)
}

/// Adds a change that is not before the last.
fn change(changes: &mut Vec<(Moment, Arc<Profile>)>, moment: Moment, profile: Arc<Profile>) {
    match changes.last_mut() {
        Some((latest, settings)) if *latest == moment => *settings = profile,
        _ => changes.push((moment, profile)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use astill_core::{Error, profile};

    /// The settings expected at every moment of a run, computed from the list of edits alone.
    fn assert_consistent(settings: &LiveSettings) -> Result<()> {
        let experts =
            (0..3).flat_map(|expert| (0..4).map(move |epoch| Moment::Expert { expert, epoch }));
        for moment in experts.chain((0..12).map(Moment::Step)) {
            let expected = settings.edits().apply(settings.first(), moment)?;
            assert_eq!(**settings.at(moment), expected, "{moment:?}");
        }
        Ok(())
    }

    fn push(settings: &mut LiveSettings, at: Moment, set: &str) -> Result<()> {
        let after = settings.latest().edited(set).map_err(Error::Profile)?;
        let edit = Edit {
            at,
            set: set.into(),
        };
        settings.push(edit, after)
    }

    #[test]
    fn settings_follow_the_edits_in_whatever_order_they_were_made() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::create(runs.path(), "p", None, "")?.0;
        let profile = profile::load("shapes", &[])
            .map_err(Error::Profile)?
            .profile;
        let mut settings = LiveSettings::read(&run, &profile)?;
        assert_consistent(&settings)?;
        let expert = |expert, epoch| Moment::Expert { expert, epoch };
        for (at, set) in [
            (expert(0, 2), "expert.lr=0.5"),
            (expert(0, 2), "expert.lr=0.25"),
            (expert(2, 1), "distill.lr_images=7"),
            (Moment::Step(6), "distill.lr_student=0.06"),
            (Moment::Step(9), "distill.lr_images=9"),
            (Moment::Step(9), "distill.lr_student=0.09"),
            // resumed from before the last edit, twice
            (Moment::Step(5), "distill.lr_images=5"),
            (Moment::Step(7), "distill.momentum=0.5"),
        ] {
            push(&mut settings, at, set)?;
            assert_consistent(&settings)?;
            assert_consistent(&LiveSettings::read(&run, &profile)?)?;
        }
        assert_eq!(settings.at(Moment::Step(9)).distill.lr_images, 5.);
        for back in [Moment::Step(20), Moment::Step(6), Moment::Step(0)] {
            settings.move_back_to(back, usize::MAX, 0.25)?;
            assert_consistent(&settings)?;
            assert_consistent(&LiveSettings::read(&run, &profile)?)?;
        }
        let last = settings.at(Moment::Step(0));
        assert_eq!(last.distill.lr_images, 5.);
        assert_eq!(last.distill.lr_student, profile.distill.lr_student);
        Ok(())
    }

    #[test]
    fn an_edit_that_cannot_be_saved_changes_nothing() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::create(runs.path(), "p", None, "")?.0;
        let profile = profile::load("shapes", &[])
            .map_err(Error::Profile)?
            .profile;
        let mut settings = LiveSettings::read(&run, &profile)?;
        std::fs::remove_dir_all(run.path()).map_err(Error::io("remove", run.path()))?;
        let refused = push(&mut settings, Moment::Step(0), "distill.lr_images=7");
        assert!(matches!(refused, Err(Error::Io { .. })));
        assert_eq!(**settings.latest(), profile);
        assert_consistent(&settings)
    }
}
