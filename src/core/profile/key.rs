//! What a key of a profile is, and the macro that makes a section's typed settings and its part of
//! the table of keys from one list.

use super::Profile;
use serde_json::Value as Json;
use std::fmt;

/// A key of a profile: all that is known about it.
#[derive(Debug, Clone, Copy)]
pub struct ProfileKey {
    /// "section.name", or the name alone for a key outside all sections.
    pub path: &'static str,
    pub range: Range,
    /// What null means, if the key may be null.
    pub null: Option<&'static str>,
    /// What `auto` means, if the key may be auto.
    pub auto: Option<&'static str>,
    /// Whether a profile must give it; its default then means nothing.
    pub required: bool,
    /// "" for a pure number or a choice.
    pub unit: &'static str,
    pub meaning: &'static str,
    /// Where the default comes from.
    pub source: &'static str,
    /// Whether it can be changed during a run (an expert's keys: between two epochs).
    pub live: bool,
    pub(super) get: fn(&Profile) -> Json,
    pub(super) set: fn(&mut Profile, Json) -> serde_json::Result<()>,
}

/// What a key may be. Bounds belong to the range, except `above` of a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    Whole {
        min: u64,
        max: u64,
    },
    Number {
        min: f64,
        max: f64,
    },
    Above {
        above: f64,
        max: f64,
    },
    Switch,
    Choice(&'static [&'static str]),
    /// One or more of these, none twice.
    List(&'static [&'static str]),
    Path,
    /// One of these, or a path.
    ChoiceOrPath(&'static [&'static str]),
    /// Any text.
    Text,
    /// One or more of any texts, none twice; one alone need not be a list.
    Names,
}

impl ProfileKey {
    /// "distill" of "distill.ipc"; "" for a key outside all sections.
    pub fn section(&self) -> &'static str {
        self.path.split_once('.').map_or("", |(section, _)| section)
    }

    /// "ipc" of "distill.ipc".
    pub fn name(&self) -> &'static str {
        self.path
            .split_once('.')
            .map_or(self.path, |(_, name)| name)
    }

    /// What a profile may give, as in "expected …".
    pub fn expected(&self) -> String {
        let mut expected = self.range.to_string();
        for (word, meaning) in [("auto", self.auto), ("null", self.null)] {
            if let Some(meaning) = meaning {
                expected += &format!(", or {word} ({meaning})");
            }
        }
        expected
    }

    /// Its value in `profile` as people write it: 30, not 30.0.
    pub fn value(&self, profile: &Profile) -> String {
        written(&(self.get)(profile))
    }

    /// Its value in `profile` as JSON.
    pub fn json(&self, profile: &Profile) -> Json {
        (self.get)(profile)
    }

    /// Its value in the settings of a record as people write it; none if they lack it.
    pub fn recorded(&self, settings: &Json) -> Option<String> {
        let place = format!("/{}", self.path.replace('.', "/"));
        settings.pointer(&place).map(written)
    }

    /// Its default as people write it; none if a profile must give the key.
    pub fn default(&self) -> Option<String> {
        (!self.required).then(|| self.value(&Profile::default()))
    }
}

pub(super) fn written(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(written).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string().trim_end_matches(".0").into(),
    }
}

/// A bound; a power of ten with many zeros as 1e9, which a profile may have, too.
fn large(bound: f64) -> String {
    let power = bound.log10();
    match power >= 6. && power.fract() == 0. {
        true => format!("1e{power}"),
        false => bound.to_string(),
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole { min, max: u64::MAX } => {
                write!(f, "a whole number from {min} to 2^64 − 1")
            }
            Self::Whole { min, max } => {
                write!(f, "a whole number from {min} to {}", large(*max as f64))
            }
            Self::Number { min, max } => write!(f, "a number from {min} to {}", large(*max)),
            Self::Above { above, max } => {
                write!(f, "a number above {above} and up to {}", large(*max))
            }
            Self::Switch => write!(f, "true or false"),
            Self::Choice([only]) => write!(f, "{only}"),
            Self::Choice(names) => write!(f, "one of {}", names.join(", ")),
            Self::List(names) => write!(
                f,
                "a list in brackets, [ ], of one or more of: {}",
                names.join(", ")
            ),
            Self::Path => write!(f, "a path as text"),
            Self::ChoiceOrPath(names) => {
                write!(
                    f,
                    "one of {}, or the path of something that is there, or one with a / in it or that ends in \
                     .pt, .npz or .safetensors",
                    names.join(", ")
                )
            }
            Self::Text => write!(f, "text"),
            Self::Names => write!(f, "a name, or a list of names in brackets, [ ]"),
        }
    }
}

/// The line of a key in the table begins with one of these, which decides what values the key may
/// have.
pub(super) const fn whole(min: u64, max: u64) -> ProfileKey {
    key(Range::Whole { min, max })
}

pub(super) const fn number(min: f64, max: f64) -> ProfileKey {
    key(Range::Number { min, max })
}

pub(super) const fn above(above: f64, max: f64) -> ProfileKey {
    key(Range::Above { above, max })
}

pub(super) const fn switch() -> ProfileKey {
    key(Range::Switch)
}

pub(super) const fn one_of(names: &'static [&'static str]) -> ProfileKey {
    key(Range::Choice(names))
}

pub(super) const fn list_of(names: &'static [&'static str]) -> ProfileKey {
    key(Range::List(names))
}

pub(super) const fn text() -> ProfileKey {
    key(Range::Text)
}

pub(super) const fn names() -> ProfileKey {
    key(Range::Names)
}

pub(super) const fn path() -> ProfileKey {
    key(Range::Path)
}

pub(super) const fn one_of_or_path(names: &'static [&'static str]) -> ProfileKey {
    key(Range::ChoiceOrPath(names))
}

const fn key(range: Range) -> ProfileKey {
    ProfileKey {
        path: "",
        range,
        null: None,
        auto: None,
        required: false,
        unit: "",
        meaning: "",
        source: "",
        live: false,
        get: |_| Json::Null,
        set: |_, _| Ok(()),
    }
}

/// Further properties of a key, on its line in the table.
impl ProfileKey {
    pub(super) const fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    pub(super) const fn null(self, meaning: &'static str) -> Self {
        Self {
            null: Some(meaning),
            ..self
        }
    }

    pub(super) const fn auto(self, meaning: &'static str) -> Self {
        Self {
            auto: Some(meaning),
            ..self
        }
    }

    pub(super) const fn source(self, source: &'static str) -> Self {
        Self { source, ..self }
    }

    pub(super) const fn live(self) -> Self {
        Self { live: true, ..self }
    }

    pub(super) const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }
}

/// A section of the profile, as a list of keys: `/// meaning`, then `name: type = default, range`
/// with further properties. It becomes a struct of settings with that `Default`, and the section's
/// part of the table of keys.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        pub struct $Settings:ident for $section:ident
        $($(#[doc = $meaning:literal])+ $name:ident: $Type:ty = $default:expr, $key:expr;)+
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $Settings {
            $($(#[doc = $meaning])+ pub $name: $Type,)+
        }

        impl Default for $Settings {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl $Settings {
            const KEYS: &[$crate::profile::ProfileKey] = &[$($crate::profile::ProfileKey {
                path: concat!(stringify!($section), ".", stringify!($name)),
                meaning: concat!($($meaning),+).trim_ascii_start(),
                get: |profile| {
                    serde_json::to_value(&profile.$section.$name).unwrap_or_default()
                },
                set: |profile, value| {
                    profile.$section.$name = serde_json::from_value(value)?;
                    Ok(())
                },
                ..$key
            },)+];
        }
    };
}
pub(super) use section;
