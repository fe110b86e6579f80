//! Encoded images with a label each, decoded on several threads or read from the cache.

use super::cache;
use super::decode::{self, Decoder, Form};
use super::facts::{self, ImageFacts};
use super::image_source::{Files, ImageSource};
use super::layout::{BySplit, Labelling, Layout, ReadImages, Surveyed, UnreadableImage};
use super::left_out::PassedOver;
use super::pixels::Pixels;
use super::request::DatasetRequest;
use crate::progress::{Watch, report};
use astill_core::profile::Color;
use astill_core::{Error, Result};
use rayon::prelude::*;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The speed of decoding is measured on at most this many images, until it has taken long enough.
const SAMPLED: usize = 512;
const LONG_ENOUGH: Duration = Duration::from_millis(200);

/// Whether a set is grey is decided by at most this many images of each split.
const LOOKED_AT: usize = 32;

/// The encoded images of a data set, with their labels.
#[derive(Debug)]
pub struct ImageList {
    root: PathBuf,
    pub images: BySplit<Box<dyn ImageSource>>,
    labelling: Labelling,
    passed_over: PassedOver,
    channels: usize,
}

/// Image files (relative to the root) with the label of each.
pub type LabelledFiles = Vec<(PathBuf, i64)>;

impl ImageList {
    /// Of the images of each split, whose labels are in the same order. `root` is what messages
    /// name.
    pub fn new(
        root: PathBuf,
        images: BySplit<Box<dyn ImageSource>>,
        labelling: Labelling,
        passed_over: PassedOver,
    ) -> Self {
        Self {
            root,
            images,
            labelling,
            passed_over,
            channels: 3,
        }
    }

    /// Of the files of each split.
    pub fn of_files(
        root: PathBuf,
        classes: Vec<String>,
        ids: Option<Vec<String>>,
        images: BySplit<LabelledFiles>,
        passed_over: PassedOver,
    ) -> Self {
        let (sources, labels) = unzip(images.map(|images| {
            let (paths, labels) = images.into_iter().unzip();
            let root = root.clone();
            let source: Box<dyn ImageSource> = Box::new(Files { root, paths });
            (source, labels)
        }));
        let labelling = Labelling {
            classes,
            ids,
            labels,
        };
        Self::new(root, sources, labelling, passed_over)
    }

    /// With as many channels as the profile asks for, or as the images have.
    #[must_use]
    pub fn with_color(mut self, color: Color) -> Self {
        self.channels = match color {
            Color::Grey => 1,
            Color::Rgb => 3,
            Color::Auto if self.is_grey() => 1,
            Color::Auto => 3,
        };
        self
    }

    /// Whether some images of every split, spread over its classes, are all without colours.
    fn is_grey(&self) -> bool {
        let decoder = Decoder::default();
        let splits = self.images.as_ref().zip(self.labelling.labels.as_ref());
        let mut seen = false;
        splits.into_iter().all(|(images, labels)| {
            let rows: Vec<usize> = (0..labels.len())
                .step_by(labels.len().div_ceil(LOOKED_AT).max(1))
                .collect();
            let mut left = rows.as_slice();
            while !left.is_empty() {
                let Ok(encoded) = images.fetch(left) else {
                    return true; // reading reports it
                };
                left = &left[encoded.len().clamp(1, left.len())..];
                let is_grey: Vec<bool> = encoded
                    .into_par_iter()
                    .filter_map(|image| decoder.is_grey(image.ok()?))
                    .collect();
                seen |= !is_grey.is_empty();
                if is_grey.contains(&false) {
                    return false;
                }
            }
            true
        }) && seen
    }

    /// Of a training image.
    #[cfg(test)]
    pub fn name(&self, row: usize) -> String {
        self.images.train.name(row)
    }

    fn form(&self, request: &DatasetRequest) -> Form {
        Form {
            size: request.size as usize,
            channels: self.channels,
            color: request.color,
            background: request.background,
        }
    }

    /// The key of the cache: it changes with the folder, the name, length and time of any file, and
    /// the form.
    fn key(&self, rows: &BySplit<Vec<usize>>, form: &Form) -> Result<String> {
        let mut key = blake3::Hasher::new_derive_key("astill decoded images 3");
        let root = fs::canonicalize(&self.root).map_err(Error::io("find", &self.root))?;
        let mut text = |bytes: &[u8]| {
            key.update(&(bytes.len() as u64).to_le_bytes());
            key.update(bytes);
        };
        text(root.as_os_str().as_encoded_bytes());
        text(format!("{form:?}").as_bytes());
        for (images, rows) in self.images.as_ref().zip(rows.as_ref()) {
            text(&(rows.len() as u64).to_le_bytes());
            images.stamp(rows, &mut text)?;
        }
        Ok(key.finalize().to_hex()[..32].to_owned())
    }

    /// Decodes these rows chunk by chunk into `sink`, until that has enough.
    fn decode(
        &self,
        rows: &BySplit<Vec<usize>>,
        form: &Form,
        watch: &mut Watch<'_>,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        let decoder = Decoder::default();
        let total = rows
            .as_ref()
            .into_iter()
            .map(|rows| rows.len() as u64)
            .sum();
        let mut done = 0;
        let splits = self.images.as_ref().zip(rows.as_ref());
        for (split, (images, rows)) in splits.into_iter().enumerate() {
            let (mut from, mut chunk) = (0, decode::FIRST_CHUNK);
            while from < rows.len() {
                report(watch, "images read", done, total)?;
                let begin = Instant::now();
                let rows = &rows[from..rows.len().min(from + chunk)];
                let encoded = images.fetch(rows)?;
                let rows = &rows[..encoded.len()];
                let pixels = sink.place(split, from, rows.len());
                let outcomes: Vec<_> = encoded
                    .into_par_iter()
                    .zip(pixels.par_chunks_exact_mut(form.bytes_per_image()))
                    .map(|(image, pixels)| decoder.decode(image?, form, pixels))
                    .collect();
                let outcomes = rows.iter().zip(outcomes).map(|(&row, outcome)| {
                    outcome.map_err(|flaw| UnreadableImage {
                        row,
                        name: images.name(row),
                        problem: flaw.problem,
                        may_pass: flaw.may_pass,
                    })
                });
                done += rows.len() as u64;
                from += rows.len();
                chunk = decode::next_chunk(rows.len(), begin.elapsed());
                if !sink.take(split, outcomes.collect()) {
                    return Ok(());
                }
            }
        }
        report(watch, "images read", done, total)
    }
}

/// What becomes of decoded images.
trait Sink {
    /// The memory for `count` images from number `from` on of this split.
    fn place(&mut self, split: usize, from: usize, count: usize) -> &mut [u8];

    /// Takes the outcome of the images of the latest [`Sink::place`]; whether to decode more.
    fn take(
        &mut self,
        split: usize,
        outcomes: Vec<std::result::Result<ImageFacts, UnreadableImage>>,
    ) -> bool;
}

/// Keeps all pixels.
struct Keep {
    pixels: [Pixels; 3],
    is_readable: [Vec<bool>; 3],
    facts: [Vec<ImageFacts>; 3],
    unreadable: [Vec<UnreadableImage>; 3],
}

impl Sink for Keep {
    fn place(&mut self, split: usize, from: usize, count: usize) -> &mut [u8] {
        let image = self.pixels[split].bytes_per_image();
        &mut self.pixels[split].bytes_mut()[from * image..(from + count) * image]
    }

    fn take(
        &mut self,
        split: usize,
        outcomes: Vec<std::result::Result<ImageFacts, UnreadableImage>>,
    ) -> bool {
        for outcome in outcomes {
            self.is_readable[split].push(outcome.is_ok());
            match outcome {
                Ok(facts) => self.facts[split].push(facts),
                Err(image) => self.unreadable[split].push(image),
            }
        }
        true
    }
}

/// Keeps hashes and facts, until its time is over.
struct Look {
    until: Instant,
    image: usize,
    pixels: Vec<u8>,
    looked_at: [usize; 3],
    hashes: [Vec<u128>; 3],
    facts: [Vec<ImageFacts>; 3],
    unreadable: [Vec<UnreadableImage>; 3],
}

impl Sink for Look {
    fn place(&mut self, _split: usize, _from: usize, count: usize) -> &mut [u8] {
        self.pixels.resize(count * self.image, 0);
        &mut self.pixels
    }

    fn take(
        &mut self,
        split: usize,
        outcomes: Vec<std::result::Result<ImageFacts, UnreadableImage>>,
    ) -> bool {
        self.looked_at[split] += outcomes.len();
        for (outcome, pixels) in outcomes.into_iter().zip(self.pixels.chunks(self.image)) {
            match outcome {
                Ok(facts) => {
                    self.hashes[split].push(facts::hash(pixels));
                    self.facts[split].push(facts);
                }
                Err(image) => self.unreadable[split].push(image),
            }
        }
        Instant::now() < self.until
    }
}

impl Layout for ImageList {
    fn labelling(&self) -> &Labelling {
        &self.labelling
    }

    fn passed_over(&self) -> PassedOver {
        self.passed_over.clone()
    }

    fn channels(&self) -> usize {
        self.channels
    }

    /// From the cache, or decoded.
    fn read(
        &self,
        rows: &BySplit<Vec<usize>>,
        request: &DatasetRequest,
        watch: &mut Watch<'_>,
    ) -> Result<ReadImages> {
        let form = self.form(request);
        let path = request
            .cache
            .join(format!("images-{}.safetensors", self.key(rows, &form)?));
        let was_there = path.exists();
        if let Some(cached) = cache::read_images(&path, rows, &form) {
            return Ok(cached);
        }
        let pixels = rows
            .as_ref()
            .try_map(|rows| Pixels::black(rows.len(), form.channels, form.size))?;
        let mut keep = Keep {
            pixels: array(pixels),
            is_readable: Default::default(),
            facts: Default::default(),
            unreadable: Default::default(),
        };
        self.decode(rows, &form, watch, &mut keep)?;
        for (pixels, is_readable) in keep.pixels.iter_mut().zip(&keep.is_readable) {
            if is_readable.contains(&false) {
                pixels.retain(is_readable);
            }
        }
        let mut read = ReadImages {
            pixels: by_split(keep.pixels),
            facts: by_split(keep.facts),
            unreadable: by_split(keep.unreadable),
            damaged_cache: None,
        };
        // a disk that did not answer once must not cost an image for ever
        let unreadable = read.unreadable.as_ref().into_iter();
        let may_pass = unreadable.flatten().any(|image| image.may_pass);
        let is_written = !may_pass && cache::write_images(&path, &read);
        read.damaged_cache = (was_there && is_written).then_some(path);
        Ok(read)
    }

    fn survey(
        &self,
        rows: &BySplit<Vec<usize>>,
        request: &DatasetRequest,
        budget: Duration,
        watch: &mut Watch<'_>,
    ) -> Result<Surveyed> {
        let form = self.form(request);
        let mut look = Look {
            until: Instant::now() + budget,
            image: form.bytes_per_image(),
            pixels: Vec::new(),
            looked_at: Default::default(),
            hashes: Default::default(),
            facts: Default::default(),
            unreadable: Default::default(),
        };
        self.decode(rows, &form, watch, &mut look)?;
        Ok(Surveyed {
            looked_at: by_split(look.looked_at),
            hashes: by_split(look.hashes),
            facts: by_split(look.facts),
            unreadable: by_split(look.unreadable),
        })
    }

    /// Images that cannot be read count like the others.
    fn seconds_to_decode(&self, rows: &BySplit<Vec<usize>>, size: usize) -> f64 {
        let form = Form {
            size,
            channels: self.channels,
            color: Color::Rgb,
            background: astill_core::profile::Background::White,
        };
        let all: usize = rows.as_ref().into_iter().map(Vec::len).sum();
        let decoder = Decoder::default();
        let (mut done, begin) = (0, Instant::now());
        for (images, rows) in self.images.as_ref().zip(rows.as_ref()) {
            let sample: Vec<usize> = rows
                .iter()
                .step_by(all.div_ceil(SAMPLED).max(1))
                .copied()
                .collect();
            let (mut left, at_once) = (sample.as_slice(), 4 * rayon::current_num_threads());
            while !left.is_empty() {
                // only the time matters here
                let Ok(encoded) = images.fetch(&left[..at_once.min(left.len())]) else {
                    break;
                };
                left = &left[encoded.len().clamp(1, left.len())..];
                done += encoded.len();
                encoded.into_par_iter().for_each(|image| {
                    let mut pixels = vec![0; form.bytes_per_image()];
                    if let Ok(image) = image {
                        let _ = decoder.decode(image, &form, &mut pixels);
                    }
                });
                if begin.elapsed() > LONG_ENOUGH {
                    break;
                }
            }
        }
        begin.elapsed().as_secs_f64() * all as f64 / done.max(1) as f64
    }
}

fn array<T>(of: BySplit<T>) -> [T; 3] {
    [of.train, of.validation, of.test]
}

fn by_split<T>([train, validation, test]: [T; 3]) -> BySplit<T> {
    BySplit {
        train,
        validation,
        test,
    }
}

fn unzip<T, U>(pairs: BySplit<(T, U)>) -> (BySplit<T>, BySplit<U>) {
    let BySplit {
        train,
        validation,
        test,
    } = pairs;
    let splits = by_split([train.0, validation.0, test.0]);
    (splits, by_split([train.1, validation.1, test.1]))
}
