//! What is there but not in the data set: counted by part, class and reason, so that no set is
//! smaller than its user thinks without a word.

use astill_core::run::event::LeftOut;
use astill_core::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How many files an error names.
const NAMED: usize = 5;

/// A file, or a whole folder, that is not in the data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutFile {
    /// Relative to the folder of the data set.
    pub name: String,
    /// "train", "validation", "test"; "" for a file outside of all parts.
    pub part: &'static str,
    /// Its class, where it has one.
    pub class: Option<String>,
    /// Why, as in "3 files of c: WebP that is cut off".
    pub reason: String,
    /// Whether it may be an image that belongs to the set, and not something beside the images.
    pub is_lost: bool,
}

/// What a layout passes over, and what it decided about the parts.
#[derive(Debug, Clone, Default)]
pub struct PassedOver {
    pub files: Vec<LeftOutFile>,
    /// Decisions that the user may not expect, each a sentence without a full stop.
    pub notes: Vec<String>,
}

/// The name of a file in the folder of a data set, for messages.
pub fn relative_name(root: &Path, path: &Path) -> String {
    let name = path.strip_prefix(root).unwrap_or(path);
    name.display().to_string()
}

/// Files of images that name no part, beside others that do: whether they are training images is not
/// known.
pub fn without_part(root: &Path, files: &[PathBuf]) -> Vec<LeftOutFile> {
    let left_out = files.iter().map(|path| LeftOutFile {
        name: relative_name(root, path),
        part: "",
        class: None,
        reason: "its name says neither train, validation nor test, unlike the names of other files"
            .to_owned(),
        is_lost: true,
    });
    left_out.collect()
}

/// The files of a part that are not there, although the names of others count them:
/// `train-00001-of-00002.parquet`, where `train-00000-of-00002.parquet` is alone.
pub fn missing_shards(root: &Path, files: &[PathBuf], part: &'static str) -> Vec<LeftOutFile> {
    /// Enough to say so.
    const MOST: usize = 1000;
    let mut shards: BTreeMap<(PathBuf, String, u64), BTreeSet<u64>> = BTreeMap::new();
    for path in files {
        let Some((begin, shard, count)) = shard_of(path) else {
            continue;
        };
        let folder = path.parent().unwrap_or(root).to_path_buf();
        let there = shards.entry((folder, begin, count)).or_default();
        there.insert(shard);
    }
    let extension = files.first().and_then(|path| path.extension());
    let extension = extension.unwrap_or_default().to_string_lossy().into_owned();
    let mut missing = Vec::new();
    for ((folder, begin, count), there) in shards {
        // some programs count from 1
        let is_whole = there.len() as u64 >= count;
        let absent = (0..count).filter(|shard| !is_whole && !there.contains(shard));
        missing.extend(absent.take(MOST).map(|shard| {
            let name = format!("{begin}-{shard:05}-of-{count:05}.{extension}");
            LeftOutFile {
                name: relative_name(root, &folder.join(name)),
                part,
                class: None,
                reason: format!("it is missing, one of {count} files by the names of the others"),
                is_lost: true,
            }
        }));
    }
    missing
}

/// "train", 0 and 2 of `train-00000-of-00002.parquet`; a word may follow the count.
fn shard_of(path: &Path) -> Option<(String, u64, u64)> {
    let stem = path.file_stem()?.to_str()?;
    let (begin, count) = stem.rsplit_once("-of-")?;
    let (begin, shard) = begin.rsplit_once('-')?;
    let count = count.split('-').next()?;
    Some((begin.to_owned(), shard.parse().ok()?, count.parse().ok()?))
}

/// The notes of a layout, for the end of a clause.
pub fn in_brackets(notes: &[String]) -> String {
    match notes {
        [] => String::new(),
        notes => format!(" ({})", notes.join("; ")),
    }
}

/// How many files were left out of each part and class for each reason, in the order in which they
/// were found.
pub fn count(files: &[LeftOutFile]) -> Vec<LeftOut> {
    let mut counts: Vec<LeftOut> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for file in files {
        let key = (file.part, file.class.as_deref(), file.reason.as_str());
        let place = *places.entry(key).or_insert_with(|| {
            counts.push(LeftOut {
                part: file.part.to_owned(),
                class: file.class.clone(),
                reason: file.reason.clone(),
                count: 0,
                first: file.name.clone(),
                is_lost: file.is_lost,
            });
            counts.len() - 1
        });
        counts[place].count += 1;
    }
    counts
}

/// Refuses a data set from which images would be lost.
///
/// # Errors
/// [`Error::File`] that counts the lost ones among `files`, of `all` images and files, and names the
/// first.
pub fn refuse_lost(root: &Path, files: &[LeftOutFile], all: usize) -> Result<()> {
    let lost: Vec<&LeftOutFile> = files.iter().filter(|file| file.is_lost).collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(Error::file(
        root,
        format!(
            "{}; replace or remove them, or set dataset.unreadable: skip to continue without them",
            describe(&lost, all)
        ),
    ))
}

/// The warning about images that are lost because the profile skips them; none if none is lost.
pub fn warn_lost(root: &Path, files: &[LeftOutFile], all: usize) -> Option<String> {
    let lost: Vec<&LeftOutFile> = files.iter().filter(|file| file.is_lost).collect();
    (!lost.is_empty()).then(|| {
        format!(
            "{}: {}; the run continues without them",
            root.display(),
            describe(&lost, all)
        )
    })
}

fn describe(lost: &[&LeftOutFile], all: usize) -> String {
    let named: Vec<String> = lost
        .iter()
        .take(NAMED)
        .map(|file| format!("{} ({})", file.name, file.reason))
        .collect();
    let more = if lost.len() > NAMED { ", …" } else { "" };
    format!(
        "{} of {all} images cannot be used: {}{more}",
        lost.len(),
        named.join(", ")
    )
}

/// One line per file: its name and the reason, separated by a tab.
pub fn list(files: &[LeftOutFile]) -> String {
    files
        .iter()
        .map(|file| format!("{}\t{}\n", file.name.escape_debug(), file.reason))
        .collect()
}
