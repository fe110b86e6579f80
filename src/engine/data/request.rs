//! What to load.

use astill_core::profile::{Kind, NormalisedBy, Unreadable};
use std::path::PathBuf;

/// Which data set to load, from where, and how.
#[derive(Debug, Clone)]
pub struct DatasetRequest {
    pub kind: Kind,
    /// Where the files are; for the official layouts the folder itself or its parent. Ignored for
    /// drawn shapes.
    pub folder: PathBuf,
    /// The side of every image, in pixels.
    pub size: i64,
    /// At most this many training images, shared among the classes as equally as the set allows.
    pub train_limit: Option<usize>,
    /// The share of the training images (after the limit) that is held out, in [0, 1).
    pub validation: f64,
    /// Whitening instead of normalised channels.
    pub zca: bool,
    /// Whose mean and deviation, or whitening.
    pub normalisation: NormalisedBy,
    /// Draws which images the limit keeps and which are held out.
    pub seed: u64,
    /// What to do about image files that cannot be read.
    pub unreadable: Unreadable,
    /// The folder of decoded images and fitted whitenings. It is created when needed; one that
    /// cannot be written costs time only.
    pub cache: PathBuf,
}
