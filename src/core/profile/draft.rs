//! A profile that is being put together, with everything that is wrong with it.

use super::check::{check, siblings, unknown, unknown_path};
use super::key::ProfileKey;
use super::problem::{Location, Origin, Problem, Problems, Result};
use super::rules::conflicts;
use super::schema::{Profile, key, schema, sections};
use super::source::{self, Text};
use crate::yaml::{self, MapEntry, Value, YamlError};
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Draft {
    profile: Profile,
    /// Where each key was given.
    locations: BTreeMap<&'static str, Location>,
    /// Keys with a value that was refused.
    refused: BTreeSet<&'static str>,
    problems: Vec<Problem>,
    /// The requested profile, then those that it extends.
    documents: Vec<Origin>,
    /// Whether a document is missing, so that the keys it may give are not known.
    unread: bool,
}

impl Draft {
    /// Starts from the values of `base`.
    pub fn new(base: Profile) -> Self {
        Self {
            profile: base,
            locations: BTreeMap::new(),
            refused: BTreeSet::new(),
            problems: Vec::new(),
            documents: Vec::new(),
            unread: false,
        }
    }

    pub fn problem(&mut self, at: Location, key: Option<&str>, message: impl Into<String>) {
        let key = key.map(str::to_string);
        self.problems.push(Problem::new(at, key, message));
    }

    /// Takes a profile and everything it extends.
    pub fn chain(&mut self, first: Text) {
        let (mut seen, mut text) = (Vec::new(), first);
        loop {
            seen.push((text.identity(), text.origin.clone()));
            let Some((parent, location)) = self.document(&text) else {
                return;
            };
            text = match source::find(&parent, text.folder()) {
                Ok(text) => text,
                Err((file, message)) => {
                    self.unread = true;
                    let named = file.map_or(format!("{parent:?}"), |f| f.to_string());
                    let message = format!("{named}: {message}");
                    return self.problem(location, Some("extends"), message);
                }
            };
            let identity = text.identity();
            if let Some(begin) = seen.iter().position(|(seen, _)| *seen == identity) {
                let circle: Vec<_> = seen
                    .iter()
                    .skip(begin)
                    .map(|(_, origin)| origin)
                    .chain([&text.origin])
                    .map(Origin::to_string)
                    .collect();
                self.unread = true;
                let message = format!(
                    "found a circle, {}; remove one of these extends",
                    circle.join(" → ")
                );
                return self.problem(location, Some("extends"), message);
            }
        }
    }

    /// Takes the keys of one document, except those that are given already. Returns what it
    /// extends, and the origin of that key.
    pub fn document(&mut self, text: &Text) -> Option<(String, Location)> {
        self.documents.push(text.origin.clone());
        let entries = match yaml::parse(&text.text) {
            Ok(Value::Map(entries)) => entries,
            Ok(found) => {
                self.unread = true;
                let found = match found {
                    Value::Null => "is empty".into(),
                    found => format!("found {found}"),
                };
                let message = format!("{found}, {}", a_mapping(""));
                self.problem(text.origin.at(None), None, message);
                return None;
            }
            Err(YamlError { line, message }) => {
                self.unread = true;
                self.problem(text.origin.at(line), None, message);
                return None;
            }
        };
        let mut extends = None;
        for entry in self.without_repeated(&entries, "", &text.origin) {
            let (name, at) = (entry.key.as_str(), text.origin.at(entry.line));
            match (&entry.value, key(name)) {
                (Value::Text(parent), _) if name == "extends" => {
                    extends = Some((parent.clone(), at));
                }
                (found, _) if name == "extends" => {
                    let message =
                        format!("found {found}, expected the name of a built-in profile or a path");
                    self.problem(at, Some(name), message);
                }
                (value, Some(key)) if key.section().is_empty() => self.assign(key, value, at),
                (Value::Null, _) if sections().contains(&name) => (),
                (Value::Map(inner), _) if sections().contains(&name) => {
                    self.section(name, inner, &text.origin);
                }
                (found, _) if sections().contains(&name) => {
                    let message = format!("found {found}, {}", a_mapping(name));
                    self.problem(at, Some(name), message);
                }
                _ => self.problem(at, None, unknown("", name)),
            }
        }
        extends
    }

    fn section(&mut self, section: &str, entries: &[MapEntry], origin: &Origin) {
        for entry in self.without_repeated(entries, section, origin) {
            let at = origin.at(entry.line);
            match key(&format!("{section}.{}", entry.key)) {
                Some(key) => self.assign(key, &entry.value, at),
                None => self.problem(at, None, unknown(section, &entry.key)),
            }
        }
    }

    /// The entries of a section ("": the top level) without those whose key stands there twice.
    fn without_repeated<'a>(
        &mut self,
        entries: &'a [MapEntry],
        section: &str,
        origin: &Origin,
    ) -> Vec<&'a MapEntry> {
        let mut first_lines = BTreeMap::new();
        let mut kept = Vec::new();
        for entry in entries {
            let name = entry.key.as_str();
            match first_lines.insert(name, entry.line) {
                None => kept.push(entry),
                Some(first) => {
                    let path = match section {
                        "" => name.to_string(),
                        section => format!("{section}.{name}"),
                    };
                    let first =
                        first.map_or(String::new(), |line| format!(", first on line {line}"));
                    let message = format!("found twice{first}; keep one");
                    self.problem(origin.at(entry.line), Some(&path), message);
                }
            }
        }
        kept
    }

    /// Takes "section.key=value", whatever was given before. Returns the key, if there is such a
    /// key.
    pub fn set(&mut self, origin: Origin, text: &str) -> Option<&'static ProfileKey> {
        let at = origin.at(None);
        let Some((path, value)) = text.split_once('=') else {
            let message = "found no \"=\", expected SECTION.KEY=VALUE, for example distill.ipc=10";
            self.problem(at, None, message);
            return None;
        };
        let path = path.trim();
        match (yaml::parse(value), key(path)) {
            (Err(YamlError { message, .. }), Some(key)) => {
                self.refuse(key, at, message);
                Some(key)
            }
            (value, _) => self.give(path, &value.unwrap_or(Value::Null), at),
        }
    }

    /// Takes `value` for the key with the full path `path`, whatever was given before. Returns the
    /// key, if there is such a key.
    pub fn give(&mut self, path: &str, value: &Value, at: Location) -> Option<&'static ProfileKey> {
        let Some(key) = key(path) else {
            self.problem(at, None, unknown_path(path));
            return None;
        };
        self.locations.remove(key.path);
        self.assign(key, value, at);
        Some(key)
    }

    fn assign(&mut self, key: &'static ProfileKey, value: &Value, at: Location) {
        match check(key, value) {
            Ok(_) if self.locations.contains_key(key.path) => (),
            Ok(value) => match (key.set)(&mut self.profile, value) {
                Ok(()) => _ = self.locations.insert(key.path, at),
                Err(error) => self.refuse(key, at, error.to_string()),
            },
            Err(message) => self.refuse(key, at, message),
        }
    }

    fn refuse(&mut self, key: &'static ProfileKey, at: Location, message: String) {
        self.refused.insert(key.path);
        self.problem(at, Some(key.path), message);
    }

    /// Every required key must have been given; not reported if a document could not be read at
    /// all.
    pub fn require(&mut self) {
        let Some(asked) = self.documents.first().filter(|_| !self.unread).cloned() else {
            return;
        };
        for key in schema().iter().filter(|k| k.required) {
            if !self.locations.contains_key(key.path) && !self.refused.contains(key.path) {
                let message = format!("missing, expected {}", key.expected());
                self.problem(asked.at(None), Some(key.path), message);
            }
        }
    }

    /// The profile, and where each of its keys was given.
    ///
    /// # Errors
    /// Every problem there was, and every combination of settings that cannot be run.
    pub fn finish(mut self) -> Result<(Profile, BTreeMap<&'static str, Location>)> {
        let unnamed = Origin::Reference(String::new());
        let whole = self.documents.first().unwrap_or(&unnamed).at(None);
        for conflict in conflicts(&self.profile) {
            if !conflict.keys.iter().any(|k| self.refused.contains(k)) {
                let at = conflict.location(&self.locations);
                let at = at.unwrap_or_else(|| whole.clone());
                self.problems.push(conflict.problem(at));
            }
        }
        let rank = |p: &Problem| {
            self.documents
                .iter()
                .position(|origin| *origin == p.location.origin)
                .unwrap_or(usize::MAX)
        };
        self.problems.sort_by_key(|p| (rank(p), p.location.line));
        Problems::refuse(self.problems)?;
        Ok((self.profile, self.locations))
    }
}

fn a_mapping(section: &str) -> String {
    format!("expected a mapping with {}", siblings(section).join(", "))
}
