//! Where encoded images come from: files, or places in archives.

use super::decode::Encoded;
use astill_core::Result;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The encoded images of one split.
pub trait ImageSource: Debug + Send + Sync {
    /// The image's file relative to the folder of the data set, or its place in an archive.
    fn name(&self, row: usize) -> String;

    /// The first of these images, in this order: at least one, and as many as may be in memory
    /// together. An image that cannot be fetched has a problem instead.
    ///
    /// # Errors
    /// The archive that holds them cannot be read.
    fn fetch(&self, rows: &[usize]) -> Result<Vec<std::result::Result<Encoded, String>>>;

    /// Passes on everything that changes when these images change: names, lengths, times.
    ///
    /// # Errors
    /// A file cannot be found.
    fn stamp(&self, rows: &[usize], take: &mut dyn FnMut(&[u8])) -> Result<()>;
}

/// One file per image.
#[derive(Debug)]
pub struct Files {
    pub root: PathBuf,
    /// Relative to `root`.
    pub paths: Vec<PathBuf>,
}

impl ImageSource for Files {
    fn name(&self, row: usize) -> String {
        self.paths[row].display().to_string()
    }

    fn fetch(&self, rows: &[usize]) -> Result<Vec<std::result::Result<Encoded, String>>> {
        let path = |row: &usize| self.root.join(&self.paths[*row]);
        Ok(rows
            .iter()
            .map(|row| Ok(Encoded::File(path(row))))
            .collect())
    }

    fn stamp(&self, rows: &[usize], take: &mut dyn FnMut(&[u8])) -> Result<()> {
        for row in rows {
            let file = &self.paths[*row];
            take(file.as_os_str().as_encoded_bytes());
            stamp_file(&self.root.join(file), take)?;
        }
        Ok(())
    }
}

/// Passes on the length and time of a file.
///
/// # Errors
/// It cannot be found.
pub fn stamp_file(path: &Path, take: &mut dyn FnMut(&[u8])) -> Result<()> {
    // reading reports a file that is not there
    let Ok(about) = fs::metadata(path) else {
        return Ok(());
    };
    let time = about
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    take(&about.len().to_le_bytes());
    take(&time.as_nanos().to_le_bytes());
    Ok(())
}
