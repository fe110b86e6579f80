//! A file of variants: a mapping from the name of each variant to what it changes in a profile.
//!
//! ```yaml
//! no-clipping: {expert.clipping: false}
//! real-images: {distill.init: real, distill.correct_only: false}
//! mtt: {profile: mtt-cifar10-ipc1}
//! ```

use super::draft::Draft;
use super::load::name_and_text;
use super::problem::{Origin, Problem, Problems, Result};
use super::schema::Profile;
use super::source;
use crate::yaml::{self, MapEntry, Value, YamlError};
use std::collections::BTreeSet;
use std::path::Path;

/// The name of the profile itself among its variants.
pub const BASE: &str = "base";
/// The key under which a variant names another profile.
const PROFILE: &str = "profile";
/// The seeds that a study chooses.
const SEEDS: [&str; 3] = ["seed", "expert.seed", "dataset.seed"];
const LONGEST_NAME: usize = 60;

/// A profile under a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    pub name: String,
    pub profile: Profile,
    /// What it changes, "expert.clipping: false", in the order of the file.
    pub changes: Vec<String>,
}

/// A profile and its variants.
#[derive(Debug, Clone, PartialEq)]
pub struct Variants {
    /// The name of the profile.
    pub profile: String,
    /// First the profile itself as [`BASE`], then the variants in the order of the file.
    pub variants: Vec<Variant>,
}

/// Loads the profile behind `reference` with `sets`, as [`load`](super::load()) does, and each
/// variant in `file`: the same with its own changes, which win over `sets`. The key `profile` of a
/// variant names another profile to change, by a built-in name or a path from the folder of `file`.
///
/// # Errors
/// Every problem that the profile has; without one, every problem of the file and of the variants.
pub fn load_variants(reference: &str, sets: &[String], file: Option<&Path>) -> Result<Variants> {
    let (profile, first) = name_and_text(reference)?;
    let mut base = draft_with(sets);
    base.chain(first);
    base.require();
    let base = Variant {
        name: BASE.into(),
        profile: base.finish()?.0,
        changes: Vec::new(),
    };
    let mut variants = vec![base];
    if let Some(file) = file {
        let reader = Reader {
            reference,
            sets,
            file,
        };
        reader.read(&mut variants)?;
    }
    Ok(Variants { profile, variants })
}

/// With `sets`, before a profile.
fn draft_with(sets: &[String]) -> Draft {
    let mut draft = Draft::new(Profile::default());
    for set in sets {
        draft.set(Origin::Set(set.clone()), set);
    }
    draft
}

struct Reader<'a> {
    reference: &'a str,
    sets: &'a [String],
    file: &'a Path,
}

impl Reader<'_> {
    fn origin(&self) -> Origin {
        Origin::File(self.file.into())
    }

    fn problem(&self, line: Option<usize>, message: String) -> Problem {
        Problem::new(self.origin().at(line), None, message)
    }

    /// Adds the variants of the file to the base.
    fn read(&self, variants: &mut Vec<Variant>) -> Result<()> {
        let entries = self.entries().map_err(|p| Problems(vec![p]))?;
        let mut problems = Vec::new();
        for entry in &entries {
            match self.variant(entry, variants) {
                Ok(variant) => variants.push(variant),
                Err(Problems(found)) => problems.extend(found),
            }
        }
        Problems::refuse(problems)
    }

    fn entries(&self) -> Result<Vec<MapEntry>, Problem> {
        const EXPECTED: &str = "expected a mapping from names of variants to what each changes, for example\n  \
             no-clipping: {expert.clipping: false}";
        let text = source::read(self.file).map_err(|message| self.problem(None, message))?;
        match yaml::parse(&text) {
            Ok(Value::Map(entries)) if !entries.is_empty() => Ok(entries),
            Ok(Value::Map(_) | Value::Null) => {
                Err(self.problem(None, format!("is empty, {EXPECTED}")))
            }
            Ok(found) => Err(self.problem(None, format!("found {found}, {EXPECTED}"))),
            Err(YamlError { line, message }) => Err(self.problem(line, message)),
        }
    }

    /// One variant; those before it must be different.
    fn variant(&self, entry: &MapEntry, before: &[Variant]) -> Result<Variant> {
        let name = &entry.key;
        let refuse = |line, message| Err(Problems(vec![self.problem(line, message)]));
        if let Some(message) = wrong_name(name, before) {
            return refuse(entry.line, message);
        }
        let Value::Map(changes) = &entry.value else {
            return refuse(
                entry.line,
                format!(
                    "variant {name}: found {}, expected a mapping of what it changes, for example \
                     {{expert.clipping: false}}",
                    entry.value
                ),
            );
        };
        let (profile, changes) = self.changed(changes).map_err(|Problems(found)| {
            Problems(found.into_iter().map(|p| of(name, p)).collect())
        })?;
        if let Some(same) = before.iter().find(|v| v.profile == profile) {
            return refuse(
                entry.line,
                format!(
                    "variant {name}: has the same settings as {}; change one, or remove it",
                    same.name
                ),
            );
        }
        Ok(Variant {
            name: name.clone(),
            profile,
            changes,
        })
    }

    /// The profile with these changes, and the changes as text.
    fn changed(&self, changes: &[MapEntry]) -> Result<(Profile, Vec<String>)> {
        let mut draft = draft_with(self.sets);
        let (mut text, mut profile) = (Vec::new(), None);
        let mut names = BTreeSet::new();
        for change in changes {
            let (key, at) = (change.key.as_str(), self.origin().at(change.line));
            if !names.insert(key) {
                draft.problem(at, Some(key), "found twice; keep one");
                continue;
            }
            match (key, &change.value) {
                (PROFILE, Value::Text(name)) => profile = Some((name.as_str(), at)),
                (PROFILE, found) => {
                    let message =
                        format!("found {found}, expected the name of a built-in profile or a path");
                    draft.problem(at, Some(key), message);
                }
                (key, _) if SEEDS.contains(&key) => {
                    let message = "the seeds are those of the study, the same for every variant; \
                                   remove it";
                    draft.problem(at, Some(key), message);
                }
                (key, value) => _ = draft.give(key, value, at),
            }
            text.push(format!("{key}: {}", change.value.as_yaml()));
        }
        let first = match profile {
            None => name_and_text(self.reference)?.1,
            Some((name, at)) => {
                source::find(name, Some(self.folder())).map_err(|(file, message)| {
                    let named = file.map_or(format!("{name:?}"), |f| f.to_string());
                    let key = PROFILE.to_string();
                    Problems(vec![Problem::new(at, key, format!("{named}: {message}"))])
                })?
            }
        };
        draft.chain(first);
        draft.require();
        Ok((draft.finish()?.0, text))
    }

    fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }
}

/// The problem, with the name of its variant.
fn of(variant: &str, problem: Problem) -> Problem {
    Problem {
        message: format!("{} (variant {variant})", problem.message),
        ..problem
    }
}

/// What is wrong with the name of a variant, which becomes part of the names of folders.
fn wrong_name(name: &str, before: &[Variant]) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_name = (1..=LONGEST_NAME).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name.chars().all(allowed);
    if name == BASE {
        return Some(format!(
            "{BASE} is the name of the profile itself, which is always one of the variants; remove it"
        ));
    }
    if !is_name {
        let shown: String = name.escape_debug().take(LONGEST_NAME).collect();
        return Some(format!(
            "found the variant \"{shown}\", expected a name of 1 to {LONGEST_NAME} letters, digits, \
             \".\", \"-\" or \"_\", not beginning with \".\" or \"-\""
        ));
    }
    before
        .iter()
        .any(|v| v.name.eq_ignore_ascii_case(name))
        .then(|| format!("found the variant {name} twice; rename one"))
}
