//! Runs side by side: what each has come to, and in which settings they differ.

use crate::ablation::{Outcome, columns};
use crate::profile::{Profile, schema};
use crate::run::RunDir;
use crate::run::edits::{Edits, Moment};
use crate::run::event::{Headline, ImageSet};
use crate::run::list::{RunState, RunSummary, summary};
use crate::statistics::{mean, sd};
use crate::{Error, Result};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

mod csv;
mod table;
#[cfg(test)]
mod tests;

pub use csv::csv;
pub use table::{notes, results, settings, table};

/// Runs side by side, in the order in which they were named.
#[derive(Debug)]
pub struct Comparison {
    pub runs: Vec<ComparedRun>,
    /// The keys of which at least two runs have different values, in the order of a profile.
    pub differences: Vec<Difference>,
}

/// A run and what it has come to.
#[derive(Debug)]
pub struct ComparedRun {
    pub name: String,
    pub profile: String,
    pub state: RunState,
    /// Distillation steps done, and in all.
    pub step: u64,
    pub iterations: u64,
    /// The column in which its accuracy stands: see [`columns`].
    pub column: String,
    pub outcome: Outcome,
}

/// A key of the profile, with its value in every run as it is now: changes made while a run was at
/// work are included.
#[derive(Debug, PartialEq)]
pub struct Difference {
    pub key: &'static str,
    pub values: Vec<Json>,
}

impl Comparison {
    /// Reads two or more runs.
    ///
    /// # Errors
    /// Fewer than two runs, the same one twice, or a run whose profile, edits or events cannot be
    /// read.
    pub fn read(runs: &[RunDir]) -> Result<Self> {
        check_that_they_differ(runs)?;
        let (mut compared, mut settings) = (Vec::new(), Vec::new());
        for (run, name) in runs.iter().zip(distinct_names(runs)) {
            let profile = run.read_profile()?;
            let outcome = Outcome::of_run(run, &profile)?;
            let RunSummary {
                profile: profile_name,
                state,
                step,
                iterations,
                ..
            } = summary(run.clone());
            let now = Edits::read(run)?.apply(&profile, Moment::Step(step))?;
            compared.push(ComparedRun {
                name,
                profile: profile_name,
                state,
                step,
                iterations,
                column: String::new(),
                outcome,
            });
            settings.push(now);
        }
        let columns = columns(&settings.iter().collect::<Vec<_>>());
        for (run, column) in compared.iter_mut().zip(columns) {
            run.column = column;
        }
        Ok(Self {
            runs: compared,
            differences: differences(&settings),
        })
    }

    /// Everything that is compared, for scripts. Accuracies in per cent, durations in seconds.
    #[must_use]
    pub fn json(&self) -> Json {
        let differences: Vec<Json> = self
            .differences
            .iter()
            .map(|d| json!({ "key": d.key, "values": d.values }))
            .collect();
        let runs: Vec<Json> = self.runs.iter().map(ComparedRun::json).collect();
        json!({ "runs": runs, "differences": differences })
    }
}

impl ComparedRun {
    /// The test accuracies of a run that is done: of every set, network and kind of labels.
    #[must_use]
    pub fn results(&self) -> &[Headline] {
        self.outcome.done().map_or(&[], |d| &d.results)
    }

    /// The last accuracy on the validation share before the end of the run: step, mean and standard
    /// deviation over the networks.
    #[must_use]
    pub fn last_validation(&self) -> Option<(u64, f64, f64)> {
        let (step, values) = self.outcome.validation.last_key_value()?;
        Some((*step, mean(values)?, sd(values).unwrap_or(0.)))
    }

    fn json(&self) -> Json {
        let outcome = &self.outcome;
        let done = outcome.done();
        let validation = self
            .last_validation()
            .map(|(step, mean, std)| json!({ "step": step, "mean": mean, "std": std }));
        json!({
            "name": self.name,
            "profile": self.profile,
            "seed": outcome.seed,
            "state": self.state,
            "step": self.step,
            "iterations": self.iterations,
            "column": self.column,
            "results": self.results(),
            "best_step": done.and_then(|d| d.best_step),
            "best_validation": done.and_then(|d| d.best_validation),
            "last_validation": validation,
            "cautions": done.map(|d| d.cautions.as_slice()).unwrap_or_default(),
            "failure": outcome.failure(),
            "alignment": outcome.late.alignment,
            "reach": outcome.late.reach,
            "final_ratio": outcome.late.final_ratio,
            "expert_accuracy": outcome.expert_accuracy,
            "seconds": outcome.seconds,
            "edited": outcome.is_edited,
            "unreadable_lines": outcome.unreadable,
            "device": outcome.started.as_ref().map(|s| &s.device),
            "version": outcome.started.as_ref().map(|s| &s.version),
            "events_blake3": outcome.events_hash,
        })
    }

    /// The accuracy of the distilled set, or of its baseline of that kind, as it stands in tables.
    fn headline(&self, images: ImageSet) -> Option<&Headline> {
        self.outcome.headline(images)
    }
}

/// # Errors
/// Fewer than two runs, or the same one twice.
fn check_that_they_differ(runs: &[RunDir]) -> Result<()> {
    if runs.len() < 2 {
        return Err(Error::Usage(
            "found one run, expected two or more to compare".into(),
        ));
    }
    let place = |run: &RunDir| run.path().canonicalize().ok();
    for (i, run) in runs.iter().enumerate() {
        if runs
            .iter()
            .take(i)
            .any(|earlier| place(earlier) == place(run))
        {
            return Err(Error::Usage(format!(
                "found the run {} twice, expected different runs",
                run.reference()
            )));
        }
    }
    Ok(())
}

/// The names of runs side by side: those of the same name in different folders are called by as many of
/// their folders as tell them apart.
#[must_use]
pub fn distinct_names(runs: &[RunDir]) -> Vec<String> {
    let mut names: Vec<String> = runs.iter().map(RunDir::name).collect();
    // a path as it was given may end in "..", or begin in the working directory
    let above = |run: &RunDir| {
        let folder = run.path().parent()?;
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        folder.canonicalize().ok()
    };
    let places: Vec<Option<PathBuf>> = runs.iter().map(above).collect();
    let mut folders: Vec<Option<&Path>> = places.iter().map(Option::as_deref).collect();
    loop {
        let has_namesake = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
        let alike: Vec<bool> = names.iter().map(has_namesake).collect();
        let mut is_longer = false;
        for ((name, folder), _) in names
            .iter_mut()
            .zip(&mut folders)
            .zip(alike)
            .filter(|n| n.1)
        {
            let Some(part) = folder.and_then(Path::file_name) else {
                continue;
            };
            *name = format!("{}/{name}", part.to_string_lossy());
            *folder = folder.and_then(Path::parent);
            is_longer = true;
        }
        if !is_longer {
            return names;
        }
    }
}

/// The keys of which two profiles have different values.
fn differences(settings: &[Profile]) -> Vec<Difference> {
    let mut found = Vec::new();
    for key in schema() {
        let values: Vec<Json> = settings.iter().map(|p| key.json(p)).collect();
        if values.windows(2).any(|pair| pair[0] != pair[1]) {
            found.push(Difference {
                key: key.path,
                values,
            });
        }
    }
    found
}
