//! CIFAR-10 and CIFAR-100 in their official binary layout
//! (https://www.cs.toronto.edu/~kriz/cifar.html).
//!
//! A record is one label byte (CIFAR-100: a coarse and a fine one, of which the fine one is used)
//! and 3,072 pixel bytes: 32 × 32 red, then green, then blue, row by row.

use super::decode;
use super::layout::{BySplit, LabelledPixels, Labelling, Layout};
use super::pixels::Pixels;
use super::release::Release;
use super::request::DatasetRequest;
use crate::progress::{Watch, report};
use astill_core::{Error, Result, files::untrusted};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The side of every image, in pixels.
const SIDE: usize = 32;
const CHANNELS: usize = 3;
const PIXELS: usize = CHANNELS * SIDE * SIDE;
/// Ten times the number in the largest official file.
const MOST_RECORDS: u64 = 500_000;
const LARGEST_NAMES: u64 = 1 << 20;

/// What the two releases differ in.
#[derive(Debug)]
pub struct CifarFormat {
    release: Release<'static>,
    images: BySplit<&'static [&'static str]>,
    names: &'static str,
    classes: usize,
    /// Bytes before the label that is used.
    before_label: usize,
}

pub const CIFAR10: CifarFormat = CifarFormat {
    release: Release {
        name: "cifar10",
        folder: "cifar-10-batches-bin",
        url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    },
    images: BySplit {
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: &["test_batch.bin"],
    },
    names: "batches.meta.txt",
    classes: 10,
    before_label: 0,
};

pub const CIFAR100: CifarFormat = CifarFormat {
    release: Release {
        name: "cifar100",
        folder: "cifar-100-binary",
        url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    },
    images: BySplit {
        train: &["train.bin"],
        test: &["test.bin"],
    },
    names: "fine_label_names.txt",
    classes: 100,
    before_label: 1,
};

impl CifarFormat {
    /// The length of a record and where in it the pixels start.
    fn record(&self) -> (usize, usize) {
        (self.before_label + 1 + PIXELS, self.before_label + 1)
    }
}

/// The files of one of the two sets, checked, with their labels.
#[derive(Debug)]
pub struct Cifar {
    format: &'static CifarFormat,
    folder: PathBuf,
    labelling: Labelling,
}

impl Cifar {
    /// Finds the files in `folder` or in the official folder below it and reads the labels, but no
    /// pixels.
    ///
    /// # Errors
    /// [`Error::Usage`] if files are missing, [`Error::File`] if a file is cut off or holds a label
    /// outside the range.
    pub fn find(format: &'static CifarFormat, folder: &Path) -> Result<Self> {
        let images = format
            .images
            .as_ref()
            .into_iter()
            .flat_map(|files| files.iter());
        let files: Vec<&str> = images.chain([&format.names]).copied().collect();
        let folder = format.release.locate(folder, &files, Path::is_file)?;
        let classes = read_names(&folder.join(format.names), format.classes)?;
        let labels = format.images.as_ref().try_map(|files| {
            let files = files.iter();
            let labels: Vec<Vec<i64>> = files
                .map(|file| read_labels(&folder.join(file), format))
                .collect::<Result<_>>()?;
            Ok(labels.concat())
        })?;
        Ok(Self {
            format,
            folder,
            labelling: Labelling { classes, labels },
        })
    }

    /// Reads the pixels of the records of `file` into `images`; the number of bytes written.
    fn read_pixels(&self, file: &str, images: &mut [u8]) -> Result<usize> {
        let path = self.folder.join(file);
        let (record, start) = self.format.record();
        let bytes = untrusted::read(&path, MOST_RECORDS * record as u64)
            .map_err(Error::io("read", &path))?;
        if bytes.len() / record > images.len() / PIXELS {
            return Err(self.changed());
        }
        for (record, image) in bytes
            .chunks_exact(record)
            .zip(images.chunks_exact_mut(PIXELS))
        {
            image.copy_from_slice(&record[start..]);
        }
        Ok(bytes.len() / record * PIXELS)
    }

    fn changed(&self) -> Error {
        Error::file(
            &self.folder,
            "the files changed while they were being read; try again when they are complete",
        )
    }
}

impl Layout for Cifar {
    fn labelling(&self) -> &Labelling {
        &self.labelling
    }

    fn read(
        self: Box<Self>,
        request: &DatasetRequest,
        watch: &mut Watch<'_>,
    ) -> Result<LabelledPixels> {
        let files = self.format.images.as_ref();
        let (mut done, total) = (0, (files.train.len() + files.test.len()) as u64);
        let labels = self.labelling.labels.as_ref();
        let pixels = labels.zip(files).try_map(|(labels, files)| {
            let mut pixels = Pixels::black(labels.len(), CHANNELS, SIDE)?;
            let mut left = pixels.bytes_mut();
            for file in *files {
                report(watch, "files read", done, total)?;
                let read = self.read_pixels(file, left)?;
                left = &mut left[read..];
                done += 1;
            }
            match left.is_empty() {
                true => Ok(pixels),
                false => Err(self.changed()),
            }
        })?;
        report(watch, "files read", total, total)?;
        let pixels =
            pixels.try_map(|pixels| decode::resize_all(pixels, request.size as usize, watch))?;
        Ok(LabelledPixels::new(self.labelling, pixels))
    }
}

fn read_names(path: &Path, classes: usize) -> Result<Vec<String>> {
    let text = untrusted::read_text(path, LARGEST_NAMES).map_err(Error::io("read", path))?;
    let names: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    match names.len() == classes {
        true => Ok(names),
        false => Err(Error::file(
            path,
            format!(
                "expected {classes} class names, one per line, found {}; download the file again",
                names.len()
            ),
        )),
    }
}

/// The label of every record; the pixels are skipped over.
fn read_labels(path: &Path, format: &CifarFormat) -> Result<Vec<i64>> {
    let file = untrusted::open(path).map_err(Error::io("open", path))?;
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    let (record, _) = format.record();
    if length == 0 || length % record as u64 != 0 {
        return Err(Error::file(
            path,
            format!(
                "expected whole records of {record} bytes, found {length} bytes: the file is cut \
                 off or not a {} file; get it again",
                format.release.name
            ),
        ));
    }
    if length / record as u64 > MOST_RECORDS {
        return Err(Error::file(
            path,
            format!(
                "expected at most {MOST_RECORDS} records, found {length} bytes: not a {} file; get \
                 it again",
                format.release.name
            ),
        ));
    }
    (0..length / record as u64)
        .map(|index| {
            let mut label = [0];
            let at = index * record as u64 + format.before_label as u64;
            file.read_exact_at(&mut label, at)
                .map_err(Error::io("read", path))?;
            match usize::from(label[0]) < format.classes {
                true => Ok(i64::from(label[0])),
                false => Err(Error::file(
                    path,
                    format!(
                        "expected labels from 0 to {}, found {} in record {index}: not a {} file; \
                         get it again",
                        format.classes - 1,
                        label[0],
                        format.release.name
                    ),
                )),
            }
        })
        .collect()
}
