//! A PNG for every image, in a folder for every class.

use super::{Content, DistilledSet, Export, card};
use crate::distill::Labels;
use crate::picture;
use astill_core::cli::Space;
use astill_core::files::atomic::write_atomically;
use astill_core::text::percent;
use astill_core::{Error, Result};
use std::path::Path;

/// `0000-cat/0000-00000.png` …, `labels.csv` and `astill.json`. The numbers keep the folders in
/// label order, which is how `ImageFolder` numbers them.
#[derive(Debug)]
pub struct ClassFolders;

impl Export for ClassFolders {
    fn name(&self) -> &'static str {
        "png"
    }

    fn description(&self) -> &'static str {
        "a PNG for every image in a folder for every class, for torchvision's ImageFolder; 8 bits a \
         channel"
    }

    fn spaces(&self) -> &'static [Space] {
        &[Space::Pixels]
    }

    fn stores_bytes(&self) -> bool {
        true
    }

    fn write(&self, content: &Content<'_>, folder: &Path) -> Result<Vec<String>> {
        let set = content.set;
        let (images, mut notes) = as_pngs(set)?;
        let classes = &set.provenance.classes;
        let mut empty = Vec::new();
        // all of them, because readers number the folders that there are
        for (index, class) in classes.iter().enumerate() {
            let of_class = folder.join(folder_name(index, class));
            std::fs::create_dir(&of_class).map_err(Error::io("create", &of_class))?;
            if images.iter().all(|i| i.label != index as i64) {
                empty.push(class.as_str());
            }
        }
        if !empty.is_empty() {
            notes.push(format!(
                "{} is the most probable class of no image; ImageFolder takes such an empty folder with \
                 allow_empty=True",
                empty.join(", ")
            ));
        }
        let mut table = String::from("file,label,class");
        if let Labels::Soft(_) = set.labels {
            (0..classes.len()).for_each(|k| table += &format!(",p{k}"));
        }
        for image in &images {
            write_atomically(&folder.join(&image.folder).join(&image.name), &image.png)?;
            let file = format!("{}/{}", image.folder, image.name);
            let class = image.class.replace('"', "\"\"");
            table += &format!("\n{file},{},\"{class}\"", image.label);
            image
                .probabilities
                .iter()
                .for_each(|p| table += &format!(",{p}"));
        }
        table.push('\n');
        write_atomically(&folder.join("labels.csv"), table.as_bytes())?;
        card::write_metadata(content, folder)?;
        Ok(notes)
    }
}

/// An image as people see it.
pub struct LabelledPng {
    /// "0003-cat"
    pub folder: String,
    /// "0003-00001.png"
    pub name: String,
    pub label: i64,
    pub class: String,
    /// Of every class, where labels are soft.
    pub probabilities: Vec<f32>,
    pub png: Vec<u8>,
}

/// Every image of `set`, and what 8 bits lose of them.
pub fn as_pngs(set: &DistilledSet) -> Result<(Vec<LabelledPng>, Vec<String>)> {
    let (pixels, clipped) = set.pixels();
    let classes = &set.provenance.classes;
    let mut seen = vec![0usize; classes.len()];
    let mut images = Vec::new();
    for (row, label) in (0i64..).zip(set.class_of_each()) {
        let known = usize::try_from(label).ok().filter(|l| *l < classes.len());
        let index = known.ok_or_else(|| {
            Error::Usage(format!(
                "image {row} has the label {label}, expected 0 to {}",
                classes.len().saturating_sub(1)
            ))
        })?;
        let number = seen[index];
        seen[index] += 1;
        let probabilities = match &set.labels {
            Labels::Soft(all) => (0..classes.len() as i64)
                .map(|k| all.double_value(&[row, k]) as f32)
                .collect(),
            Labels::Hard(_) => Vec::new(),
        };
        images.push(LabelledPng {
            folder: folder_name(index, &classes[index]),
            name: format!("{index:04}-{number:05}.png"),
            label,
            class: classes[index].clone(),
            probabilities,
            png: picture::png(&pixels.get(row))?,
        });
    }
    let lost = match clipped > 0. {
        true => format!(
            "{} % of the pixels' values lie outside of black and white and were clipped, so networks \
             learn a little less from these files than from the set itself (--format pt)",
            percent(100. * clipped)
        ),
        false => "the pixels were rounded to 8 bits".into(),
    };
    Ok((images, vec![lost]))
}

/// "0003-cat", of what every file system takes of the class's name.
fn folder_name(index: usize, class: &str) -> String {
    let safe = |c: char| match c {
        c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') => c,
        _ => '_',
    };
    let name: String = class.chars().map(safe).take(60).collect();
    format!("{index:04}-{name}")
}
