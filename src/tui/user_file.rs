//! Files of the user's that change the app: patches over what it comes with, in YAML. A file names what
//! it changes; everything else stays as it is.

use astill_core::files::untrusted;
use astill_core::profile::did_you_mean;
use astill_core::yaml::{self, MapEntry, Value};
use astill_core::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

/// Bytes. Such a file is a few pages of text; anything larger is a mistake.
const LARGEST: u64 = 1 << 20;

/// What is wrong with a file, all of it at once.
#[derive(Debug)]
pub struct Problems<'a> {
    path: &'a Path,
    found: Vec<(Option<usize>, String)>,
}

/// The text of a file.
///
/// # Errors
/// It cannot be read, is too large, or no UTF-8 text.
pub fn read(path: &Path) -> Result<String> {
    untrusted::read_text(path, LARGEST).map_err(Error::io("read", path))
}

impl<'a> Problems<'a> {
    /// None so far.
    pub fn of(path: &'a Path) -> Self {
        Self {
            path,
            found: Vec::new(),
        }
    }

    /// `key` is the path of the key, if the problem is with one.
    pub fn push(&mut self, line: Option<usize>, key: &str, problem: impl AsRef<str>) {
        let key = match key {
            "" => String::new(),
            key => format!("{key}: "),
        };
        self.found
            .push((line, format!("{key}{}", problem.as_ref())));
    }

    /// The keys at the top of the file.
    pub fn document(&mut self, text: &str) -> Vec<MapEntry> {
        match yaml::parse(text) {
            Ok(value) => self.entries("", None, value),
            Err(problem) => {
                self.push(problem.line, "", problem.message);
                Vec::new()
            }
        }
    }

    /// The keys of a section, each of them once; none where there is nothing.
    pub fn entries(&mut self, section: &str, line: Option<usize>, value: Value) -> Vec<MapEntry> {
        let entries = match value {
            Value::Null => Vec::new(),
            Value::Map(entries) => entries,
            other => {
                let problem = format!("expected names with values, found {other}");
                self.push(line, section, problem);
                Vec::new()
            }
        };
        let mut first: HashMap<&str, Option<usize>> = HashMap::new();
        for entry in &entries {
            if let Some(line) = first.insert(&entry.key, entry.line) {
                let line = line.map_or(String::new(), |l| format!(" (first on line {l})"));
                let problem = format!("expected once, found twice{line}");
                self.push(entry.line, &path_of(section, &entry.key), problem);
            }
        }
        entries
    }

    /// A name that nothing has; these are the names there are.
    pub fn unknown(&mut self, section: &str, entry: &MapEntry, names: &[String]) {
        let meant = did_you_mean(&entry.key, names.iter().map(String::as_str));
        let meant = meant.map_or(String::new(), |m| format!("{m} "));
        let problem = format!("no such name; {meant}expected one of {}", names.join(", "));
        self.push(entry.line, &path_of(section, &entry.key), problem);
    }

    /// # Errors
    /// These problems, if there are any: a line for each, in the order of the file.
    pub fn refuse(mut self) -> Result<()> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|(line, _)| *line);
        let path = self.path.display();
        let lines = self.found.into_iter().map(|(line, problem)| match line {
            Some(line) => format!("{path}:{line}: {problem}"),
            None => format!("{path}: {problem}"),
        });
        Err(Error::Usage(lines.collect::<Vec<_>>().join("\n")))
    }
}

/// "section.key"
pub fn path_of(section: &str, key: &str) -> String {
    match section {
        "" => key.into(),
        section => format!("{section}.{key}"),
    }
}

/// The name of a variant as files write it: `RollBack` as "roll_back".
pub fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}
