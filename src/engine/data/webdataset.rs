//! Tar files of WebDataset: the members whose names are equal up to the first dot of the file name
//! are one sample, `KEY.png` (or another image) its image and `KEY.cls` its label.

use super::content::{Content, DECISIVE, is_image_name, of_beginning};
use super::decode::Encoded;
use super::image_list::ImageList;
use super::image_source::{ImageSource, stamp_file};
use super::layout::{BySplit, Labelling, MissingFiles};
use super::left_out::{LeftOutFile, PassedOver, missing_shards, without_part};
use super::parts::{Part, is_junk, part, part_within};
use super::request::DatasetRequest;
use super::walk::{HIDDEN, files_below};
use astill_core::files::{tar_names::Names, untrusted};
use astill_core::{Error, Result};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What members and the end of a tar file are whole multiples of, in bytes.
const BLOCK: u64 = 512;
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
    /// Why an image that it has is not read.
    unread: Option<String>,
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
    let mut without = Vec::new();
    let (files, beside) = files(folder)?;
    for (path, part) in files {
        match part {
            Some(Part::Train) => shards.train.push(path),
            Some(Part::Validation) => shards.validation.push(path),
            Some(Part::Test) => shards.test.push(path),
            None => without.push(path),
        }
    }
    if shards.as_ref().into_iter().all(Vec::is_empty) {
        shards.train = std::mem::take(&mut without);
    }
    if shards.train.is_empty() {
        return Err(missing(folder, "no tar file of training samples is there"));
    }
    let mut left_out = [beside, without_part(folder, &without)].concat();
    if !folder.is_file() {
        for (shards, part) in shards.as_ref().zip(BySplit::NAMES) {
            left_out.extend(missing_shards(folder, shards, part));
        }
    }
    let (shards, note) = shards.tested_on_validation(Vec::is_empty);
    let mut read = shards.try_map(|shards| {
        let mut samples = Samples::default();
        for shard in shards {
            samples.read(shard)?;
        }
        Ok(samples)
    })?;
    let mut passed_over = PassedOver {
        files: left_out,
        notes: note.into_iter().collect(),
    };
    let (classes, labels) = labels(folder, &read, &mut passed_over.notes)?;
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

/// A tar file and its part.
type Shard = (PathBuf, Option<Part>);

/// The tar files, sorted, with the part that their names or the nearest folders around them give; and
/// what was passed over.
fn files(folder: &Path) -> Result<(Vec<Shard>, Vec<LeftOutFile>)> {
    if folder.is_file() {
        return Ok((vec![(folder.to_path_buf(), None)], Vec::new()));
    }
    if !folder.is_dir() {
        return Err(missing(folder, "that folder does not exist"));
    }
    let is_packed = |name: &str| [".tar.gz", ".tgz"].iter().any(|end| name.ends_with(end));
    let below = files_below(folder, DEEPEST, &|name| {
        let name = name.to_lowercase();
        name.ends_with(".tar") || is_packed(&name)
    })?;
    let shard = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default();
        let name = name.to_string_lossy().to_lowercase();
        if is_packed(&name) {
            return Err(Error::file(
                path,
                "compressed tar files are not read; unpack it with gzip -d",
            ));
        }
        let stem = name.strip_suffix(".tar").unwrap_or(&name);
        let of_name = part_within(stem);
        let inside = path.strip_prefix(folder).unwrap_or(&path).parent();
        let mut around = inside.into_iter().flat_map(Path::iter).rev();
        let of_folder = || around.find_map(|folder| part(&folder.to_string_lossy()));
        let part = of_name.or_else(of_folder);
        Ok((path, part))
    };
    let shards = below.files.into_iter().map(shard).collect::<Result<_>>()?;
    Ok((shards, below.passed_over))
}

/// What is wrong with the end of a tar file whose last member ends at `at`, where blocks of zeros belong: one
/// that was cut off between two members lacks them, and members that follow them are read by nobody.
fn problem_at_end(file: &File, at: u64) -> std::io::Result<Option<&'static str>> {
    /// Programs write up to some hundred blocks.
    const MOST: u64 = 1 << 20;
    let mut rest = Vec::new();
    let mut file = file;
    file.seek(SeekFrom::Start(at))?;
    file.take(MOST).read_to_end(&mut rest)?;
    Ok(match rest.iter().all(|byte| *byte == 0) {
        true if rest.len() as u64 >= BLOCK => None,
        true => Some(
            "expected a tar file that ends with blocks of zeros, found none, so it was probably cut off; get it \
             again, or write it again with tar",
        ),
        false => Some(
            "expected nothing after the end of a tar file, found more, as where two of them were joined; keep \
             them as separate files",
        ),
    })
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
        // where the last member ends
        let mut at = 0;
        for entry in tar.entries_with_seek().map_err(damaged)?.raw(true) {
            let mut entry = entry.map_err(damaged)?;
            let stored = entry.size().checked_next_multiple_of(BLOCK);
            at = entry
                .raw_file_position()
                .saturating_add(stored.unwrap_or(u64::MAX))
                .max(at);
            let Some(name) = names.path(&mut entry).map_err(damaged)? else {
                continue;
            };
            let name = name.to_string_lossy().into_owned();
            let kind = entry.header().entry_type();
            let is_stored = kind.is_file() || kind.is_contiguous();
            let unread = match kind.is_symlink() || kind.is_hard_link() {
                true => "links in tar files are not followed",
                false => "sparse files in tar files are not read",
            };
            // folders and devices hold nothing
            if !is_stored && (kind.is_dir() || kind.is_fifo() || is_device(kind)) {
                continue;
            }
            let (key, field) = split(&name);
            if is_junk(name.rsplit('/').next().unwrap_or(&name)) {
                self.left_out.push(LeftOutFile {
                    name: path.join(&name).display().to_string(),
                    part: "",
                    class: None,
                    reason: HIDDEN.to_owned(),
                    is_lost: false,
                });
                continue;
            }
            if key != sample.key {
                let whole = std::mem::take(&mut sample);
                self.take(&path, whole);
                sample.key = key.to_owned();
            }
            if !is_stored {
                // of a label, the sample is without one, which is noted
                if is_image_name(Path::new(&name)) {
                    sample.unread = Some(unread.into());
                }
                continue;
            }
            let member = Member {
                shard,
                offset: entry.raw_file_position(),
                length: entry.size(),
                name: name.clone(),
            };
            let end = member.offset.checked_add(member.length);
            if end.is_none_or(|end| end > length) {
                return Err(damaged(std::io::ErrorKind::UnexpectedEof.into()));
            }
            match field.eq_ignore_ascii_case("cls") {
                true => sample.label = Some(read_label(&mut entry, &name).map_err(damaged)?),
                false => sample.look_at(member, &mut entry).map_err(damaged)?,
            }
        }
        if let Some(problem) = problem_at_end(&file, at).map_err(damaged)? {
            return Err(Error::file(&path, problem));
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
            unread,
        } = sample;
        let reason = match (&image, &label, others) {
            (Some(_), Some(label), 0) if label.is_empty() => "its .cls is empty",
            (Some(_), Some(_), 0) => "",
            (Some(_), Some(_), _) => "several images of one sample",
            (Some(_), None, _) => "no .cls beside it",
            (None, label, _) => match (&unread, label) {
                (Some(unread), _) => unread,
                (None, Some(_)) => "no image beside its .cls",
                // the description of the shard, for example
                (None, None) => return,
            },
        };
        match (reason, image, label) {
            ("", Some(image), Some(label)) => {
                self.images.members.push(image);
                self.labels.push(label);
            }
            (reason, ..) => self.left_out.push(LeftOutFile {
                name: shard.join(key).display().to_string(),
                part: "",
                class: None,
                reason: reason.to_owned(),
                is_lost: true,
            }),
        }
    }
}

impl Sample {
    /// Takes a member for the image if it is one, by its name or else by its first bytes.
    fn look_at(&mut self, member: Member, content: &mut impl Read) -> std::io::Result<()> {
        let name = Path::new(&member.name);
        let mut found = Content::Image;
        if !is_image_name(name) {
            let mut begin = Vec::new();
            content.take(DECISIVE).read_to_end(&mut begin)?;
            found = of_beginning(name, &begin);
        }
        match found {
            Content::Image if self.image.is_none() => self.image = Some(member),
            Content::Image => self.others += 1,
            // beside an image that is read, it is a mask or the like
            Content::Unread(what) => self.unread = Some(what),
            Content::Other(_) => {}
        }
        Ok(())
    }
}

fn is_device(kind: tar::EntryType) -> bool {
    kind.is_character_special() || kind.is_block_special()
}

fn read_label(content: &mut impl Read, name: &str) -> std::io::Result<String> {
    let mut label = String::new();
    content.take(LONGEST_LABEL).read_to_string(&mut label)?;
    match label.len() as u64 == LONGEST_LABEL {
        true => Err(std::io::Error::other(format!(
            "{name} is longer than any label"
        ))),
        false => Ok(label.trim().to_owned()),
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
///
/// # Errors
/// [`Error::File`] for a number that is no label, or names of classes that do not fit the numbers.
fn labels(
    folder: &Path,
    read: &BySplit<Samples>,
    notes: &mut Vec<String>,
) -> Result<(Vec<String>, BySplit<Vec<i64>>)> {
    let names = names(folder)?;
    let all = || {
        read.as_ref()
            .into_iter()
            .flat_map(|samples| &samples.labels)
    };
    if all().all(|text| text.parse::<i64>().is_ok()) {
        let labels = read.as_ref().try_map(Samples::numbers)?;
        let most = labels.as_ref().into_iter().flatten().max();
        let count = most.map_or(0, |most| *most as usize + 1);
        let classes = match names {
            None => (0..count).map(|class| class.to_string()).collect(),
            Some((_, names)) if names.len() >= count => names,
            Some((path, names)) => {
                return Err(Error::file(
                    path,
                    format!(
                        "expected the names of {count} classes, one per line, as the labels go up to \
                         {}, found {}; complete it or remove it",
                        count - 1,
                        names.len()
                    ),
                ));
            }
        };
        return Ok((classes, labels));
    }
    if let Some((path, _)) = names {
        notes.push(format!(
            "{} is not used, because the labels are names themselves",
            path.display()
        ));
    }
    let classes: Vec<&String> = all().collect::<BTreeSet<_>>().into_iter().collect();
    let place = |text: &String| classes.binary_search(&text).unwrap_or_default() as i64;
    let labels = read
        .as_ref()
        .map(|samples| samples.labels.iter().map(place).collect());
    Ok((classes.into_iter().cloned().collect(), labels))
}

impl Samples {
    /// The labels, all of which are whole numbers.
    ///
    /// # Errors
    /// [`Error::File`] that names the sample of one that is no label, such as −1 for "unknown".
    fn numbers(&self) -> Result<Vec<i64>> {
        const MOST_CLASSES: i64 = 1 << 16;
        let numbers = self.labels.iter().enumerate().map(|(row, text)| {
            let label = text.parse().ok();
            label
                .filter(|label| (0..MOST_CLASSES).contains(label))
                .ok_or_else(|| {
                    Error::file(
                        self.images.name(row),
                        format!(
                            "expected labels from 0 to {}, found {text} in its .cls; remove samples \
                             without a label",
                            MOST_CLASSES - 1
                        ),
                    )
                })
        });
        numbers.collect()
    }
}

/// The names of the classes beside the files, if there are any, and their file.
fn names(folder: &Path) -> Result<Option<(PathBuf, Vec<String>)>> {
    let mut paths = NAMES.iter().map(|name| folder.join(name));
    let Some(path) = paths.find(|path| path.is_file()) else {
        return Ok(None);
    };
    let text = untrusted::read_text(&path, LARGEST_NAMES).map_err(Error::io("read", &path))?;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let names = lines.filter(|line| !line.is_empty()).map(str::to_owned);
    Ok(Some((path, names.collect())))
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
