//! The comparison for spreadsheets: a line per run.

use super::{ComparedRun, Comparison};
use crate::run::event::ImageSet;
use crate::tables::csv_row;
use serde_json::Value as Json;

/// A line per run: what it has come to, then the settings in which runs differ. Accuracies in per
/// cent; a field is empty where a run has no such value.
#[must_use]
pub fn csv(comparison: &Comparison) -> String {
    let mut heads: Vec<&str> = vec![
        "run",
        "profile",
        "seed",
        "state",
        "step",
        "iterations",
        "network",
        "column",
        "test_mean",
        "test_std",
        "networks",
        "random",
        "representative",
        "validation",
        "best_step",
        "alignment",
        "reach",
        "final_ratio",
        "expert_accuracy",
        "seconds",
        "events_blake3",
    ];
    heads.extend(comparison.differences.iter().map(|d| d.key));
    let mut text = csv_row(&heads);
    for (i, run) in comparison.runs.iter().enumerate() {
        let mut fields = fields(run);
        let values = comparison.differences.iter().map(|d| plain(&d.values[i]));
        fields.extend(values);
        text += &csv_row(&fields);
    }
    text
}

fn fields(run: &ComparedRun) -> Vec<String> {
    let outcome = &run.outcome;
    let (done, test) = (outcome.done(), run.headline(ImageSet::Distilled));
    let number = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
    let mean = |images| number(run.headline(images).map(|h| h.mean));
    let validation = done
        .and_then(|d| d.best_validation)
        .or_else(|| run.last_validation().map(|(_, mean, _)| mean));
    vec![
        run.name.clone(),
        run.profile.clone(),
        outcome.seed.to_string(),
        run.state.name().into(),
        run.step.to_string(),
        run.iterations.to_string(),
        test.map(|h| h.network.clone()).unwrap_or_default(),
        run.column.clone(),
        number(test.map(|h| h.mean)),
        number(test.map(|h| h.std)),
        test.map(|h| h.values.len().to_string()).unwrap_or_default(),
        mean(ImageSet::Random),
        mean(ImageSet::Representative),
        number(validation),
        done.and_then(|d| d.best_step)
            .map(|s| s.to_string())
            .unwrap_or_default(),
        number(outcome.late.alignment),
        number(outcome.late.reach),
        number(outcome.late.final_ratio),
        number(outcome.expert_accuracy),
        format!("{:.1}", outcome.seconds),
        outcome.events_hash.clone().unwrap_or_default(),
    ]
}

/// A value of a profile as it is written there.
pub(super) fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
