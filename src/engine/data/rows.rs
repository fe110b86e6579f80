//! Labels, pixels and hashes without the images that cannot be read, and with those that are drawn for
//! testing.

use super::layout::{BySplit, Labelling, UnreadableImage};
use super::left_out::LeftOutFile;
use super::pixels::Pixels;

/// The images that cannot be read, with their classes.
pub fn lost_images(
    labelling: &Labelling,
    rows: &BySplit<Vec<usize>>,
    unreadable: &BySplit<Vec<UnreadableImage>>,
) -> Vec<LeftOutFile> {
    let splits = labelling.labels.as_ref().zip(rows.as_ref());
    let splits = splits
        .zip(unreadable.as_ref())
        .zip(BySplit::NAMES)
        .into_iter();
    splits
        .flat_map(|(((labels, rows), unreadable), part)| {
            unreadable.iter().map(move |image| {
                let label = rows
                    .binary_search(&image.row)
                    .ok()
                    .and_then(|at| labels.get(at));
                let class = label.and_then(|label| labelling.classes.get(*label as usize));
                LeftOutFile {
                    name: image.name.clone(),
                    part,
                    class: class.cloned(),
                    reason: image.problem.clone(),
                    is_lost: true,
                }
            })
        })
        .collect()
}

/// Removes the labels of unreadable images.
pub fn leave_out(
    labelling: &mut Labelling,
    rows: &BySplit<Vec<usize>>,
    unreadable: &BySplit<Vec<UnreadableImage>>,
) {
    let splits = labelling.labels.as_mut().zip(rows.as_ref());
    for ((labels, rows), unreadable) in splits.zip(unreadable.as_ref()) {
        let mut left_out = unreadable.iter().map(|image| image.row).peekable();
        let mut rows = rows.iter();
        labels.retain(|_| {
            let row = rows.next();
            left_out.next_if(|left_out| Some(left_out) == row).is_none()
        });
    }
}

/// Moves these training images to the test images.
pub fn take_out(mut pixels: BySplit<Pixels>, drawn: &[i64]) -> BySplit<Pixels> {
    pixels.test = Pixels::of(pixels.train.rows(drawn));
    let mut is_kept = vec![true; pixels.train.shape()[0]];
    for row in drawn {
        is_kept[*row as usize] = false;
    }
    pixels.train.retain(&is_kept);
    pixels
}

/// Moves the labels and hashes of these training images, if they were looked at, to the test
/// images.
pub fn drawn_hashes(
    labels: &mut BySplit<Vec<i64>>,
    hashes: BySplit<Vec<u128>>,
    drawn: &[i64],
) -> BySplit<Vec<u128>> {
    let mut split: BySplit<Vec<u128>> = BySplit::default();
    let mut of_split: BySplit<Vec<i64>> = BySplit::default();
    for ((row, label), hash) in (0i64..).zip(&labels.train).zip(hashes.train) {
        let (hashes, labels) = match drawn.binary_search(&row) {
            Ok(_) => (&mut split.test, &mut of_split.test),
            Err(_) => (&mut split.train, &mut of_split.train),
        };
        hashes.push(hash);
        labels.push(*label);
    }
    split.validation = hashes.validation;
    labels.train = of_split.train;
    labels.test = of_split.test;
    split
}
