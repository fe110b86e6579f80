//! The formats that a distilled set can be exported to. A new one is a file here and a line in
//! [`EXPORTS`].

mod safetensors;

pub use self::safetensors::{SAFETENSORS, Safetensors, read};

use crate::data::Normalisation;
use crate::distill::Labels;
use astill_core::run::RunDir;
use astill_core::run::event::Headline;
use astill_core::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Debug;
use std::path::Path;
use tch::Tensor;

/// Every format there is.
pub const EXPORTS: &[&dyn Export] = &[&SAFETENSORS];

/// A format.
pub trait Export: Debug + Sync {
    /// The word that selects it, in lower case.
    fn name(&self) -> &'static str;

    /// What it writes and what reads that, in one line for people.
    fn description(&self) -> &'static str;

    /// The file, or folder, that it writes where nobody names another.
    fn file_name(&self) -> &'static str;

    /// Writes to `path`, whose folder exists, atomically; the same content gives the same bytes.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses to write, [`Error::Usage`] where `source` lacks what
    /// the format needs.
    fn write(&self, source: &ExportSource<'_>, path: &Path) -> Result<()>;
}

/// What there is to export.
#[derive(Debug, Clone, Copy)]
pub struct ExportSource<'a> {
    pub set: &'a DistilledSet,
    /// The run that distilled it, for formats that show how it went; none where only the file of
    /// the set is at hand.
    pub run: Option<&'a RunDir>,
}

/// A distilled set with all that is needed to use it.
#[derive(Debug)]
pub struct DistilledSet {
    /// f32 (n, C, H, W), class after class, in the network's input space;
    /// [`Normalisation::invert`] gives the pixels.
    pub images: Tensor,
    /// Of the images (n).
    pub labels: Labels,
    /// α, the learned student rate: networks that train on the set begin with it.
    pub student_lr: f64,
    pub normalisation: Normalisation,
    pub provenance: Provenance,
}

/// Where a distilled set comes from, and the accuracy of networks that learn from it. Accuracies in
/// per cent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// "astill 0.1.0".
    pub program: String,
    /// The profile of the run, and the settings that were changed while it ran. Not typed, because
    /// a set outlives the version that distilled it, whose keys may differ.
    pub profile: Value,
    pub edits: Value,
    /// The name of every label.
    pub classes: Vec<String>,
    /// What the files of the data set call the classes, where that differs: WordNet ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_ids: Option<Vec<String>>,
    /// [`Normalisation::name`].
    pub normalisation: String,
    /// The fingerprint of the training images.
    pub data_content: String,
    /// The step whose images these are; none where no evaluation has chosen one.
    pub step: Option<u64>,
    /// The accuracy that it was chosen by; none without a validation share.
    pub validation_accuracy: Option<f64>,
    /// Fresh networks on the test set.
    pub results: Vec<Headline>,
    /// The highest mean test accuracy over all evaluations during the run.
    pub paper_style_max: Option<f64>,
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
                "found the format \"{name}\", expected one of {}",
                names.join(", ")
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_format_is_found_by_its_own_name() -> Result<()> {
        let names: BTreeSet<&str> = EXPORTS.iter().map(|e| e.name()).collect();
        assert_eq!(names.len(), EXPORTS.len());
        for name in names {
            assert_eq!(find(name)?.name(), name);
        }
        let refused = find("tiff").err().map(|e| e.to_string());
        assert!(
            refused.is_some_and(|e| e.contains("tiff") && e.contains("safetensors")),
            "the error names what was found and what is expected"
        );
        Ok(())
    }
}
