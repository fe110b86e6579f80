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
const ENDS: [&str; 8] = [
    "set",
    "data",
    "images",
    "imgs",
    "split",
    "folder",
    "dir",
    "directory",
];

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

/// The part that one of the words of a name tells: "seg_train", "train2017", "cifar-test-0001". Another
/// word after it means something else: "train_mini", "test_v2".
pub fn part_within(name: &str) -> Option<Part> {
    name.split(['-', '.']).find_map(|words| {
        let words = words.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
        part(words).or_else(|| part(words.rsplit(['_', ' ']).next()?))
    })
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
            ("train_dir", Some(Part::Train)),
            ("trainers", None),
            ("set", None),
            ("", None),
            ("cat", None),
        ] {
            assert_eq!(part(name), want, "{name}");
        }
    }

    #[test]
    fn a_word_of_a_name_tells_the_part_unless_another_follows() {
        for (name, want) in [
            ("seg_train", Some(Part::Train)),
            ("train2017", Some(Part::Train)),
            ("train_0001", Some(Part::Train)),
            ("imagenet-train-000001", Some(Part::Train)),
            ("cifar_test-00000-of-00002", Some(Part::Test)),
            ("asl alphabet val", Some(Part::Validation)),
            ("train_mini-00000-of-00001", None),
            ("train_unlabeled-0001", None),
            ("test_v2", None),
            ("cat", None),
            ("", None),
        ] {
            assert_eq!(part_within(name), want, "{name}");
        }
    }

    #[test]
    fn composed_and_decomposed_names_are_the_same() {
        assert_eq!(normal("cafe\u{301}"), normal("caf\u{e9}"));
    }
}
