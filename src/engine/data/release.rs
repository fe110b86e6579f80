//! Official releases, which unpack to a folder with a fixed name.

use super::layout::MissingFiles;
use astill_core::Result;
use std::path::{Path, PathBuf};

/// What a release is called, and where to get it.
#[derive(Debug)]
pub struct Release<'a> {
    /// The data set's kind, as a profile names it.
    pub name: &'a str,
    /// The folder to which the archive unpacks.
    pub folder: &'a str,
    /// The archive.
    pub url: &'a str,
}

impl Release<'_> {
    /// The folder with all of `files`: `folder`, or the release's own folder in it. `is_there`
    /// decides whether one of them exists.
    ///
    /// # Errors
    /// [`astill_core::Error::Usage`] with the files that are missing, from the more complete of the
    /// two folders.
    pub fn locate(
        &self,
        folder: &Path,
        files: &[&str],
        is_there: fn(&Path) -> bool,
    ) -> Result<PathBuf> {
        let absent = |folder: &Path| {
            files
                .iter()
                .copied()
                .filter(|file| !is_there(&folder.join(file)))
                .collect::<Vec<_>>()
        };
        let below = folder.join(self.folder);
        let (absent_here, absent_below) = (absent(folder), absent(&below));
        let (found, absent) = if absent_below.len() < absent_here.len() {
            (below, absent_below)
        } else {
            (folder.to_path_buf(), absent_here)
        };
        if absent.is_empty() {
            return Ok(found);
        }
        Err(MissingFiles {
            name: self.name,
            folder,
            expected: &format!(
                "{} there or in its subfolder {}",
                files.join(", "),
                self.folder
            ),
            found: &if absent.len() == files.len() {
                "none of them is there".to_string()
            } else {
                format!("{} lacks {}", found.display(), absent.join(", "))
            },
            remedy: &format!(
                "Run `astill fetch {}`, or download and unpack {} there",
                self.name, self.url
            ),
        }
        .into_error())
    }
}
