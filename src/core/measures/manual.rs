//! The generated part of docs/protocol.md, and the test that keeps it true.

use super::{Axis, Good, of_axis};
use std::fmt::Write;

const BEGIN: &str = "<!-- generated from src/core/measures/; ASTILL_BLESS=1 cargo test measures \
                     rewrites it -->\n";
const END: &str = "<!-- end of the generated part -->\n";

fn generated() -> String {
    let mut text = String::new();
    for (axis, title) in [
        (Axis::Step, "`distill_step`"),
        (Axis::Epoch, "`expert_epoch`"),
        (Axis::Evaluation, "`evaluation`"),
        (Axis::Time, "`usage`"),
    ] {
        _ = writeln!(
            text,
            "\n### The numbers of {title}\n\n| key | what | unit | good | meaning | source |\n\
             |---|---|---|---|---|---|"
        );
        for measure in of_axis(axis) {
            let list = if measure.is_list() { " (list)" } else { "" };
            let good = match measure.good {
                Good::Higher => "higher".into(),
                Good::Lower => "lower".into(),
                Good::Near(best) => format!("near {best}"),
                Good::Neither => "–".into(),
            };
            let unit = if measure.unit.is_empty() {
                "–"
            } else {
                measure.unit
            };
            _ = writeln!(
                text,
                "| `{}`{list} | {} | {unit} | {good} | {} | {} |",
                measure.name, measure.title, measure.meaning, measure.source
            );
        }
    }
    text.push('\n');
    text
}

#[test]
fn docs_protocol_says_what_the_measures_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
    let now = std::fs::read_to_string(path).unwrap();
    let (before, rest) = now
        .split_once(BEGIN)
        .expect("docs/protocol.md has the line that the generated part begins with");
    let (_, after) = rest
        .split_once(END)
        .expect("docs/protocol.md has the line that the generated part ends with");
    let wanted = format!("{before}{BEGIN}{}{END}{after}", generated());
    if std::env::var_os("ASTILL_BLESS").is_some_and(|v| v == "1") {
        std::fs::write(path, wanted).unwrap();
    } else {
        assert!(
            now == wanted,
            "docs/protocol.md is out of date; run ASTILL_BLESS=1 cargo test measures"
        );
    }
}
