//! What the runs of an ablation say together.

use super::outcome::Outcome;
use super::statistics::{Paired, holm};
use super::{Ablation, PlannedRun};
use crate::profile::{Auto, LabelKind, Parameters, Profile};
use crate::run::event::{ImageSet, RunStarted};
use crate::statistics::mean;
use std::collections::BTreeSet;

/// The comparison of all variants.
#[derive(Debug, Clone)]
pub struct Summary {
    /// First the profile itself.
    pub variants: Vec<VariantSummary>,
    /// The name of the profile.
    pub profile: String,
    pub seeds: u64,
    pub same_experts: bool,
    /// All runs, and those that are done.
    pub runs: usize,
    pub done: usize,
    /// Whether all variants let the program find their rates.
    pub has_automatic_rates: bool,
    /// Test accuracy of the real images that the base is compared with, mean over seeds: random
    /// ones, and representative ones.
    pub baselines: [Option<f64>; 2],
    /// What should be known of single runs, in a sentence each.
    pub remarks: Vec<String>,
    /// The network that tests the distilled images.
    pub network: Option<String>,
    /// How the first run that has been started was computed.
    pub started: Option<RunStarted>,
}

/// What the runs of one variant say. Accuracies in per cent, means over seeds.
#[derive(Debug, Clone)]
pub struct VariantSummary {
    pub name: String,
    /// What it changes.
    pub changes: Vec<String>,
    /// The column in which its accuracy stands: see [`columns`].
    pub column: String,
    /// Runs that are done, and those that failed.
    pub seeds_done: usize,
    pub failed: usize,
    /// Test accuracy, with its spread over seeds.
    pub test: Option<Paired>,
    /// Accuracy on the validation share at the step that was chosen.
    pub validation: Option<f64>,
    /// Test accuracy less that of the base with the same seed; none for the base.
    pub difference: Option<Paired>,
    /// The p of the t-test of this difference, corrected for all variants.
    pub holm: Option<f64>,
    pub alignment: Option<f64>,
    pub reach: Option<f64>,
    pub final_ratio: Option<f64>,
    pub expert_accuracy: Option<f64>,
}

impl Summary {
    /// Of the outcomes of `planned` runs, in the same order.
    #[must_use]
    pub fn new(ablation: &Ablation, planned: &[PlannedRun], outcomes: &[Outcome]) -> Self {
        let all = &ablation.variants.variants;
        let of = |variant: usize| outcomes.iter().filter(move |o| o.variant == variant);
        let columns = columns(&all.iter().map(|v| &v.profile).collect::<Vec<_>>());
        let mut variants: Vec<VariantSummary> = all
            .iter()
            .zip(columns)
            .enumerate()
            .map(|(index, (variant, column))| {
                let own: Vec<&Outcome> = of(index).collect();
                let base: Vec<&Outcome> = of(0).collect();
                VariantSummary {
                    name: variant.name.clone(),
                    changes: variant.changes.clone(),
                    column,
                    difference: (index > 0).then(|| difference(&own, &base)).flatten(),
                    ..VariantSummary::of(&own)
                }
            })
            .collect();
        correct(&mut variants);
        let baseline = |images| mean_of(of(0), |o| o.headline(images).map(|h| h.mean));
        Self {
            variants,
            profile: ablation.variants.profile.clone(),
            seeds: ablation.seeds,
            same_experts: ablation.same_experts,
            runs: planned.len(),
            done: outcomes.iter().filter(|o| o.done().is_some()).count(),
            has_automatic_rates: all.iter().all(|v| finds_its_rates(&v.profile)),
            baselines: [ImageSet::Random, ImageSet::Representative].map(baseline),
            remarks: remarks(outcomes),
            network: outcomes
                .iter()
                .find_map(|o| Some(o.headline(ImageSet::Distilled)?.network.clone())),
            started: outcomes.iter().find_map(|o| o.started.clone()),
        }
    }
}

impl VariantSummary {
    /// What its runs say by themselves.
    fn of(own: &[&Outcome]) -> Self {
        let done: Vec<&Outcome> = own.iter().filter(|o| o.done().is_some()).copied().collect();
        let mean = |number: fn(&Outcome) -> Option<f64>| mean_of(done.iter().copied(), number);
        let tests: Vec<f64> = done.iter().filter_map(|o| o.test()).collect();
        Self {
            name: String::new(),
            changes: Vec::new(),
            column: String::new(),
            seeds_done: done.len(),
            failed: own.iter().filter(|o| o.failure().is_some()).count(),
            test: Paired::of(&tests),
            validation: mean(|o| o.done()?.best_validation),
            difference: None,
            holm: None,
            alignment: mean(|o| o.late.alignment),
            reach: mean(|o| o.late.reach),
            final_ratio: mean(|o| o.late.final_ratio),
            expert_accuracy: mean(|o| o.expert_accuracy),
        }
    }
}

fn mean_of<'a>(
    outcomes: impl Iterator<Item = &'a Outcome>,
    number: impl Fn(&Outcome) -> Option<f64>,
) -> Option<f64> {
    mean(&outcomes.filter_map(number).collect::<Vec<f64>>())
}

/// Of the seeds that both have.
fn difference(own: &[&Outcome], base: &[&Outcome]) -> Option<Paired> {
    let with_seed = |seed| base.iter().find(|o| o.seed == seed).and_then(|o| o.test());
    let pairs = own
        .iter()
        .filter_map(|o| Some(o.test()? - with_seed(o.seed)?));
    Paired::of(&pairs.collect::<Vec<f64>>())
}

/// Corrects the p of all variants together.
fn correct(variants: &mut [VariantSummary]) {
    let p = |v: &VariantSummary| Some(v.difference?.spread?.p);
    let found: Vec<f64> = variants.iter().filter_map(p).collect();
    let tested = variants.iter_mut().filter(|v| p(v).is_some());
    for (variant, corrected) in tested.zip(holm(&found)) {
        variant.holm = Some(corrected);
    }
}

/// The column in which the accuracy of each of these profiles stands: only those of one kind of
/// labels, one budget, one data set and one network can be compared. What all have in common is left
/// out, except the kind of labels.
#[must_use]
pub fn columns(profiles: &[&Profile]) -> Vec<String> {
    let parts: [fn(&Profile) -> String; 4] = [
        |p| match p.distill.parameters {
            Parameters::Pixels => String::new(),
            other => other.to_string(),
        },
        |p| format!("ipc {}", p.distill.ipc),
        |p| p.dataset.kind.to_string(),
        |p| {
            p.evaluate
                .networks
                .first()
                .map_or_else(String::new, ToString::to_string)
        },
    ];
    let differing = parts.iter().enumerate().filter(|(index, part)| {
        let mut values = profiles.iter().map(|p| part(p));
        let first = values.next();
        // frequencies and tiles are always named
        *index == 0 || values.any(|value| Some(value) != first)
    });
    let differing: Vec<_> = differing.map(|(_, part)| part).collect();
    let of = |profile: &&Profile| {
        let labels = match profile.distill.labels {
            LabelKind::Hard => "hard labels",
            LabelKind::Soft => "soft labels",
        };
        let parts = differing.iter().map(|part| part(profile));
        let named = parts.filter(|part| !part.is_empty());
        std::iter::once(labels.to_string())
            .chain(named)
            .collect::<Vec<_>>()
            .join(", ")
    };
    profiles.iter().map(of).collect()
}

fn finds_its_rates(profile: &Profile) -> bool {
    let distill = &profile.distill;
    distill.lr_student == Auto::Auto && distill.lr_lr == Auto::Auto && distill.step.is_some()
}

/// What should be known of single runs before the table is used.
fn remarks(outcomes: &[Outcome]) -> Vec<String> {
    let named = |is: fn(&Outcome) -> bool, what: &str| {
        let names: Vec<&str> = outcomes
            .iter()
            .filter(|o| is(o))
            .map(|o| o.name.as_str())
            .collect();
        (!names.is_empty()).then(|| format!("{what}: {}.", names.join(", ")))
    };
    let failures = outcomes.iter().filter_map(|o| {
        let why = o.failure()?;
        Some(format!("{} failed and is left out: {why}.", o.name))
    });
    let edited = named(|o| o.is_edited, "Settings were changed during these runs");
    let doubtful = named(
        |o| o.done().is_some_and(|d| !d.cautions.is_empty()),
        "These runs ended with cautions, which runs.csv holds",
    );
    failures
        .chain(edited)
        .chain(doubtful)
        .chain(machines(outcomes))
        .collect()
}

/// That the runs were not all computed alike, which changes last digits and times.
fn machines(outcomes: &[Outcome]) -> Vec<String> {
    let differing = |what: &str, of: fn(&RunStarted) -> String| {
        let started = outcomes.iter().filter_map(|o| o.started.as_ref());
        let found: BTreeSet<String> = started.map(of).collect();
        (found.len() > 1).then(|| {
            let found: Vec<String> = found.into_iter().collect();
            format!(
                "The runs were computed with different {what}: {}.",
                found.join(", ")
            )
        })
    };
    [
        differing("versions of astill", |s| s.version.clone()),
        differing("devices", |s| s.device.clone()),
        differing("numbers of threads", |s| s.threads.to_string()),
    ]
    .into_iter()
    .flatten()
    .collect()
}
