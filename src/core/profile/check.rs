//! Checks one value against its key of the schema, and words what is wrong with a key that the
//! schema does not have.

use super::auto::AUTO;
use super::key::{ProfileKey, Range};
use super::schema::{key, schema, sections};
use crate::yaml::Value;
use serde_json::Value as Json;
use std::path::Path;

/// The value as the typed settings take it.
///
/// # Errors
/// "found …, expected …".
pub(super) fn check(key: &ProfileKey, value: &Value) -> Result<Json, String> {
    if key.null.is_some() && *value == Value::Null {
        return Ok(Json::Null);
    }
    if key.auto.is_some() && matches!(value, Value::Text(text) if text == AUTO) {
        return Ok(Json::from(AUTO));
    }
    let accepted = match key.range {
        Range::Whole { min, max } => whole(value)
            .filter(|v| (min..=max).contains(v))
            .map(Json::from),
        Range::Number { min, max } => number(value)
            .filter(|v| (min..=max).contains(v))
            .map(Json::from),
        Range::Above { above, max } => number(value)
            .filter(|v| *v > above && *v <= max)
            .map(Json::from),
        Range::Switch => match value {
            Value::Bool(v) => Some(Json::from(*v)),
            _ => None,
        },
        Range::Choice(names) => choice(value, names).map(Json::from),
        Range::List(names) => match value {
            Value::List(items) => {
                return list(items, names)
                    .map_err(|found| format!("found {found}, expected {}", key.expected()));
            }
            _ => None,
        },
        Range::Names => {
            return names(value)
                .map_err(|found| format!("found {found}, expected {}", key.expected()));
        }
        Range::ChoiceOrPath(names) => match value {
            Value::Text(text) if choice(value, names).is_some() || is_path(text) => {
                Some(Json::from(text.as_str()))
            }
            _ => None,
        },
        Range::Path | Range::Text => match value {
            Value::Text(text) if !text.is_empty() => Some(Json::from(text.as_str())),
            _ => None,
        },
    };
    accepted.ok_or_else(|| {
        format!(
            "found {value}, expected {}{}",
            key.expected(),
            hint(key, value)
        )
    })
}

/// Whether a text where a name is expected is a path: by its form, or because something is there.
fn is_path(text: &str) -> bool {
    const ENDS: [&str; 4] = [".pt", ".pth", ".npz", ".safetensors"];
    text.contains('/') || ENDS.iter().any(|end| text.ends_with(end)) || Path::new(text).exists()
}

/// Integers, and floats without a fraction that f64 holds exactly (1e3, 10.0).
fn whole(value: &Value) -> Option<u64> {
    const EXACT: f64 = (1_u64 << 53) as f64;
    match value {
        Value::Int(v) => u64::try_from(*v).ok(),
        Value::Float(v) if v.fract() == 0. && (0. ..=EXACT).contains(v) => Some(*v as u64),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(v) => Some(*v as f64),
        Value::Float(v) if v.is_finite() => Some(*v),
        _ => None,
    }
}

fn choice(value: &Value, names: &[&'static str]) -> Option<&'static str> {
    match value {
        Value::Text(text) => names.iter().find(|n| *n == text).copied(),
        _ => None,
    }
}

/// Numbers are names too: many data sets number their classes. Err: what was found instead.
fn names(value: &Value) -> Result<Json, String> {
    let items = match value {
        Value::List(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut names = Vec::new();
    for item in items {
        let name = match item {
            Value::Text(text) if !text.is_empty() => text.clone(),
            Value::Int(number) => number.to_string(),
            other => return Err(format!("{other} as a name; put it in quotes")),
        };
        if names.contains(&name) {
            return Err(format!("{name} twice"));
        }
        names.push(name);
    }
    match names.is_empty() {
        true => Err("an empty list".into()),
        false => Ok(Json::from(names)),
    }
}

/// Err: what was found instead.
fn list(items: &[Value], names: &[&'static str]) -> Result<Json, String> {
    let mut chosen = Vec::new();
    for item in items {
        let name = choice(item, names).ok_or_else(|| format!("{item} in the list"))?;
        if chosen.contains(&name) {
            return Err(format!("{name} twice"));
        }
        chosen.push(name);
    }
    if chosen.is_empty() {
        Err("an empty list".into())
    } else {
        Ok(Json::from(chosen))
    }
}

/// What to do about a value that does not fit, where the range does not make that plain.
fn hint(key: &ProfileKey, value: &Value) -> String {
    let Value::Text(text) = value else {
        return match (key.range, value) {
            (
                Range::Path | Range::Text | Range::ChoiceOrPath(_),
                Value::Int(_) | Value::Float(_) | Value::Bool(_),
            ) => "; put it in quotes".into(),
            _ => String::new(),
        };
    };
    match key.range {
        Range::Choice(names) | Range::ChoiceOrPath(names) => {
            did_you_mean(text, names.iter().copied())
                .map(|m| format!("; {m}"))
                .unwrap_or_default()
        }
        Range::Switch if matches!(text.to_lowercase().as_str(), "yes" | "on") => {
            "; write true".into()
        }
        Range::Switch if matches!(text.to_lowercase().as_str(), "no" | "off") => {
            "; write false".into()
        }
        Range::Whole { .. } | Range::Number { .. } | Range::Above { .. }
            if text.parse::<f64>().is_ok_and(f64::is_finite) =>
        {
            "; write the number without quotes or leading zeros".into()
        }
        _ => String::new(),
    }
}

/// `did you mean "…"?` with the nearest of the candidates, if one is near.
#[must_use]
pub fn did_you_mean<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(text, candidates).map(|name| format!("did you mean {name:?}?"))
}

fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // No typing error is that long, and the distance would take long to compute.
    if text.len() > 60 {
        return None;
    }
    let text = text.to_lowercase().replace('-', "_");
    let distance =
        |name: &str| strsim::damerau_levenshtein(&text, &name.to_lowercase().replace('-', "_"));
    let (distance, name) = candidates
        .into_iter()
        .map(|name| (distance(name), name))
        .min_by_key(|(d, _)| *d)?;
    (distance <= 1 + text.chars().count() / 4).then_some(name)
}

/// The problem to report for `name` in `section` ("" for the top level) when the schema has no such
/// key.
pub(super) fn unknown(section: &str, name: &str) -> String {
    let what = if section.is_empty() {
        "key or section"
    } else {
        "key"
    };
    let (shown, long) = (
        name.chars().take(60).collect::<String>(),
        name.chars().count() > 60,
    );
    let unknown = format!("unknown {what} {shown:?}{}", if long { "…" } else { "" });
    let here = siblings(section);
    let location = if section.is_empty() {
        "a profile"
    } else {
        section
    };
    let has = format!("{location} has: {}", here.join(", "));
    if name == "<<" {
        return format!(
            "{unknown}; a profile has no merge keys: use extends: NAME, or write the keys out"
        );
    }
    if let Some(key) = schema()
        .iter()
        .find(|k| k.path == name && !k.section().is_empty())
    {
        return format!(
            "{unknown}; write it as \"{}: …\" in the section {}",
            key.name(),
            key.section()
        );
    }
    if name == "extends" || key(name).is_some() || sections().contains(&name) {
        return format!("{unknown}; it belongs at the top level, outside {section}");
    }
    let homes: Vec<_> = schema()
        .iter()
        .filter(|k| k.name() == name && !k.section().is_empty())
        .map(ProfileKey::section)
        .collect();
    if !homes.is_empty() {
        return format!(
            "{unknown}; it belongs in the section {}",
            homes.join(" or ")
        );
    }
    if let Some(meant) = did_you_mean(name, here.iter().copied()) {
        return format!("{unknown}; {meant} {has}");
    }
    let elsewhere = schema()
        .iter()
        .filter(|k| k.section() != section && !k.section().is_empty());
    match nearest(name, elsewhere.clone().map(ProfileKey::name))
        .and_then(|n| elsewhere.clone().find(|k| k.name() == n))
    {
        Some(key) => format!(
            "{unknown}; did you mean {:?} in the section {}? {has}",
            key.name(),
            key.section()
        ),
        None => format!("{unknown}; {has}"),
    }
}

/// The problem to report for a full path ("distill.ipc") that the schema does not have.
pub(super) fn unknown_path(path: &str) -> String {
    if path == "extends" {
        return "extends belongs in a profile file, not here".into();
    }
    if sections().contains(&path) {
        let names = siblings(path);
        return format!(
            "{path} is a section; set one of its keys, {path}.NAME=VALUE with NAME one of {}",
            names.join(", ")
        );
    }
    let homes: Vec<_> = schema()
        .iter()
        .filter(|k| k.name() == path)
        .map(|k| k.path)
        .collect();
    if !homes.is_empty() {
        return format!("unknown key {path:?}; did you mean {}?", homes.join(" or "));
    }
    match path.split_once('.') {
        Some((section, name)) if sections().contains(&section) => unknown(section, name),
        _ => match did_you_mean(path, schema().iter().map(|k| k.path)) {
            Some(meant) => format!("unknown key {path:?}; {meant}"),
            None => format!(
                "unknown key {path:?}; expected SECTION.KEY, with SECTION one of {}",
                sections().join(", ")
            ),
        },
    }
}

/// The names that a section, or the top level, may have.
pub(super) fn siblings(section: &str) -> Vec<&'static str> {
    let keys = schema()
        .iter()
        .filter(|k| k.section() == section)
        .map(ProfileKey::name);
    if section.is_empty() {
        std::iter::once("extends")
            .chain(sections())
            .chain(keys)
            .collect()
    } else {
        keys.collect()
    }
}
