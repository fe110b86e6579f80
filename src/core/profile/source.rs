//! From the name of a profile to its text.

use super::builtin::builtin;
use super::check::did_you_mean;
use super::problem::Origin;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes. A profile is a page of text; anything larger is a mistake.
const LARGEST: u64 = 1 << 20;

/// The text of a profile, and whose it is.
#[derive(Debug)]
pub(super) struct Text {
    pub origin: Origin,
    pub text: String,
}

impl Text {
    /// The name of a built-in profile, or of the file without its ending.
    pub fn name(&self) -> String {
        match &self.origin {
            Origin::File(path) => path
                .file_stem()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned(),
            Origin::Builtin(name) => name.clone(),
            other => other.to_string(),
        }
    }

    /// What two mentions of the same profile have in common, however they spell its path.
    pub fn identity(&self) -> Origin {
        match &self.origin {
            Origin::File(path) => {
                Origin::File(path.canonicalize().unwrap_or_else(|_| path.clone()))
            }
            other => other.clone(),
        }
    }

    /// The folder that an `extends` in this profile starts from. None for a profile inside the
    /// program: it has no folder.
    pub fn folder(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File(path) => Some(path.parent().unwrap_or(Path::new(""))),
            _ => None,
        }
    }
}

/// The profile behind a built-in name or a path. A relative path starts at `folder`; without a
/// folder, only built-in names count.
///
/// # Errors
/// What is wrong, and the file that could not be read; no file if no profile has that name.
pub(super) fn find(
    reference: &str,
    folder: Option<&Path>,
) -> Result<Text, (Option<Origin>, String)> {
    if let Some(profile) = builtin().iter().find(|b| b.name == reference) {
        return Ok(Text {
            origin: Origin::Builtin(reference.into()),
            text: profile.text.into(),
        });
    }
    let path: Option<PathBuf> = folder.map(|f| f.join(reference).components().collect());
    let path_like =
        reference.contains('/') || reference.ends_with(".yaml") || reference.ends_with(".yml");
    match path {
        Some(path) if !reference.is_empty() && (path_like || path.is_file()) => match read(&path) {
            Ok(text) => Ok(Text {
                origin: Origin::File(path),
                text,
            }),
            Err(message) => Err((Some(Origin::File(path)), message)),
        },
        _ => {
            let names = || builtin().iter().map(|b| b.name);
            let files = neighbours(folder);
            let meant = did_you_mean(reference, names().chain(files.iter().map(String::as_str)))
                .map(|m| format!("{m} "));
            let listed: Vec<_> = builtin()
                .iter()
                .filter(|b| b.listed)
                .map(|b| b.name)
                .collect();
            let message = format!(
                "there is no such profile; {}built-in profiles: {}; a path contains a / or ends \
                 in .yaml or .yml",
                meant.unwrap_or_default(),
                listed.join(", ")
            );
            Err((None, message))
        }
    }
}

/// The text of a profile file, without byte order mark.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn read(path: &Path) -> Result<String, String> {
    if path.is_dir() {
        return Err("is a directory, expected a YAML file".into());
    }
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)) {
        Ok(_) => (),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing(path)),
        Err(error) => return Err(format!("cannot be read: {error}")),
    }
    decode(&bytes)
}

/// Bytes of a profile as text.
///
/// # Errors
/// Why they cannot be a profile.
pub(super) fn decode(bytes: &[u8]) -> Result<String, String> {
    if bytes.len() as u64 > LARGEST {
        return Err("is larger than 1 MiB, expected a YAML profile".into());
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.trim_start_matches('\u{feff}').into()),
        Err(error) => {
            let line = bytes
                .iter()
                .take(error.valid_up_to())
                .filter(|b| **b == b'\n')
                .count()
                + 1;
            Err(format!("is not UTF-8 text (line {line}); save it as UTF-8"))
        }
    }
}

fn missing(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let files = neighbours(Some(path.parent().unwrap_or(Path::new(""))));
    let stem = Path::new(&*name)
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let meant = did_you_mean(&name, files.iter().map(String::as_str)).or_else(|| {
        builtin()
            .iter()
            .find(|b| b.name == stem)
            .map(|b| format!("the built-in profile is called {:?}", b.name))
    });
    match meant {
        Some(meant) => format!("there is no such file; {meant}"),
        None => "there is no such file".into(),
    }
}

/// The profile files of a folder, to suggest one of them.
fn neighbours(folder: Option<&Path>) -> Vec<String> {
    let Some(folder) = folder else {
        return Vec::new();
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let entries = folder.read_dir().into_iter().flatten().flatten().take(1000);
    let names = entries.map(|e| PathBuf::from(e.file_name()));
    let mut names: Vec<_> = names
        .filter(|n| n.extension().is_some_and(|e| e == "yaml" || e == "yml"))
        .map(|n| n.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
