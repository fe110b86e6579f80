//! CIFAR-10 and CIFAR-100 in their official binary layout
//! (https://www.cs.toronto.edu/~kriz/cifar.html).
//!
//! A record is one label byte (CIFAR-100: a coarse and a fine one, of which the fine one is used)
//! and 3,072 pixel bytes: 32 × 32 red, then green, then blue, row by row.

use super::source::{Labels, Pixels, missing};
use crate::progress::{Watch, report};
use astill_core::{Error, Result, files::untrusted};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The side of every image, in pixels.
pub const SIDE: usize = 32;
const PIXELS: usize = 3 * SIDE * SIDE;
/// Ten times as many as the largest official file has.
const MOST_RECORDS: u64 = 500_000;
const LARGEST_NAMES: u64 = 1 << 20;

/// What the two releases differ in.
#[derive(Debug)]
pub struct Layout {
    name: &'static str,
    /// The folder that the official archive unpacks to.
    folder: &'static str,
    url: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    names: &'static str,
    classes: usize,
    /// Bytes before the label that is used.
    before_label: usize,
}

pub const CIFAR10: Layout = Layout {
    name: "cifar10",
    folder: "cifar-10-batches-bin",
    url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    train: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ],
    test: "test_batch.bin",
    names: "batches.meta.txt",
    classes: 10,
    before_label: 0,
};

pub const CIFAR100: Layout = Layout {
    name: "cifar100",
    folder: "cifar-100-binary",
    url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    train: &["train.bin"],
    test: "test.bin",
    names: "fine_label_names.txt",
    classes: 100,
    before_label: 1,
};

impl Layout {
    fn files(&self) -> impl Iterator<Item = &'static str> {
        self.train.iter().copied().chain([self.test, self.names])
    }

    /// The length of a record and where in it the pixels start.
    fn record(&self) -> (usize, usize) {
        (self.before_label + 1 + PIXELS, self.before_label + 1)
    }
}

/// The files of one of the two sets, checked, with their labels.
#[derive(Debug)]
pub struct Files {
    layout: &'static Layout,
    folder: PathBuf,
    labels: Labels,
}

impl Files {
    /// Finds the files in `folder` or in the official folder below it and reads the labels, but no
    /// pixels.
    ///
    /// [`Error::Usage`] if files are missing, [`Error::File`] if a file is cut off or holds a label
    /// that there is not.
    pub fn find(layout: &'static Layout, folder: &Path) -> Result<Self> {
        let below = folder.join(layout.folder);
        let absent = |folder: &Path| {
            layout
                .files()
                .filter(|file| !folder.join(file).is_file())
                .collect::<Vec<_>>()
        };
        let (here, there) = (absent(folder), absent(&below));
        let (found, absent) = if there.len() < here.len() {
            (below, there)
        } else {
            (folder.to_path_buf(), here)
        };
        if !absent.is_empty() {
            return Err(missing(
                layout.name,
                folder,
                &format!(
                    "{} there or in its folder {}",
                    layout.files().collect::<Vec<_>>().join(", "),
                    layout.folder
                ),
                &format!("{} lacks {}", found.display(), absent.join(", ")),
                &format!("Unpack {} there", layout.url),
            ));
        }
        let classes = read_names(&found.join(layout.names), layout.classes)?;
        let mut train = Vec::new();
        for file in layout.train {
            train.extend(read_labels(&found.join(file), layout)?);
        }
        let test = read_labels(&found.join(layout.test), layout)?;
        Ok(Self {
            layout,
            folder: found,
            labels: Labels {
                classes,
                train,
                test,
            },
        })
    }

    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The pixels, 32 × 32, in the order of the labels.
    pub fn read(&self, watch: &mut Watch<'_>) -> Result<Pixels> {
        let total = self.layout.train.len() as u64 + 1;
        let mut train = Vec::with_capacity(self.labels.train.len() * PIXELS);
        for (done, file) in (0u64..).zip(self.layout.train) {
            report(watch, "files read", done, total)?;
            self.append_pixels(file, &mut train)?;
        }
        report(watch, "files read", total - 1, total)?;
        let mut test = Vec::with_capacity(self.labels.test.len() * PIXELS);
        self.append_pixels(self.layout.test, &mut test)?;
        report(watch, "files read", total, total)?;
        for (labels, pixels) in [(&self.labels.train, &train), (&self.labels.test, &test)] {
            if pixels.len() != labels.len() * PIXELS {
                return Err(Error::file(
                    &self.folder,
                    "the files changed while they were read; try again when they are complete",
                ));
            }
        }
        Ok(Pixels { train, test })
    }

    fn append_pixels(&self, file: &str, pixels: &mut Vec<u8>) -> Result<()> {
        let path = self.folder.join(file);
        let (record, start) = self.layout.record();
        let bytes = untrusted::read(&path, MOST_RECORDS * record as u64)
            .map_err(Error::io("read", &path))?;
        for record in bytes.chunks_exact(record) {
            pixels.extend_from_slice(&record[start..]);
        }
        Ok(())
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
                "expected {classes} class names, one a line, found {}; get the file again",
                names.len()
            ),
        )),
    }
}

/// The label of every record; the pixels are skipped over.
fn read_labels(path: &Path, layout: &Layout) -> Result<Vec<i64>> {
    let file = untrusted::open(path).map_err(Error::io("open", path))?;
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    let (record, _) = layout.record();
    if length == 0 || length % record as u64 != 0 {
        return Err(Error::file(
            path,
            format!(
                "expected whole records of {record} bytes, found {length} bytes: the file is cut \
                 off or no {} file; get it again",
                layout.name
            ),
        ));
    }
    if length / record as u64 > MOST_RECORDS {
        return Err(Error::file(
            path,
            format!(
                "expected at most {MOST_RECORDS} records, found {length} bytes: no {} file; get it \
                 again",
                layout.name
            ),
        ));
    }
    (0..length / record as u64)
        .map(|index| {
            let mut label = [0];
            let at = index * record as u64 + layout.before_label as u64;
            file.read_exact_at(&mut label, at)
                .map_err(Error::io("read", path))?;
            match usize::from(label[0]) < layout.classes {
                true => Ok(i64::from(label[0])),
                false => Err(Error::file(
                    path,
                    format!(
                        "expected labels from 0 to {}, found {} in record {index}: no {} file; get \
                         it again",
                        layout.classes - 1,
                        label[0],
                        layout.name
                    ),
                )),
            }
        })
        .collect()
}
