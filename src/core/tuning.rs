//! Tuning: short trials of the image step, and the profile that follows from them.

use crate::ablation::{Ablation, Late, Outcome};
use crate::profile::{Profile, Variant, Variants, load};
use crate::run::name_stem;
use crate::statistics::{mean, sd};
use crate::text::{count, number, percent, significant};
use crate::{Error, Result};
use std::fmt::Write as _;

/// The keys that tuning decides.
const DECIDED: [&str; 3] = ["distill.step", "distill.lr_student", "distill.lr_lr"];
/// Networks that judge a trial.
const REPEATS: usize = 3;
/// The longest training of each.
const EPOCHS: usize = 300;

/// What to try on which profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    reference: String,
    sets: Vec<String>,
    /// The name of the profile.
    name: String,
    /// Values of `distill.step`, rising.
    steps: Vec<f64>,
    iterations: u64,
}

/// What became of one value of `distill.step`.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    pub step: f64,
    /// Accuracies on the validation share after the last iteration, one per network, in per cent.
    pub validation: Vec<f64>,
    /// Over the last iterations.
    pub late: Late,
    /// What the run itself warned of.
    pub cautions: Vec<String>,
}

impl Tuning {
    /// Checks that tuning can decide what it decides.
    ///
    /// # Errors
    /// [`Error::Usage`] for a step twice, a key in `sets` that tuning decides, or a profile without
    /// a validation share; [`Error::Profile`] for a wrong profile.
    pub fn new(reference: &str, sets: &[String], steps: &[f64], iterations: u64) -> Result<Self> {
        let key_of = |set: &String| set.split('=').next().unwrap_or_default().trim().to_owned();
        if let Some(key) = sets
            .iter()
            .map(key_of)
            .find(|k| DECIDED.contains(&k.as_str()))
        {
            return Err(Error::Usage(format!(
                "--set {key}: this is what tuning decides; give the values to try with --steps, or \
                 leave it out"
            )));
        }
        let mut steps = steps.to_vec();
        steps.sort_by(f64::total_cmp);
        if let Some(twice) = steps
            .windows(2)
            .find(|pair| number(pair[0]) == number(pair[1]))
        {
            return Err(Error::Usage(format!(
                "--steps: found {} twice, to four digits; give different values",
                number(twice[0])
            )));
        }
        let loaded = load(reference, sets).map_err(Error::Profile)?;
        if loaded.profile.dataset.validation == 0. {
            return Err(Error::Usage(
                "dataset.validation is 0, but steps are chosen by validation images; add --set \
                 dataset.validation=0.1"
                    .into(),
            ));
        }
        Ok(Self {
            reference: reference.into(),
            sets: sets.to_vec(),
            name: loaded.name,
            steps,
            iterations,
        })
    }

    /// The name of its trials among the runs, unless the user gives another.
    #[must_use]
    pub fn default_name(&self) -> String {
        format!("{}-tuning", name_stem(&self.name))
    }

    /// The file that the profile is written to, unless the user gives another.
    #[must_use]
    pub fn default_file(&self) -> String {
        format!("{}-tuned.yaml", name_stem(&self.name))
    }

    /// The trials, one per step in their order.
    ///
    /// # Errors
    /// [`Error::Profile`] with everything that is wrong with their profiles.
    pub fn trials(&self) -> Result<Ablation> {
        let trial = |&step: &f64| {
            Ok(Variant {
                name: format!("step-{}", number(step)),
                profile: self.trial(step)?,
                changes: vec![format!("distill.step: {}", number(step))],
            })
        };
        Ok(Ablation {
            variants: Variants {
                profile: self.name.clone(),
                variants: self.steps.iter().map(trial).collect::<Result<_>>()?,
            },
            seeds: 1,
            same_experts: true,
        })
    }

    /// The profile with automatic rates and this step.
    fn profile(&self, step: f64, more: &[String]) -> Result<Profile> {
        let mut sets = self.sets.clone();
        sets.extend([
            format!("distill.step={step}"),
            "distill.lr_student=auto".into(),
            "distill.lr_lr=auto".into(),
        ]);
        sets.extend_from_slice(more);
        let loaded = load(&self.reference, &sets).map_err(Error::Profile)?;
        Ok(loaded.profile)
    }

    fn trial(&self, step: f64) -> Result<Profile> {
        let epochs = self.profile(step, &[])?.evaluate.epochs.min(EPOCHS);
        let iterations = self.iterations;
        let short = [
            format!("distill.iterations={iterations}"),
            format!("evaluate.every={iterations}"),
            format!("evaluate.repeats={REPEATS}"),
            format!("evaluate.epochs={epochs}"),
            "evaluate.paper_style=false".into(),
        ];
        self.profile(step, &short)
    }

    /// What the trials say.
    ///
    /// # Errors
    /// [`Error::Profile`], which cannot be after [`Tuning::trials`].
    pub fn result(&self, outcomes: &[Outcome], program: &str) -> Result<Tuned> {
        let of_step = |outcome: &Outcome| Trial::of(*self.steps.get(outcome.variant)?, outcome);
        let mut trials: Vec<Trial> = outcomes.iter().filter_map(of_step).collect();
        trials.sort_by(|a, b| a.step.total_cmp(&b.step));
        let Some(choice) = Choice::of(&trials) else {
            return Err(Error::Usage(
                "no trial came to an end, so there is nothing to choose from".into(),
            ));
        };
        let step = trials[choice.chosen].step;
        let reasons = self.reasons(&trials, &choice);
        Ok(Tuned {
            step,
            profile: self.written(step, &reasons, program)?,
            reasons,
        })
    }

    /// The profile with this step as YAML, with the reasons in its head.
    fn written(&self, step: f64, reasons: &str, program: &str) -> Result<String> {
        let mut text = format!(
            "# {}, with the image step that `astill tune` chose ({program}).\n#\n",
            self.name
        );
        for line in reasons.lines() {
            let _ = writeln!(text, "{}", format!("# {line}").trim_end());
        }
        text.push_str(&self.profile(step, &[])?.to_yaml());
        Ok(text)
    }

    /// The numbers of all trials, and what follows.
    fn reasons(&self, trials: &[Trial], choice: &Choice) -> String {
        let mut text = format!(
            "{} of {} each, judged by {} on the validation share:\n\n",
            count(trials.len(), "trial"),
            count(self.iterations as usize, "iteration"),
            count(trials[0].validation.len(), "network"),
        );
        text.push_str("  step  validation %  alignment  reach  final ratio  image scale\n");
        for trial in trials {
            let [alignment, reach, ratio, scale] = [
                trial.late.alignment,
                trial.late.reach,
                trial.late.final_ratio,
                trial.late.image_scale,
            ]
            .map(|value| value.map_or("–".into(), |v| significant(v, 3)));
            let accuracy = format!("{} ± {}", percent(trial.mean()), percent(trial.error()));
            let _ = writeln!(
                text,
                "{:>6}  {accuracy:>12}  {alignment:>9}  {reach:>5}  {ratio:>11}  {scale:>11}",
                number(trial.step)
            );
        }
        let (best, chosen) = (&trials[choice.best], &trials[choice.chosen]);
        text.push_str("\n± is the standard error over the networks.\n");
        let _ = match choice.best == choice.chosen {
            true => writeln!(
                text,
                "Chosen: distill.step {}, the best by validation accuracy; no smaller one is within \
                 its standard error.",
                number(chosen.step)
            ),
            false => writeln!(
                text,
                "Chosen: distill.step {}, the smallest whose accuracy is within the standard error \
                 of the best ({}), because long runs need smaller steps than short trials.",
                number(chosen.step),
                number(best.step)
            ),
        };
        if trials.len() > 1 && choice.chosen + 1 == trials.len() {
            text.push_str("It is the largest that was tried: larger ones may be better still.\n");
        }
        if trials.len() > 1 && choice.chosen == 0 {
            text.push_str("It is the smallest that was tried: smaller ones may do as well.\n");
        }
        for trial in trials {
            for caution in &trial.cautions {
                let _ = writeln!(text, "Caution, step {}: {caution}", number(trial.step));
            }
        }
        text
    }
}

/// A profile with the step that was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuned {
    pub step: f64,
    /// The numbers of all trials and what follows from them, for people.
    pub reasons: String,
    /// YAML: every key, with the reasons in its head.
    pub profile: String,
}

/// Which trial is the best, and which is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Choice {
    best: usize,
    chosen: usize,
}

impl Choice {
    /// The smallest step that is within one standard error of the best; none without a trial.
    fn of(trials: &[Trial]) -> Option<Self> {
        let by_mean =
            |a: &&(usize, &Trial), b: &&(usize, &Trial)| a.1.mean().total_cmp(&b.1.mean());
        let numbered: Vec<(usize, &Trial)> = trials.iter().enumerate().collect();
        let &(best, top) = numbered.iter().max_by(by_mean)?;
        let enough = top.mean() - top.error();
        let (chosen, _) = numbered.into_iter().find(|(_, t)| t.mean() >= enough)?;
        Some(Self { best, chosen })
    }
}

impl Trial {
    /// None unless the run is done.
    fn of(step: f64, outcome: &Outcome) -> Option<Self> {
        let cautions = outcome.done()?.cautions.clone();
        let validation = outcome.validation.last_key_value()?.1.clone();
        (!validation.is_empty()).then_some(Self {
            step,
            validation,
            late: outcome.late,
            cautions,
        })
    }

    fn mean(&self) -> f64 {
        mean(&self.validation).unwrap_or(f64::NAN)
    }

    /// The standard error of the mean over the networks.
    fn error(&self) -> f64 {
        let n = self.validation.len() as f64;
        sd(&self.validation).unwrap_or(0.) / n.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(step: f64, validation: [f64; 3]) -> Trial {
        Trial {
            step,
            validation: validation.to_vec(),
            late: Late::default(),
            cautions: vec!["the images are odd".into()],
        }
    }

    fn tuning(sets: &[&str], steps: &[f64]) -> Result<Tuning> {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        Tuning::new("cifar10-cpu", &sets, steps, 150)
    }

    #[test]
    fn the_smallest_step_within_one_standard_error_of_the_best_is_chosen() {
        let close = [
            trial(0.03, [39.0, 39.5, 40.0]),
            trial(0.06, [40.0, 40.5, 41.0]),
            trial(0.12, [40.2, 40.7, 41.2]),
        ];
        assert_eq!(Choice::of(&close), Some(Choice { best: 2, chosen: 1 }));
        let apart = [
            trial(0.03, [30.0, 30.1, 30.2]),
            trial(0.06, [33.0, 33.1, 33.2]),
        ];
        assert_eq!(Choice::of(&apart), Some(Choice { best: 1, chosen: 1 }));
        assert_eq!(Choice::of(&[]), None);
    }

    #[test]
    fn trials_differ_from_the_profile_in_length_and_judges_only() {
        let trials = tuning(&["distill.ipc=2"], &[0.12, 0.03]).unwrap().trials();
        let trials = trials.unwrap().variants.variants;
        let names: Vec<&str> = trials.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["step-0.03", "step-0.12"]);
        let whole = load("cifar10-cpu", &["distill.ipc=2".into()])
            .unwrap()
            .profile;
        let mut trial = trials[1].profile.clone();
        assert_eq!(
            (trial.distill.step, trial.distill.iterations),
            (Some(0.12), 150)
        );
        trial.distill.step = whole.distill.step;
        trial.distill.iterations = whole.distill.iterations;
        trial.evaluate = whole.evaluate.clone();
        assert_eq!(trial, whole);
    }

    #[test]
    fn what_tuning_decides_cannot_be_set_and_no_step_stands_twice() {
        let refused = |tuning: Result<Tuning>, part: &str| {
            let error = tuning.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        refused(tuning(&["distill.step=0.1"], &[0.1]), "--steps");
        refused(
            tuning(&["distill.lr_student=0.1"], &[0.1]),
            "distill.lr_student",
        );
        refused(
            tuning(&["dataset.validation=0"], &[0.1]),
            "dataset.validation",
        );
        refused(tuning(&[], &[0.1, 0.1]), "0.1 twice");
        refused(tuning(&[], &[0.06, 0.060001]), "0.06 twice");
        assert!(tuning(&[], &[0.1, -1.]).unwrap().trials().is_err());
    }

    #[test]
    fn the_profile_that_is_written_can_be_read_and_says_why() -> Result<()> {
        let tuning = tuning(&["distill.ipc=2"], &[0.03, 0.06])?;
        let trials = [
            trial(0.03, [30.0, 30.1, 30.2]),
            trial(0.06, [33.0, 33.1, 33.2]),
        ];
        let choice = Choice::of(&trials).unwrap();
        let reasons = tuning.reasons(&trials, &choice);
        assert!(reasons.contains("33.1 ± 0.1") && reasons.contains("largest that was tried"));
        let text = tuning.written(0.06, &reasons, "astill 0.0.0")?;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tuned.yaml");
        std::fs::write(&file, &text).unwrap();
        let read = load(&file.to_string_lossy(), &[]).unwrap().profile;
        assert_eq!((read.distill.step, read.distill.ipc), (Some(0.06), 2));
        Ok(())
    }
}
