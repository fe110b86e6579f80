//! CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html): the binary version or the
//! Python one, unpacked or in the archive.
//!
//! A record of the binary version is one label byte (CIFAR-100: a coarse and a fine one, of which the
//! fine one is used) and 3,072 pixel bytes: 32 × 32 red, then green, then blue, row by row.

mod format;

pub use self::format::{CIFAR10, CIFAR100};

use self::format::{CifarFormat, MOST_RECORDS, PIXELS, Version};
use super::archive;
use super::cifar_python;
use super::decode;
use super::facts;
use super::layout::{BySplit, Labelling, Layout, MissingFiles, ReadImages, Surveyed};
use super::left_out::PassedOver;
use super::pixels::Pixels;
use super::request::DatasetRequest;
use crate::progress::{Progress, Watch, report};
use astill_core::{Error, Result, files::untrusted};
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The side of every image, in pixels.
const SIDE: usize = 32;
const CHANNELS: usize = 3;
const LARGEST_NAMES: u64 = 1 << 20;

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Folder(PathBuf),
    Archive(PathBuf),
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Archive(path) => path,
        }
    }
}

/// Takes the number, the path and the content of a file.
type TakeContent<'a> = dyn FnMut(usize, &Path, &[u8]) -> Result<()> + 'a;

/// The files of one of the two sets, checked, with their labels.
#[derive(Debug)]
pub struct Cifar {
    format: &'static CifarFormat,
    is_python: bool,
    place: Place,
    /// How many images each file has, split by split.
    counts: Vec<usize>,
    labelling: Labelling,
}

impl Cifar {
    /// Finds the files in `folder`, in the official folder below it, or in the archive there, and
    /// reads the labels, but keeps no pixels. Of several versions the binary one is taken, and
    /// unpacked files rather than an archive.
    ///
    /// # Errors
    /// [`Error::Usage`] if files are missing, [`Error::File`] if a file is cut off or holds a label
    /// outside the range.
    pub fn find(format: &'static CifarFormat, folder: &Path) -> Result<Self> {
        let (place, is_python) = locate(format, folder)?;
        let mut cifar = Self {
            format,
            is_python,
            place,
            counts: Vec::new(),
            labelling: Labelling::default(),
        };
        let files = cifar.version().files();
        let mut labels = vec![Vec::new(); files.len() - 1];
        let mut classes = Vec::new();
        if let (Place::Folder(folder), false) = (&cifar.place, is_python) {
            for (labels, file) in labels.iter_mut().zip(&files) {
                *labels = read_labels(&folder.join(file), format)?;
            }
            let path = folder.join(cifar.version().names);
            let bytes = untrusted::read(&path, LARGEST_NAMES).map_err(Error::io("read", &path))?;
            classes = cifar.names(&path, &bytes)?;
        } else {
            cifar.for_each_file(&mut |index, path, bytes| {
                match labels.get_mut(index) {
                    Some(labels) => *labels = cifar.records(path, bytes)?.0,
                    None => classes = cifar.names(path, bytes)?,
                }
                Ok(())
            })?;
        }
        cifar.counts = labels.iter().map(Vec::len).collect();
        let mut labels = labels.into_iter();
        let of_split = cifar.version().images.as_ref();
        let labels = of_split.map(|files| labels.by_ref().take(files.len()).flatten().collect());
        cifar.labelling = Labelling {
            classes,
            ids: None,
            labels,
        };
        Ok(cifar)
    }

    fn version(&self) -> &'static Version {
        self.format.version(self.is_python)
    }

    /// Calls `take` with the number, the path and the content of every file, in any order.
    fn for_each_file(&self, take: &mut TakeContent<'_>) -> Result<()> {
        let (files, largest) = (self.version().files(), self.format.largest());
        match &self.place {
            Place::Folder(folder) => {
                for (index, file) in files.iter().enumerate() {
                    let path = folder.join(file);
                    let bytes =
                        untrusted::read(&path, largest).map_err(Error::io("read", &path))?;
                    take(index, &path, &bytes)?;
                }
            }
            Place::Archive(path) => {
                let mut is_missing = vec![true; files.len()];
                archive::for_each_file(path, largest, &mut |member, read| {
                    let name = member.file_name().unwrap_or_default();
                    let Some(index) = files.iter().position(|file| name == *file) else {
                        return Ok(());
                    };
                    if std::mem::replace(&mut is_missing[index], false) {
                        take(index, &path.join(member), &read()?)?;
                    }
                    Ok(())
                })?;
                if let Some(index) = is_missing.iter().position(|is_missing| *is_missing) {
                    return Err(Error::file(
                        path,
                        format!("it lacks {}; download it again", files[index]),
                    ));
                }
            }
        }
        Ok(())
    }

    /// The labels and the pixels, image by image, of a file with images.
    ///
    /// # Errors
    /// [`Error::File`] if it is cut off, malformed, or holds a label outside the range.
    pub fn records(&self, path: &Path, bytes: &[u8]) -> Result<(Vec<i64>, Vec<u8>)> {
        if self.is_python {
            let batch = cifar_python::batch(bytes, self.format.python_labels, PIXELS);
            let batch = batch.map_err(|problem| {
                Error::file(path, format!("{problem}; download the data set again"))
            })?;
            for (index, label) in batch.labels.iter().enumerate() {
                check_label(path, self.format, index as u64, *label)?;
            }
            return Ok((batch.labels, batch.pixels.into_owned()));
        }
        let (record, start) = self.format.record();
        check_length(path, self.format, bytes.len() as u64)?;
        let (mut labels, mut pixels) = (Vec::new(), Vec::new());
        for (index, record) in bytes.chunks_exact(record).enumerate() {
            let label = i64::from(record[start - 1]);
            check_label(path, self.format, index as u64, label)?;
            labels.push(label);
            pixels.extend_from_slice(&record[start..]);
        }
        Ok((labels, pixels))
    }

    /// The names of the classes.
    ///
    /// # Errors
    /// [`Error::File`] if the file is malformed or has another number of names.
    pub fn names(&self, path: &Path, bytes: &[u8]) -> Result<Vec<String>> {
        let names = match self.is_python {
            true => cifar_python::names(bytes, self.format.python_names, self.format.classes)
                .map_err(|problem| Error::file(path, problem))?,
            false => std::str::from_utf8(bytes)
                .map_err(|_| Error::file(path, "it is not UTF-8 text; download the file again"))?
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect(),
        };
        match (names.len(), self.format.classes) {
            (0, classes) if self.is_python => Ok((0..classes).map(|c| c.to_string()).collect()),
            (found, classes) if found == classes => Ok(names),
            (found, classes) => Err(Error::file(
                path,
                format!(
                    "expected {classes} class names, one per line, found {found}; download the \
                     file again"
                ),
            )),
        }
    }

    fn changed(&self) -> Error {
        Error::file(
            self.place.path(),
            "the files changed while they were being read; try again when they are complete",
        )
    }
}

/// Finds the first version that is complete, or says what is missing of the one that is nearest to
/// it.
fn locate(format: &'static CifarFormat, folder: &Path) -> Result<(Place, bool)> {
    let mut nearest: Option<(PathBuf, Vec<&str>)> = None;
    for is_python in [false, true] {
        let version = format.version(is_python);
        let files = version.files();
        for place in [folder.to_path_buf(), folder.join(version.folder)] {
            let absent = files.iter().copied();
            let absent: Vec<&str> = absent.filter(|file| !place.join(file).is_file()).collect();
            if absent.is_empty() {
                return Ok((Place::Folder(place), is_python));
            }
            let is_nearer = nearest
                .as_ref()
                .is_none_or(|(_, least)| absent.len() < least.len());
            if absent.len() < files.len() && is_nearer {
                nearest = Some((place, absent));
            }
        }
    }
    for is_python in [false, true] {
        let archive = format.version(is_python).archive;
        let is_named = folder.file_name().is_some_and(|name| name == archive);
        for path in [folder.join(archive), folder.to_path_buf()] {
            if path.is_file() && (is_named || path != folder) && nearest.is_none() {
                return Ok((Place::Archive(path), is_python));
            }
        }
    }
    let (binary, python) = (&format.binary, &format.python);
    Err(MissingFiles {
        name: format.name,
        folder,
        expected: &format!(
            "{} there or in its subfolder {}; or the Python version in {}; or either as {} or {}",
            binary.files().join(", "),
            binary.folder,
            python.folder,
            binary.archive,
            python.archive
        ),
        found: &match &nearest {
            None => "none of them is there".to_string(),
            Some((place, absent)) => format!("{} lacks {}", place.display(), absent.join(", ")),
        },
        remedy: &format!(
            "Run `astill fetch {}`, or put https://www.cs.toronto.edu/~kriz/{} there",
            format.name, binary.archive
        ),
    }
    .into_error())
}

impl Layout for Cifar {
    fn labelling(&self) -> &Labelling {
        &self.labelling
    }

    fn channels(&self) -> usize {
        CHANNELS
    }

    fn passed_over(&self) -> PassedOver {
        let is_numbered = self
            .labelling
            .classes
            .first()
            .is_some_and(|name| name == "0");
        let note = "the files name no classes, so the classes are numbered";
        PassedOver {
            files: Vec::new(),
            notes: is_numbered.then(|| note.to_owned()).into_iter().collect(),
        }
    }

    fn read(
        &self,
        rows: &BySplit<Vec<usize>>,
        request: &DatasetRequest,
        watch: &mut Watch<'_>,
    ) -> Result<ReadImages> {
        let labels = self.labelling.labels.as_ref();
        let mut pixels = labels.try_map(|labels| Pixels::black(labels.len(), CHANNELS, SIDE))?;
        let mut parts = Vec::new();
        let files = self.version().images.as_ref();
        for (pixels, files) in pixels.as_mut().zip(files) {
            let mut left = pixels.bytes_mut();
            for count in &self.counts[parts.len()..parts.len() + files.len()] {
                let (part, rest) = left.split_at_mut(count * PIXELS);
                parts.push(part);
                left = rest;
            }
        }
        let (mut done, total) = (0, parts.len() as u64);
        self.for_each_file(&mut |index, path, bytes| {
            let Some(part) = parts.get_mut(index) else {
                return Ok(());
            };
            report(watch, "files read", done, total)?;
            let (_, pixels) = self.records(path, bytes)?;
            if pixels.len() != part.len() {
                return Err(self.changed());
            }
            part.copy_from_slice(&pixels);
            done += 1;
            Ok(())
        })?;
        report(watch, "files read", total, total)?;
        let pixels = pixels.zip(rows.as_ref()).try_map(|(pixels, rows)| {
            decode::resize_all(pixels.keep(rows), request.size as usize, watch)
        })?;
        Ok(ReadImages::plain(pixels))
    }

    /// File by file: what is looked at of a split is what comes first in its files.
    fn survey(
        &self,
        rows: &BySplit<Vec<usize>>,
        request: &DatasetRequest,
        budget: Duration,
        watch: &mut Watch<'_>,
    ) -> Result<Surveyed> {
        let (begin, side) = (Instant::now(), request.size as usize);
        // an archive may have the files in any order
        let mut of_file: Vec<Vec<u128>> = vec![Vec::new(); self.counts.len()];
        let (mut done, total) = (0, self.counts.len() as u64);
        self.for_each_file(&mut |index, path, bytes| {
            let Some(hashes) = of_file.get_mut(index).filter(|_| begin.elapsed() < budget) else {
                return Ok(());
            };
            report(watch, "files read", done, total)?;
            done += 1;
            let (_, pixels) = self.records(path, bytes)?;
            for some in pixels.chunks(decode::CHUNK * PIXELS) {
                let mut images = Pixels::black(some.len() / PIXELS, CHANNELS, SIDE)?;
                images.bytes_mut().copy_from_slice(some);
                let quiet = &mut |_: Progress<'_>| ControlFlow::Continue(());
                let images = decode::resize_all(images, side, quiet)?;
                hashes.extend(facts::hashes(&images));
                if begin.elapsed() >= budget {
                    break;
                }
            }
            Ok(())
        })?;
        report(watch, "files read", total, total)?;
        let mut files = of_file.into_iter().zip(&self.counts);
        let of_split = self.version().images.as_ref().zip(rows.as_ref());
        let hashes = of_split.map(|(names, rows)| {
            let (mut seen, mut is_whole) = (Vec::new(), true);
            for (hashes, count) in files.by_ref().take(names.len()) {
                let is_first = is_whole;
                is_whole &= hashes.len() == *count;
                seen.extend(hashes.into_iter().filter(|_| is_first));
            }
            rows.iter()
                .filter_map(|row| seen.get(*row).copied())
                .collect()
        });
        Ok(Surveyed::of_hashes(hashes))
    }
}

/// The label of every record; the pixels are skipped over.
fn read_labels(path: &Path, format: &CifarFormat) -> Result<Vec<i64>> {
    let file: File = untrusted::open(path).map_err(Error::io("open", path))?;
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    check_length(path, format, length)?;
    let (record, _) = format.record();
    (0..length / record as u64)
        .map(|index| {
            let mut label = [0];
            let at = index * record as u64 + format.before_label as u64;
            file.read_exact_at(&mut label, at)
                .map_err(Error::io("read", path))?;
            check_label(path, format, index, label[0].into())?;
            Ok(i64::from(label[0]))
        })
        .collect()
}

/// Refuses a file that does not hold whole records, or too many.
fn check_length(path: &Path, format: &CifarFormat, length: u64) -> Result<()> {
    let (record, _) = format.record();
    if length == 0 || !length.is_multiple_of(record as u64) {
        return Err(Error::file(
            path,
            format!(
                "expected whole records of {record} bytes, found {length} bytes: the file is cut \
                 off or not a {} file; get it again",
                format.name
            ),
        ));
    }
    if length / record as u64 > MOST_RECORDS {
        return Err(Error::file(
            path,
            format!(
                "expected at most {MOST_RECORDS} records, found {length} bytes: not a {} file; get \
                 it again",
                format.name
            ),
        ));
    }
    Ok(())
}

fn check_label(path: &Path, format: &CifarFormat, index: u64, label: i64) -> Result<()> {
    match (0..format.classes as i64).contains(&label) {
        true => Ok(()),
        false => Err(Error::file(
            path,
            format!(
                "expected labels from 0 to {}, found {label} in record {index}: not a {} file; get \
                 it again",
                format.classes - 1,
                format.name
            ),
        )),
    }
}
