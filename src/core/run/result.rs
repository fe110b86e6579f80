//! The result of a finished run as a table.

use super::event::{EventKind, Headline, ImageSet, RunFinished, RunOutcome};
use crate::profile::LabelKind;
use crate::text::{count, percent, shell_word};

/// How a line of the result begins that says why it is doubtful.
pub const CAUTION: &str = "Caution: ";

/// The result of a finished run as a table for people; none for an event that is not one.
#[must_use]
pub fn table(what: &EventKind) -> Option<String> {
    let EventKind::RunFinished(
        finished @ RunFinished {
            status: RunOutcome::Done,
            ..
        },
    ) = what
    else {
        return None;
    };
    let networks = finished.results.first().map_or(0, |r| r.values.len());
    let spread = if networks > 1 { ", mean ± std" } else { "" };
    let mut text = format!(
        "Test accuracy of {} trained on these images alone{spread}:\n",
        count(networks, "fresh network")
    );
    text += &rows(&finished.results, networks);
    if let Some(step) = finished.best_step {
        let why = finished
            .best_validation
            .map_or("the last step".into(), |accuracy| {
                format!("chosen by validation accuracy ({} %)", percent(accuracy))
            });
        text += &format!("Distilled images of step {step}, {why}.\n");
    }
    if let Some(max) = finished.paper_style_max {
        text += &format!(
            "Best test accuracy during the run (the figure most papers report): {} %.\n",
            percent(max)
        );
    }
    for caution in &finished.cautions {
        text += &format!("{CAUTION}{caution}\n");
    }
    if let Some(file) = &finished.file {
        text += &format!("The distilled set: {file}\n");
    }
    text.pop();
    Some(text)
}

/// What to do with the result of a run, as commands name it: said after its table.
#[must_use]
pub fn next_step(run: &str) -> String {
    format!(
        "Load it: docs/pytorch.md. Export it: astill export {} --to DIR",
        shell_word(run)
    )
}

/// A line per set and network; soft labels have a column of their own.
fn rows(results: &[Headline], networks: usize) -> String {
    let of_kind = |kind| results.iter().any(move |r| r.label_kind == kind);
    let both = of_kind(LabelKind::Soft);
    let mut text = String::new();
    if both {
        text += &format!("  {:<27} {:<15}{}\n", "", "hard labels", "soft labels");
    }
    let mut done: Vec<(ImageSet, &str)> = Vec::new();
    for Headline {
        network, labels, ..
    } in results
    {
        if done.contains(&(*labels, network)) {
            continue;
        }
        done.push((*labels, network));
        let cell = |kind| {
            let found = results
                .iter()
                .find(|r| r.label_kind == kind && r.labels == *labels && r.network == *network);
            found.map_or(String::new(), |r| match networks {
                0 | 1 => format!("{:>5} %", percent(r.mean)),
                _ => format!("{:>5} ± {} %", percent(r.mean), percent(r.std)),
            })
        };
        let labels = labels.to_string();
        let (hard, soft) = (cell(LabelKind::Hard), cell(LabelKind::Soft));
        let line = if both {
            format!("  {labels:<16} {network:<10} {hard:<15}{soft}")
        } else {
            format!("  {labels:<16} {network:<10} {hard}")
        };
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(networks: usize) -> EventKind {
        let result = |labels, mean| Headline {
            network: "convnet".into(),
            labels,
            label_kind: LabelKind::Hard,
            mean,
            std: 0.5,
            values: vec![mean; networks],
        };
        EventKind::RunFinished(RunFinished {
            status: RunOutcome::Done,
            reason: None,
            best_step: Some(100),
            best_validation: Some(33.),
            results: vec![
                result(ImageSet::Distilled, 34.5),
                result(ImageSet::Random, 16.1),
            ],
            paper_style_max: Some(35.),
            cautions: vec!["the experts learned nothing".into()],
            file: Some("distilled/best.safetensors".into()),
            seconds: 1.,
        })
    }

    #[test]
    fn soft_labels_have_a_column_of_their_own() {
        let EventKind::RunFinished(mut with_soft) = finished(5) else {
            return;
        };
        let soft = Headline {
            label_kind: LabelKind::Soft,
            mean: 21.,
            ..with_soft.results[1].clone()
        };
        with_soft.results[0].label_kind = LabelKind::Soft;
        with_soft.results.push(soft);
        let text = table(&EventKind::RunFinished(with_soft)).expect("done");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1..4],
            [
                "                              hard labels    soft labels",
                "  distilled        convnet                    34.5 ± 0.5 %",
                "  random           convnet     16.1 ± 0.5 %   21.0 ± 0.5 %",
            ],
            "{text}"
        );
    }

    #[test]
    fn the_table_names_every_set() {
        let text = table(&finished(5)).expect("done");
        assert!(
            text.contains("distilled        convnet     34.5 ± 0.5 %"),
            "{text}"
        );
        assert!(
            text.contains("random           convnet     16.1 ± 0.5 %"),
            "{text}"
        );
        assert!(text.contains("of 5 fresh networks trained"), "{text}");
        assert!(
            text.contains("Caution: the experts learned nothing\n"),
            "{text}"
        );
        let one = table(&finished(1)).expect("done");
        assert!(
            one.contains("of 1 fresh network trained on these images alone:")
                && one.contains("convnet     34.5 %"),
            "{one}"
        );
        assert!(
            table(&EventKind::Warning {
                message: String::new()
            })
            .is_none()
        );
    }
}
