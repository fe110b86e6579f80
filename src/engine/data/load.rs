//! From a request to a data set in memory.

use super::cache;
use super::layout::{LabelledPixels, Labelling, Layout};
use super::normalisation::Normalisation;
use super::pixels::Pixels;
use super::register;
use super::request::DatasetRequest;
use super::split::{DataSplit, WHITENED_AT_ONCE, per_class, to_unit};
use super::split_plan::SplitPlan;
use super::zca::{Moments, Zca};
use crate::memory;
use crate::progress::{Watch, report, unless_stopped};
use astill_core::profile::{NormalisedBy, channel_constants};
use astill_core::{Error, Result};
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};

/// What is added to the eigenvalues of the covariance of pixels in [0, 1]; the value of the
/// published programs.
const ZCA_EPS: f64 = 0.1;

/// What a data set holds, known without decoding an image. Counts are per class, in label order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    pub classes: Vec<String>,
    /// After the limit, without the held-out share.
    pub train: Vec<usize>,
    pub validation: Vec<usize>,
    pub test: Vec<usize>,
    /// Training images that the files hold, before the limit: all of them are read.
    pub stored: usize,
}

/// A data set in memory, on the CPU.
#[derive(Debug)]
pub struct Dataset {
    /// The name of every label.
    pub classes: Vec<String>,
    /// The side of every image, in pixels.
    pub size: i64,
    pub train: DataSplit,
    /// Held-out training images; empty if the request holds out none.
    pub validation: DataSplit,
    pub test: DataSplit,
    pub normalisation: Normalisation,
    /// BLAKE3 (hexadecimal) of size, labels and decoded pixels of the *whole* training set, before
    /// limit and held-out share.
    pub fingerprint: String,
    /// BLAKE3 (hexadecimal) of labels and decoded pixels of the validation share.
    pub validation_content: String,
    /// Names images that could not be read and were left out, if there were any.
    pub left_out: Option<String>,
    /// Caches that were damaged and have been rebuilt.
    pub damaged_caches: Vec<PathBuf>,
}

impl DatasetRequest {
    /// Reads the labels, without decoding an image or creating anything; so images that will turn
    /// out to be unreadable are counted.
    ///
    /// # Errors
    /// [`Error::Usage`] if files are missing (it says which, where, and how to get them) or the
    /// limit is below the number of classes; [`Error::File`] if one is malformed.
    pub fn inspect(&self) -> Result<Inventory> {
        let (layout, plan) = self.open()?;
        let Labelling { classes, labels } = layout.labelling();
        let count = |rows: &[i64]| per_class(labels_of(&labels.train, rows), classes.len());
        Ok(Inventory {
            classes: classes.clone(),
            train: count(&plan.train),
            validation: count(&plan.validation),
            test: per_class(labels.test.iter().copied(), classes.len()),
            stored: labels.train.len(),
        })
    }

    /// Reads, splits and normalises.
    ///
    /// # Errors
    /// As [`DatasetRequest::inspect`]; [`Error::File`] for images that cannot be read;
    /// [`Error::Interrupted`] if `watch` asks to stop.
    pub fn load(&self, watch: &mut Watch<'_>) -> Result<Dataset> {
        let (layout, mut plan) = self.open()?;
        cache::remove_left_over(&self.cache);
        let LabelledPixels {
            labelling,
            pixels,
            left_out,
            damaged_cache,
        } = layout.read(self, watch)?;
        if left_out.is_some() {
            labelling.check(&self.folder)?;
            plan = self.plan(&labelling)?;
        }
        let Labelling { classes, labels } = labelling;
        let fingerprint = fingerprint(self.size, &labels.train, pixels.train.bytes());
        let published = self.published(&pixels.train, &fingerprint, watch)?;
        let (train, validation) = select(pixels.train, &plan);
        let held_out = labels_of(&labels.train, &plan.validation);
        let validation_content = content_of(&validation, held_out);
        memory::return_freed();
        let (normalisation, damaged_whitening) = match (published, self.zca) {
            (Some(published), _) => published,
            (None, true) => {
                let images = |from: usize, to: usize| {
                    to_unit(&train.narrow(0, from as i64, (to - from) as i64))
                };
                let (zca, damaged) = self.whitening(&images, &plan.train, &fingerprint, watch)?;
                memory::return_freed();
                (Normalisation::Zca(zca), damaged)
            }
            (None, false) => (Normalisation::of_channels(&train), None),
        };
        let split = |pixels, rows: &[i64]| {
            let labels = labels_of(&labels.train, rows).collect();
            DataSplit::new(pixels, labels, &normalisation)
        };
        let train = split(train, &plan.train);
        let validation = split(validation, &plan.validation);
        let test = DataSplit::new(pixels.test.into_tensor(), labels.test, &normalisation);
        memory::return_freed();
        Ok(Dataset {
            classes,
            size: self.size,
            train,
            validation,
            test,
            normalisation,
            fingerprint,
            validation_content,
            left_out,
            damaged_caches: damaged_cache.into_iter().chain(damaged_whitening).collect(),
        })
    }

    /// How many seconds it takes to decode all image files, extrapolated from some of them.
    ///
    /// # Errors
    /// As [`DatasetRequest::inspect`].
    pub fn seconds_to_decode(&self) -> Result<f64> {
        Ok(self.open()?.0.seconds_to_decode(self.size as usize))
    }

    fn open(&self) -> Result<(Box<dyn Layout>, SplitPlan)> {
        if self.size < 1 {
            return Err(Error::Usage(format!(
                "dataset.size is {}, expected a number of pixels",
                self.size
            )));
        }
        let layout = register::open(self)?;
        layout.labelling().check(&self.folder)?;
        let plan = self.plan(layout.labelling())?;
        Ok((layout, plan))
    }

    fn plan(&self, labelling: &Labelling) -> Result<SplitPlan> {
        SplitPlan::new(
            &labelling.labels.train,
            labelling.classes.len(),
            self.train_limit,
            self.validation,
            self.seed,
        )
    }

    /// The normalisation of published programs, if it is asked for, and the cache's file if it was
    /// damaged and has been rebuilt. `train` is the whole training set, with this fingerprint.
    fn published(
        &self,
        train: &Pixels,
        fingerprint: &str,
        watch: &mut Watch<'_>,
    ) -> Result<Option<(Normalisation, Option<PathBuf>)>> {
        if self.normalisation == NormalisedBy::Own {
            return Ok(None);
        }
        if self.zca {
            let rows: Vec<i64> = (0..train.shape()[0] as i64).collect();
            let images = |from: usize, to: usize| to_unit(&train.rows(&rows[from..to]));
            let (zca, damaged) = self.whitening(&images, &rows, fingerprint, watch)?;
            memory::return_freed();
            return Ok(Some((Normalisation::Zca(zca), damaged)));
        }
        let constants = channel_constants(self.kind).ok_or_else(|| {
            Error::Usage(format!(
                "published programs share no mean and deviation for the data set {}; set \
                 dataset.normalisation to own",
                self.kind
            ))
        })?;
        Ok(Some((Normalisation::of_constants(constants), None)))
    }

    /// The whitening of the training images that are the rows `rows` of the set with this
    /// fingerprint: from the cache, or fitted; and the cache's file if it was damaged and has been
    /// rebuilt. `images` gives those from one place in `rows` to another, in [0, 1].
    fn whitening(
        &self,
        images: &dyn Fn(usize, usize) -> Tensor,
        rows: &[i64],
        fingerprint: &str,
        watch: &mut Watch<'_>,
    ) -> Result<(Zca, Option<PathBuf>)> {
        let mut key = blake3::Hasher::new_derive_key("astill zca 2");
        key.update(fingerprint.as_bytes());
        key.update(&ZCA_EPS.to_le_bytes());
        for row in rows {
            key.update(&row.to_le_bytes());
        }
        let path = self.cache.join(format!(
            "zca-{}.safetensors",
            &key.finalize().to_hex()[..32]
        ));
        let at = |chunk: usize| (chunk * WHITENED_AT_ONCE as usize).min(rows.len());
        let pixels = images(0, rows.len().min(1)).numel() as i64;
        let was_there = path.exists();
        if let Some(zca) = cache::read_zca(&path, rows.len() as i64, pixels, ZCA_EPS) {
            return Ok((zca, None));
        }
        // f32 halves time and memory; on CIFAR-10 the transform differs from that of f64 by 5e-5
        // (relative norm), as eps dwarfs the error.
        let mut moments = Moments::new(rows.len() as i64, pixels, Kind::Float, Device::Cpu);
        let total = rows.len() as u64;
        for chunk in 0..rows.len().div_ceil(WHITENED_AT_ONCE as usize) {
            report(watch, "images whitened", at(chunk) as u64, total)?;
            moments.add(&images(at(chunk), at(chunk + 1)));
        }
        report(watch, "images whitened", total, total)?;
        let zca = unless_stopped(watch, "images whitened", total, move || {
            moments.whitening(ZCA_EPS)
        })?;
        let is_written = cache::write_zca(&path, &zca);
        Ok((zca, (was_there && is_written).then_some(path)))
    }
}

/// The images of the two parts of `plan`, u8.
///
/// If most of `all` is trained on, those images are moved together where they are: a large set
/// would not fit into memory twice.
fn select(mut all: Pixels, plan: &SplitPlan) -> (Tensor, Tensor) {
    const MOST: f64 = 0.8;
    let count = all.shape()[0];
    let validation = all.rows(&plan.validation);
    if (plan.train.len() as f64) < MOST * count as f64 {
        return (all.rows(&plan.train), validation);
    }
    let mut is_kept = vec![false; count];
    for &row in &plan.train {
        is_kept[row as usize] = true;
    }
    all.retain(&is_kept);
    (all.into_tensor(), validation)
}

fn labels_of(labels: &[i64], rows: &[i64]) -> impl Iterator<Item = i64> {
    rows.iter().map(|&row| labels[row as usize])
}

/// BLAKE3 (hexadecimal) of images, u8 (N, C, H, W), and their labels.
fn content_of(images: &Tensor, labels: impl Iterator<Item = i64>) -> String {
    let mut hash = blake3::Hasher::new_derive_key("astill images and labels 1");
    for size in images.size() {
        hash.update(&size.to_le_bytes());
    }
    for label in labels {
        hash.update(&label.to_le_bytes());
    }
    for some in images.split(WHITENED_AT_ONCE, 0) {
        let mut bytes = vec![0u8; some.numel()];
        some.contiguous().copy_data_u8(&mut bytes, some.numel());
        hash.update(&bytes);
    }
    hash.finalize().to_hex().to_string()
}

fn fingerprint(size: i64, labels: &[i64], pixels: &[u8]) -> String {
    let mut hash = blake3::Hasher::new_derive_key("astill data set 1");
    hash.update(&size.to_le_bytes());
    hash.update(&(labels.len() as u64).to_le_bytes());
    for label in labels {
        hash.update(&label.to_le_bytes());
    }
    hash.update(pixels);
    hash.finalize().to_hex().to_string()
}
