//! The words of the field that the app uses, explained: assets/glossary.md.

const TEXT: &str = include_str!("../../assets/glossary.md");

/// Every word with its explanation.
pub fn entries() -> impl Iterator<Item = (&'static str, &'static str)> {
    TEXT.lines()
        .filter_map(|line| line.strip_prefix("- **")?.split_once("**: "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::chart::plots::capitalised;
    use crate::tui::model::MarkKind;
    use astill_core::measures::{Axis, Good, of_axis};
    use astill_core::run::event::Phase;
    use std::fmt::Write;

    #[test]
    fn every_line_of_the_list_is_an_entry() {
        let listed = TEXT.lines().filter(|line| line.starts_with('-')).count();
        assert_eq!(entries().count(), listed);
        assert!(entries().any(|(word, text)| word == "ipc" && text.ends_with('.')));
    }

    #[test]
    fn every_phase_that_is_shown_is_explained() {
        let found = entries().find(|(word, _)| *word == "phases");
        let (_, text) = found.expect("there is an entry");
        for phase in [
            Phase::Data,
            Phase::Experts,
            Phase::Init,
            Phase::Distill,
            Phase::Evaluate,
        ] {
            assert!(text.contains(&format!("{phase} (")), "{phase}");
        }
    }

    /// docs/glossary.md: what `?` explains besides keys.
    fn manual() -> String {
        let mut text = String::from(
            "# Words, measures and marks\n\nWhat the app explains under `?`. This page is generated from \
             assets/glossary.md and from the\ntables of the program; `ASTILL_BLESS=1 cargo test glossary` \
             updates it.\n\n## Words\n\n",
        );
        for (word, explanation) in entries() {
            _ = writeln!(text, "- **{word}**: {explanation}");
        }
        text.push_str("\n## What is measured\n");
        for (axis, when) in [
            (Axis::Step, "In every distillation step"),
            (Axis::Epoch, "In every epoch of an expert"),
            (Axis::Evaluation, "In every evaluation"),
            (
                Axis::Time,
                "Of the machine, about every ten seconds of work",
            ),
        ] {
            let head = "| measure | what it is | good | source |\n|---|---|---|---|";
            _ = writeln!(text, "\n### {when}\n\n{head}");
            for measure in of_axis(axis) {
                let good = match measure.good {
                    Good::Higher => "higher".into(),
                    Good::Lower => "lower".into(),
                    Good::Near(best) => format!("near {best}"),
                    Good::Neither => String::new(),
                };
                let (title, meaning) = (capitalised(measure.title), measure.meaning);
                _ = writeln!(
                    text,
                    "| {title} | {meaning}. | {good} | {} |",
                    measure.source
                );
            }
        }
        text.push_str("\n## Marks under the charts\n\n| mark | what happened |\n|---|---|\n");
        for kind in MarkKind::ALL {
            _ = writeln!(
                text,
                "| `{}` {} | {} |",
                kind.letter(),
                kind.name(),
                kind.meaning()
            );
        }
        text
    }

    #[test]
    fn docs_glossary_says_what_the_app_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/glossary.md");
        if std::env::var_os("ASTILL_BLESS").is_some_and(|v| v == "1") {
            std::fs::write(path, manual()).unwrap();
        } else {
            assert!(
                std::fs::read_to_string(path).unwrap() == manual(),
                "docs/glossary.md is out of date; run ASTILL_BLESS=1 cargo test glossary"
            );
        }
    }
}
