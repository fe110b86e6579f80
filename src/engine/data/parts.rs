//! What the folders of a data set's parts are called.

use unicode_normalization::UnicodeNormalization;

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Train,
    Validation,
    Test,
}

impl Part {
    /// "train", "validation", "test".
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// The usual names of each part, in lower case.
const NAMES: [(Part, &[&str]); 3] = [
    (Part::Train, &["train", "training"]),
    (
        Part::Validation,
        &["val", "valid", "validation", "dev", "eval", "evaluation"],
    ),
    (Part::Test, &["test", "testing"]),
];

/// What may follow such a name.
const ENDS: [&str; 6] = ["set", "data", "images", "imgs", "split", "folder"];

/// The part that a folder or a file is named after, in any case: "Train", "val", "test_set".
pub fn part(name: &str) -> Option<Part> {
    let name = normal(name).to_lowercase();
    let stem = ENDS
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(&name);
    let stem = stem.trim_end_matches(['_', '-', ' ']);
    let is_named = |names: &[&str]| names.contains(&stem) || names.contains(&name.as_str());
    NAMES
        .iter()
        .find(|(_, names)| is_named(names))
        .map(|(part, _)| *part)
}

/// A name as names are compared: composed (NFC), however the file system spells it.
pub fn normal(name: &str) -> String {
    name.nfc().collect()
}

/// Whether a file or folder is something that systems and programs leave behind, not data.
pub fn is_junk(name: &str) -> bool {
    const NAMES: [&str; 7] = [
        "thumbs.db",
        "desktop.ini",
        "ehthumbs.db",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "icon\r",
    ];
    name.starts_with('.')
        || name.starts_with('@')
        || name.starts_with("__")
        || NAMES.contains(&name.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_known_by_their_usual_names_in_any_case() {
        for (name, want) in [
            ("train", Some(Part::Train)),
            ("TRAINING", Some(Part::Train)),
            ("Training_Set", Some(Part::Train)),
            ("valid", Some(Part::Validation)),
            ("Dev", Some(Part::Validation)),
            ("test-images", Some(Part::Test)),
            ("Testing", Some(Part::Test)),
            ("trainers", None),
            ("set", None),
            ("", None),
            ("cat", None),
        ] {
            assert_eq!(part(name), want, "{name}");
        }
    }

    #[test]
    fn composed_and_decomposed_names_are_the_same() {
        assert_eq!(normal("cafe\u{301}"), normal("caf\u{e9}"));
    }
}
