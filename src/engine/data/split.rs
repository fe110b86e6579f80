//! A part of a data set, ready for batches.

use super::normalisation::Normalisation;
use crate::progress::{Watch, report};
use astill_core::Result;
use tch::{Device, Kind, Tensor};

/// How many images are whitened at a time.
pub const WHITENED_AT_ONCE: i64 = 2500;

/// Labelled images, ready to be taken in batches.
#[derive(Debug)]
pub struct DataSplit {
    /// (n, 3, size, size): u8 pixels where `channels` normalises them, otherwise f32 and normalised
    /// already.
    images: Tensor,
    labels: Vec<i64>,
    /// (n), the same on the device.
    device_labels: Tensor,
    channels: Option<Normalisation>,
}

impl DataSplit {
    /// Of u8 pixels (n, 3, size, size) and a label each. Whitening is done here, once; normalising
    /// channels by every batch, which keeps the images at a quarter of the memory.
    ///
    /// # Errors
    /// [`Error::Interrupted`](astill_core::Error::Interrupted) if `watch` asks to stop.
    pub(super) fn new(
        pixels: Tensor,
        labels: Vec<i64>,
        normalisation: &Normalisation,
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        let device_labels = Tensor::from_slice(&labels).to_device(pixels.device());
        let (images, channels) = match normalisation {
            Normalisation::Channels { .. } => {
                let channels = normalisation.to_device(pixels.device());
                (pixels, Some(channels))
            }
            Normalisation::Zca(zca) => {
                let whitened = Tensor::empty(pixels.size(), (Kind::Float, pixels.device()));
                let n = pixels.size()[0];
                for first in (0..n).step_by(WHITENED_AT_ONCE as usize) {
                    report(watch, "images transformed", first as u64, n as u64)?;
                    let length = WHITENED_AT_ONCE.min(n - first);
                    whitened
                        .narrow(0, first, length)
                        .copy_(&zca.apply(&to_unit(&pixels.narrow(0, first, length))));
                }
                (whitened, None)
            }
        };
        Ok(Self {
            images,
            labels,
            device_labels,
            channels,
        })
    }

    /// Of images that are normalised already, f32 (n, 3, size, size), and a label each.
    pub fn of_normalised(images: Tensor, labels: Vec<i64>) -> Self {
        let device_labels = Tensor::from_slice(&labels).to_device(images.device());
        Self {
            images,
            labels,
            device_labels,
            channels: None,
        }
    }

    /// How many images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The label of every row.
    pub fn labels(&self) -> &[i64] {
        &self.labels
    }

    /// How many images there are of each of `classes` classes.
    pub fn per_class(&self, classes: usize) -> Vec<usize> {
        per_class(self.labels.iter().copied(), classes)
    }

    /// The rows whose label is `class`, ascending.
    pub fn rows_of(&self, class: i64) -> Vec<i64> {
        (0i64..)
            .zip(&self.labels)
            .filter(|(_, label)| **label == class)
            .map(|(row, _)| row)
            .collect()
    }

    /// Normalised images, f32 (n, 3, size, size), and labels, i64 (n), of these rows, on the
    /// split's device. Every row must be one of the split's.
    pub fn batch(&self, rows: &[i64]) -> (Tensor, Tensor) {
        self.batch_at(&Tensor::from_slice(rows).to_device(self.device()))
    }

    /// [`Self::batch`] of rows (n) that are on the split's device already.
    pub fn batch_at(&self, rows: &Tensor) -> (Tensor, Tensor) {
        let images = self.images.index_select(0, rows);
        let labels = self.device_labels.index_select(0, rows);
        (self.normalised(images), labels)
    }

    /// [`Self::batch`] of `length` rows from number `from` on.
    pub fn range(&self, from: i64, length: i64) -> (Tensor, Tensor) {
        let images = self.images.narrow(0, from, length);
        let labels = self.device_labels.narrow(0, from, length);
        (self.normalised(images), labels)
    }

    fn normalised(&self, images: Tensor) -> Tensor {
        match &self.channels {
            Some(channels) => channels.apply(&to_unit(&images)),
            None => images,
        }
    }

    /// Pixels of a side of an image.
    pub fn side(&self) -> i64 {
        self.images.size()[3]
    }

    /// Where it is.
    pub fn device(&self) -> Device {
        self.images.device()
    }

    /// Whether there are several images, and all of them are the same.
    pub fn all_equal(&self) -> bool {
        let first = match self.len() {
            0 | 1 => return false,
            _ => self.images.narrow(0, 0, 1),
        };
        (0..self.len() as i64)
            .step_by(WHITENED_AT_ONCE as usize)
            .all(|from| {
                let length = WHITENED_AT_ONCE.min(self.len() as i64 - from);
                let same = self.images.narrow(0, from, length).eq_tensor(&first);
                same.all().int64_value(&[]) == 1
            })
    }

    /// The root mean square of all pixels of the normalised images; 0 for no images.
    pub fn root_mean_square(&self) -> f64 {
        let rows: Vec<i64> = (0..self.len() as i64).collect();
        let sums: Vec<f64> = rows
            .chunks(WHITENED_AT_ONCE as usize)
            .map(|rows| {
                let mean = self.batch(rows).0.square().mean(None::<Kind>);
                mean.double_value(&[]) * rows.len() as f64
            })
            .collect();
        (sums.iter().sum::<f64>() / self.len().max(1) as f64).sqrt()
    }

    /// Moves images and labels to `device`.
    pub fn to_device(&mut self, device: Device) {
        self.images = self.images.to_device(device);
        self.device_labels = self.device_labels.to_device(device);
        self.channels = self
            .channels
            .as_ref()
            .map(|channels| channels.to_device(device));
    }
}

/// u8 → f32 in [0, 1].
pub(super) fn to_unit(pixels: &Tensor) -> Tensor {
    pixels.to_kind(Kind::Float) / 255.0
}

/// How many of `labels` belong to each of `classes` classes.
pub(super) fn per_class(labels: impl IntoIterator<Item = i64>, classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for label in labels {
        counts[label as usize] += 1;
    }
    counts
}
