//! Folders of images, walked down to the last sub-folder.

use super::content::{self, Content};
use super::left_out::{LeftOutFile, relative_name};
use super::parts::{is_junk, normal};
use astill_core::{Error, Result};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The folders of classes and what else there is in a folder.
#[derive(Debug, Default)]
pub struct Listing {
    /// By their name as names are compared: usually one folder.
    pub folders: BTreeMap<String, Vec<String>>,
    /// Files, by name.
    pub files: Vec<PathBuf>,
    /// What systems and programs leave behind.
    pub junk: Vec<String>,
}

/// What is directly in `folder`.
///
/// # Errors
/// [`Error::Io`] if it cannot be listed; [`Error::File`] for a folder whose name is not UTF-8.
pub fn list(folder: &Path) -> Result<Listing> {
    let mut listing = Listing::default();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let path = entry.path();
        match entry.file_name().into_string() {
            Ok(name) if is_junk(&name) => listing.junk.push(name),
            Ok(name) if is_folder(&entry) => {
                listing.folders.entry(normal(&name)).or_default().push(name);
            }
            Err(_) if is_folder(&entry) => {
                return Err(Error::file(path, "its name is not UTF-8; rename it"));
            }
            Ok(_) | Err(_) => listing.files.push(entry.file_name().into()),
        }
    }
    listing.files.sort_unstable();
    listing.junk.sort_unstable();
    Ok(listing)
}

/// Whether an entry is a folder, or a link to one. Only what a link leads to is looked at: the files of
/// a large folder on a slow disk are not.
fn is_folder(entry: &fs::DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if !kind.is_symlink() => kind.is_dir(),
        Ok(_) | Err(_) => entry.path().is_dir(),
    }
}

/// The names of the folders in `folder`, without junk, in any order; those that are not UTF-8, which
/// [`list`] refuses, are passed over. Nothing is made of the files, of which there may be a million.
///
/// # Errors
/// [`Error::Io`] if it cannot be listed.
pub fn folders_in(folder: &Path) -> Result<Vec<String>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        if is_folder(&entry)
            && let Ok(name) = entry.file_name().into_string()
            && !is_junk(&name)
        {
            folders.push(name);
        }
    }
    Ok(folders)
}

/// The files that [`files_below`] has found, and what it passed over.
#[derive(Debug, Default)]
pub struct FilesBelow {
    /// Sorted.
    pub files: Vec<PathBuf>,
    /// Folders that it has not looked into, and files that are not wanted, by name.
    pub passed_over: Vec<LeftOutFile>,
}

/// The files below `root` whose names are wanted. No link leads back, hidden folders are passed over,
/// and folders more than `deepest` folders down are not looked into. Files that describe a set are not
/// counted as passed over.
///
/// # Errors
/// [`Error::Io`] if a folder cannot be listed.
pub fn files_below(
    root: &Path,
    deepest: usize,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<FilesBelow> {
    let mut found = FilesBelow::default();
    let mut open = vec![(root.to_path_buf(), 0)];
    let mut visited = Visited::below(root);
    while let Some((folder, depth)) = open.pop() {
        if visited.enter(&folder)?.is_err() {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(Error::io("list", &folder))? {
            let entry = entry.map_err(Error::io("list", &folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let reason = match (is_junk(&name), is_folder(&entry)) {
                (true, true) => continue,
                (false, true) if depth < deepest => {
                    open.push((entry.path(), depth + 1));
                    continue;
                }
                (false, true) if deepest == 0 => "a folder, which is not looked into".to_owned(),
                (false, true) => format!("a folder more than {deepest} folders down"),
                (false, false) if is_wanted(&name) => {
                    found.files.push(entry.path());
                    continue;
                }
                (true, false) if is_wanted(&name) => HIDDEN.to_owned(),
                (true, false) => continue,
                (false, false) if describes(&name) => continue,
                (false, false) => "not a file of this kind of data set".to_owned(),
            };
            found.passed_over.push(LeftOutFile {
                name: relative_name(root, &entry.path()),
                part: "",
                class: None,
                reason,
                is_lost: false,
            });
        }
    }
    found.files.sort_unstable();
    found
        .passed_over
        .sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Whether a file describes a data set, by its name: README.md, dataset_infos.json, LICENSE.
fn describes(name: &str) -> bool {
    const ENDS: [&str; 11] = [
        "md", "rst", "txt", "pdf", "html", "json", "yaml", "yml", "cff", "py", "bib",
    ];
    match Path::new(name).extension() {
        None => true,
        Some(end) => ENDS.iter().any(|known| end.eq_ignore_ascii_case(known)),
    }
}

/// The folders of a walk, so that no link leads back into it: a folder is gone down once, and never
/// one above where the walk began, which holds other classes or parts.
#[derive(Debug)]
pub struct Visited {
    above: HashSet<FolderId>,
    seen: HashSet<FolderId>,
}

/// Device and number.
type FolderId = (u64, u64);

impl Visited {
    /// For a walk that begins in `folder`.
    pub fn below(folder: &Path) -> Self {
        let real = fs::canonicalize(folder).unwrap_or_default();
        let absolute = std::path::absolute(folder).unwrap_or_default();
        let above = real.ancestors().skip(1).chain(absolute.ancestors().skip(1));
        let above = above.filter_map(|folder| fs::metadata(folder).ok());
        Self {
            above: above.map(|about| (about.dev(), about.ino())).collect(),
            seen: HashSet::new(),
        }
    }

    /// Whether to go down a folder; why not, if not.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read.
    pub fn enter(&mut self, folder: &Path) -> Result<std::result::Result<(), &'static str>> {
        let about = fs::metadata(folder).map_err(Error::io("list", folder))?;
        let id = (about.dev(), about.ino());
        Ok(match (self.above.contains(&id), self.seen.insert(id)) {
            (true, _) => Err("a link to a folder above it"),
            (false, false) => Err("a link to a folder that is here too"),
            (false, true) => Ok(()),
        })
    }
}

/// What a walk has found.
#[derive(Debug, Default)]
pub struct Walk {
    /// The images, relative to the root, folder by folder and by name within each: the order of
    /// torchvision's `ImageFolder`.
    pub images: Vec<PathBuf>,
    pub left_out: Vec<LeftOutFile>,
}

impl Walk {
    /// Walks `root`/`folder`, whose images are of this part and class.
    ///
    /// # Errors
    /// [`Error::Io`] if a folder cannot be listed.
    pub fn down(
        &mut self,
        root: &Path,
        folder: &Path,
        part: &'static str,
        class: Option<&str>,
    ) -> Result<()> {
        let mut open = vec![folder.to_path_buf()];
        let mut found: Vec<PathBuf> = Vec::new();
        let mut visited = Visited::below(&root.join(folder));
        while let Some(folder) = open.pop() {
            let path = root.join(&folder);
            if let Err(reason) = visited.enter(&path)? {
                self.leave_out(&folder, part, class, reason, false);
                continue;
            }
            for entry in fs::read_dir(&path).map_err(Error::io("list", &path))? {
                let entry = entry.map_err(Error::io("list", &path))?;
                let file = folder.join(entry.file_name());
                if is_junk(&entry.file_name().to_string_lossy()) {
                    self.leave_out(&file, part, class, HIDDEN, false);
                } else if is_folder(&entry) {
                    open.push(file);
                } else if self.is_image(root, &file, part, class) {
                    found.push(file);
                }
            }
        }
        let place = |file: &PathBuf| {
            let bytes = |part: Option<&OsStr>| part.unwrap_or_default().as_encoded_bytes().to_vec();
            (
                bytes(file.parent().map(Path::as_os_str)),
                bytes(file.file_name()),
            )
        };
        found.sort_by_cached_key(place);
        self.images.extend(found);
        Ok(())
    }

    /// Whether a file is an image that can be read; what else it is, is noted.
    fn is_image(
        &mut self,
        root: &Path,
        file: &Path,
        part: &'static str,
        class: Option<&str>,
    ) -> bool {
        match content::of_file(&root.join(file)) {
            Content::Image => return true,
            Content::Unread(what) => self.leave_out(file, part, class, &what, true),
            Content::Other(what) => self.leave_out(file, part, class, &what, false),
        }
        false
    }

    /// Notes that a file or folder is not in the data set.
    pub fn leave_out(
        &mut self,
        file: &Path,
        part: &'static str,
        class: Option<&str>,
        reason: &str,
        is_lost: bool,
    ) {
        self.left_out.push(LeftOutFile {
            name: file.display().to_string(),
            part,
            class: class.map(str::to_owned),
            reason: reason.to_owned(),
            is_lost,
        });
    }

    /// Notes that all images below a folder are not in the data set, those in formats that are not read
    /// among them; the folder, if it has none.
    ///
    /// # Errors
    /// [`Error::Io`] if a folder cannot be listed.
    pub fn leave_out_below(
        &mut self,
        root: &Path,
        folder: &Path,
        (part, class): (&'static str, Option<&str>),
        reason: &str,
        is_lost: bool,
    ) -> Result<()> {
        let mut below = Self::default();
        below.down(root, folder, part, class)?;
        for image in &below.images {
            self.leave_out(image, part, class, reason, is_lost);
        }
        let unread = below.left_out.iter().filter(|file| file.is_lost);
        let unread: Vec<&LeftOutFile> = unread.collect();
        if below.images.is_empty() && unread.is_empty() {
            self.leave_out(folder, part, class, reason, is_lost && class.is_some());
        }
        for file in unread {
            self.leave_out(Path::new(&file.name), part, class, &file.reason, is_lost);
        }
        Ok(())
    }

    /// Notes files that stand where images should not be: images among them are lost, but not those in
    /// formats that are not read beside the folders of the parts, such as a logo.
    pub fn leave_out_files(
        &mut self,
        root: &Path,
        folder: &Path,
        files: &[PathBuf],
        part: &'static str,
        reason: &str,
    ) {
        for file in files {
            let file = folder.join(file);
            match content::of_file(&root.join(&file)) {
                Content::Image => self.leave_out(&file, part, None, reason, true),
                Content::Unread(what) => {
                    self.leave_out(&file, part, None, &what, !part.is_empty());
                }
                // what stands beside the folders describes the set
                Content::Other(_) => {}
            }
        }
    }
}

/// Why junk is left out.
pub const HIDDEN: &str = "hidden, or left by another program";
