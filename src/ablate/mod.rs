//! `astill ablate`: runs variants of a profile with several seeds, one after the other, and compares
//! them. All that it knows is in the ablation's folder, so it can be ended at any moment: called
//! again, it keeps the runs that are done and resumes the others.

mod engines;
mod tune;

pub use tune::tune;

use crate::engine_process::Local;
use astill_core::ablation::{
    Ablation, AblationFolder, Outcome, PlannedRun, Summary, runs_csv, summary_csv, table,
};
use astill_core::cli::{AblateArgs, DeviceChoice, out};
use astill_core::console::{to_stderr, to_stderr_if_read};
use astill_core::files::check_text;
use astill_core::profile::Variant;
use astill_core::run::EngineLock;
use astill_core::text::{count, duration, harmless, shell_word};
use astill_core::{Error, Result};
use engines::{Engines, RunEnd};
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Runs of several profiles, one after the other.
struct Study<'a> {
    device: &'a DeviceChoice,
    /// Whether its tables are wanted; trials are judged in another way.
    is_comparison: bool,
    ablation: Ablation,
    folder: AblationFolder,
    planned: Vec<PlannedRun>,
    /// Of the planned runs, in the same order.
    outcomes: Vec<Outcome>,
}

/// Carries out the command; everything is checked before anything is created.
///
/// # Errors
/// A wrong profile, variant or name ([`Error::exit_status`] 2), or something that no run can do
/// without.
pub fn ablate(local: &Local, args: &AblateArgs) -> Result<ExitCode> {
    let file = args.variants.as_deref();
    let ablation = Ablation::load(
        &args.profile,
        &args.set,
        file,
        args.seeds,
        args.same_experts,
    )?;
    let name = args.name.clone();
    let name = name.unwrap_or_else(|| ablation.default_name(file));
    let mut study = Study::new(local, ablation, &name, &args.device)?;
    let stopped = study.run(local)?;
    study.write_results()?;
    study.report(stopped)
}

impl<'a> Study<'a> {
    /// Checks that it can be run under this name; creates nothing.
    fn new(
        local: &Local,
        ablation: Ablation,
        name: &str,
        device: &'a DeviceChoice,
    ) -> Result<Self> {
        let folder = AblationFolder::new(&local.runs, name)?;
        let planned = ablation.runs();
        folder.check(&planned)?;
        let outcomes = planned.iter().map(|p| Outcome::read(&folder, p));
        Ok(Self {
            device,
            is_comparison: true,
            outcomes: outcomes.collect::<Result<_>>()?,
            ablation,
            folder,
            planned,
        })
    }

    /// Does all runs that are not done; whether a signal, or somebody else, has stopped it, with the
    /// exit status that follows. Everything is checked before anything is created.
    fn run(&mut self, local: &Local) -> Result<Option<u8>> {
        check_text("the folder of runs (--runs)", &local.runs)?;
        self.check_with_data(local)?;
        let held = self.folder.begin(&self.ablation, &self.planned)?;
        let engines = Engines::new(local, self.folder.path(), self.device)?;
        self.run_all(&engines, &held)
    }

    /// Checks every variant that has not been run yet against the data and the device, without
    /// creating anything, and reports how long a new ablation will take.
    fn check_with_data(&self, local: &Local) -> Result<()> {
        let scratch = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let is_new = self.outcomes.iter().all(|o| o.started.is_none());
        if is_new {
            to_stderr(format!(
                "checking {} on {}",
                count(self.ablation.variants.variants.len(), "variant"),
                self.device
            ));
        }
        let runs = || self.planned.iter().zip(&self.outcomes);
        for (index, variant) in self.ablation.variants.variants.iter().enumerate() {
            let mut own = runs().filter(|(run, _)| run.variant == index);
            let Some((run, _)) = own.next().filter(|(_, first)| first.started.is_none()) else {
                continue;
            };
            let file = scratch.path().join(format!("{}.yaml", variant.name));
            std::fs::write(&file, run.profile.to_yaml()).map_err(Error::io("write", &file))?;
            let is_timed = index == 0 && is_new;
            let checked = local.check(&file, self.device, is_timed);
            let checked = checked.map_err(|e| of_variant(variant, scratch.path(), e))?;
            if is_timed {
                self.report_estimate(&checked["estimate"]);
            }
        }
        Ok(())
    }

    fn report_estimate(&self, estimate: &Value) {
        let seconds = |name: &str| estimate[name].as_f64().unwrap_or(0.);
        let (all, experts) = (seconds("seconds"), seconds("experts_seconds"));
        let (runs, pools) = (self.planned.len(), self.ablation.pools());
        to_stderr(format!(
            "{} of about {} each, and {} of experts of about {} each: about {} in all, if every \
             variant takes as long as the profile itself",
            count(runs, "run"),
            duration(all - experts),
            count(pools as usize, "pool"),
            duration(experts),
            duration((all - experts) * runs as f64 + experts * pools as f64)
        ));
    }

    /// Does every run that is not done; whether a signal, or somebody else, has stopped it, with the
    /// exit status that follows.
    ///
    /// # Errors
    /// A run is refused; [`Error::RunLost`] if the folder is not this ablation's any more.
    fn run_all(&mut self, engines: &Engines<'_>, held: &EngineLock) -> Result<Option<u8>> {
        let begin = Instant::now();
        let mut done_here = 0;
        for index in 0..self.planned.len() {
            if self.outcomes[index].done().is_some() {
                continue;
            }
            let name = self.planned[index].name.clone();
            let left = self.outcomes.iter().filter(|o| o.done().is_none()).count();
            let time_left = (done_here > 0).then(|| {
                let each = begin.elapsed().as_secs_f64() / f64::from(done_here);
                format!(", about {} left", duration(each * left as f64))
            });
            let (number, runs) = (index + 1, self.planned.len());
            let time_left = time_left.unwrap_or_default();
            to_stderr(format!("\nrun {number} of {runs}: {name}{time_left}"));
            self.check_held(held)?;
            let end = engines.run(&self.folder, &name)?;
            self.check_held(held)?;
            self.outcomes[index] = Outcome::read(&self.folder, &self.planned[index])?;
            self.write_results()?;
            match end {
                RunEnd::Done => done_here += 1,
                RunEnd::Failed => {
                    let why = self.outcomes[index].failure().map(|why| format!(": {why}"));
                    to_stderr(format!(
                        "{name} failed{}; the other runs continue",
                        why.unwrap_or_default()
                    ));
                }
                RunEnd::Stopped(status) => return Ok(Some(status)),
            }
        }
        Ok(None)
    }

    fn check_held(&self, held: &EngineLock) -> Result<()> {
        held.check_path().map_err(|error| match error {
            Error::RunLost { path, .. } => Error::RunLost {
                path,
                problem: "the folder of this ablation was moved, removed or replaced while it was \
                          running, so nothing more is done there; run the same command again to \
                          continue with whatever is in the folder of that name"
                    .into(),
            },
            other => other,
        })
    }

    fn summary(&self) -> Summary {
        Summary::new(&self.ablation, &self.planned, &self.outcomes)
    }

    fn write_results(&self) -> Result<()> {
        if !self.is_comparison {
            return Ok(());
        }
        let summary = self.summary();
        let variants = self.ablation.variants.variants.iter();
        let names: Vec<&str> = variants.map(|v| v.name.as_str()).collect();
        self.folder.write("table.md", &table(&summary))?;
        self.folder.write("summary.csv", &summary_csv(&summary))?;
        self.folder
            .write("runs.csv", &runs_csv(&self.outcomes, &names))
    }

    fn report(&self, stopped: Option<u8>) -> Result<ExitCode> {
        let summary = self.summary();
        let progress = format!("{} of {} runs are done", summary.done, summary.runs);
        if let Some(status) = stopped {
            to_stderr_if_read(format!("{progress}; continue with: {}", command()));
            return Ok(ExitCode::from(status));
        }
        out(harmless(&table(&summary)))?;
        to_stderr(format!("{progress}: {}", self.folder.table().display()));
        match summary.done == summary.runs {
            true => Ok(ExitCode::SUCCESS),
            false => {
                to_stderr(format!("try the others again with: {}", command()));
                Ok(ExitCode::FAILURE)
            }
        }
    }
}

/// The command that continues this work: the one that began it.
fn command() -> String {
    let arguments = std::env::args().skip(1).map(|a| shell_word(&a));
    let mut command = vec!["astill".to_string()];
    command.extend(arguments);
    command.join(" ")
}

/// A problem of one variant, with its name instead of that of a file nobody knows.
fn of_variant(variant: &Variant, scratch: &Path, error: Error) -> Error {
    let of = format!("variant {}: ", variant.name);
    let without = |text: String| text.replace(&format!("{}/", scratch.display()), "");
    match error {
        Error::Usage(text) => Error::Usage(of + &without(text)),
        other => other,
    }
}
