//! A folder that can be pushed to the Hugging Face Hub as it is.

use super::class_folders::as_pngs;
use super::{Content, Export, card, parquet, safetensors};
use crate::picture;
use astill_core::cli::Space;
use astill_core::files::atomic::{write_atomically, write_atomically_with};
use astill_core::{Error, Result};
use std::io;
use std::path::Path;

/// `README.md`, the data set card; `data/train-00000-of-00001.parquet`; `samples.png`; and the set
/// itself in full precision, `best.safetensors`.
#[derive(Debug)]
pub struct HuggingFace;

impl Export for HuggingFace {
    fn name(&self) -> &'static str {
        "hf"
    }

    fn description(&self) -> &'static str {
        "a folder for `datasets.load_dataset` and the Hugging Face Hub: parquet, pictures and a card \
         that says how the set was made"
    }

    fn spaces(&self) -> &'static [Space] {
        &[Space::Pixels]
    }

    fn stores_bytes(&self) -> bool {
        true
    }

    fn write(&self, content: &Content<'_>, folder: &Path) -> Result<Vec<String>> {
        let set = content.set;
        let (images, notes) = as_pngs(set)?;
        let data = folder.join("data");
        std::fs::create_dir(&data).map_err(Error::io("create", &data))?;
        let path = data.join("train-00000-of-00001.parquet");
        write_atomically_with(&path, |file, _| {
            parquet::write(file, &images, &set.provenance.classes).map_err(io::Error::other)
        })?;
        let pixels = set.normalisation.invert(&set.images);
        let classes = set.provenance.classes.len() as i64;
        if set.images_per_class().is_ok() {
            picture::save(&folder.join("samples.png"), &pixels, classes)?;
        }
        safetensors::write(set, &folder.join(safetensors::FILE))?;
        write_atomically(&folder.join("README.md"), card::card(content)?.as_bytes())?;
        Ok(notes)
    }
}
