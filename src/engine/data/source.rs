//! Where images come from: one layout of files, opened.

use super::image_folder::Listing;
use super::{Kind, Unreadable, cifar, decode, shapes, tiny_imagenet};
use crate::progress::Watch;
use astill_core::{Error, Result};
use std::path::{Path, PathBuf};

/// The classes of a data set and the label of every image of it; each label is below the number of
/// classes.
#[derive(Debug)]
pub struct Labels {
    pub classes: Vec<String>,
    pub train: Vec<i64>,
    pub test: Vec<i64>,
}

/// The images that [`Labels`] are for, in the same order: u8, (n, 3, size, size), row by row.
#[derive(Debug)]
pub struct Pixels {
    pub train: Vec<u8>,
    pub test: Vec<u8>,
}

/// What was read, and what there is to say of it.
#[derive(Debug)]
pub struct Found {
    pub pixels: Pixels,
    /// Says which images could not be read and were left out, if there were any.
    pub left_out: Option<String>,
    /// The cache of the pixels, if it was damaged and has been made again.
    pub damaged_cache: Option<PathBuf>,
}

impl From<Pixels> for Found {
    fn from(pixels: Pixels) -> Self {
        Self {
            pixels,
            left_out: None,
            damaged_cache: None,
        }
    }
}

/// A data set whose files are there and whose labels are known.
#[derive(Debug)]
pub enum Source {
    Shapes(Labels),
    Cifar(cifar::Files),
    Folder(Listing),
}

impl Source {
    /// Finds the files in `folder` and reads the labels; decodes nothing and creates nothing.
    pub fn find(kind: Kind, folder: &Path) -> Result<Self> {
        let source = match kind {
            Kind::Shapes => Self::Shapes(shapes::labels()),
            Kind::Cifar10 => Self::Cifar(cifar::Files::find(&cifar::CIFAR10, folder)?),
            Kind::Cifar100 => Self::Cifar(cifar::Files::find(&cifar::CIFAR100, folder)?),
            Kind::TinyImagenet => Self::Folder(tiny_imagenet::find(folder)?),
            Kind::ImageFolder => Self::Folder(Listing::find(folder)?),
        };
        source.check(folder)?;
        Ok(source)
    }

    /// That there are two classes, training images of each, and test images.
    fn check(&self, folder: &Path) -> Result<()> {
        let labels = self.labels();
        let problem = match labels.classes.len() {
            0 | 1 => Some(format!(
                "expected at least two classes, found {}",
                labels.classes.len()
            )),
            _ if labels.test.is_empty() => Some("expected test images, found none".to_owned()),
            _ => (0i64..)
                .zip(&labels.classes)
                .find(|(label, _)| !labels.train.contains(label))
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

    pub fn labels(&self) -> &Labels {
        match self {
            Self::Shapes(labels) => labels,
            Self::Cifar(files) => files.labels(),
            Self::Folder(listing) => listing.labels(),
        }
    }

    /// How many seconds the decoding of image files takes: about none where there are none.
    pub fn seconds_to_decode(&self, size: i64) -> f64 {
        if let Self::Folder(listing) = self {
            listing.seconds_to_decode(size as usize)
        } else {
            0.
        }
    }

    /// All images at `size` × `size` pixels. Those that cannot be read are an error or, as
    /// `unreadable` says, left out, and their labels with them; then it is said which.
    pub fn read(
        &mut self,
        size: i64,
        unreadable: Unreadable,
        cache: &Path,
        watch: &mut Watch<'_>,
    ) -> Result<Found> {
        Ok(match self {
            Self::Shapes(labels) => shapes::draw(labels, size as usize, watch)?.into(),
            Self::Cifar(files) => {
                let Pixels { train, test } = files.read(watch)?;
                let train = decode::resize_all(train, cifar::SIDE, size as usize, watch)?;
                Pixels {
                    train,
                    test: decode::resize_all(test, cifar::SIDE, size as usize, watch)?,
                }
                .into()
            }
            Self::Folder(listing) => {
                let found = listing.read(size as usize, unreadable, cache, watch)?;
                let root = listing.root().to_path_buf();
                found.left_out.iter().try_for_each(|_| self.check(&root))?;
                found
            }
        })
    }
}

/// A data set that is not (wholly) where it was looked for.
///
/// `expected` names the files, `found` says what is there instead, `remedy` how to get them.
pub fn missing(name: &str, folder: &Path, expected: &str, found: &str, remedy: &str) -> Error {
    Error::Usage(format!(
        "the data set {name} is not in {}: expected {expected}; {found}. {remedy}, or set \
         dataset.path to the folder that holds it",
        folder.display()
    ))
}
