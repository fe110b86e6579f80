//! What to load.

use astill_core::profile::{
    Background, ChannelConstants, Color, Kind, NormalisedBy, Unreadable, channel_constants,
};
use astill_core::text::count;
use astill_core::{Error, Result};
use std::path::PathBuf;

/// Which data set to load, from where, and how.
#[derive(Debug, Clone)]
pub struct DatasetRequest {
    pub kind: Kind,
    /// Where the files are; for the official layouts the folder itself or its parent. Ignored for
    /// drawn shapes.
    pub folder: PathBuf,
    /// Only these classes, in this order, or the name of a subset of ImageNet; none for all.
    pub classes: Option<Vec<String>>,
    /// The columns of labels and images, and the configuration, of parquet files.
    pub label: Option<String>,
    pub image: Option<String>,
    pub configuration: Option<String>,
    /// The side of every image, in pixels.
    pub size: i64,
    /// At most this many training images, shared among the classes as equally as the set allows.
    pub train_limit: Option<usize>,
    /// The share of the training images (after the limit) that is held out, in [0, 1). Where the
    /// files have a validation part, that is used instead.
    pub validation: f64,
    /// The share of each class that is drawn as test images where the files have no test part.
    pub test: Option<f64>,
    /// Draws those.
    pub test_seed: u64,
    /// Whitening instead of normalised channels.
    pub zca: bool,
    /// Whose mean and deviation, or whitening.
    pub normalisation: NormalisedBy,
    /// Draws which images the limit keeps and which are held out.
    pub seed: u64,
    /// What to do about image files that cannot be read.
    pub unreadable: Unreadable,
    /// Whether images are read with one channel or three.
    pub color: Color,
    /// What transparent images are laid over.
    pub background: Background,
    /// The folder of decoded images and fitted whitenings. It is created when needed; one that
    /// cannot be written costs time only.
    pub cache: PathBuf,
}

impl DatasetRequest {
    /// All images of a data set at this size, with normalised channels.
    pub fn new(
        kind: Kind,
        folder: impl Into<PathBuf>,
        size: i64,
        cache: impl Into<PathBuf>,
    ) -> Self {
        Self {
            kind,
            folder: folder.into(),
            classes: None,
            label: None,
            image: None,
            configuration: None,
            size,
            train_limit: None,
            validation: 0.0,
            test: None,
            test_seed: 0,
            zca: false,
            normalisation: NormalisedBy::Own,
            seed: 0,
            unreadable: Unreadable::Refuse,
            color: Color::Auto,
            background: Background::White,
            cache: cache.into(),
        }
    }

    /// The mean and deviation of published programs, if the profile asks for them.
    ///
    /// # Errors
    /// [`Error::Usage`] if there are none for this data set, or none for images with so many channels.
    pub(super) fn constants(&self, channels: usize) -> Result<Option<ChannelConstants>> {
        if self.zca || self.normalisation == NormalisedBy::Own {
            return Ok(None);
        }
        match channel_constants(self.kind, Some(&self.folder)) {
            None => Err(Error::Usage(format!(
                "published programs share no mean and deviation for the data set in {} ({}), as far as its name \
                 tells; set dataset.normalisation to own, or give its folder the name of the data set, such as \
                 cifar10, mnist or svhn",
                self.folder.display(),
                self.kind
            ))),
            Some(constants) if constants.mean.len() != channels => Err(Error::Usage(format!(
                "dataset.normalisation is field, whose mean and deviation are of {}, but the images in {} \
                 have {channels}; set dataset.normalisation to own, or dataset.color to {}",
                count(constants.mean.len(), "channel"),
                self.folder.display(),
                if constants.mean.len() == 1 {
                    "grey"
                } else {
                    "rgb"
                }
            ))),
            constants => Ok(constants),
        }
    }
}
