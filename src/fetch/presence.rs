//! Whether a data set is in its folder already: its own files, whole, and of the right commit.

use super::digest;
use super::set::{DataSet, Proof, SourceFile};
use astill_core::files::untrusted;
use astill_core::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// In the folder of a set of the Hub: the commit whose files are there, and a line for each of them with
/// its length and its path.
pub const COMMIT: &str = ".commit";
const LONGEST_NOTE: u64 = 64 << 20;

/// What is noted of a set of the Hub before its files are moved into its folder; none for others.
pub fn note(set: &DataSet) -> Option<String> {
    let commit = set.commit.as_ref()?;
    let files = set.plain().filter_map(|file| {
        let bytes = file.bytes?;
        Some(format!("{bytes} {}\n", file.name))
    });
    Some(format!("{commit}\n{}", files.collect::<String>()))
}

/// The commit that is in the folder of a set of the Hub, if all files are there that a fetch has noted,
/// in their lengths.
pub fn whole_by_its_note(folder: &Path) -> Option<String> {
    let text = untrusted::read_text(&folder.join(COMMIT), LONGEST_NOTE).ok()?;
    let (commit, files) = text.split_once('\n')?;
    let is_there = |line: &str| {
        let (bytes, name) = line.split_once(' ')?;
        let there = fs::metadata(folder.join(name)).ok()?;
        (there.len() == bytes.parse::<u64>().ok()?).then_some(())
    };
    let is_whole = !files.is_empty() && files.lines().all(|line| is_there(line).is_some());
    is_whole.then(|| commit.to_owned())
}

/// Whether a fetch has begun to move files into the folder of a set of the Hub, and not all that it has
/// noted are there.
#[must_use]
pub fn is_cut_off(folder: &Path) -> bool {
    let note = untrusted::read_text(&folder.join(COMMIT), LONGEST_NOTE);
    // older versions have noted no files
    let lists_files = note.is_ok_and(|note| note.lines().count() > 1);
    lists_files && whole_by_its_note(folder).is_none()
}

/// Whether all of a set is in `data`, by the names and the lengths of its files alone.
#[must_use]
pub fn is_there(set: &DataSet, data: &Path) -> bool {
    let folder = data.join(&set.folder);
    let has_length = |file: &SourceFile| {
        let there = fs::metadata(folder.join(&file.name));
        there.is_ok_and(|there| file.bytes.is_none_or(|bytes| there.len() == bytes))
    };
    missing(set, &folder).is_none() && set.plain().all(has_length) && !is_cut_off(&folder)
}

/// Whether something of a set is in `data`, but not all of it.
#[must_use]
pub fn is_partly_there(set: &DataSet, data: &Path) -> bool {
    let folder = data.join(&set.folder);
    let mut roots = set.proof.iter().filter_map(|p| p.path.split('/').next());
    roots.any(|root| folder.join(root).exists()) && !is_there(set, data)
}

/// Whether all of a set is in `data`. Files that stay as they are are read and compared with their
/// published lengths and checksums.
///
/// # Errors
/// [`Error::Usage`] if other files have the names of the set's, or those of another commit are there;
/// [`Error::Io`] if a file cannot be read.
pub fn is_whole(set: &DataSet, data: &Path) -> Result<bool> {
    let folder = data.join(&set.folder);
    let commit = fetched_commit(&folder);
    if set.commit.is_some() && commit != set.commit && folder.exists() {
        return match other_files(set, &folder)? {
            None => Ok(true),
            Some(_) if parquet_below(&folder)?.is_empty() => Ok(false),
            Some(found) => Err(of_another_commit(set, &folder, commit, &found)),
        };
    }
    let mut is_whole = missing(set, &folder).is_none();
    for file in set.plain() {
        let path = folder.join(&file.name);
        if path.symlink_metadata().is_err() {
            is_whole = false;
        } else if let Some(flaw) = digest::flaw_of(&path, file).map_err(Error::io("read", &path))? {
            return Err(Error::Usage(format!(
                "{} is there, but it is not the file of {}: {flaw}; move it away, then fetch again",
                path.display(),
                set.name
            )));
        }
    }
    Ok(is_whole)
}

/// What of a set is not in `folder`, or not all of it; none if it is complete.
pub fn missing(set: &DataSet, folder: &Path) -> Option<String> {
    if set.proof.is_empty() {
        return Some("its files are not known".into());
    }
    set.proof.iter().find_map(|proof| flaw(proof, folder))
}

/// What is wrong with what shows that a set is complete.
pub fn flaw(proof: &Proof, folder: &Path) -> Option<String> {
    let path = folder.join(&proof.path);
    let Ok(there) = fs::metadata(&path) else {
        return Some(format!("{} is missing", proof.path));
    };
    if there.is_file() {
        return match proof.bytes {
            Some(bytes) if there.len() != bytes => Some(format!(
                "{} has {} bytes, expected {bytes}",
                proof.path,
                there.len()
            )),
            _ if there.len() == 0 => Some(format!("{} is empty", proof.path)),
            _ => None,
        };
    }
    let entries = fs::read_dir(&path).map_or(0, |entries| entries.take(proof.entries).count());
    (entries < proof.entries).then(|| {
        format!(
            "{} has {entries} entries, expected {}",
            proof.path, proof.entries
        )
    })
}

/// The commit that is in the folder of a set of the Hub, where a fetch has noted it.
fn fetched_commit(folder: &Path) -> Option<String> {
    let text = untrusted::read_text(&folder.join(COMMIT), LONGEST_NOTE).ok()?;
    Some(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// Why the files in `folder` are not those of the set, whatever their commit; none if they are. Only
/// published checksums can show that.
fn other_files(set: &DataSet, folder: &Path) -> Result<Option<String>> {
    for path in parquet_below(folder)? {
        let name = path.strip_prefix(folder).unwrap_or(&path);
        if !set.plain().any(|file| Path::new(&file.name) == name) {
            return Ok(Some(format!("{} is not one of them", name.display())));
        }
    }
    for file in set.plain() {
        let path = folder.join(&file.name);
        if !path.exists() {
            return Ok(Some(format!("{} is missing", file.name)));
        }
        if file.checksums.is_empty() {
            let found = format!("the Hub has no checksum of {}", file.name);
            return Ok(Some(found));
        }
        let flaw = digest::flaw_of(&path, file).map_err(Error::io("read", &path))?;
        if let Some(flaw) = flaw {
            return Ok(Some(format!("{}: {flaw}", file.name)));
        }
    }
    Ok(None)
}

fn parquet_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut open, mut found) = (vec![folder.to_path_buf()], Vec::new());
    while let Some(below) = open.pop() {
        for entry in fs::read_dir(&below).map_err(Error::io("list", &below))? {
            let entry = entry.map_err(Error::io("list", &below))?;
            let path = entry.path();
            // a link to a folder could lead anywhere
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "parquet") {
                found.push(path);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn of_another_commit(set: &DataSet, folder: &Path, there: Option<String>, found: &str) -> Error {
    let wanted = set.commit.as_deref().unwrap_or_default();
    let held = match &there {
        Some(there) => format!("the commit {there}"),
        None => "an unknown commit".to_owned(),
    };
    // those of the catalogue have no revisions
    let keep = match there.as_deref().filter(|_| set.hub.is_none()) {
        Some(there) => format!("; --revision {there} names the one that is there"),
        None => String::new(),
    };
    Error::Usage(format!(
        "{} holds files of {held}; the Hub now has the commit {wanted} of {} ({found}). Move the folder \
         away, then fetch again{keep}",
        folder.display(),
        set.name
    ))
}
