//! The generated part of docs/profiles.md, and the test that keeps it true.

use super::{builtin, schema};
use std::fmt::Write;

const BEGIN: &str = "<!-- generated from src/core/profile/schema.rs and profiles/; ASTILL_BLESS=1 \
                     cargo test manual rewrites it -->\n";

fn generated() -> String {
    let mut text = String::from("\n## Built-in profiles\n\n| name | what it is |\n|---|---|\n");
    for profile in builtin().iter().filter(|b| b.listed) {
        _ = writeln!(text, "| `{}` | {} |", profile.name, profile.description());
    }
    let bases: Vec<_> = builtin()
        .iter()
        .filter(|b| !b.listed)
        .map(|b| format!("`{}`", b.name))
        .collect();
    _ = writeln!(
        text,
        "\nTo extend, though not in the menu: {}.\n\n## Every key",
        bases.join(", ")
    );
    let mut section = None;
    for key in schema() {
        if section != Some(key.section()) {
            section = Some(key.section());
            let title = if key.section().is_empty() {
                "outside the sections"
            } else {
                key.section()
            };
            _ = writeln!(
                text,
                "\n### {title}\n\n| key | meaning | unit | expected | default | source of the \
                 default |"
            );
            text.push_str("|---|---|---|---|---|---|\n");
        }
        let default = key
            .default()
            .map_or("must be given".into(), |d| format!("`{d}`"));
        let (unit, source) = (or_dash(key.unit), or_dash(key.source));
        let live = if key.live { " (live)" } else { "" };
        _ = writeln!(
            text,
            "| `{}`{live} | {} | {unit} | {} | {default} | {source} |",
            key.path,
            key.meaning,
            key.expected()
        );
    }
    text
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}

#[test]
fn docs_profiles_says_what_the_schema_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/profiles.md");
    let now = std::fs::read_to_string(path).unwrap();
    let (prose, _) = now
        .split_once(BEGIN)
        .expect("docs/profiles.md lacks the line that begins its generated part");
    let wanted = format!("{prose}{BEGIN}{}", generated());
    if std::env::var_os("ASTILL_BLESS").is_some_and(|v| v == "1") {
        std::fs::write(path, wanted).unwrap();
    } else {
        assert!(
            now == wanted,
            "docs/profiles.md is out of date; run ASTILL_BLESS=1 cargo test manual"
        );
    }
}
