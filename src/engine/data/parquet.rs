//! Parquet files of Hugging Face: a struct column `bytes`, `path` of encoded images, a column of
//! labels, and the names of the classes as JSON in the metadata of the schema.
//!
//! Files are named after their split (`data/train-00000-of-00001.parquet`) or lie in a folder that is
//! (`train/0000.parquet`), below a folder per configuration if there are several. The folder may also
//! be one of the local cache of the Hub (`datasets--OWNER--NAME/snapshots/COMMIT`).

mod columns;
mod source;
mod whole_file;

use self::columns::{Features, Table};
use self::source::Rows;
use super::image_list::ImageList;
use super::image_source::ImageSource;
use super::layout::{BySplit, Labelling, MissingFiles};
use super::left_out::{LeftOutFile, PassedOver, missing_shards, relative_name, without_part};
use super::parts::{Part, part, part_within};
use super::request::DatasetRequest;
use super::walk::{FilesBelow, files_below};
use astill_core::{Error, Result, files::untrusted};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Folders below the given one that are looked into.
const DEEPEST: usize = 5;
/// The name of a commit.
const LONGEST_REFERENCE: u64 = 4096;

/// Finds the files and reads the labels.
///
/// # Errors
/// [`Error::Usage`] if there are none, or a configuration or column has to be chosen; [`Error::File`]
/// if one is malformed.
pub fn find(request: &DatasetRequest) -> Result<ImageList> {
    let root = snapshot(&request.folder)?;
    let FilesBelow {
        files,
        passed_over: beside,
    } = files(&root)?;
    let Found { files, without } = of_configuration(&root, files, request)?;
    if files.train.is_empty() {
        return Err(missing(&root, "no file of the training split is there"));
    }
    let mut passed_over = not_used(&root, without);
    passed_over.files.extend(beside);
    // a file that is named itself is meant to be alone
    if !root.is_file() {
        for (files, part) in files.as_ref().zip(BySplit::NAMES) {
            passed_over.files.extend(missing_shards(&root, files, part));
        }
    }
    let (files, note) = files.tested_on_validation(Vec::is_empty);
    let features = Features::read(&files.train[0], request)?;
    passed_over.notes.extend(note);
    let named_from = match root.is_file() {
        true => root.parent().unwrap_or(&root),
        false => root.as_path(),
    };
    let read = files.zip(BySplit::NAMES).try_map(|(files, part)| {
        let mut rows = Rows::default();
        let mut labels = Vec::new();
        for path in files {
            features.check_names(&path)?;
            let table = Table::open(&path, &features)?;
            let of_file = table.labels(&features)?;
            rows.add(named_from, table, &of_file);
            labels.extend(of_file);
        }
        Ok((rows, labels, part))
    })?;
    let (classes, numbers) = numbered(&features, &read.as_ref().map(|(_, labels, _)| labels))?;
    let without = read.as_ref().zip(numbers.as_ref());
    for ((rows, _, part), numbers) in without {
        let rows_without = (0..).zip(numbers).filter(|(_, label)| label.is_none());
        for (row, _) in rows_without {
            passed_over.files.push(LeftOutFile {
                name: rows.name_of_all(row),
                part,
                class: None,
                reason: "it has no label".to_owned(),
                is_lost: *part == Part::Train.name(),
            });
        }
    }
    let kept = read.zip(numbers).map(|((mut rows, ..), numbers)| {
        rows.keep(|row| numbers[row].is_some());
        (rows, numbers.into_iter().flatten().collect::<Vec<i64>>())
    });
    // a challenge that withholds the labels of its test images
    let (kept, note) = kept.tested_on_validation(|(_, labels)| labels.is_empty());
    passed_over.notes.extend(note.map(|_| {
        "the test part has no labels, so the test images are those of the validation part".into()
    }));
    let labels = kept.as_ref().map(|(_, labels)| labels.clone());
    let images = kept.map(|(rows, _)| -> Box<dyn ImageSource> { Box::new(rows) });
    let labelling = Labelling {
        classes,
        ids: None,
        labels,
    };
    Ok(ImageList::new(root, images, labelling, passed_over).with_color(request.color))
}

/// The files that name no part although others do. Those of a split with a name of its own, such as
/// "extra", are not training images; of others, such as "mydata.parquet", that is not known.
fn not_used(root: &Path, without: Vec<PathBuf>) -> PassedOver {
    let mut passed_over = PassedOver::default();
    let mut unknown = Vec::new();
    let mut splits = BTreeSet::new();
    for path in without {
        let Some(split) = split_name(root, &path) else {
            unknown.push(path);
            continue;
        };
        passed_over.files.push(LeftOutFile {
            name: relative_name(root, &path),
            part: "",
            class: None,
            reason: format!("its split, {split}, is none of train, validation and test"),
            is_lost: false,
        });
        splits.insert(split);
    }
    passed_over.files.extend(without_part(root, &unknown));
    passed_over.notes.extend(splits.into_iter().map(|split| {
        format!("the split {split} is left out, because it is none of train, validation and test")
    }));
    passed_over
}

/// The split of "extra-00000-of-00002.parquet" and "extra/0000.parquet", as `datasets` writes them.
fn split_name(root: &Path, path: &Path) -> Option<String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let stem = path.file_stem()?.to_str()?;
    if let Some((begin, count)) = stem.rsplit_once("-of-") {
        let (split, shard) = begin.rsplit_once('-')?;
        // older ones end with a hash
        let count = count.split('-').next().unwrap_or(count);
        return (is_number(count) && is_number(shard)).then(|| split.to_owned());
    }
    let folder = path.parent().filter(|folder| *folder != root)?;
    let name = folder
        .file_name()?
        .to_str()
        .filter(|name| *name != "data")?;
    is_number(stem).then(|| name.to_owned())
}

fn missing(folder: &Path, found: &str) -> Error {
    MissingFiles {
        name: "parquet",
        folder,
        expected: "parquet files named after their split, such as \
                   data/train-00000-of-00001.parquet",
        found,
        remedy: "Put the files of a Hugging Face data set there",
    }
    .into_error()
}

/// The folder of a commit, where `folder` is that of a data set in the cache of the Hub; otherwise
/// `folder` itself.
fn snapshot(folder: &Path) -> Result<PathBuf> {
    if !folder.exists() {
        return Err(missing(folder, "that folder does not exist"));
    }
    let snapshots = folder.join("snapshots");
    if !snapshots.is_dir() {
        return Ok(folder.to_path_buf());
    }
    let main = untrusted::read_text(&folder.join("refs/main"), LONGEST_REFERENCE);
    let main = main.unwrap_or_default();
    let main = snapshots.join(main.trim());
    if main != snapshots && main.is_dir() && main.parent() == Some(&snapshots) {
        return Ok(main);
    }
    let entries = std::fs::read_dir(&snapshots).map_err(Error::io("list", &snapshots))?;
    let mut commits = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("list", &snapshots))?.path();
        commits.extend(path.is_dir().then_some(path));
    }
    match (commits.pop(), commits.pop()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(missing(&snapshots, "no snapshot is there")),
        (Some(_), Some(_)) => Err(missing(
            &snapshots,
            "several snapshots are there; set dataset.path to the folder of one",
        )),
    }
}

/// The files of a configuration.
#[derive(Debug, Clone, Default)]
struct Found {
    files: BySplit<Vec<PathBuf>>,
    /// Those that name no part where others do, such as "unsupervised".
    without: Vec<PathBuf>,
}

impl Found {
    fn names_parts(&self) -> bool {
        self.files
            .as_ref()
            .into_iter()
            .any(|files| !files.is_empty())
    }
}

/// All configurations of these files, by their names ("" without one); `chosen` is one in any case.
fn configurations(
    root: &Path,
    files: Vec<PathBuf>,
    chosen: Option<&String>,
) -> BTreeMap<String, Found> {
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for path in files {
        // a file that is named itself is the set, whatever it is called
        let (configuration, part) = match path == root {
            true => (String::new(), None),
            false => place(path.strip_prefix(root).unwrap_or(&path)),
        };
        let Found { files, without } = found.entry(configuration).or_default();
        match part {
            Some(Part::Train) => files.train.push(path),
            Some(Part::Validation) => files.validation.push(path),
            Some(Part::Test) => files.test.push(path),
            None => without.push(path),
        }
    }
    // beside folders of parts, a folder without one is no configuration of its own
    let odd: Vec<String> = found
        .iter()
        .filter(|(name, of)| {
            let above = name.rsplit_once('/').map_or("", |(above, _)| above);
            let is_beside = found.get(above).is_some_and(Found::names_parts);
            !name.is_empty() && Some(*name) != chosen && !of.names_parts() && is_beside
        })
        .map(|(name, _)| name.clone())
        .collect();
    for name in odd {
        let above = name.rsplit_once('/').map_or("", |(above, _)| above);
        let files = found.remove(&name).unwrap_or_default().without;
        found
            .entry(above.to_owned())
            .or_default()
            .without
            .extend(files);
    }
    for of in found.values_mut().filter(|of| !of.names_parts()) {
        of.files.train = std::mem::take(&mut of.without);
    }
    found
}

/// The files of the configuration that the profile names, or of the only one.
fn of_configuration(root: &Path, files: Vec<PathBuf>, request: &DatasetRequest) -> Result<Found> {
    let found = configurations(root, files, request.configuration.as_ref());
    let names = || found.keys().cloned().collect::<Vec<_>>().join(", ");
    let chosen = match (&request.configuration, found.len()) {
        (Some(name), _) => name.clone(),
        (None, 0) => return Err(missing(root, "no such file is there")),
        (None, 1) => found.keys().next().cloned().unwrap_or_default(),
        (None, _) if found.contains_key("default") => "default".to_owned(),
        (None, _) => {
            return Err(Error::Usage(format!(
                "{} has several configurations: {}; set dataset.configuration to one of them",
                root.display(),
                names()
            )));
        }
    };
    let files = found.get(&chosen).cloned();
    files.ok_or_else(|| {
        Error::Usage(format!(
            "dataset.configuration is {chosen}, but {} has {}",
            root.display(),
            names()
        ))
    })
}

/// All parquet files below a folder, sorted.
fn files(root: &Path) -> Result<FilesBelow> {
    if root.is_file() {
        return Ok(FilesBelow {
            files: vec![root.to_path_buf()],
            passed_over: Vec::new(),
        });
    }
    let is_parquet = |name: &str| {
        let end = Path::new(name).extension();
        end.is_some_and(|end| end.eq_ignore_ascii_case("parquet"))
    };
    files_below(root, DEEPEST, &is_parquet)
}

/// The configuration ("" without one) and the part of a file, by its path; none if it names no part.
fn place(relative: &Path) -> (String, Option<Part>) {
    let stem = relative.file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy().into_owned();
    let above = relative.parent().into_iter().flat_map(Path::iter);
    let mut above: Vec<String> = above
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let of_file = part(&stem).or_else(|| part_within(&stem));
    let of_folder = above.last().and_then(|name| part(name));
    if of_folder.is_some() {
        above.pop();
    }
    above.retain(|name| name != "data");
    (above.join("/"), of_file.or(of_folder))
}

/// The label of every row; none for a row without one.
type Numbers = BySplit<Vec<Option<i64>>>;

/// The names of the classes and the number of each label; none for rows without one.
fn numbered(
    features: &Features,
    labels: &BySplit<&Vec<columns::Label>>,
) -> Result<(Vec<String>, Numbers)> {
    use columns::Label;
    let all = || labels.as_ref().into_iter().copied().flatten();
    let texts: BTreeSet<&str> = all()
        .filter_map(|label| match label {
            Label::Text(text) => Some(text.as_str()),
            Label::Number(_) | Label::Missing => None,
        })
        .collect();
    let most = all().filter_map(|label| match label {
        Label::Number(number) => Some(*number),
        Label::Text(_) | Label::Missing => None,
    });
    let most = most.max().unwrap_or(-1);
    if most >= 0 && !texts.is_empty() {
        return Err(Error::Usage(format!(
            "the column {} has numbers in one file and text in another; the files are of different \
             data sets",
            features.label.name
        )));
    }
    let classes: Vec<String> = match &features.label.names {
        Some(names) => names.clone(),
        None if !texts.is_empty() => texts.iter().map(|text| (*text).to_owned()).collect(),
        None => (0..=most).map(|class| class.to_string()).collect(),
    };
    if most >= classes.len() as i64 {
        return Err(Error::Usage(format!(
            "the column {} has labels up to {most}, but {} names; the files are damaged",
            features.label.name,
            classes.len()
        )));
    }
    let named: HashMap<&str, i64> = match texts.is_empty() {
        true => HashMap::new(),
        false => classes.iter().map(String::as_str).zip(0..).collect(),
    };
    if let Some(other) = texts.iter().find(|text| !named.contains_key(*text)) {
        return Err(Error::Usage(format!(
            "the column {} has the label {other:?}, which is none of the {} class names in the \
             metadata; the files are damaged, or of different data sets",
            features.label.name,
            classes.len()
        )));
    }
    let number = |label: &Label| match label {
        Label::Number(number) => Some(*number).filter(|number| *number >= 0),
        Label::Text(text) => named.get(text.as_str()).copied(),
        Label::Missing => None,
    };
    let numbers = labels
        .as_ref()
        .map(|labels| labels.iter().map(number).collect());
    Ok((classes, numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_placed_by_their_names_and_folders() {
        for (path, want) in [
            ("data/train-00000-of-00001.parquet", ("", Some(Part::Train))),
            (
                "plain_text/test-00000-of-00001.parquet",
                ("plain_text", Some(Part::Test)),
            ),
            ("mnist/train/0000.parquet", ("mnist", Some(Part::Train))),
            ("validation.parquet", ("", Some(Part::Validation))),
            ("0000.parquet", ("", None)),
            ("data/unsupervised-00000-of-00001.parquet", ("", None)),
        ] {
            let want = (want.0.to_owned(), want.1);
            assert_eq!(place(Path::new(path)), want, "{path}");
        }
    }
}
