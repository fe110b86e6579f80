//! Tiny ImageNet (http://cs231n.stanford.edu) in its official folder layout.
//!
//! The images in test/ have no labels, so those in val/ are the test split, as everywhere in the
//! literature.

use super::image_list::{ImageList, images_in};
use super::layout::BySplit;
use super::release::Release;
use astill_core::{Error, Result, files::untrusted};
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

const RELEASE: Release<'static> = Release {
    name: "tiny-imagenet",
    folder: "tiny-imagenet-200",
    url: "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
};
/// The largest text of the release, words.txt, has 3 MB.
const LARGEST_TEXT: u64 = 64 << 20;
const FILES: [&str; 4] = [
    "wnids.txt",
    "train",
    "val/images",
    "val/val_annotations.txt",
];

/// Lists the images in `folder` or in the official folder below it. Classes are in the order of
/// wnids.txt and have the first name that words.txt gives them, or their id where it gives none.
///
/// # Errors
/// [`Error::Usage`] if files are missing, [`Error::File`] if an annotation is malformed or of an
/// unknown class.
pub fn find(folder: &Path) -> Result<ImageList> {
    let root = RELEASE.locate(folder, &FILES, Path::exists)?;
    let ids: Vec<String> = read(&root.join("wnids.txt"))?
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    if let Some(odd) = ids.iter().find(|id| !is_name(id)) {
        return Err(Error::file(
            root.join("wnids.txt"),
            format!("expected class ids, found {odd:?}; download the file again"),
        ));
    }
    let labels: HashMap<&str, i64> = ids.iter().map(String::as_str).zip(0..).collect();
    let mut train = Vec::new();
    for (label, id) in (0i64..).zip(&ids) {
        train.extend(
            images_in(&root, &Path::new("train").join(id).join("images"))?
                .into_iter()
                .map(|path| (path, label)),
        );
    }
    let test = annotated(&root, &labels)?;
    let names = names(&root, &ids)?;
    Ok(ImageList::new(root, names, BySplit { train, test }))
}

/// The images of val/ and their labels, in the order of val_annotations.txt: file, class id, and a
/// box, which is not used.
fn annotated(root: &Path, labels: &HashMap<&str, i64>) -> Result<Vec<(PathBuf, i64)>> {
    let path = root.join("val/val_annotations.txt");
    let text = read(&path)?;
    let lines = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let mut fields = line.split('\t');
            let (Some(file), Some(id)) = (fields.next(), fields.next()) else {
                return Err(Error::file(
                    &path,
                    format!("expected a file and a class id, found \"{line}\" in line {number}"),
                ));
            };
            if !is_name(file.trim()) {
                return Err(Error::file(
                    &path,
                    format!(
                        "expected the name of a file in val/images, found {file:?} in line {number}"
                    ),
                ));
            }
            match labels.get(id.trim()) {
                Some(&label) => Ok((Path::new("val/images").join(file.trim()), label)),
                None => Err(Error::file(
                    &path,
                    format!("expected a class id of wnids.txt, found \"{id}\" in line {number}"),
                )),
            }
        })
        .collect()
}

/// Whether it names something directly in a folder, and is not a path that leads elsewhere.
fn is_name(text: &str) -> bool {
    matches!(Path::new(text).components().collect::<Vec<_>>().as_slice(), [Component::Normal(only)] if *only == text)
}

/// A readable name per class id. Where two classes share their first name (there are two cranes in
/// ImageNet), the id is added to it.
fn names(root: &Path, ids: &[String]) -> Result<Vec<String>> {
    let path = root.join("words.txt");
    let text = if path.is_file() {
        read(&path)?
    } else {
        String::new()
    };
    let words: HashMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(id, names)| (id.trim(), names.split(',').next().unwrap_or(names).trim()))
        .collect();
    let first: Vec<&str> = ids
        .iter()
        .map(|id| words.get(id.as_str()).copied().unwrap_or(id))
        .collect();
    let shared = |name: &str| first.iter().filter(|other| **other == name).count() > 1;
    Ok(first
        .iter()
        .zip(ids)
        .map(|(name, id)| {
            if shared(name) {
                format!("{name} ({id})")
            } else {
                (*name).to_owned()
            }
        })
        .collect())
}

fn read(path: &Path) -> Result<String> {
    untrusted::read_text(path, LARGEST_TEXT).map_err(Error::io("read", path))
}
