//! The comparison as a table for people: Markdown that also reads well on a terminal.

use super::outcome::LATE;
use super::statistics::{Paired, smallest_sign_flip};
use super::summary::{Summary, VariantSummary};
use crate::tables;
use crate::text::{count, percent, significant};

/// The table and what has to be known to read it.
#[must_use]
pub fn table(summary: &Summary) -> String {
    let mut text = tables::markdown(&cells(summary));
    text.push('\n');
    for note in notes(summary) {
        text += &format!("- {note}\n");
    }
    text
}

/// First the heads; then the variants.
fn cells(summary: &Summary) -> Vec<Vec<String>> {
    let mut columns: Vec<&str> = Vec::new();
    for variant in &summary.variants {
        if !columns.contains(&variant.column.as_str()) {
            columns.push(&variant.column);
        }
    }
    let mut heads = vec!["variant".to_string(), "seeds".into()];
    heads.extend(columns.iter().map(|c| format!("test %, {c}")));
    heads.extend(
        [
            "validation %",
            "d",
            "95 % interval of d",
            "p",
            "p Holm",
            "p sign flip",
            "alignment",
            "reach",
            "final ratio",
            "experts %",
        ]
        .map(String::from),
    );
    let base = summary.variants.first().map_or("", |v| v.column.as_str());
    let row = |variant: &VariantSummary| {
        let mut row = vec![variant.name.clone(), variant.seeds_done.to_string()];
        row.extend(
            columns
                .iter()
                .map(|column| match *column == variant.column {
                    true => accuracy(variant.test),
                    false => String::new(),
                }),
        );
        row.extend(compared(variant, base));
        row
    };
    std::iter::once(heads)
        .chain(summary.variants.iter().map(row))
        .collect()
}

/// The cells from the validation accuracy on.
fn compared(variant: &VariantSummary, base: &str) -> [String; 10] {
    let (d, spread) = (
        variant.difference,
        variant.difference.and_then(|d| d.spread),
    );
    let mark = if variant.column == base { "" } else { " †" };
    let diagnostic = |value: Option<f64>| or_dash(value, |v| significant(v, 3));
    [
        or_dash(variant.validation, percent),
        or_dash(d, |d| format!("{}{mark}", signed(d.mean))),
        or_dash(spread, |s| {
            format!("{} to {}", signed(s.interval.0), signed(s.interval.1))
        }),
        or_dash(spread, |s| probability(s.p)),
        or_dash(variant.holm, probability),
        or_dash(d.filter(|d| d.n > 1).and_then(|d| d.sign_flip), probability),
        diagnostic(variant.alignment),
        diagnostic(variant.reach),
        diagnostic(variant.final_ratio),
        or_dash(variant.expert_accuracy, percent),
    ]
}

fn or_dash<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or("–".into(), text)
}

/// "30.4 ± 0.8".
fn accuracy(test: Option<Paired>) -> String {
    or_dash(test, |test| match test.spread {
        Some(spread) => format!("{} ± {}", percent(test.mean), percent(spread.sd)),
        None => percent(test.mean),
    })
}

/// "+1.25", "−0.50": two decimals, because differences are small.
fn signed(value: f64) -> String {
    let text = format!("{:+.2}", value);
    text.replace('-', "−")
}

fn probability(p: f64) -> String {
    match p {
        p if p < 1e-4 => "< 0.0001".into(),
        p => significant(p, 2),
    }
}

/// What has to be known to read the table.
fn notes(summary: &Summary) -> Vec<String> {
    let mut notes = vec![what_is_compared(summary)];
    if summary.done < summary.runs {
        notes.push(format!(
            "{} of {} runs are done; a difference counts only the seeds that both variants have.",
            summary.done, summary.runs
        ));
    }
    notes.extend(statistics(summary));
    notes.push(rates(summary).into());
    notes.push(format!(
        "Alignment, reach and final ratio: means over the last {LATE} iterations. Experts: mean accuracy \
         on the validation share after the last epoch that distillation reads."
    ));
    let base = summary.variants.first().map_or("", |v| v.column.as_str());
    if summary.variants.iter().any(|v| v.column != base) {
        notes.push(
            "† These accuracies are of another kind than the base's (labels or budget), so the difference \
             does not say which images are better."
                .into(),
        );
    }
    notes.extend(baselines(summary));
    for variant in summary.variants.iter().filter(|v| !v.changes.is_empty()) {
        notes.push(format!("{}: {}", variant.name, variant.changes.join(", ")));
    }
    notes.extend(summary.remarks.iter().cloned());
    if let Some(started) = &summary.started {
        notes.push(format!(
            "Computed by astill {} on {} with {}.",
            started.version,
            started.device,
            count(started.threads as usize, "thread")
        ));
    }
    notes
}

fn what_is_compared(summary: &Summary) -> String {
    let seeds = match summary.seeds {
        1 => "One seed, 0".to_string(),
        seeds => format!("Seeds 0 to {}", seeds - 1),
    };
    let shared = match summary.same_experts {
        true => "of every draw, with the same data and experts for all seeds",
        false => "of the validation split, the experts and every draw",
    };
    let network = summary.network.as_deref().unwrap_or_default();
    let spread = match summary.seeds {
        1 => "",
        _ => ", ± standard deviation over seeds",
    };
    format!(
        "Profile {}. {seeds} {shared}. Test accuracy: mean over fresh {network} networks{spread}; \
         d = variant − base with the same seed, in percentage points.",
        summary.profile
    )
}

fn statistics(summary: &Summary) -> Vec<String> {
    let tested = summary.variants.iter().filter_map(|v| v.difference);
    let most = tested.map(|d| d.n).max().unwrap_or(0);
    if summary.seeds == 1 {
        return vec![
            "One seed says nothing about how much seeds differ: there is no interval and no p."
                .into(),
        ];
    }
    if most < 2 {
        return Vec::new();
    }
    let variants = summary.variants.iter().filter(|v| v.holm.is_some()).count();
    let smallest = smallest_sign_flip(most);
    let hopeless = match smallest > 0.05 {
        true => ", which is not below 0.05 whatever the differences are",
        false => "",
    };
    let mut notes = vec![format!(
        "95 % t interval and two-sided p of the paired t-test; Holm corrects it for {variants} \
             variants. Sign flip: exact two-sided p over all patterns of signs; with {most} seeds it \
             cannot go below {}{hopeless}.",
        significant(smallest, 2)
    )];
    let largest = summary
        .variants
        .iter()
        .filter_map(|v| v.difference?.spread)
        .map(|s| s.resolves)
        .max_by(f64::total_cmp);
    notes.extend(largest.map(|points| {
        format!(
            "With spreads as large as here, a true difference of {} points would be found with 80 % \
             probability (at 0.05, without Holm, for the variant with the largest spread).",
            significant(points, 2)
        )
    }));
    notes
}

fn rates(summary: &Summary) -> &'static str {
    match summary.has_automatic_rates {
        true => {
            "Every variant finds its own student rate and step of the images, so none has rates that \
             were tuned for another."
        }
        false => {
            "Some rates are fixed: parts of the method change the size of gradients, so differences may \
             be those of rates that fit one variant better than another."
        }
    }
}

/// The accuracy of real images, and the interval of the base itself.
fn baselines(summary: &Summary) -> Vec<String> {
    let mut notes = Vec::new();
    let base = summary.variants.first();
    if let Some(spread) = base.and_then(|v| v.test?.spread) {
        notes.push(format!(
            "95 % t interval of the base's test accuracy over seeds: {} to {} %.",
            percent(spread.interval.0),
            percent(spread.interval.1)
        ));
    }
    let real: Vec<String> = ["random", "representative"]
        .into_iter()
        .zip(summary.baselines)
        .filter_map(|(name, accuracy)| Some(format!("{name} {} %", percent(accuracy?))))
        .collect();
    if !real.is_empty() {
        notes.push(format!(
            "Real images in the place of the base's distilled ones, as many of them: {}.",
            real.join(", ")
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablation::{Ablation, Outcome, PlannedRun};
    use serde_json::json;

    /// A run that is done with this test accuracy.
    fn done(planned: &PlannedRun, test: f64) -> Outcome {
        let headline = |labels, kind, mean| {
            json!({
                "network": "convnet", "labels": labels, "label_kind": kind, "mean": mean, "std": 0.5, "values": [mean]
            })
        };
        let finished = json!({
            "status": "done", "reason": null, "best_step": 3, "best_validation": test + 1.,
            "results": [headline("distilled", "hard", test), headline("random", "soft", 20.), headline("random", "hard", 15.)],
            "paper_style_max": null, "file": null, "seconds": 1.
        });
        Outcome {
            name: planned.name.clone(),
            variant: planned.variant,
            seed: planned.seed,
            finished: serde_json::from_value(finished).unwrap(),
            ..Outcome::default()
        }
    }

    fn ablation(text: &str, seeds: u64) -> Ablation {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("parts.yaml");
        std::fs::write(&file, text).unwrap();
        Ablation::load("shapes", &[], Some(&file), seeds, false).unwrap()
    }

    #[test]
    fn differences_are_paired_by_seed_and_missing_pairs_left_out() {
        let ablation = ablation("real: {distill.init: real}\n", 3);
        let planned = ablation.runs();
        // base and variant, seed by seed; the variant of the last seed has not been run
        let tests = [30., 31., 33., 32., 30., 0.];
        let mut outcomes: Vec<Outcome> =
            planned.iter().zip(tests).map(|(p, t)| done(p, t)).collect();
        outcomes[5].finished = None;
        let summary = Summary::new(&ablation, &planned, &outcomes);
        let d = summary.variants[1].difference.unwrap();
        assert_eq!((d.n, d.mean), (2, 0.));
        assert_eq!(summary.variants[0].test.map(|t| t.mean), Some(31.));
        assert_eq!((summary.done, summary.runs), (5, 6));
        // with hard labels like those of the distilled set
        assert_eq!(summary.baselines, [Some(15.), None]);
        let text = table(&summary);
        for part in [
            "| base    |     3 |          31.0 ± 1.7 |",
            "| real    |     2 |          31.5 ± 0.7 |",
            "5 of 6 runs are done",
            "with 2 seeds it cannot go below 0.5, which is not below 0.05",
            "real: distill.init: real",
        ] {
            assert!(text.contains(part), "{text}\n{part}");
        }
    }

    #[test]
    fn soft_labels_have_a_column_of_their_own() {
        let ablation = ablation("soft: {distill.labels: soft}\n", 1);
        let planned = ablation.runs();
        let outcomes: Vec<Outcome> = planned.iter().map(|p| done(p, 30.)).collect();
        let text = table(&Summary::new(&ablation, &planned, &outcomes));
        assert!(
            text.contains("| test %, hard labels | test %, soft labels |")
                && text.contains("| +0.00 † |")
                && text.contains("no interval and no p"),
            "{text}"
        );
    }
}
