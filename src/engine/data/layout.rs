//! The seam between a data set and the layout of its files.

use super::facts::ImageFacts;
use super::left_out::PassedOver;
use super::pixels::Pixels;
use super::request::DatasetRequest;
use crate::progress::Watch;
use astill_core::{Error, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A data set whose files were found, and whose labels are known before any image is decoded.
///
/// A layout is opened by the register from a [`DatasetRequest`], which also gives it the seed and
/// the cache. It may be made of any number of files.
pub trait Layout: Send {
    fn labelling(&self) -> &Labelling;

    /// What is there but not in the data set, as far as it is known before an image is decoded.
    fn passed_over(&self) -> PassedOver {
        PassedOver::default()
    }

    /// 1 (grey) or 3 (red, green and blue).
    fn channels(&self) -> usize;

    /// The images in these rows of each split, ascending. Images that cannot be read are left out
    /// and named.
    ///
    /// # Errors
    /// [`Error::File`] for files that cannot be read; [`Error::Interrupted`] if `watch` asks to
    /// stop.
    fn read(
        &self,
        rows: &BySplit<Vec<usize>>,
        request: &DatasetRequest,
        watch: &mut Watch<'_>,
    ) -> Result<ReadImages>;

    /// As [`Layout::read`], but keeps no pixels and may end after `budget`. The default is for
    /// images that take no time.
    ///
    /// # Errors
    /// As [`Layout::read`].
    fn survey(
        &self,
        rows: &BySplit<Vec<usize>>,
        request: &DatasetRequest,
        _budget: Duration,
        watch: &mut Watch<'_>,
    ) -> Result<Surveyed> {
        let read = self.read(rows, request, watch)?;
        let hashes = read.pixels.as_ref().map(super::facts::hashes);
        Ok(Surveyed::of_hashes(hashes))
    }

    /// How many seconds it takes to decode these rows at `size` × `size` pixels. The default is for
    /// files whose pixels need no decoding.
    fn seconds_to_decode(&self, _rows: &BySplit<Vec<usize>>, _size: usize) -> f64 {
        0.0
    }
}

/// One value for each split that the files keep apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BySplit<T> {
    pub train: T,
    /// Empty where the files have no validation part.
    pub validation: T,
    pub test: T,
}

impl<T> BySplit<T> {
    pub fn as_ref(&self) -> BySplit<&T> {
        BySplit {
            train: &self.train,
            validation: &self.validation,
            test: &self.test,
        }
    }

    pub fn as_mut(&mut self) -> BySplit<&mut T> {
        BySplit {
            train: &mut self.train,
            validation: &mut self.validation,
            test: &mut self.test,
        }
    }

    pub fn zip<U>(self, other: BySplit<U>) -> BySplit<(T, U)> {
        BySplit {
            train: (self.train, other.train),
            validation: (self.validation, other.validation),
            test: (self.test, other.test),
        }
    }

    /// With the validation part for testing, where there is no test part; and what to say about it.
    #[must_use]
    pub fn tested_on_validation(mut self, is_empty: impl Fn(&T) -> bool) -> (Self, Option<String>) {
        if !is_empty(&self.test) || is_empty(&self.validation) {
            return (self, None);
        }
        std::mem::swap(&mut self.validation, &mut self.test);
        let note = "there is no test part, so the test images are those of the validation part";
        (self, Some(note.to_owned()))
    }

    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> BySplit<U> {
        BySplit {
            train: change(self.train),
            validation: change(self.validation),
            test: change(self.test),
        }
    }

    /// # Errors
    /// Those of `change`.
    pub fn try_map<U>(self, mut change: impl FnMut(T) -> Result<U>) -> Result<BySplit<U>> {
        Ok(BySplit {
            train: change(self.train)?,
            validation: change(self.validation)?,
            test: change(self.test)?,
        })
    }
}

impl BySplit<&'static str> {
    /// What the splits are called.
    pub const NAMES: Self = Self {
        train: "train",
        validation: "validation",
        test: "test",
    };
}

impl<T> IntoIterator for BySplit<T> {
    type Item = T;
    type IntoIter = std::array::IntoIter<T, 3>;

    fn into_iter(self) -> Self::IntoIter {
        [self.train, self.validation, self.test].into_iter()
    }
}

/// The names of the classes, and the label of every image; each label is below the number of
/// classes.
#[derive(Debug, Clone, Default)]
pub struct Labelling {
    pub classes: Vec<String>,
    /// What the files call the classes where `classes` has readable names for them (WordNet ids).
    pub ids: Option<Vec<String>>,
    pub labels: BySplit<Vec<i64>>,
}

impl Labelling {
    /// Checks that every class has a name of its own, and every image one of these classes.
    ///
    /// # Errors
    /// [`Error::File`] with the name of `folder` if not.
    pub fn check_classes(&self, folder: &Path) -> Result<()> {
        let mut seen = HashSet::new();
        if let Some(twice) = self.classes.iter().find(|name| !seen.insert(*name)) {
            return Err(Error::file(
                folder,
                format!(
                    "expected a name of its own for every class, found {twice:?} twice; rename one of \
                     the two"
                ),
            ));
        }
        let known = 0..self.classes.len() as i64;
        for (labels, part) in self.labels.as_ref().zip(BySplit::NAMES) {
            if let Some(odd) = labels.iter().find(|label| !known.contains(*label)) {
                return Err(Error::file(
                    folder,
                    format!(
                        "expected labels of {} classes, found the label {odd} in the {part} part; get \
                         the data set again",
                        self.classes.len()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Checks that there are two classes and training images of each.
    ///
    /// # Errors
    /// [`Error::File`] with the name of `folder` if there are not.
    pub fn check(&self, folder: &Path) -> Result<()> {
        let mut has_images = vec![false; self.classes.len()];
        for label in &self.labels.train {
            has_images[*label as usize] = true;
        }
        let without = has_images.iter().position(|has| !has);
        let problem = match (self.classes.len(), without) {
            (classes @ (0 | 1), _) => {
                format!("expected at least two classes, found {classes}")
            }
            (_, Some(class)) => {
                return Err(Error::file(
                    folder,
                    format!(
                        "expected training images of every class, found none of \"{}\"; complete the \
                         data set, set dataset.classes to those that have images{}, or set \
                         dataset.path to another one",
                        self.classes[class],
                        self.those_with(&has_images)
                    ),
                ));
            }
            (_, None) => return Ok(()),
        };
        Err(Error::file(
            folder,
            format!("{problem}; complete the data set or set dataset.path to another one"),
        ))
    }

    /// The value of dataset.classes for the classes that have images, where it is short enough.
    fn those_with(&self, has_images: &[bool]) -> String {
        const LISTED: usize = 30;
        let classes = self.classes.iter().zip(has_images).filter(|(_, has)| **has);
        let names: Vec<String> = classes.map(|(name, _)| format!("{name:?}")).collect();
        match names.len() {
            2..=LISTED => format!(": [{}]", names.join(", ")),
            _ => String::new(),
        }
    }
}

/// An image that cannot be read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableImage {
    /// Its row in its split.
    pub row: usize,
    /// Its file, or its place in an archive.
    pub name: String,
    pub problem: String,
    /// Whether it may be readable the next time, so that nothing about it is to be kept.
    pub may_pass: bool,
}

/// What a layout has read.
#[derive(Debug)]
pub struct ReadImages {
    /// Of the rows asked for, without the unreadable ones.
    pub pixels: BySplit<Pixels>,
    /// Of the same images; empty where the files hold plain pixels.
    pub facts: BySplit<Vec<ImageFacts>>,
    pub unreadable: BySplit<Vec<UnreadableImage>>,
    /// The cache of the pixels, if it was damaged and has been rebuilt.
    pub damaged_cache: Option<PathBuf>,
}

impl ReadImages {
    /// Of files that hold plain pixels, all of which could be read.
    pub fn plain(pixels: BySplit<Pixels>) -> Self {
        Self {
            pixels,
            facts: BySplit::default(),
            unreadable: BySplit::default(),
            damaged_cache: None,
        }
    }
}

/// What a look at the images has found, without keeping them.
#[derive(Debug, Default)]
pub struct Surveyed {
    /// How many of the rows were looked at.
    pub looked_at: BySplit<usize>,
    /// Of the readable images among them, in order.
    pub hashes: BySplit<Vec<u128>>,
    /// Of the same images; empty where the files hold plain pixels.
    pub facts: BySplit<Vec<ImageFacts>>,
    pub unreadable: BySplit<Vec<UnreadableImage>>,
}

impl Surveyed {
    /// Of files that hold plain pixels, all of which could be read.
    pub fn of_hashes(hashes: BySplit<Vec<u128>>) -> Self {
        Self {
            looked_at: hashes.as_ref().map(Vec::len),
            hashes,
            ..Self::default()
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
