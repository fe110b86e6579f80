//! Whole data sets, in temporary folders.

mod arrangements;
mod caches;
mod cifar;
mod elsewhere;
mod folders;
mod formats;
pub mod golden;
mod image_files;
mod reported;
mod requests;
mod stray_files;
mod warnings;
mod writers;

use super::{DataSplit, Dataset, DatasetRequest, Kind};
use crate::progress::Progress;
use image::{DynamicImage, Rgb, RgbImage};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

fn ignore_progress(_: Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn request(kind: Kind, folder: &Path, size: i64) -> DatasetRequest {
    DatasetRequest::new(kind, folder, size, folder.join(".cache"))
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn save(path: &Path, image: impl Into<DynamicImage>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.into().save(path).unwrap();
}

/// CIFAR-10 with `n` images per class in the training files together, all pixels of image i being
/// i, and one per class in the test file.
fn cifar10(folder: &Path, n: usize) {
    let record = |label: usize, pixel: usize| [vec![label as u8], vec![pixel as u8; 3072]].concat();
    let records: Vec<_> = (0..10 * n).map(|i| record(i % 10, i)).collect();
    for (file, records) in (1..).zip(records.chunks(2 * n)) {
        write(
            &folder.join(format!("data_batch_{file}.bin")),
            records.concat(),
        );
    }
    write(
        &folder.join("test_batch.bin"),
        (0..10)
            .map(|i| record(i, 100 + i))
            .collect::<Vec<_>>()
            .concat(),
    );
    write(
        &folder.join("batches.meta.txt"),
        "airplane\nb\nc\nd\ne\nf\ng\nh\ni\ntruck\n\n",
    );
}

/// Two classes of `n` training images and one test image of 4 × 4, each of one colour.
fn image_folder(folder: &Path, n: u8) {
    for (class, blue) in [("cat", 0), ("dog", 200)] {
        for index in 0..n {
            save(
                &folder.join(format!("train/{class}/{index}.png")),
                RgbImage::from_pixel(4, 4, Rgb([10 * index, 0, blue])),
            );
        }
        save(
            &folder.join(format!("test/{class}/0.PNG")),
            RgbImage::from_pixel(4, 4, Rgb([5, 0, blue])),
        );
    }
}

/// The pixels (0 … 255, f32) of one row.
fn pixels(dataset: &Dataset, split: &DataSplit, row: i64) -> Vec<f32> {
    let (images, _) = split.batch(&[row]);
    (dataset.normalisation.invert(&images) * 255.0)
        .view([-1])
        .try_into()
        .unwrap()
}

fn assert_pixels(got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len());
    assert!(
        got.iter()
            .zip(want)
            .all(|(got, want)| (got - want).abs() < 0.01),
        "{got:?} is not {want:?}"
    );
}
