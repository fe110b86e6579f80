//! Loading: a profile, what it extends, what `--set` changes; everything that is wrong with them,
//! at once.

use super::check::{check, siblings, unknown, unknown_path};
use super::problem::{Location, Problem, Source};
use super::rules::{Conflict, conflicts, conflicts_with};
use super::schema::{Key, key, sections};
use super::source::{self, Text};
use super::yaml::{self, Value};
use super::{Kind, Profile};
use crate::{Error, Result};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A valid profile.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The built-in name, or the file's name without its ending.
    pub name: String,
    pub profile: Profile,
    /// Where each key's value came from; a key that is not in here has its default.
    pub origins: BTreeMap<&'static str, Location>,
}

/// Loads the profile behind a built-in name or a path (it contains a `/`, ends in .yaml or .yml, or
/// is a file), with everything it extends, then applies `sets`, each "section.key=value" with the
/// value in YAML. The last one wins.
///
/// [`Error::Profile`] with every problem there is.
pub fn load(reference: &str, sets: &[String]) -> Result<Loaded> {
    let first = source::find(reference, Some(Path::new(""))).map_err(|(source, message)| {
        let source = source.unwrap_or_else(|| Source::Reference(reference.into()));
        Error::Profile(vec![Problem::new(source.at(None), None, message)])
    })?;
    let name = first.name();
    let mut draft = Draft::new(&Profile::new(Kind::Shapes));
    draft.chain(first);
    for set in sets {
        draft.set(Source::Set(set.clone()), set);
    }
    draft.require();
    let (profile, origins) = draft.finish()?;
    Ok(Loaded {
        name,
        profile,
        origins,
    })
}

impl Loaded {
    /// Checks what needs the data: `classes` are the names, `train_per_class` the training images
    /// of each.
    ///
    /// [`Error::Profile`] if `distill.ipc` exceeds the smallest class, `expert.batch` the training
    /// images, or `distill.batch` the synthetic set.
    pub fn check_classes(&self, classes: &[String], train_per_class: &[usize]) -> Result<()> {
        let default = || Source::Reference(self.name.clone()).at(None);
        let location = |c: &Conflict| decisive(c, &self.origins).unwrap_or_else(default);
        refuse(
            conflicts_with(&self.profile, classes, train_per_class)
                .into_iter()
                .map(|c| c.problem(location(&c)))
                .collect(),
        )
    }
}

impl Profile {
    /// The profile as YAML, every key written out; [`Profile::from_resolved`] reads it back to an
    /// equal profile.
    pub fn to_yaml(&self) -> String {
        yaml::emit(self)
    }

    /// Reads back what [`Profile::to_yaml`] wrote to `path`. The same checks as for any profile,
    /// but nothing to extend.
    ///
    /// [`Error::Profile`] with every problem there is.
    pub fn from_resolved(text: &str, path: &Path) -> Result<Self> {
        let source = Source::File(path.into());
        let mut draft = Draft::new(&Self::new(Kind::Shapes));
        match source::decode(text.as_bytes()) {
            Ok(text) => {
                if let Some((_, location)) = draft.document(&Text { source, text }) {
                    draft.problems.push(Problem::new(
                        location,
                        None,
                        "a run's profile is complete; found extends, expected none",
                    ));
                }
                draft.require();
            }
            Err(message) => draft
                .problems
                .push(Problem::new(source.at(None), None, message)),
        }
        Ok(draft.finish()?.0)
    }

    /// What [`Loaded::check_classes`] checks, for this profile after the live edit `edit`.
    pub fn check_classes(
        &self,
        classes: &[String],
        train_per_class: &[usize],
        edit: &str,
    ) -> Result<()> {
        let location = Source::Edit(edit.into()).at(None);
        refuse(
            conflicts_with(self, classes, train_per_class)
                .into_iter()
                .map(|c| c.problem(location.clone()))
                .collect(),
        )
    }

    /// This profile with one key changed by "section.key=value", for a run that is going on.
    ///
    /// [`Error::Profile`] if it is no such text, the value or the resulting combination is refused,
    /// or the key is not `live`.
    pub fn edited(&self, edit: &str) -> Result<Self> {
        let source = Source::Edit(edit.into());
        let mut draft = Draft::new(self);
        if let Some(key) = draft.set(source.clone(), edit)
            && !key.live
        {
            let message = "cannot change while the run goes on; expected a live key \
                           (docs/profiles.md); start a new run for this one";
            draft
                .problems
                .push(Problem::new(source.at(None), key.path.to_string(), message));
        }
        Ok(draft.finish()?.0)
    }
}

impl Conflict {
    fn problem(&self, location: Location) -> Problem {
        Problem::new(
            location,
            self.keys.first().map(|k| k.to_string()),
            self.message.clone(),
        )
    }
}

/// The place that a conflict is reported at: that of a `--set` before that of a file, and of the
/// first key before the others.
fn decisive(conflict: &Conflict, origins: &BTreeMap<&'static str, Location>) -> Option<Location> {
    let locations = || conflict.keys.iter().filter_map(|k| origins.get(k));
    locations()
        .find(|p| matches!(p.source, Source::Set(_) | Source::Edit(_)))
        .or_else(|| locations().next())
        .cloned()
}

fn refuse(problems: Vec<Problem>) -> Result<()> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::Profile(problems))
    }
}

/// A profile that is being put together.
struct Draft {
    settings: Json,
    origins: BTreeMap<&'static str, Location>,
    /// Keys with a value that was refused.
    refused: BTreeSet<&'static str>,
    problems: Vec<Problem>,
    /// The profile asked for, then what it extends.
    documents: Vec<Source>,
    /// Whether a document is missing, so that what it may have set is not known.
    unread: bool,
}

impl Draft {
    /// Starts from the values of `base`.
    fn new(base: &Profile) -> Self {
        Self {
            settings: serde_json::to_value(base).unwrap_or_default(),
            origins: BTreeMap::new(),
            refused: BTreeSet::new(),
            problems: Vec::new(),
            documents: Vec::new(),
            unread: false,
        }
    }

    /// Takes a profile and everything it extends.
    fn chain(&mut self, first: Text) {
        let (mut seen, mut text) = (Vec::new(), first);
        loop {
            seen.push((text.identity(), text.source.clone()));
            let Some((parent, location)) = self.document(&text) else {
                return;
            };
            text = match source::find(&parent, text.folder()) {
                Ok(text) => text,
                Err((source, message)) => {
                    self.unread = true;
                    let looked = source.map_or(format!("{parent:?}"), |s| s.to_string());
                    self.problems.push(Problem::new(
                        location,
                        "extends".to_string(),
                        format!("{looked}: {message}"),
                    ));
                    return;
                }
            };
            if let Some(begin) = seen
                .iter()
                .position(|(identity, _)| *identity == text.identity())
            {
                let circle: Vec<_> = seen
                    .iter()
                    .skip(begin)
                    .map(|(_, s)| s)
                    .chain([&text.source])
                    .map(Source::to_string)
                    .collect();
                self.unread = true;
                let message = format!(
                    "found a circle, {}; remove one of these extends",
                    circle.join(" → ")
                );
                self.problems
                    .push(Problem::new(location, "extends".to_string(), message));
                return;
            }
        }
    }

    /// Takes the keys of one document that nothing before has set. Returns what it extends, and
    /// where it says so.
    fn document(&mut self, text: &Text) -> Option<(String, Location)> {
        self.documents.push(text.source.clone());
        let wrong = |line: Option<usize>, key: Option<String>, message: String| {
            Problem::new(text.source.at(line), key, message)
        };
        let entries = match yaml::parse(&text.text) {
            Ok(Value::Map(entries)) => entries,
            Ok(found) => {
                self.unread = true;
                let empty = if found == Value::Null {
                    "is empty".into()
                } else {
                    format!("found {found}")
                };
                self.problems.push(wrong(
                    None,
                    None,
                    format!(
                        "{empty}, expected a mapping with {}",
                        siblings("").join(", ")
                    ),
                ));
                return None;
            }
            Err(flaw) => {
                self.unread = true;
                self.problems.push(wrong(flaw.line, None, flaw.message));
                return None;
            }
        };
        let (mut extends, mut lines) = (None, BTreeMap::new());
        let mut repeated = |path: &str, line: usize| {
            let first = lines.insert(path.to_string(), line);
            first.map(|first| format!("found twice, first on line {first}; keep one"))
        };
        for entry in &entries {
            let (name, line) = (entry.key.as_str(), Some(entry.line));
            if let Some(message) = repeated(name, entry.line) {
                self.problems.push(wrong(line, Some(name.into()), message));
                continue;
            }
            match (&entry.value, key(name)) {
                (value, _) if name == "extends" => match value {
                    Value::Text(parent) => extends = Some((parent.clone(), text.source.at(line))),
                    other => {
                        let message = format!(
                            "found {other}, expected the name of a built-in profile or a path"
                        );
                        self.problems.push(wrong(line, Some(name.into()), message));
                    }
                },
                (value, Some(key)) if key.section().is_empty() => {
                    self.assign(key, value, text.source.at(line))
                }
                (Value::Null, _) if sections().contains(&name) => (),
                (Value::Map(inner), _) if sections().contains(&name) => {
                    for entry in inner {
                        let (path, line) = (format!("{name}.{}", entry.key), Some(entry.line));
                        if let Some(message) = repeated(&path, entry.line) {
                            self.problems.push(wrong(line, Some(path), message));
                        } else if let Some(key) = key(&path) {
                            self.assign(key, &entry.value, text.source.at(line));
                        } else {
                            self.problems
                                .push(wrong(line, None, unknown(name, &entry.key)));
                        }
                    }
                }
                (other, _) if sections().contains(&name) => {
                    let message = format!(
                        "found {other}, expected a mapping with {}",
                        siblings(name).join(", ")
                    );
                    self.problems.push(wrong(line, Some(name.into()), message));
                }
                _ => self.problems.push(wrong(line, None, unknown("", name))),
            }
        }
        extends
    }

    /// Takes "section.key=value" over whatever is set. Returns the key, if there is such a key.
    fn set(&mut self, source: Source, text: &str) -> Option<&'static Key> {
        let location = source.at(None);
        let Some((path, value)) = text.split_once('=') else {
            self.problems.push(Problem::new(
                location,
                None,
                "found no \"=\", expected SECTION.KEY=VALUE, for example distill.ipc=10",
            ));
            return None;
        };
        let Some(key) = key(path.trim()) else {
            self.problems
                .push(Problem::new(location, None, unknown_path(path.trim())));
            return None;
        };
        match yaml::parse(value) {
            Ok(value) => {
                self.origins.remove(key.path);
                self.assign(key, &value, location);
            }
            Err(flaw) => {
                self.refused.insert(key.path);
                self.problems
                    .push(Problem::new(location, key.path.to_string(), flaw.message));
            }
        }
        Some(key)
    }

    fn assign(&mut self, key: &'static Key, value: &Value, location: Location) {
        match check(key, value) {
            Ok(_) if self.origins.contains_key(key.path) => (),
            Ok(value) => {
                if let Some(slot) = self
                    .settings
                    .pointer_mut(&format!("/{}", key.path.replace('.', "/")))
                {
                    *slot = value;
                }
                self.origins.insert(key.path, location);
            }
            Err(message) => {
                self.refused.insert(key.path);
                self.problems
                    .push(Problem::new(location, key.path.to_string(), message));
            }
        }
    }

    /// Every key without a default must have been given; not worth saying when a document could not
    /// be read at all.
    fn require(&mut self) {
        let Some(asked) = self.documents.first().filter(|_| !self.unread) else {
            return;
        };
        for key in super::schema().iter().filter(|k| k.default.is_none()) {
            if !self.origins.contains_key(key.path) && !self.refused.contains(key.path) {
                self.problems.push(Problem::new(
                    asked.at(None),
                    key.path.to_string(),
                    format!("missing, expected {}", key.expected()),
                ));
            }
        }
    }

    fn finish(mut self) -> Result<(Profile, BTreeMap<&'static str, Location>)> {
        let whole = Source::Reference(String::new()).at(None);
        let profile: Profile = serde_json::from_value(self.settings).map_err(|error| {
            Error::Profile(vec![Problem::new(whole.clone(), None, error.to_string())])
        })?;
        for conflict in conflicts(&profile) {
            if !conflict.keys.iter().any(|k| self.refused.contains(k)) {
                let asked = self.documents.first().map_or(whole.clone(), |s| s.at(None));
                self.problems
                    .push(conflict.problem(decisive(&conflict, &self.origins).unwrap_or(asked)));
            }
        }
        let rank = |p: &Problem| {
            self.documents
                .iter()
                .position(|s| *s == p.location.source)
                .unwrap_or(usize::MAX)
        };
        self.problems.sort_by_key(|p| (rank(p), p.location.line));
        refuse(self.problems)?;
        Ok((profile, self.origins))
    }
}
