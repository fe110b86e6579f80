//! Image files in a folder per class: `train/CLASS/*` and `test/CLASS/*` or else `val/CLASS/*`.

use super::source::{Found, Labels, Pixels, missing};
use super::{Unreadable, cache, decode};
use crate::progress::{Watch, report};
use astill_core::{Error, Result};
use rayon::prelude::*;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// How many unreadable images an error names.
const NAMED: usize = 5;

/// To know how long decoding takes, at most so many images are decoded, until it has taken long
/// enough.
const SAMPLED: usize = 512;
const LONG_ENOUGH: Duration = Duration::from_millis(200);

/// A file, relative to the root, that is no image, and why.
#[derive(Debug)]
struct Flaw {
    file: PathBuf,
    problem: String,
}

/// The image files of a data set, with their labels.
#[derive(Debug)]
pub struct Listing {
    root: PathBuf,
    /// Relative to `root`, in the order of the labels.
    train: Vec<PathBuf>,
    test: Vec<PathBuf>,
    labels: Labels,
}

impl Listing {
    /// Lists `folder`, or, if it has no train/, its only sub-folder that has one. Classes are the
    /// sub-folders of train/, sorted by name.
    ///
    /// [`Error::Usage`] if there is no train/ or neither test/ nor val/; [`Error::File`] for test
    /// images of a class without training ones.
    pub fn find(folder: &Path) -> Result<Self> {
        let absent = |found: &str| {
            missing(
                "image-folder",
                folder,
                "train/CLASS/*.png or *.jpg and test/CLASS/* or val/CLASS/*, there or in its only \
                 sub-folder",
                found,
                "Put one folder of images per class there",
            )
        };
        if !folder.is_dir() {
            return Err(absent("there is no such folder"));
        }
        let root = root_with(folder, "train")?.ok_or_else(|| absent("it has no folder train"))?;
        // a test folder without classes, as of a challenge that keeps its labels to itself, does
        // not hide val
        let with_classes = ["test", "val"]
            .into_iter()
            .find(|name| folders(&root.join(name)).is_ok_and(|classes| !classes.is_empty()));
        let Some(test_folder) = with_classes else {
            return Err(absent(&format!(
                "{} has train, but neither test nor val with folders of classes in it",
                root.display()
            )));
        };
        let classes = folders(&root.join("train"))?;
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for (label, class) in (0i64..).zip(&classes) {
            train.extend(
                images(&root, &Path::new("train").join(class))?
                    .into_iter()
                    .map(|path| (path, label)),
            );
        }
        for class in folders(&root.join(test_folder))? {
            let Ok(label) = classes.binary_search(&class) else {
                let path = root.join(test_folder).join(&class);
                return Err(Error::file(
                    path,
                    format!(
                        "expected a class of {}, found one that is not there",
                        root.join("train").display()
                    ),
                ));
            };
            test.extend(
                images(&root, &Path::new(test_folder).join(&class))?
                    .into_iter()
                    .map(|path| (path, label as i64)),
            );
        }
        Ok(Self::new(root, classes, train, test))
    }

    /// Of files (relative to `root`) and their labels.
    pub fn new(
        root: PathBuf,
        classes: Vec<String>,
        train: Vec<(PathBuf, i64)>,
        test: Vec<(PathBuf, i64)>,
    ) -> Self {
        let ((train, train_labels), (test, test_labels)) =
            (train.into_iter().unzip(), test.into_iter().unzip());
        Self {
            root,
            train,
            test,
            labels: Labels {
                classes,
                train: train_labels,
                test: test_labels,
            },
        }
    }

    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The images at `size` × `size` pixels, from the cache or decoded. Those that cannot be read
    /// are an error or, as `unreadable` says, left out of the listing too; both name the first and
    /// say how many they are. Without them nothing is kept in the cache.
    pub fn read(
        &mut self,
        size: usize,
        unreadable: Unreadable,
        cache: &Path,
        watch: &mut Watch<'_>,
    ) -> Result<Found> {
        let path = cache.join(format!("images-{}.safetensors", self.key(size)?));
        let damaged_cache = path.exists().then(|| path.clone());
        if let Some(pixels) = cache::read_pixels(&path, [self.train.len(), self.test.len()], size) {
            return Ok(pixels.into());
        }
        let (mut pixels, flaws) = self.decode(size, watch)?;
        if flaws.is_empty() {
            let is_written = cache::write_pixels(&path, &pixels, size);
            return Ok(Found {
                pixels,
                left_out: None,
                damaged_cache: damaged_cache.filter(|_| is_written),
            });
        }
        let (count, total) = (flaws.len(), self.train.len() + self.test.len());
        let named = flaws
            .iter()
            .take(NAMED)
            .map(|f| format!("{} ({})", f.file.display(), f.problem))
            .collect::<Vec<_>>()
            .join(", ");
        let more = if count > NAMED { ", …" } else { "" };
        let found = format!("{count} of {total} images cannot be read: {named}{more}");
        match unreadable {
            Unreadable::Refuse => {
                let remedy =
                    "replace or remove them, or go on without them by dataset.unreadable: skip";
                Err(Error::file(&self.root, format!("{found}; {remedy}")))
            }
            Unreadable::Skip => {
                let flawed: HashSet<PathBuf> = flaws.into_iter().map(|f| f.file).collect();
                leave_out(
                    &flawed,
                    &mut self.train,
                    &mut self.labels.train,
                    &mut pixels.train,
                );
                leave_out(
                    &flawed,
                    &mut self.test,
                    &mut self.labels.test,
                    &mut pixels.test,
                );
                let left_out = Some(format!(
                    "{}: {found}; the run goes on without them",
                    self.root.display()
                ));
                Ok(Found {
                    pixels,
                    left_out,
                    damaged_cache: None,
                })
            }
        }
    }

    /// How many seconds the decoding of all images takes, as some of them take it now. Those that
    /// cannot be read count like others.
    pub fn seconds_to_decode(&self, size: usize) -> f64 {
        let files: Vec<&PathBuf> = self.train.iter().chain(&self.test).collect();
        let sample: Vec<&PathBuf> = files
            .iter()
            .step_by(files.len().div_ceil(SAMPLED).max(1))
            .copied()
            .collect();
        let decoder = decode::Decoder::default();
        let (mut done, begin) = (0, Instant::now());
        for some in sample.chunks(4 * rayon::current_num_threads()) {
            some.par_iter().for_each(|file| {
                // whether it is an image is not asked here
                let _ = decoder.decode(&self.root.join(file), size, &mut vec![0; 3 * size * size]);
            });
            done += some.len();
            if begin.elapsed() > LONG_ENOUGH {
                break;
            }
        }
        begin.elapsed().as_secs_f64() * files.len() as f64 / done.max(1) as f64
    }

    /// Changes with the folder, the name, length and time of any file, and the size.
    fn key(&self, size: usize) -> Result<String> {
        let mut key = blake3::Hasher::new_derive_key("astill decoded images 1");
        let root = fs::canonicalize(&self.root).map_err(Error::io("find", &self.root))?;
        let mut text = |bytes: &[u8]| {
            key.update(&(bytes.len() as u64).to_le_bytes());
            key.update(bytes);
        };
        text(root.as_os_str().as_encoded_bytes());
        text(&(size as u64).to_le_bytes());
        for file in self.train.iter().chain(&self.test) {
            let path = self.root.join(file);
            let about = fs::metadata(&path).map_err(Error::io("read", &path))?;
            let time = about
                .modified()
                .ok()
                .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
                .unwrap_or_default();
            text(file.as_os_str().as_encoded_bytes());
            text(&about.len().to_le_bytes());
            text(&time.as_nanos().to_le_bytes());
        }
        Ok(key.finalize().to_hex()[..32].to_owned())
    }

    /// All pixels, those of images that cannot be read being anything.
    fn decode(&self, size: usize, watch: &mut Watch<'_>) -> Result<(Pixels, Vec<Flaw>)> {
        let decoder = decode::Decoder::default();
        let image = 3 * size * size;
        let mut pixels = Pixels {
            train: vec![0; self.train.len() * image],
            test: vec![0; self.test.len() * image],
        };
        let (mut done, total) = (0, (self.train.len() + self.test.len()) as u64);
        let mut unreadable = Vec::new();
        for (files, pixels) in [
            (&self.train, &mut pixels.train),
            (&self.test, &mut pixels.test),
        ] {
            for (files, pixels) in files
                .chunks(decode::CHUNK)
                .zip(pixels.chunks_mut(decode::CHUNK * image))
            {
                report(watch, "images read", done, total)?;
                let problems = files
                    .par_iter()
                    .zip(pixels.par_chunks_exact_mut(image))
                    .filter_map(|(file, pixels)| {
                        let problem = decoder.decode(&self.root.join(file), size, pixels).err()?;
                        Some(Flaw {
                            file: file.clone(),
                            problem,
                        })
                    });
                unreadable.extend(problems.collect::<Vec<_>>());
                done += files.len() as u64;
            }
        }
        report(watch, "images read", done, total)?;
        Ok((pixels, unreadable))
    }
}

/// Takes the images of `flawed` files out of a split, of which every image has equally many bytes
/// of pixels.
fn leave_out(
    flawed: &HashSet<PathBuf>,
    files: &mut Vec<PathBuf>,
    labels: &mut Vec<i64>,
    pixels: &mut Vec<u8>,
) {
    let image = pixels.len().checked_div(files.len()).unwrap_or(0);
    let mut kept = 0;
    for index in 0..files.len() {
        if !flawed.contains(&files[index]) {
            files.swap(kept, index);
            labels.swap(kept, index);
            pixels.copy_within(index * image..(index + 1) * image, kept * image);
            kept += 1;
        }
    }
    files.truncate(kept);
    labels.truncate(kept);
    pixels.truncate(kept * image);
}

/// `folder` if it holds a folder `name`, or else the only one of its sub-folders that does.
pub fn root_with(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    if folder.join(name).is_dir() {
        return Ok(Some(folder.to_path_buf()));
    }
    let mut below = folders(folder)?
        .into_iter()
        .map(|sub| folder.join(sub))
        .filter(|sub| sub.join(name).is_dir());
    Ok(below.next().filter(|_| below.next().is_none()))
}

/// The images (PNG or JPEG by name) right in `root`/`folder`, relative to `root`, sorted; hidden
/// files are left out.
pub fn images(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let is_image = |name: &str| {
        let extension = Path::new(name).extension().unwrap_or_default();
        ["png", "jpg", "jpeg"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    };
    let names = names(&root.join(folder), |path| path.is_file())?;
    Ok(names
        .into_iter()
        .filter(|name| is_image(name))
        .map(|name| folder.join(name))
        .collect())
}

/// The names of the folders in `folder`, sorted; hidden ones are left out.
fn folders(folder: &Path) -> Result<Vec<String>> {
    names(folder, |path| path.is_dir())
}

fn names(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let Ok(name) = entry.file_name().into_string() else {
            return Err(Error::file(
                entry.path(),
                "expected a name in UTF-8; rename it",
            ));
        };
        if !name.starts_with('.') && wanted(&entry.path()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
