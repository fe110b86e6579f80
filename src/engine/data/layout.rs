//! The seam between a data set and the layout of its files.

use super::pixels::Pixels;
use super::request::DatasetRequest;
use crate::progress::Watch;
use astill_core::{Error, Result};
use std::path::{Path, PathBuf};

/// A data set whose files were found, and whose labels are known before any image is decoded.
///
/// A layout is opened by the register from a [`DatasetRequest`], which also gives it the seed and
/// the cache. It may be made of any number of files.
pub trait Layout {
    fn labelling(&self) -> &Labelling;

    /// All images, in the order of their labels. Images that cannot be read are an error or, if
    /// `request` allows it, left out together with their labels and reported.
    ///
    /// # Errors
    /// [`Error::File`] for files that cannot be read; [`Error::Interrupted`] if `watch` asks to
    /// stop.
    fn read(
        self: Box<Self>,
        request: &DatasetRequest,
        watch: &mut Watch<'_>,
    ) -> Result<LabelledPixels>;

    /// How many seconds it takes to decode all images at `size` × `size` pixels. The default is for
    /// files whose pixels need no decoding.
    fn seconds_to_decode(&self, _size: usize) -> f64 {
        0.0
    }
}

/// One value for each split that the files keep apart.
#[derive(Debug)]
pub struct BySplit<T> {
    pub train: T,
    pub test: T,
}

impl<T> BySplit<T> {
    pub fn as_ref(&self) -> BySplit<&T> {
        BySplit {
            train: &self.train,
            test: &self.test,
        }
    }

    pub fn as_mut(&mut self) -> BySplit<&mut T> {
        BySplit {
            train: &mut self.train,
            test: &mut self.test,
        }
    }

    pub fn zip<U>(self, other: BySplit<U>) -> BySplit<(T, U)> {
        BySplit {
            train: (self.train, other.train),
            test: (self.test, other.test),
        }
    }

    pub fn try_map<U>(self, mut change: impl FnMut(T) -> Result<U>) -> Result<BySplit<U>> {
        Ok(BySplit {
            train: change(self.train)?,
            test: change(self.test)?,
        })
    }
}

impl<T> IntoIterator for BySplit<T> {
    type Item = T;
    type IntoIter = std::array::IntoIter<T, 2>;

    fn into_iter(self) -> Self::IntoIter {
        [self.train, self.test].into_iter()
    }
}

/// The names of the classes, and the label of every image; each label is below the number of
/// classes.
#[derive(Debug)]
pub struct Labelling {
    pub classes: Vec<String>,
    pub labels: BySplit<Vec<i64>>,
}

impl Labelling {
    /// Checks that there are two classes, training images of each, and test images.
    ///
    /// # Errors
    /// [`Error::File`] with the name of `folder` if there are not.
    pub fn check(&self, folder: &Path) -> Result<()> {
        let problem = match self.classes.len() {
            classes @ (0 | 1) => Some(format!("expected at least two classes, found {classes}")),
            _ if self.labels.test.is_empty() => Some("expected test images, found none".to_owned()),
            _ => (0i64..)
                .zip(&self.classes)
                .find(|(label, _)| !self.labels.train.contains(label))
                .map(|(_, class)| {
                    format!("expected training images of every class, found none of \"{class}\"")
                }),
        };
        match problem {
            Some(problem) => Err(Error::file(
                folder,
                format!("{problem}; complete the data set or set dataset.path to another one"),
            )),
            None => Ok(()),
        }
    }
}

/// What a layout has read, and what there is to report about it.
#[derive(Debug)]
pub struct LabelledPixels {
    pub labelling: Labelling,
    /// In the order of the labels.
    pub pixels: BySplit<Pixels>,
    /// Names images that could not be read and were left out, if there were any.
    pub left_out: Option<String>,
    /// The cache of the pixels, if it was damaged and has been rebuilt.
    pub damaged_cache: Option<PathBuf>,
}

impl LabelledPixels {
    /// Of files that were read without a problem.
    pub fn new(labelling: Labelling, pixels: BySplit<Pixels>) -> Self {
        Self {
            labelling,
            pixels,
            left_out: None,
            damaged_cache: None,
        }
    }
}

/// A data set that is not, or not completely, in the folder where it is expected.
#[derive(Debug)]
pub struct MissingFiles<'a> {
    /// The data set's kind, as a profile names it.
    pub name: &'a str,
    pub folder: &'a Path,
    /// Which files belong there.
    pub expected: &'a str,
    /// What is there instead.
    pub found: &'a str,
    /// How to get them, as an imperative without a full stop.
    pub remedy: &'a str,
}

impl MissingFiles<'_> {
    pub fn into_error(self) -> Error {
        let Self {
            name,
            folder,
            expected,
            found,
            remedy,
        } = self;
        Error::Usage(format!(
            "the data set {name} is not in {}: expected {expected}; {found}. {remedy}, or set \
             dataset.path to the folder that holds the data set",
            folder.display()
        ))
    }
}
