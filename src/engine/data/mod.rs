//! Data sets: from files (or from nothing, for the drawn shapes) to normalised splits on a device.
//!
//! A [`Request`] finds its files, plans which training images belong to which split, reads the
//! pixels as u8, fits the normalisation on the training images alone, and gives a [`Dataset`]. Each
//! layout of files is one module with labels first, pixels later.

pub mod augment;
mod cache;
mod cifar;
mod decode;
mod image_folder;
mod normalisation;
mod shapes;
mod source;
mod split;
mod tiny_imagenet;
mod zca;

pub use astill_core::profile::{Kind, Unreadable};
pub use augment::Augmentation;
pub use normalisation::Normalisation;
pub use split::{Split, WHITENED_AT_ONCE};
pub use zca::Zca;

use crate::memory;
use crate::progress::{Watch, report};
use astill_core::{Error, Result};
use source::{Found, Labels, Pixels, Source};
use split::{Plan, per_class, to_unit};
use std::path::PathBuf;
use tch::{Device, Tensor};
use zca::Covariance;

/// What is added to the eigenvalues of the covariance of pixels in [0, 1]; the value of the
/// published programs.
const ZCA_EPS: f64 = 0.1;

/// What to load.
#[derive(Debug, Clone)]
pub struct Request {
    pub kind: Kind,
    /// Where the files are; for the official layouts the folder itself or its parent. Not looked at
    /// for drawn shapes.
    pub folder: PathBuf,
    /// The side of every image, in pixels.
    pub size: i64,
    /// At most this many training images, as equally many of each class as there are.
    pub train_limit: Option<usize>,
    /// The share of the training images (after the limit) that is held out, in [0, 1).
    pub validation: f64,
    /// Whitening instead of normalised channels.
    pub zca: bool,
    /// Draws which images the limit keeps and which are held out.
    pub seed: u64,
    /// What to do about image files that cannot be read.
    pub unreadable: Unreadable,
    /// The folder of decoded images and fitted whitenings. It is made when needed; one that cannot
    /// be written costs time only.
    pub cache: PathBuf,
}

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
    pub train: Split,
    /// Held-out training images; empty if none were asked for.
    pub validation: Split,
    pub test: Split,
    pub normalisation: Normalisation,
    /// BLAKE3 (hexadecimal) of size, labels and decoded pixels of the *whole* training set, before
    /// limit and held-out share.
    pub fingerprint: String,
    /// Says which images could not be read and were left out, if there were any.
    pub left_out: Option<String>,
    /// Caches that were damaged and have been made again.
    pub damaged_caches: Vec<PathBuf>,
}

impl Request {
    /// Looks without decoding an image and without creating anything; so images that will not be
    /// readable are counted.
    ///
    /// [`Error::Usage`] if files are missing (it says which, where, and how to get them) or the
    /// limit is below the number of classes; [`Error::File`] if one is not what it should be.
    pub fn inspect(&self) -> Result<Inventory> {
        let (source, plan) = self.plan()?;
        let labels = source.labels();
        let classes = labels.classes.len();
        let of_rows = |rows: &[i64]| per_class(labels_of(&labels.train, rows), classes);
        Ok(Inventory {
            classes: labels.classes.clone(),
            train: of_rows(&plan.train),
            validation: of_rows(&plan.validation),
            test: per_class(labels.test.iter().copied(), classes),
            stored: labels.train.len(),
        })
    }

    /// Reads, splits and normalises. Errors as [`Request::inspect`]; [`Error::File`] for images
    /// that cannot be read; [`Error::Interrupted`] if `watch` asks to stop.
    pub fn load(&self, watch: &mut Watch<'_>) -> Result<Dataset> {
        let (mut source, mut plan) = self.plan()?;
        cache::tidy(&self.cache);
        let Found {
            pixels: Pixels { train, test },
            left_out,
            damaged_cache,
        } = source.read(self.size, self.unreadable, &self.cache, watch)?;
        let labels = source.labels();
        if left_out.is_some() {
            plan = self.plan_for(labels)?;
        }
        let fingerprint = fingerprint(self.size, &labels.train, &train);

        let (all, test) = (self.tensor(train)?, self.tensor(test)?);
        let rows = |rows: &[i64]| all.index_select(0, &Tensor::from_slice(rows));
        let (train, validation) = (rows(&plan.train), rows(&plan.validation));
        drop(all);
        memory::return_freed();
        let (normalisation, damaged_whitening) = match self.zca {
            true => {
                let (zca, damaged) = self.whitening(&train, &plan.train, &fingerprint, watch)?;
                memory::return_freed();
                (Normalisation::Zca(zca), damaged)
            }
            false => (Normalisation::of_channels(&train), None),
        };
        let train = Split::new(
            train,
            labels_of(&labels.train, &plan.train).collect(),
            &normalisation,
        );
        let validation = Split::new(
            validation,
            labels_of(&labels.train, &plan.validation).collect(),
            &normalisation,
        );
        let test = Split::new(test, labels.test.clone(), &normalisation);
        memory::return_freed();
        let classes = labels.classes.clone();
        let damaged_caches = damaged_cache.into_iter().chain(damaged_whitening).collect();
        Ok(Dataset {
            classes,
            size: self.size,
            train,
            validation,
            test,
            normalisation,
            fingerprint,
            left_out,
            damaged_caches,
        })
    }

    /// How many seconds the decoding of all image files takes, as some of them take it now. Errors:
    /// as [`Request::inspect`].
    pub fn seconds_to_decode(&self) -> Result<f64> {
        Ok(self.plan()?.0.seconds_to_decode(self.size))
    }

    fn plan(&self) -> Result<(Source, Plan)> {
        if self.size < 1 {
            return Err(Error::Usage(format!(
                "dataset.size is {}, expected a number of pixels",
                self.size
            )));
        }
        let source = Source::find(self.kind, &self.folder)?;
        let plan = self.plan_for(source.labels())?;
        Ok((source, plan))
    }

    fn plan_for(&self, labels: &Labels) -> Result<Plan> {
        Plan::new(
            &labels.train,
            labels.classes.len(),
            self.train_limit,
            self.validation,
            self.seed,
        )
    }

    /// u8 (n, 3, size, size) of planar bytes.
    fn tensor(&self, pixels: Vec<u8>) -> Result<Tensor> {
        let image = 3 * self.size * self.size;
        let size = [pixels.len() as i64 / image, 3, self.size, self.size];
        Tensor::f_from_data_size(&pixels, &size, tch::Kind::Uint8).map_err(|error| {
            Error::Libtorch {
                doing: "storing the images".into(),
                message: error.to_string(),
            }
        })
    }

    /// The whitening of the training images `train` (u8), which are the rows `rows` of the set with
    /// this fingerprint: from the cache, or fitted; and the cache's file if it was damaged and has
    /// been made again.
    fn whitening(
        &self,
        train: &Tensor,
        rows: &[i64],
        fingerprint: &str,
        watch: &mut Watch<'_>,
    ) -> Result<(Zca, Option<PathBuf>)> {
        let mut key = blake3::Hasher::new_derive_key("astill zca 1");
        key.update(fingerprint.as_bytes());
        key.update(&ZCA_EPS.to_le_bytes());
        for row in rows {
            key.update(&row.to_le_bytes());
        }
        let path = self.cache.join(format!(
            "zca-{}.safetensors",
            &key.finalize().to_hex()[..32]
        ));
        let pixels = 3 * self.size * self.size;
        let was_there = path.exists();
        if let Some(zca) = cache::read_zca(&path, pixels) {
            return Ok((zca, None));
        }
        // f32 halves time and memory; on CIFAR-10 the transform differs from that of f64 by 5e-5
        // (relative norm), as eps dwarfs the error.
        let mut covariance = Covariance::new(pixels, tch::Kind::Float, Device::Cpu);
        let (mut done, total) = (0, rows.len() as u64);
        for chunk in train.split(WHITENED_AT_ONCE, 0) {
            report(watch, "images whitened", done, total)?;
            covariance.add(&to_unit(&chunk));
            done += chunk.size()[0] as u64;
        }
        report(watch, "images whitened", done, total)?;
        let zca = covariance.whitening(ZCA_EPS);
        let is_written = cache::write_zca(&path, &zca);
        Ok((zca, (was_there && is_written).then_some(path)))
    }
}

fn labels_of(labels: &[i64], rows: &[i64]) -> impl Iterator<Item = i64> {
    rows.iter().map(|&row| labels[row as usize])
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

/// The tensors of a case in `tests/golden`.
#[cfg(test)]
fn golden(case: &str) -> std::collections::HashMap<String, Tensor> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../../tests/golden/{case}.safetensors"));
    Tensor::read_safetensors(path)
        .unwrap()
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests;
