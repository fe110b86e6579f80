//! Image files with a label each, decoded on several threads or read from the cache.

use super::cache;
use super::decode::{self, CHANNELS};
use super::layout::{BySplit, LabelledPixels, Labelling, Layout};
use super::pixels::Pixels;
use super::request::DatasetRequest;
use crate::progress::{Watch, report};
use astill_core::profile::Unreadable;
use astill_core::{Error, Result};
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// How many unreadable images an error names.
const NAMED: usize = 5;

/// The speed of decoding is measured on at most this many images, until it has taken long enough.
const SAMPLED: usize = 512;
const LONG_ENOUGH: Duration = Duration::from_millis(200);

/// An image file that cannot be read, and why.
#[derive(Debug)]
struct UnreadableImage {
    /// Its place in its split.
    index: usize,
    problem: String,
}

/// The image files of a data set, with their labels.
#[derive(Debug)]
pub struct ImageList {
    root: PathBuf,
    /// Relative to `root`, in the order of the labels.
    files: BySplit<Vec<PathBuf>>,
    labelling: Labelling,
}

impl ImageList {
    /// Of the files (relative to `root`) of each split, with their labels.
    pub fn new(root: PathBuf, classes: Vec<String>, images: BySplit<Vec<(PathBuf, i64)>>) -> Self {
        let (train, train_labels) = images.train.into_iter().unzip();
        let (test, test_labels) = images.test.into_iter().unzip();
        let labels = BySplit {
            train: train_labels,
            test: test_labels,
        };
        Self {
            root,
            files: BySplit { train, test },
            labelling: Labelling { classes, labels },
        }
    }

    fn len(&self) -> usize {
        self.files.train.len() + self.files.test.len()
    }

    /// The key of the cache: it changes with the folder, the name, length and time of any file, and
    /// the size.
    fn key(&self, size: usize) -> Result<String> {
        let mut key = blake3::Hasher::new_derive_key("astill decoded images 1");
        let root = fs::canonicalize(&self.root).map_err(Error::io("find", &self.root))?;
        let mut text = |bytes: &[u8]| {
            key.update(&(bytes.len() as u64).to_le_bytes());
            key.update(bytes);
        };
        text(root.as_os_str().as_encoded_bytes());
        text(&(size as u64).to_le_bytes());
        for file in self.files.as_ref().into_iter().flatten() {
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

    /// All pixels, and the images that cannot be read, whose pixels are undefined.
    fn decode(
        &self,
        size: usize,
        watch: &mut Watch<'_>,
    ) -> Result<(BySplit<Pixels>, BySplit<Vec<UnreadableImage>>)> {
        let decoder = decode::Decoder::default();
        let mut pixels = self
            .files
            .as_ref()
            .try_map(|files| Pixels::black(files.len(), CHANNELS, size))?;
        let (mut done, total) = (0, self.len() as u64);
        let splits = self.files.as_ref().zip(pixels.as_mut());
        let unreadable = splits.try_map(|(files, pixels)| {
            let image = pixels.bytes_per_image();
            let mut unreadable = Vec::new();
            let chunks = files
                .chunks(decode::CHUNK)
                .zip(pixels.bytes_mut().chunks_mut(decode::CHUNK * image));
            for (chunk, (files, pixels)) in chunks.enumerate() {
                report(watch, "images read", done, total)?;
                let images = files.par_iter().zip(pixels.par_chunks_exact_mut(image));
                let problems = images.enumerate().filter_map(|(index, (file, pixels))| {
                    let problem = decoder.decode(&self.root.join(file), size, pixels).err()?;
                    let index = chunk * decode::CHUNK + index;
                    Some(UnreadableImage { index, problem })
                });
                unreadable.extend(problems.collect::<Vec<_>>());
                done += files.len() as u64;
            }
            Ok(unreadable)
        })?;
        report(watch, "images read", done, total)?;
        Ok((pixels, unreadable))
    }

    /// How many images cannot be read, and the first of them.
    fn describe(&self, unreadable: &BySplit<Vec<UnreadableImage>>) -> String {
        let count = unreadable.train.len() + unreadable.test.len();
        let splits = self.files.as_ref().zip(unreadable.as_ref()).into_iter();
        let named = splits
            .flat_map(|(files, unreadable)| unreadable.iter().map(move |image| (files, image)))
            .take(NAMED)
            .map(|(files, image)| format!("{} ({})", files[image.index].display(), image.problem))
            .collect::<Vec<_>>()
            .join(", ");
        let more = if count > NAMED { ", …" } else { "" };
        format!(
            "{count} of {} images cannot be read: {named}{more}",
            self.len()
        )
    }
}

impl Layout for ImageList {
    fn labelling(&self) -> &Labelling {
        &self.labelling
    }

    /// From the cache, or decoded. Both the error and the report of unreadable images count them
    /// and name the first; without those images nothing is cached.
    fn read(
        mut self: Box<Self>,
        request: &DatasetRequest,
        watch: &mut Watch<'_>,
    ) -> Result<LabelledPixels> {
        let size = request.size as usize;
        let path = request
            .cache
            .join(format!("images-{}.safetensors", self.key(size)?));
        let shapes = self
            .files
            .as_ref()
            .try_map(|files| Ok([files.len(), CHANNELS, size, size]))?;
        let was_there = path.exists();
        if let Some(pixels) = cache::read_pixels(&path, &shapes) {
            return Ok(LabelledPixels::new(self.labelling, pixels));
        }
        let (mut pixels, unreadable) = self.decode(size, watch)?;
        if unreadable.as_ref().into_iter().all(Vec::is_empty) {
            let is_written = cache::write_pixels(&path, &pixels);
            return Ok(LabelledPixels {
                damaged_cache: (was_there && is_written).then_some(path),
                ..LabelledPixels::new(self.labelling, pixels)
            });
        }
        let found = self.describe(&unreadable);
        match request.unreadable {
            Unreadable::Refuse => Err(Error::file(
                &self.root,
                format!(
                    "{found}; replace or remove them, or set dataset.unreadable: skip to continue \
                     without them"
                ),
            )),
            Unreadable::Skip => {
                let labels = self.labelling.labels.as_mut();
                for ((unreadable, labels), pixels) in unreadable.zip(labels).zip(pixels.as_mut()) {
                    leave_out(&unreadable, labels, pixels);
                }
                let root = self.root.display();
                let left_out = format!("{root}: {found}; the run continues without them");
                Ok(LabelledPixels {
                    left_out: Some(left_out),
                    ..LabelledPixels::new(self.labelling, pixels)
                })
            }
        }
    }

    /// Images that cannot be read count like the others.
    fn seconds_to_decode(&self, size: usize) -> f64 {
        let files: Vec<&PathBuf> = self.files.as_ref().into_iter().flatten().collect();
        let sample: Vec<&PathBuf> = files
            .iter()
            .step_by(files.len().div_ceil(SAMPLED).max(1))
            .copied()
            .collect();
        let decoder = decode::Decoder::default();
        let (mut done, begin) = (0, Instant::now());
        for some in sample.chunks(4 * rayon::current_num_threads()) {
            some.par_iter().for_each(|file| {
                // only the time matters here
                let _ = decoder.decode(
                    &self.root.join(file),
                    size,
                    &mut vec![0; CHANNELS * size * size],
                );
            });
            done += some.len();
            if begin.elapsed() > LONG_ENOUGH {
                break;
            }
        }
        begin.elapsed().as_secs_f64() * files.len() as f64 / done.max(1) as f64
    }
}

/// Removes unreadable images from a split.
fn leave_out(unreadable: &[UnreadableImage], labels: &mut Vec<i64>, pixels: &mut Pixels) {
    let mut is_kept = vec![true; labels.len()];
    for image in unreadable {
        is_kept[image.index] = false;
    }
    let mut keep = is_kept.iter();
    labels.retain(|_| keep.next().is_none_or(|is_kept| *is_kept));
    pixels.retain(&is_kept);
}

/// The images (PNG or JPEG by name) directly in `root`/`folder`, relative to `root`, sorted; hidden
/// files are left out.
pub fn images_in(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
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
pub fn folders(folder: &Path) -> Result<Vec<String>> {
    names(folder, |path| path.is_dir())
}

fn names(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let Ok(name) = entry.file_name().into_string() else {
            return Err(Error::file(
                entry.path(),
                "its name is not UTF-8; rename it",
            ));
        };
        if !name.starts_with('.') && wanted(&entry.path()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
