//! Image files in one folder per class, below folders of parts (`train/CLASS/*`, `val/CLASS/*`,
//! `test/CLASS/*`, in any usual spelling) or without parts (`CLASS/*`).

use super::image_list::{ImageList, LabelledFiles};
use super::layout::{BySplit, MissingFiles};
use super::left_out::PassedOver;
use super::parts::{Part, normal, part, part_within};
use super::walk::{HIDDEN, Listing, Walk, folders_in, list};
use astill_core::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// How many folders with nothing but one folder in them are gone down.
const DEEPEST: usize = 4;

/// The folders of the classes of one part, as names are compared, and relative to the root.
type ClassFolders = Vec<(String, PathBuf)>;

/// What is where.
#[derive(Debug)]
struct Arrangement {
    root: PathBuf,
    /// The folders of the training images, relative to the root: several where each has other classes,
    /// "" without parts.
    train: Vec<PathBuf>,
    /// The folder of each other part that is used, likewise.
    validation: Option<PathBuf>,
    test: Option<PathBuf>,
    walk: Walk,
    notes: Vec<String>,
}

/// Lists `folder`, or, if that holds nothing but one folder, the folder in it. Classes are the
/// sub-folders of the training part, sorted by name as they are spelled there.
///
/// # Errors
/// [`Error::Usage`] if there are no folders of classes; [`Error::File`] for test images of a class
/// without training ones.
pub fn find(folder: &Path) -> Result<ImageList> {
    let Arrangement {
        root,
        train,
        validation,
        test,
        mut walk,
        mut notes,
    } = arrange(folder)?;
    let mut classes = ClassFolders::new();
    for folder in &train {
        classes.extend(class_folders(&root, folder, Part::Train.name(), &mut walk)?);
    }
    sort_by_name(&mut classes);
    let names: Vec<String> = distinct(&classes);
    let label_of = (0i64..).zip(&names);
    let label_of: HashMap<&str, i64> = label_of
        .map(|(label, name)| (name.as_str(), label))
        .collect();
    let train = labelled(&root, &classes, &label_of, Part::Train, &mut walk)?;
    let mut hold = |folder: Option<PathBuf>, part: Part| -> Result<LabelledFiles> {
        let Some(folder) = folder else {
            return Ok(Vec::new());
        };
        let found = class_folders(&root, &folder, part.name(), &mut walk)?;
        labelled(&root, &found, &label_of, part, &mut walk)
    };
    let images = BySplit {
        train,
        validation: hold(validation, Part::Validation)?,
        test: hold(test, Part::Test)?,
    };
    let hidden = walk.left_out.iter().filter(|file| file.reason == HIDDEN);
    let hidden = hidden.count();
    if hidden > 0 {
        let are = match hidden {
            1 => "file or folder that is hidden, or was left by another program, is",
            _ => "files or folders that are hidden, or were left by other programs, are",
        };
        notes.push(format!("{hidden} {are} passed over"));
    }
    let passed_over = PassedOver {
        files: walk.left_out,
        notes,
    };
    Ok(ImageList::of_files(root, names, None, images, passed_over))
}

/// Finds the folders of the parts.
fn arrange(folder: &Path) -> Result<Arrangement> {
    if !folder.is_dir() {
        return Err(absent(folder, "that folder does not exist"));
    }
    let (mut root, mut notes) = (folder.to_path_buf(), Vec::new());
    for _ in 0..DEEPEST {
        let listing = list(&root)?;
        let parts = parts(&root, &listing)?;
        let train = training(&root, &parts)?;
        if !train.is_empty() {
            return with_parts(root, &listing, &parts, &train, notes);
        }
        let folders: Vec<&String> = listing.folders.values().flatten().collect();
        match (with_train(&root, &folders)?.as_slice(), folders.as_slice()) {
            ([below], _) => {
                if folders.len() > 1 || has_images(&root, &listing) {
                    notes.push(format!(
                        "{below} is read; what is beside it in {} is not part of the data set",
                        root.display()
                    ));
                }
                root.push(below);
            }
            ([one, other, ..], _) => {
                let found = format!("two folders in it have training images, {one} and {other}");
                return Err(absent(folder, &found));
            }
            ([], [only]) if !has_images(&root, &listing) => root.push(only),
            ([], [_, ..]) => return without_parts(root, &listing, &parts),
            ([], []) => break,
        }
    }
    let found = format!("{} has no folders of classes", root.display());
    Err(absent(folder, &found))
}

fn absent(folder: &Path, found: &str) -> Error {
    MissingFiles {
        name: "image-folder",
        folder,
        expected: "train/CLASS/*, and test/CLASS/* or val/CLASS/*, or CLASS/* without parts, there \
                   or in its only subfolder",
        found,
        remedy: "Put one folder of images per class there",
    }
    .into_error()
}

/// The folders that are named after a part and hold folders themselves: a class may be called
/// "test" too. Where none is that of the training images, and every folder has a part among the words of
/// its name, those.
fn parts(root: &Path, listing: &Listing) -> Result<Vec<(Part, String)>> {
    let named = |part: fn(&str) -> Option<Part>| -> Result<Vec<(Part, String)>> {
        let mut found = Vec::new();
        for name in listing.folders.values().flatten() {
            if let Some(part) = part(name)
                && !folders_in(&root.join(name))?.is_empty()
            {
                found.push((part, name.clone()));
            }
        }
        Ok(found)
    };
    let found = named(part)?;
    if found.iter().any(|(part, _)| *part == Part::Train) {
        return Ok(found);
    }
    let within = named(part_within)?;
    let is_train = |(part, _): &&(Part, String)| *part == Part::Train;
    let trains = within.iter().filter(is_train).count();
    let all = listing.folders.values().flatten().count();
    match trains > 0 && within.len() > 1 && within.len() == all {
        true => Ok(within),
        false => Ok(found),
    }
}

/// The folder of a part, from the root on: where it holds nothing but a folder of the same name or part,
/// as some archives unpack, that one.
fn innermost(root: &Path, name: &str, of: Part, walk: &mut Walk) -> Result<PathBuf> {
    let mut path = PathBuf::from(name);
    for _ in 0..DEEPEST {
        let listing = list(&root.join(&path))?;
        let folders: Vec<&String> = listing.folders.values().flatten().collect();
        let [only] = folders.as_slice() else { break };
        let is_same = part_within(only) == Some(of) || normal(only) == normal(name);
        if !is_same || has_images(&root.join(&path), &listing) {
            break;
        }
        note_rest(root, &path, &listing, of.name(), walk);
        path.push(only);
    }
    Ok(path)
}

/// The only folder of a part.
fn one(root: &Path, parts: &[(Part, String)], part: Part) -> Result<Option<String>> {
    let names: Vec<&str> = parts
        .iter()
        .filter(|(of, _)| *of == part)
        .map(|(_, name)| name.as_str())
        .collect();
    match names.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some((*only).to_owned())),
        [..] => Err(Error::file(
            root,
            format!(
                "expected one folder of {} images, found {}; move or rename all but one",
                part.name(),
                names.join(" and ")
            ),
        )),
    }
}

/// The folders of the training images: one, or several that have no class in common, as
/// `train.X1` and `train.X2` of a set in several archives.
fn training(root: &Path, parts: &[(Part, String)]) -> Result<Vec<String>> {
    let of_train = parts.iter().filter(|(part, _)| *part == Part::Train);
    let names: Vec<String> = of_train.map(|(_, name)| name.clone()).collect();
    if names.len() > 1 {
        let mut classes = HashSet::new();
        for name in &names {
            let inner = innermost(root, name, Part::Train, &mut Walk::default())?;
            let mut folders = folders_in(&root.join(inner))?.into_iter();
            if !folders.all(|class| classes.insert(normal(&class))) {
                one(root, parts, Part::Train)?;
            }
        }
    }
    Ok(names)
}

/// Those of `folders` that have training images.
fn with_train(root: &Path, folders: &[&String]) -> Result<Vec<String>> {
    let mut with_train = Vec::new();
    for name in folders {
        let below = root.join(name);
        for inner in folders_in(&below)? {
            let is_train = part(&inner) == Some(Part::Train);
            if is_train && !folders_in(&below.join(inner))?.is_empty() {
                with_train.push((*name).clone());
                break;
            }
        }
    }
    Ok(with_train)
}

fn has_images(root: &Path, listing: &Listing) -> bool {
    use super::content::{Content, of_file};
    let mut files = listing.files.iter();
    files.any(|file| of_file(&root.join(file)) == Content::Image)
}

/// A set with a folder of training images.
fn with_parts(
    root: PathBuf,
    listing: &Listing,
    parts: &[(Part, String)],
    train: &[String],
    mut notes: Vec<String>,
) -> Result<Arrangement> {
    let mut walk = Walk::default();
    note_rest(&root, Path::new(""), listing, "", &mut walk);
    let mut train_paths = Vec::new();
    let mut of_train = HashSet::new();
    for name in train {
        let path = innermost(&root, name, Part::Train, &mut walk)?;
        let classes = folders_in(&root.join(&path))?.into_iter();
        of_train.extend(classes.map(|class| normal(&class)));
        train_paths.push(path);
    }
    let mut labelled = |part: Part| -> Result<Option<PathBuf>> {
        let Some(name) = one(&root, parts, part)? else {
            return Ok(None);
        };
        let path = innermost(&root, &name, part, &mut walk)?;
        let mut folders = folders_in(&root.join(&path))?.into_iter();
        if folders.any(|class| of_train.contains(&normal(&class))) {
            return Ok(Some(path));
        }
        // a challenge that withholds its labels
        let reason = "its folders are not classes of the training images";
        walk.leave_out_below(&root, Path::new(&name), (part.name(), None), reason, false)?;
        notes.push(format!("{name} is left out, because {reason}"));
        Ok(None)
    };
    let (validation, test) = (labelled(Part::Validation)?, labelled(Part::Test)?);
    if !notes.is_empty() && root.join("wnids.txt").is_file() {
        notes.push("it looks like Tiny ImageNet, which dataset.kind: tiny-imagenet reads".into());
    }
    let (validation, test) = match (validation, test) {
        (Some(validation), None) => {
            let name = validation.display();
            notes.push(format!("the test images are those of {name}"));
            (None, Some(validation))
        }
        (Some(validation), Some(test)) => {
            let (choose, judge) = (validation.display(), test.display());
            notes.push(format!(
                "{choose} chooses the best iteration, {judge} judges it; no training images are held \
                 out"
            ));
            (Some(validation), Some(test))
        }
        other => other,
    };
    for name in listing.folders.values().flatten() {
        if parts.iter().any(|(_, part)| part == name) {
            continue;
        }
        match part(name) {
            // that of a challenge: whatever else it holds, no labels
            Some(Part::Test | Part::Validation) => {
                let reason = "it has no folders of classes, so its images have no labels";
                walk.leave_out_below(&root, Path::new(name), ("", None), reason, false)?;
                notes.push(format!("{name} is left out, because {reason}"));
            }
            // they may be classes, where the folder of the training images is one too
            _ => {
                let reason = "in a folder that is not a part of the set";
                walk.leave_out_below(&root, Path::new(name), ("", None), reason, true)?;
            }
        }
    }
    if train.len() > 1 {
        let all = train.join(", ");
        notes.push(format!(
            "{all}, which have no class in common, are the training images together"
        ));
    }
    let named = parts
        .iter()
        .filter(|(of, _)| *of != Part::Train || train.len() == 1);
    for (part, name) in named.filter(|(_, name)| part(name).is_none()) {
        notes.push(format!("{name} is taken for the {} images", part.name()));
    }
    Ok(Arrangement {
        train: train_paths,
        validation,
        test,
        root,
        walk,
        notes,
    })
}

/// A set whose folders are its classes.
fn without_parts(
    root: PathBuf,
    listing: &Listing,
    parts: &[(Part, String)],
) -> Result<Arrangement> {
    if let [(_, name), ..] = parts {
        return Err(absent(
            &root,
            &format!("it has {name}, but no folder of training images"),
        ));
    }
    // in a folder of training images, they are classes
    let is_part = root.file_name().is_some_and(is_train);
    let named: Vec<(Part, &String)> = listing
        .folders
        .values()
        .flatten()
        .filter(|_| !is_part)
        .filter_map(|name| Some((part(name)?, name)))
        .collect();
    if let Some((_, other)) = named.iter().find(|(part, _)| *part != named[0].0) {
        let found = format!(
            "its folders {} and {other} are named after parts, but have no folders of classes in them",
            named[0].1
        );
        return Err(absent(&root, &found));
    }
    let repeated = repeated_below(&root, listing)?;
    if let Some(below) = &repeated
        && below.iter().any(|name| part(name).is_some())
    {
        let found = format!(
            "its folders of classes hold {} each, so that training and test images of a class would be \
             mixed",
            below.join(" and ")
        );
        return Err(absent(&root, &found));
    }
    let repeated = repeated.map(|below| {
        format!(
            "all folders hold folders of the same names ({}); should these be the classes, rename the folders \
             above them after their parts, train and test",
            below.join(", ")
        )
    });
    let beside = root.parent().map(Path::to_path_buf);
    let mut notes = match beside.filter(|_| root.file_name().is_some_and(is_train)) {
        Some(above) => vec![format!(
            "{} is read alone; to use the other parts in {}, set dataset.path to that folder",
            root.display(),
            above.display()
        )],
        None => Vec::new(),
    };
    notes.extend(repeated);
    Ok(Arrangement {
        root,
        train: vec![PathBuf::new()],
        validation: None,
        test: None,
        walk: Walk::default(),
        notes,
    })
}

/// The names of the folders in the folders of the classes, where all have the same ones, at least two.
fn repeated_below(root: &Path, listing: &Listing) -> Result<Option<Vec<String>>> {
    let mut all: Option<Vec<String>> = None;
    for name in listing.folders.values().flatten() {
        let mut below = folders_in(&root.join(name))?;
        below.sort_unstable();
        let is_same = all.as_ref().is_none_or(|all| *all == below);
        if below.len() < 2 || !is_same {
            return Ok(None);
        }
        all = Some(below);
    }
    Ok(all)
}

fn is_train(name: &std::ffi::OsStr) -> bool {
    part(&name.to_string_lossy()) == Some(Part::Train)
}

/// Notes junk, and images that are in no folder of a class.
fn note_rest(root: &Path, folder: &Path, listing: &Listing, part: &'static str, walk: &mut Walk) {
    for junk in &listing.junk {
        walk.leave_out(&folder.join(junk), part, None, HIDDEN, false);
    }
    let reason = "not in the folder of a class";
    walk.leave_out_files(root, folder, &listing.files, part, reason);
}

/// The folders of classes in a part, in the order of torchvision: by their names as they are spelled.
fn class_folders(
    root: &Path,
    folder: &Path,
    part: &'static str,
    walk: &mut Walk,
) -> Result<ClassFolders> {
    let listing = list(&root.join(folder))?;
    note_rest(root, folder, &listing, part, walk);
    let mut classes = ClassFolders::new();
    for (class, names) in listing.folders {
        let folders = names.into_iter().map(|name| folder.join(name));
        classes.extend(folders.map(|folder| (class.clone(), folder)));
    }
    sort_by_name(&mut classes);
    Ok(classes)
}

fn sort_by_name(classes: &mut ClassFolders) {
    classes.sort_by(|(_, one), (_, other)| one.file_name().cmp(&other.file_name()));
}

fn distinct(classes: &ClassFolders) -> Vec<String> {
    let mut seen = HashSet::new();
    let names = classes.iter().map(|(class, _)| class);
    names.filter(|name| seen.insert(*name)).cloned().collect()
}

/// The images of these folders, with the label of each.
fn labelled(
    root: &Path,
    folders: &ClassFolders,
    label_of: &HashMap<&str, i64>,
    part: Part,
    walk: &mut Walk,
) -> Result<LabelledFiles> {
    let mut images = Vec::new();
    for (class, folder) in folders {
        let Some(&label) = label_of.get(class.as_str()) else {
            let reason = "not a class of the training images";
            walk.leave_out_below(root, folder, (part.name(), Some(class)), reason, true)?;
            continue;
        };
        walk.down(root, folder, part.name(), Some(class))?;
        images.extend(walk.images.drain(..).map(|path| (path, label)));
    }
    Ok(images)
}
