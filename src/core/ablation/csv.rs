//! The results for spreadsheets and scripts.

use super::outcome::Outcome;
use super::statistics::{Paired, Spread};
use super::summary::{Summary, VariantSummary};
use crate::run::event::ImageSet;
use crate::tables::csv_row;

/// One row per run, for spreadsheets and scripts.
#[must_use]
pub fn runs_csv(outcomes: &[Outcome], variants: &[&str]) -> String {
    let mut text = csv_row(&[
        "variant",
        "seed",
        "run",
        "status",
        "network",
        "test_mean",
        "test_std",
        "networks",
        "validation",
        "best_step",
        "random",
        "representative",
        "alignment",
        "reach",
        "final_ratio",
        "expert_accuracy",
        "seconds",
        "edited",
        "cautions",
        "device",
        "threads",
        "version",
        "events_blake3",
    ]);
    for outcome in outcomes {
        text += &csv_row(&row(outcome, variants));
    }
    text
}

fn row(outcome: &Outcome, variants: &[&str]) -> Vec<String> {
    let mean = |images| number(outcome.headline(images).map(|h| h.mean));
    let test = outcome.headline(ImageSet::Distilled);
    let done = outcome.done();
    let status = match (&outcome.finished, &outcome.started) {
        (Some(finished), _) => finished.status.to_string(),
        (None, Some(_)) => "unfinished".into(),
        (None, None) => "not started".into(),
    };
    let started = outcome.started.as_ref();
    let variant = variants.get(outcome.variant).copied().unwrap_or_default();
    vec![
        variant.into(),
        outcome.seed.to_string(),
        outcome.name.clone(),
        status,
        test.map(|h| h.network.clone()).unwrap_or_default(),
        number(test.map(|h| h.mean)),
        number(test.map(|h| h.std)),
        test.map(|h| h.values.len().to_string()).unwrap_or_default(),
        number(done.and_then(|d| d.best_validation)),
        done.and_then(|d| d.best_step)
            .map(|s| s.to_string())
            .unwrap_or_default(),
        mean(ImageSet::Random),
        mean(ImageSet::Representative),
        number(outcome.late.alignment),
        number(outcome.late.reach),
        number(outcome.late.final_ratio),
        number(outcome.expert_accuracy),
        format!("{:.1}", outcome.seconds),
        outcome.is_edited.to_string(),
        done.map(|d| d.cautions.join("; ")).unwrap_or_default(),
        started.map(|s| s.device.clone()).unwrap_or_default(),
        started.map(|s| s.threads.to_string()).unwrap_or_default(),
        started.map(|s| s.version.clone()).unwrap_or_default(),
        outcome.events_hash.clone().unwrap_or_default(),
    ]
}

/// One row per variant, for spreadsheets and scripts.
#[must_use]
pub fn summary_csv(summary: &Summary) -> String {
    let mut text = csv_row(&[
        "variant",
        "changes",
        "column",
        "seeds",
        "failed",
        "test_mean",
        "test_sd",
        "test_low",
        "test_high",
        "validation_mean",
        "pairs",
        "d",
        "d_sd",
        "d_low",
        "d_high",
        "p",
        "p_holm",
        "p_sign_flip",
        "resolves",
        "alignment",
        "reach",
        "final_ratio",
        "expert_accuracy",
    ]);
    for variant in &summary.variants {
        text += &csv_row(&summary_row(variant));
    }
    text
}

fn summary_row(variant: &VariantSummary) -> Vec<String> {
    let spread = |of: Option<Paired>| of.and_then(|p| p.spread);
    let low = |s: Option<Spread>| number(s.map(|s| s.interval.0));
    let high = |s: Option<Spread>| number(s.map(|s| s.interval.1));
    let (test, d) = (variant.test, variant.difference);
    vec![
        variant.name.clone(),
        variant.changes.join("; "),
        variant.column.clone(),
        variant.seeds_done.to_string(),
        variant.failed.to_string(),
        number(test.map(|t| t.mean)),
        number(spread(test).map(|s| s.sd)),
        low(spread(test)),
        high(spread(test)),
        number(variant.validation),
        d.map(|d| d.n.to_string()).unwrap_or_default(),
        number(d.map(|d| d.mean)),
        number(spread(d).map(|s| s.sd)),
        low(spread(d)),
        high(spread(d)),
        number(spread(d).map(|s| s.p)),
        number(variant.holm),
        number(d.and_then(|d| d.sign_flip)),
        number(spread(d).map(|s| s.resolves)),
        number(variant.alignment),
        number(variant.reach),
        number(variant.final_ratio),
        number(variant.expert_accuracy),
    ]
}

fn number(value: Option<f64>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}
