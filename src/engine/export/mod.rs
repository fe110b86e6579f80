//! The formats that a distilled set can be exported to. A new one is a file here and a line in
//! [`EXPORTS`].

mod array;
mod benchmark;
mod card;
mod class_folders;
mod convert;
mod hugging_face;
mod npz;
mod parquet;
mod parts;
mod provenance;
mod pytorch;
mod safetensors;
mod set;

pub use self::parts::{Parts, normalisation};
pub use self::provenance::{Provenance, protocol};
pub use self::safetensors::{FILE, PROVENANCE, read, write};
pub use self::set::{DistilledSet, TestImages};

use astill_core::cli::Space;
use astill_core::profile::{ChannelConstants, channel_constants};
use astill_core::run::RunDir;
use astill_core::{Error, Result};
use std::fmt::Debug;
use std::path::{Path, PathBuf};

/// Every format there is.
pub const EXPORTS: &[&dyn Export] = &[
    &pytorch::PyTorch,
    &npz::Npz,
    &class_folders::ClassFolders,
    &hugging_face::HuggingFace,
    &safetensors::Safetensors,
    &benchmark::DdRanking,
    &benchmark::DcBench,
];

/// A format.
pub trait Export: Debug + Sync {
    /// The word that selects it, in lower case.
    fn name(&self) -> &'static str;

    /// What it writes and what reads that, in one line for people.
    fn description(&self) -> &'static str;

    /// What the stored numbers can be, first what they are unless somebody asks for another.
    fn spaces(&self) -> &'static [Space] {
        &[Space::Own, Space::Field, Space::Pixels]
    }

    /// Whether it rounds pixels to bytes itself, so that the set stays in its own space.
    fn stores_bytes(&self) -> bool {
        false
    }

    /// Whether real test images have a place beside the set.
    fn holds_test(&self) -> bool {
        false
    }

    /// Whether its readers whiten real images where the set is whitened.
    fn reads_whitened(&self) -> bool {
        true
    }

    /// The mean and deviation that its readers normalise real images with, in [`Space::Field`].
    ///
    /// # Errors
    /// [`Error::Usage`]: its readers do not know this data set.
    fn constants(&self, set: &DistilledSet) -> Result<ChannelConstants> {
        let of = set.profile()?.dataset;
        let kind = of.kind;
        channel_constants(kind, of.path.as_deref()).ok_or_else(|| {
            Error::Usage(format!(
                "published programs share no mean and deviation for the data set {kind}; export it \
                 with --space own or --space pixels"
            ))
        })
    }

    /// The folder below the one the user names, where its readers look for this set.
    ///
    /// # Errors
    /// [`Error::Usage`]: its readers do not know this data set, or the set has another shape than
    /// they expect.
    fn folder(&self, _set: &DistilledSet) -> Result<PathBuf> {
        Ok(PathBuf::new())
    }

    /// Writes into `folder`, which is empty; the same content gives the same bytes. What readers
    /// should know about it, a sentence each.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses to write, [`Error::Usage`] where the set lacks what
    /// the format needs.
    fn write(&self, content: &Content<'_>, folder: &Path) -> Result<Vec<String>>;
}

/// What there is to write.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// In `space` already, unless the format [stores bytes](Export::stores_bytes).
    pub set: &'a DistilledSet,
    pub space: Space,
    /// The real test images, where they are to be written too.
    pub test: Option<&'a TestImages>,
    /// What the set is called: the name of its run or file.
    pub name: &'a str,
}

/// The format called `name`.
///
/// # Errors
/// There is none of that name; the error lists those there are.
pub fn find(name: &str) -> Result<&'static dyn Export> {
    EXPORTS
        .iter()
        .find(|e| e.name() == name)
        .copied()
        .ok_or_else(|| {
            let names: Vec<&str> = EXPORTS.iter().map(|e| e.name()).collect();
            Error::Usage(format!(
                "--format: found \"{name}\", expected one of {}",
                names.join(", ")
            ))
        })
}

/// The file of the distilled set of a run.
///
/// # Errors
/// The run has none yet.
pub fn of_run(run: &RunDir) -> Result<PathBuf> {
    let file = run.path().join("distilled").join(FILE);
    if file.exists() {
        return Ok(file);
    }
    Err(Error::Usage(format!(
        "the run {} has no distilled set yet; finish it with `astill resume {}`",
        run.name(),
        run.reference()
    )))
}

#[cfg(test)]
mod tests;
