//! The comparison as tables for people.

use super::csv::plain;
use super::{ComparedRun, Comparison};
use crate::run::event::{Headline, ImageSet};
use crate::statistics::sd;
use crate::tables::markdown;
use crate::text::{count, duration, harmless, percent, significant};

/// What the runs have come to, what has to be known to read that, and in which settings the runs
/// differ; Markdown that also reads well on a terminal.
#[must_use]
pub fn table(comparison: &Comparison) -> String {
    let mut text = markdown(&results(comparison)) + "\n";
    for note in notes(comparison) {
        text += &format!("- {note}\n");
    }
    text += "\n";
    match settings(comparison) {
        cells if cells.len() < 2 => text += "All settings are the same.\n",
        cells => text += &markdown(&cells),
    }
    text.trim_end().into()
}

/// What each run has come to: a row of names, then a row per run.
#[must_use]
pub fn results(comparison: &Comparison) -> Vec<Vec<String>> {
    let runs = &comparison.runs;
    let mut columns: Vec<&str> = Vec::new();
    for run in runs.iter().filter(|r| !r.results().is_empty()) {
        if !columns.contains(&run.column.as_str()) {
            columns.push(&run.column);
        }
    }
    let mut heads = vec!["run".to_string(), "state".into(), "step".into()];
    heads.extend(columns.iter().map(|c| format!("test %, {c}")));
    heads.extend(
        [
            "random %",
            "representative %",
            "validation %",
            "of step",
            "alignment",
            "reach",
            "final ratio",
            "experts %",
            "time",
        ]
        .map(String::from),
    );
    let mut cells = vec![heads];
    cells.extend(runs.iter().map(|run| row(run, &columns)));
    cells
}

fn row(run: &ComparedRun, columns: &[&str]) -> Vec<String> {
    let outcome = &run.outcome;
    let test = run.headline(ImageSet::Distilled);
    let baseline = |images| or_dash(run.headline(images), with_spread);
    let rounded = |value: Option<f64>| or_dash(value, |v| significant(v, 3));
    let validation = outcome
        .done()
        .and_then(|d| Some((d.best_step?, d.best_validation?)))
        .or_else(|| run.last_validation().map(|(step, mean, _)| (step, mean)));
    let mut row = vec![
        harmless(&run.name),
        run.state.name().into(),
        format!("{}/{}", run.step, run.iterations),
    ];
    row.extend(
        columns
            .iter()
            .map(|column| or_dash(test.filter(|_| *column == run.column), with_spread)),
    );
    row.extend([
        baseline(ImageSet::Random),
        baseline(ImageSet::Representative),
        or_dash(validation, |(step, mean)| {
            let values = outcome.validation.get(&step);
            match values.filter(|v| v.len() > 1).and_then(|v| sd(v)) {
                Some(spread) => format!("{} ± {}", percent(mean), percent(spread)),
                None => percent(mean),
            }
        }),
        or_dash(validation, |(step, _)| step.to_string()),
        rounded(outcome.late.alignment),
        rounded(outcome.late.reach),
        rounded(outcome.late.final_ratio),
        or_dash(outcome.expert_accuracy, percent),
        duration(outcome.seconds),
    ]);
    row
}

fn with_spread(result: &Headline) -> String {
    match result.values.len() {
        0 | 1 => percent(result.mean),
        _ => format!("{} ± {}", percent(result.mean), percent(result.std)),
    }
}

fn or_dash<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or("–".into(), text)
}

/// What has to be known to read the results.
#[must_use]
pub fn notes(comparison: &Comparison) -> Vec<String> {
    let runs = &comparison.runs;
    let mut notes = vec![
        "± is the standard deviation over the networks of one run. It says little about how much runs \
         differ: to compare settings, run several seeds of each (`astill ablate`)."
            .to_string(),
    ];
    let tested = |run: &ComparedRun| {
        let test = run.headline(ImageSet::Distilled)?;
        Some((test.network.clone(), test.values.len()))
    };
    let mut networks: Vec<(String, usize)> = runs.iter().filter_map(tested).collect();
    networks.dedup();
    if networks.len() > 1 {
        let each: Vec<String> = runs
            .iter()
            .filter_map(|run| Some((run, tested(run)?)))
            .map(|(run, (network, count))| format!("{}: {count} × {network}", harmless(&run.name)))
            .collect();
        notes.push(format!(
            "The networks that were tested are not the same: {}.",
            each.join(", ")
        ));
    }
    for run in runs {
        if run.outcome.unreadable > 0 {
            notes.push(format!(
                "{}: {} of its record could not be read.",
                harmless(&run.name),
                count(
                    usize::try_from(run.outcome.unreadable).unwrap_or(usize::MAX),
                    "line"
                )
            ));
        }
        if let Some(reason) = run.outcome.failure() {
            notes.push(format!(
                "{} failed: {}",
                harmless(&run.name),
                harmless(reason)
            ));
        }
        let cautions = run.outcome.done().map_or(&[][..], |d| &d.cautions);
        for caution in cautions {
            notes.push(format!("{}: {}", harmless(&run.name), harmless(caution)));
        }
    }
    notes
}

/// In which settings the runs differ: a row of names, then a row per setting.
#[must_use]
pub fn settings(comparison: &Comparison) -> Vec<Vec<String>> {
    let mut heads = vec!["setting".to_string()];
    heads.extend(comparison.runs.iter().map(|r| harmless(&r.name)));
    let mut cells = vec![heads];
    for difference in &comparison.differences {
        let mut row = vec![difference.key.to_string()];
        row.extend(difference.values.iter().map(|v| harmless(&plain(v))));
        cells.push(row);
    }
    cells
}
