//! The result of a finished run as a table.

use super::event::{EventKind, Headline, RunFinished, RunOutcome};
use crate::text::{count, percent};

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
    for Headline {
        network,
        labels,
        mean,
        std,
        ..
    } in &finished.results
    {
        let labels = labels.to_string();
        let mean = percent(*mean);
        let std = match networks {
            0 | 1 => String::new(),
            _ => format!(" ± {}", percent(*std)),
        };
        text += &format!("  {labels:<16} {network:<10} {mean:>5}{std} %\n");
    }
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
        text += &format!("Caution: {caution}\n");
    }
    if let Some(file) = &finished.file {
        text += &format!("The distilled set: {file}\n");
    }
    text.pop();
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::event::ImageSet;

    fn finished(networks: usize) -> EventKind {
        let result = |labels, mean| Headline {
            network: "convnet".into(),
            labels,
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
