//! Tar files of WebDataset: the members whose names are equal up to the first dot of the file name
//! are one sample, `KEY.png` (or another image) its image and `KEY.cls` its label.

use super::content::is_image_name;
use super::decode::Encoded;
use super::image_list::ImageList;
use super::image_source::{ImageSource, stamp_file};
use super::layout::{BySplit, Labelling, MissingFiles};
use super::left_out::{LeftOutFile, PassedOver};
use super::parts::{Part, is_junk, part};
use super::request::DatasetRequest;
use super::tar_names::Names;
use astill_core::{Error, Result, files::untrusted};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A label is a short text.
const LONGEST_LABEL: u64 = 4096;
const LARGEST_NAMES: u64 = 16 << 20;
/// Folders below the given one that are looked into.
const DEEPEST: usize = 3;
/// The files that may name the classes of numbered labels, one per line.
const NAMES: [&str; 2] = ["classnames.txt", "classes.txt"];

/// An image in a tar file.
#[derive(Debug)]
struct Member {
    shard: usize,
    name: String,
    offset: u64,
    length: u64,
}

/// The images of one split.
#[derive(Debug, Default)]
struct Shards {
    shards: Vec<PathBuf>,
    members: Vec<Member>,
}

impl ImageSource for Shards {
    fn name(&self, row: usize) -> String {
        let Member { shard, name, .. } = &self.members[row];
        self.shards[*shard].join(name).display().to_string()
    }

    fn fetch(&self, rows: &[usize]) -> Result<Vec<std::result::Result<Encoded, String>>> {
        // a set may have more files than a process may open at a time
        let mut open: Option<(usize, Arc<File>)> = None;
        let encoded = rows.iter().map(|row| {
            let member = &self.members[*row];
            let file = match &open {
                Some((shard, file)) if *shard == member.shard => file.clone(),
                _ => {
                    let path = &self.shards[member.shard];
                    let file = untrusted::open(path).map_err(Error::io("open", path))?;
                    open.insert((member.shard, Arc::new(file))).1.clone()
                }
            };
            Ok(Ok(Encoded::Part {
                file,
                offset: member.offset,
                length: member.length,
            }))
        });
        encoded.collect()
    }

    fn stamp(&self, rows: &[usize], take: &mut dyn FnMut(&[u8])) -> Result<()> {
        for path in &self.shards {
            take(path.as_os_str().as_encoded_bytes());
            stamp_file(path, take)?;
        }
        for row in rows {
            take(&(*row as u64).to_le_bytes());
        }
        Ok(())
    }
}

/// A sample whose members are being read.
#[derive(Debug, Default)]
struct Sample {
    key: String,
    image: Option<Member>,
    label: Option<String>,
    others: usize,
}

/// The samples of one split: their images, and their labels as text.
#[derive(Debug, Default)]
struct Samples {
    images: Shards,
    labels: Vec<String>,
    left_out: Vec<LeftOutFile>,
}

/// Finds the tar files in `folder`, which may be one itself, and reads the labels.
///
/// # Errors
/// [`Error::Usage`] if there are none; [`Error::File`] if one is malformed.
pub fn find(request: &DatasetRequest) -> Result<ImageList> {
    let folder = &request.folder;
    let mut shards: BySplit<Vec<PathBuf>> = BySplit::default();
    for (path, part) in files(folder)? {
        match part {
            Some(Part::Validation) => shards.validation.push(path),
            Some(Part::Test) => shards.test.push(path),
            Some(Part::Train) | None => shards.train.push(path),
        }
    }
    if shards.train.is_empty() {
        return Err(missing(folder, "no tar file of training samples is there"));
    }
    let (shards, note) = shards.tested_on_validation(Vec::is_empty);
    let mut read = shards.try_map(|shards| {
        let mut samples = Samples::default();
        for shard in shards {
            samples.read(shard)?;
        }
        Ok(samples)
    })?;
    let (classes, labels) = labels(folder, &read.as_ref().map(|samples| &samples.labels))?;
    let mut passed_over = PassedOver {
        files: Vec::new(),
        notes: note.into_iter().collect(),
    };
    for (samples, part) in read.as_mut().zip(BySplit::NAMES) {
        let files = samples.left_out.drain(..);
        passed_over
            .files
            .extend(files.map(|file| LeftOutFile { part, ..file }));
    }
    let images = read.map(|samples| -> Box<dyn ImageSource> { Box::new(samples.images) });
    let labelling = Labelling {
        classes,
        ids: None,
        labels,
    };
    Ok(ImageList::new(folder.clone(), images, labelling, passed_over).with_color(request.color))
}

fn missing(folder: &Path, found: &str) -> Error {
    MissingFiles {
        name: "webdataset",
        folder,
        expected: "tar files named after their part, such as train-000000.tar and test-000000.tar, \
                   with an image and a .cls per sample",
        found,
        remedy: "Put them there",
    }
    .into_error()
}

/// The tar files, with the part that their names or the folders around them give; sorted.
fn files(folder: &Path) -> Result<Vec<(PathBuf, Option<Part>)>> {
    if folder.is_file() {
        return Ok(vec![(folder.to_path_buf(), None)]);
    }
    if !folder.is_dir() {
        return Err(missing(folder, "that folder does not exist"));
    }
    let mut found = Vec::new();
    let mut open = vec![(folder.to_path_buf(), None, 0)];
    while let Some((below, of_folder, depth)) = open.pop() {
        for entry in std::fs::read_dir(&below).map_err(Error::io("list", &below))? {
            let entry = entry.map_err(Error::io("list", &below))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            if is_junk(&name) {
                continue;
            }
            if path.is_dir() {
                if depth < DEEPEST {
                    open.push((path, part(&name).or(of_folder), depth + 1));
                }
                continue;
            }
            let lower = name.to_lowercase();
            if [".tar.gz", ".tgz"].iter().any(|end| lower.ends_with(end)) {
                return Err(Error::file(
                    path,
                    "compressed tar files are not read; unpack it with gzip -d",
                ));
            }
            if let Some(stem) = lower.strip_suffix(".tar") {
                let mut words = stem.split(['-', '_', '.']);
                found.push((path, words.find_map(part).or(of_folder)));
            }
        }
    }
    found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

impl Samples {
    /// Reads the labels of a tar file and where its images are.
    fn read(&mut self, path: PathBuf) -> Result<()> {
        let damaged = |error: std::io::Error| {
            Error::file(
                &path,
                format!("expected a tar file of samples: {error}; get it again"),
            )
        };
        let file = untrusted::open(&path).map_err(Error::io("open", &path))?;
        let length = file.metadata().map_err(Error::io("read", &path))?.len();
        let shard = self.images.shards.len();
        let mut tar = tar::Archive::new(&file);
        let mut sample = Sample::default();
        let mut names = Names::default();
        for entry in tar.entries_with_seek().map_err(damaged)?.raw(true) {
            let mut entry = entry.map_err(damaged)?;
            let Some(path) = names.path(&mut entry).map_err(damaged)? else {
                continue;
            };
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = path.to_string_lossy().into_owned();
            let (key, field) = split(&name);
            if is_junk(name.rsplit('/').next().unwrap_or(&name)) {
                continue;
            }
            if key != sample.key {
                let whole = std::mem::take(&mut sample);
                self.take(&path, whole);
                sample.key = key.to_owned();
            }
            let member = Member {
                shard,
                offset: entry.raw_file_position(),
                length: entry.size(),
                name: name.clone(),
            };
            if member
                .offset
                .checked_add(member.length)
                .is_none_or(|end| end > length)
            {
                return Err(damaged(std::io::ErrorKind::UnexpectedEof.into()));
            }
            if field.eq_ignore_ascii_case("cls") {
                let mut label = String::new();
                let mut text = entry.by_ref().take(LONGEST_LABEL);
                text.read_to_string(&mut label).map_err(damaged)?;
                if label.len() as u64 == LONGEST_LABEL {
                    return Err(damaged(std::io::Error::other(format!(
                        "{name} is longer than any label"
                    ))));
                }
                sample.label = Some(label.trim().to_owned());
            } else if is_image_name(Path::new(field).extension().unwrap_or(field.as_ref())) {
                match sample.image {
                    None => sample.image = Some(member),
                    Some(_) => sample.others += 1,
                }
            }
        }
        self.take(&path, sample);
        self.images.shards.push(path);
        Ok(())
    }

    /// Keeps a whole sample, or notes what it lacks.
    fn take(&mut self, shard: &Path, sample: Sample) {
        let Sample {
            key,
            image,
            label,
            others,
        } = sample;
        let reason = match (&image, &label, others) {
            (Some(_), Some(label), 0) if label.is_empty() => Some("its .cls is empty"),
            (Some(_), Some(_), 0) => None,
            (Some(_), Some(_), _) => Some("several images of one sample"),
            (Some(_), None, _) => Some("no .cls beside it"),
            (None, Some(_), _) => Some("no image beside its .cls"),
            // the description of the shard, for example
            (None, None, _) => return,
        };
        match (reason, image, label) {
            (None, Some(image), Some(label)) => {
                self.images.members.push(image);
                self.labels.push(label);
            }
            (reason, ..) => self.left_out.push(LeftOutFile {
                name: shard.join(key).display().to_string(),
                part: "",
                class: None,
                reason: reason.unwrap_or_default().to_owned(),
                is_lost: true,
            }),
        }
    }
}

/// The key and the field of "a/b.left.png": "a/b" and "left.png".
fn split(name: &str) -> (&str, &str) {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[file..].find('.') {
        Some(dot) => (&name[..file + dot], &name[file + dot + 1..]),
        None => (name, ""),
    }
}

/// The classes, and the labels as numbers: those of the files if all are numbers, or else the places
/// of the sorted names.
fn labels(
    folder: &Path,
    texts: &BySplit<&Vec<String>>,
) -> Result<(Vec<String>, BySplit<Vec<i64>>)> {
    const MOST_CLASSES: i64 = 1 << 16;
    let number = |text: &String| {
        text.parse::<i64>()
            .ok()
            .filter(|label| *label < MOST_CLASSES)
    };
    let numbers = texts.as_ref().map(|texts| {
        let numbers: Option<Vec<i64>> = texts.iter().map(number).collect();
        numbers.filter(|numbers| numbers.iter().all(|label| *label >= 0))
    });
    if let BySplit {
        train: Some(train),
        validation: Some(validation),
        test: Some(test),
    } = numbers
    {
        let labels = BySplit {
            train,
            validation,
            test,
        };
        let names = names(folder)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        return Ok((super::plain::numbered_classes(&labels, &names), labels));
    }
    let all: BTreeSet<&String> = texts.as_ref().into_iter().copied().flatten().collect();
    let classes: Vec<&String> = all.into_iter().collect();
    let place = |text: &String| classes.binary_search(&text).unwrap_or_default() as i64;
    let labels = texts
        .as_ref()
        .map(|texts| texts.iter().map(place).collect());
    Ok((classes.into_iter().cloned().collect(), labels))
}

/// The names of the classes beside the files, if there are any.
fn names(folder: &Path) -> Result<Vec<String>> {
    let path = NAMES
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file());
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    let text = untrusted::read_text(&path, LARGEST_NAMES).map_err(Error::io("read", &path))?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_ends_at_the_first_dot_of_the_file_name() {
        assert_eq!(split("a.b/c.left.png"), ("a.b/c", "left.png"));
        assert_eq!(split("c"), ("c", ""));
    }
}
