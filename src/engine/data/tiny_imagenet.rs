//! Tiny ImageNet (http://cs231n.stanford.edu), as it is released or sorted into folders for other
//! programs.
//!
//! The images in test/ have no labels, so those in val/ are the test split, as everywhere in the
//! literature. Labels are in the order of the sorted WordNet ids, as torchvision's `ImageFolder`
//! gives them, and not in that of wnids.txt.

use super::image_list::{ImageList, LabelledFiles};
use super::layout::BySplit;
use super::left_out::PassedOver;
use super::release::Release;
use super::walk::{Walk, list};
use astill_core::{Error, Result, files::untrusted};
use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

const RELEASE: Release<'static> = Release {
    name: "tiny-imagenet",
    folder: "tiny-imagenet-200",
    url: "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
};
/// The largest text of the release, words.txt, has 3 MB.
const LARGEST_TEXT: u64 = 64 << 20;
const FILES: [&str; 2] = ["train", "val"];
const ANNOTATIONS: &str = "val/val_annotations.txt";

/// Lists the images in `folder` or in the official folder below it. Classes are in the order of
/// their sorted ids (the folders of train/, which wnids.txt must name too if it is there) and have
/// the first name that words.txt gives them, or their id where it gives none.
///
/// The images of val/ may stand in val/images (with val_annotations.txt), val/images/ID, val/ID or
/// val/ID/images.
///
/// # Errors
/// [`Error::Usage`] if files are missing, [`Error::File`] if an annotation is malformed or of an
/// unknown class.
pub fn find(folder: &Path) -> Result<ImageList> {
    let root = RELEASE.locate(folder, &FILES, Path::exists)?;
    let ids = ids(&root)?;
    let labels: HashMap<&str, i64> = ids.iter().map(String::as_str).zip(0..).collect();
    let mut walk = Walk::default();
    loose(&root, Path::new("train"), "train", &mut walk)?;
    let mut train = LabelledFiles::new();
    for (label, id) in (0i64..).zip(&ids) {
        walk.down(&root, &Path::new("train").join(id), "train", Some(id))?;
        train.extend(walk.images.drain(..).map(|path| (path, label)));
    }
    let test = validation(&root, &labels, &mut walk)?;
    let names = names(&root, &ids)?;
    let images = BySplit {
        train,
        validation: Vec::new(),
        test,
    };
    // boxes and annotations belong to the release
    walk.left_out.retain(|file| !file.name.ends_with(".txt"));
    let passed_over = PassedOver {
        files: walk.left_out,
        notes: Vec::new(),
    };
    Ok(ImageList::of_files(
        root,
        names,
        Some(ids),
        images,
        passed_over,
    ))
}

fn is_empty(folder: &Path) -> Result<bool> {
    let listing = list(folder)?;
    Ok(listing.files.is_empty() && listing.folders.is_empty())
}

/// Notes the images that stand in a folder of folders.
fn loose(root: &Path, folder: &Path, part: &'static str, walk: &mut Walk) -> Result<()> {
    let files = list(&root.join(folder))?.files;
    let reason = "not in the folder of a class";
    walk.leave_out_files(root, folder, &files, part, reason);
    Ok(())
}

/// The ids of the classes, sorted.
///
/// # Errors
/// [`Error::File`] if wnids.txt is malformed, or names other classes than train/ has.
pub fn ids(root: &Path) -> Result<Vec<String>> {
    let folders: Vec<String> = list(&root.join("train"))?.folders.into_keys().collect();
    let path = root.join("wnids.txt");
    if !path.is_file() {
        return Ok(folders);
    }
    let text = read(&path)?;
    let mut ids: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if let Some(odd) = ids.iter().find(|id| !is_name(id)) {
        return Err(Error::file(
            path,
            format!("expected class ids, found {odd:?}; download the file again"),
        ));
    }
    let mut seen = HashSet::new();
    if let Some(twice) = ids.iter().find(|id| !seen.insert(id.as_str())) {
        return Err(Error::file(
            path,
            format!("expected each class id once, found {twice} twice; download the file again"),
        ));
    }
    let is_listed = |folder: &&String| !seen.contains(folder.as_str());
    if let Some(other) = folders.iter().find(is_listed) {
        return Err(Error::file(
            root.join("train").join(other),
            "expected a class id of wnids.txt; remove the folder, or download the data set again",
        ));
    }
    ids.sort_unstable();
    if let Some(absent) = ids.iter().find(|id| folders.binary_search(id).is_err()) {
        return Err(Error::file(
            root.join("train"),
            format!("expected a folder for every id of wnids.txt, found none for {absent}"),
        ));
    }
    Ok(ids)
}

/// The images of val/ with their labels: from the folders of classes, or else by the annotations.
fn validation(root: &Path, labels: &HashMap<&str, i64>, walk: &mut Walk) -> Result<LabelledFiles> {
    for folder in ["val", "val/images"] {
        let path = root.join(folder);
        if !path.is_dir() {
            continue;
        }
        let folders = list(&path)?.folders;
        if !folders.keys().any(|id| labels.contains_key(id.as_str())) {
            continue;
        }
        // where images were sorted, some may have been left where they were
        for holder in ["val", "val/images"] {
            if folder.starts_with(holder) {
                loose(root, Path::new(holder), "test", walk)?;
            }
        }
        let mut images = LabelledFiles::new();
        for id in folders.keys() {
            let below = Path::new(folder).join(id);
            match labels.get(id.as_str()) {
                Some(&label) => {
                    walk.down(root, &below, "test", Some(id))?;
                    images.extend(walk.images.drain(..).map(|path| (path, label)));
                }
                // left behind, and empty, when the images were sorted
                None if is_empty(&root.join(&below))? => {}
                None => {
                    let reason = "not a class of the training images";
                    walk.leave_out_below(root, &below, ("test", None), reason, true)?;
                }
            }
        }
        return Ok(images);
    }
    annotated(root, labels, walk)
}

/// The images of val/images and their labels, in the order of val_annotations.txt: file, class id,
/// and a box, which is not used.
///
/// # Errors
/// [`Error::File`] if a line is malformed, of an unknown class, or names no image.
pub fn annotated(
    root: &Path,
    labels: &HashMap<&str, i64>,
    walk: &mut Walk,
) -> Result<LabelledFiles> {
    let path = root.join(ANNOTATIONS);
    let text = read(&path)?;
    loose(root, Path::new("val"), "test", walk)?;
    for other in list(&root.join("val"))?.folders.into_values().flatten() {
        if other != "images" {
            let reason = "beside val/images, which has the images of the release";
            let below = Path::new("val").join(other);
            walk.leave_out_below(root, &below, ("test", None), reason, true)?;
        }
    }
    walk.down(root, Path::new("val/images"), "test", None)?;
    let mut unnamed: HashSet<PathBuf> = walk.images.drain(..).collect();
    let mut images = LabelledFiles::new();
    let lines = (1..).zip(text.lines());
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
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
        let Some(&label) = labels.get(id.trim()) else {
            return Err(Error::file(
                &path,
                format!("expected a class id of wnids.txt, found \"{id}\" in line {number}"),
            ));
        };
        let image = Path::new("val/images").join(file.trim());
        if !unnamed.remove(&image) {
            return Err(Error::file(
                &path,
                format!(
                    "found {file:?} in line {number}, but that file is not in val/images, or is \
                     named twice; download the data set again"
                ),
            ));
        }
        images.push((image, label));
    }
    let mut unnamed: Vec<PathBuf> = unnamed.into_iter().collect();
    unnamed.sort_unstable();
    for file in unnamed {
        walk.leave_out(&file, "test", None, "not in val_annotations.txt", true);
    }
    Ok(images)
}

/// Whether it names something directly in a folder, and is not a path that leads elsewhere.
fn is_name(text: &str) -> bool {
    matches!(Path::new(text).components().collect::<Vec<_>>().as_slice(), [Component::Normal(only)] if *only == text)
}

/// A readable name per class id. Where two classes share their first name (there are two cranes in
/// ImageNet), the id is added to it.
///
/// # Errors
/// [`Error::Io`] if words.txt cannot be read.
pub fn names(root: &Path, ids: &[String]) -> Result<Vec<String>> {
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
    let mut count: HashMap<&str, usize> = HashMap::new();
    for name in &first {
        *count.entry(name).or_default() += 1;
    }
    let named = first.iter().zip(ids).map(|(name, id)| match count[name] {
        1 => (*name).to_owned(),
        _ => format!("{name} ({id})"),
    });
    Ok(named.collect())
}

/// A text of the release, without the mark that some editors put at its beginning.
fn read(path: &Path) -> Result<String> {
    let text = untrusted::read_text(path, LARGEST_TEXT).map_err(Error::io("read", path))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}
