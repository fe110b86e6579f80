//! Live edits: which setting was changed when. A resumed run makes the same changes at the same
//! places, so it computes the same.

use super::RunDir;
use crate::files::atomic::write_atomically;
use crate::profile::Profile;
use crate::{Error, Result, files::untrusted};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// A moment between two steps of a run. Experts come before distillation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before the epoch number `epoch` of the expert number `expert`, both from 0.
    Expert { expert: u64, epoch: u64 },
    /// After this number of steps of distillation.
    Step(u64),
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expert { expert, epoch } => {
                write!(f, "before epoch {} of expert {}", epoch + 1, expert + 1)
            }
            Self::Step(step) => write!(f, "after step {step}"),
        }
    }
}

/// A change of one setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    pub at: Moment,
    /// "section.key=value".
    pub set: String,
}

/// A thousand edits take some hundred kilobytes.
const LARGEST: u64 = 16 << 20;

/// The one live key whose value is learned from there on.
pub const STUDENT_RATE: &str = "distill.lr_student";

/// The key of "section.key=value".
#[must_use]
pub fn key_of(set: &str) -> &str {
    set.split('=').next().unwrap_or_default().trim()
}

/// The number of "section.key=value", if its value is one.
#[must_use]
pub fn value_of(set: &str) -> Option<f64> {
    set.split_once('=')?.1.trim().parse().ok()
}

/// All edits of a run, in the order in which they were made, kept in its `edits.json`.
#[derive(Debug)]
pub struct Edits {
    file: PathBuf,
    edits: Vec<Edit>,
}

impl Edits {
    /// Those of a run; none if it has no such file.
    ///
    /// # Errors
    /// The file cannot be read, or is not a list of edits.
    pub fn read(run: &RunDir) -> Result<Self> {
        let file = run.edits();
        let edits = match untrusted::read(&file, LARGEST) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| unreadable(&file, &e))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io("read", &file)(e)),
        };
        Ok(Self { file, edits })
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Edit] {
        &self.edits
    }

    /// Those made exactly there.
    pub fn at(&self, moment: Moment) -> impl Iterator<Item = &Edit> {
        self.edits.iter().filter(move |e| e.at == moment)
    }

    /// `profile` as it is from `moment` on.
    ///
    /// # Errors
    /// [`Error::Profile`] if an edit in the file is refused.
    pub fn apply(&self, profile: &Profile, moment: Moment) -> Result<Profile> {
        self.edits
            .iter()
            .filter(|e| e.at <= moment)
            .try_fold(profile.clone(), |p, e| {
                p.edited(&e.set).map_err(Error::Profile)
            })
    }

    /// Adds an edit and saves the list.
    ///
    /// # Errors
    /// The file cannot be written; the list is then as before.
    pub fn push(&mut self, edit: Edit) -> Result<()> {
        self.replace(|edits| edits.push(edit))
    }

    /// Saves the list again where its file was removed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn restore(&self) -> Result<()> {
        match self.edits.is_empty() || self.file.exists() {
            true => Ok(()),
            false => self.save(),
        }
    }

    /// The run goes back to its checkpoint of `moment`: settings that were changed later hold from
    /// there on. Edits of the student rate since then are undone: each set a learned value once, and
    /// the checkpoint holds the value that was learned by then. That is for the first
    /// `requested_after` edits; those made once going back had been requested are meant for what comes
    /// after it. An edit at `moment` that made the `learned` rate of the checkpoint is part of it.
    ///
    /// # Errors
    /// The file cannot be written; then nothing has changed.
    pub fn move_back_to(
        &mut self,
        moment: Moment,
        requested_after: usize,
        learned: f64,
    ) -> Result<()> {
        self.replace(|edits| {
            let mut index = 0;
            edits.retain(|e| {
                index += 1;
                let is_undone = key_of(&e.set) == STUDENT_RATE
                    && (e.at > moment || (e.at == moment && value_of(&e.set) != Some(learned)));
                index > requested_after || !is_undone
            });
            edits.iter_mut().for_each(|e| e.at = e.at.min(moment));
        })
    }

    /// Changes the list and saves it; if it cannot be saved, the change is undone.
    fn replace(&mut self, change: impl FnOnce(&mut Vec<Edit>)) -> Result<()> {
        let before = self.edits.clone();
        change(&mut self.edits);
        self.save().inspect_err(|_| self.edits = before)
    }

    fn save(&self) -> Result<()> {
        if self.edits.is_empty() && !self.file.exists() {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(&self.edits)
            .map_err(|e| Error::file(&self.file, e.to_string()))?;
        write_atomically(&self.file, text.as_bytes())
    }
}

fn unreadable(file: &Path, flaw: &serde_json::Error) -> Error {
    let remedy = "restore it from a copy, or remove it to resume with the settings of profile.yaml; \
                  nothing else in the run changes";
    Error::file(file, format!("not a list of edits: {flaw}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Auto, load};

    #[test]
    fn an_edit_holds_from_its_place_on_and_survives_a_new_start() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let run = RunDir::create(runs.path(), "p", None, "")?.0;
        let profile = load("shapes", &[]).map_err(Error::Profile)?.profile;
        let edit = |at, set: &str| Edit {
            at,
            set: set.into(),
        };
        let mut edits = Edits::read(&run)?;
        edits.push(edit(
            Moment::Expert {
                expert: 1,
                epoch: 2,
            },
            "expert.lr=0.5",
        ))?;
        edits.push(edit(Moment::Step(3), "distill.lr_images=7"))?;
        edits.push(edit(Moment::Step(9), "distill.lr_images=8"))?;
        let mut edits = Edits::read(&run)?;
        let lr = |edits: &Edits, moment| {
            edits
                .apply(&profile, moment)
                .map(|p| (p.expert.lr, p.distill.lr_images))
        };
        assert_eq!(
            lr(
                &edits,
                Moment::Expert {
                    expert: 1,
                    epoch: 1
                }
            )?,
            (profile.expert.lr, profile.distill.lr_images)
        );
        assert_eq!(
            lr(
                &edits,
                Moment::Expert {
                    expert: 2,
                    epoch: 0
                }
            )?,
            (0.5, profile.distill.lr_images)
        );
        assert_eq!(lr(&edits, Moment::Step(3))?, (0.5, 7.));
        assert_eq!(lr(&edits, Moment::Step(9))?, (0.5, 8.));
        edits.push(edit(Moment::Step(1), "distill.lr_student=0.1"))?;
        edits.push(edit(Moment::Step(2), "distill.lr_student=0.2"))?;
        edits.push(edit(Moment::Step(9), "distill.lr_student=0.9"))?;
        edits.push(edit(Moment::Step(2), "distill.lr_student=0.3"))?;
        edits.move_back_to(Moment::Step(2), usize::MAX, 0.25)?;
        let rate = Edits::read(&run)?
            .apply(&profile, Moment::Step(9))?
            .distill
            .lr_student;
        assert_eq!(
            rate,
            Auto::Value(0.1),
            "what set the learned rate since then is undone"
        );
        assert_eq!(lr(&Edits::read(&run)?, Moment::Step(2))?, (0.5, 8.));
        let before = edits.all().len();
        edits.push(edit(Moment::Step(7), "distill.lr_student=0.7"))?;
        edits.move_back_to(Moment::Step(1), before, 0.1)?;
        assert_eq!(
            edits.at(Moment::Step(1)).last().map(|e| e.set.as_str()),
            Some("distill.lr_student=0.7"),
            "it was made after going back had been requested"
        );
        assert!(
            edits
                .at(Moment::Step(1))
                .any(|e| e.set == "distill.lr_student=0.1"),
            "the checkpoint has this rate"
        );
        Ok(())
    }
}
