//! Images as plain bytes, one after another, in files or archives.

use super::decode::{CHUNK, luminance, resize_planar};
use super::facts;
use super::layout::{BySplit, Labelling, Layout, ReadImages, Surveyed};
use super::left_out::PassedOver;
use super::pixels::Pixels;
use super::request::DatasetRequest;
use crate::progress::{Watch, report};
use astill_core::profile::Color;
use astill_core::{Error, Result};
use rayon::prelude::*;
use std::fmt::Debug;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The images of one array of u8.
#[derive(Debug)]
pub struct PlainImages {
    /// What messages name.
    pub path: PathBuf,
    pub bytes: Box<dyn PlainBytes>,
    pub count: usize,
    pub rows: usize,
    pub columns: usize,
    /// 1 or 3.
    pub channels: usize,
    /// Channel after channel in each pixel, and not plane after plane.
    pub is_interleaved: bool,
}

/// The bytes of an array.
pub trait PlainBytes: Debug + Send + Sync {
    /// A reader at the first byte of the first image.
    ///
    /// # Errors
    /// The file cannot be opened.
    fn open(&self) -> Result<Box<dyn Read>>;
}

impl PlainImages {
    fn bytes_per_image(&self) -> usize {
        self.rows * self.columns * self.channels
    }

    /// Reads the images in these rows, ascending, and gives them with `channels` at `side` × `side` to
    /// `take`, some at a time, until it has enough. `progress` is told before how many come.
    fn read(
        &self,
        rows: &[usize],
        (channels, side): (usize, usize),
        progress: &mut dyn FnMut(usize) -> Result<()>,
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let (source, target) = (self.bytes_per_image(), channels * side * side);
        let mut reader = self.bytes.open()?;
        let cut_off = |error: std::io::Error| {
            Error::file(
                &self.path,
                format!(
                    "expected {} images of {source} bytes: {error}; get it again",
                    self.count
                ),
            )
        };
        let mut next = 0;
        let at_once = at_once(source.max(target)).min(rows.len());
        let (mut stored, mut fitted) = (vec![0; source * at_once], vec![0; target * at_once]);
        for rows in rows.chunks(at_once.max(1)) {
            progress(rows.len())?;
            for (row, image) in rows.iter().zip(stored.chunks_exact_mut(source)) {
                skip(&mut reader, ((row - next) * source) as u64).map_err(cut_off)?;
                reader.read_exact(image).map_err(cut_off)?;
                next = row + 1;
            }
            let fitted = &mut fitted[..rows.len() * target];
            fitted
                .par_chunks_exact_mut(target)
                .zip(stored.par_chunks_exact(source))
                .for_each(|(place, image)| self.fit(image, channels, side, place));
            if take(fitted).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        // a file that goes on is not what its header says
        let is_at_end = next == self.count && self.count > 0;
        if is_at_end && reader.read(&mut [0]).map_err(cut_off)? > 0 {
            return Err(Error::file(
                &self.path,
                format!(
                    "expected {} images of {source} bytes, found more bytes; get it again",
                    self.count
                ),
            ));
        }
        Ok(ControlFlow::Continue(()))
    }

    /// One image, with this many channels and at this size.
    fn fit(&self, image: &[u8], channels: usize, side: usize, place: &mut [u8]) {
        let (plane, target) = (self.rows * self.columns, side * side);
        let value = |channel: usize, at: usize| match self.is_interleaved {
            true => image[at * self.channels + channel],
            false => image[channel * plane + at],
        };
        let planar: Vec<u8> = match (self.channels, channels) {
            (3, 1) => (0..plane)
                .map(|at| luminance([0, 1, 2].map(|channel| u32::from(value(channel, at)))))
                .collect(),
            _ => (0..self.channels)
                .flat_map(|channel| (0..plane).map(move |at| value(channel, at)))
                .collect(),
        };
        let has = planar.len() / plane.max(1);
        let shape = [has, self.rows, self.columns];
        resize_planar(&planar, shape, &mut place[..has * target]);
        for channel in has..channels {
            place.copy_within(..target, channel * target);
        }
    }
}

/// How many images of so many bytes are in memory together: a small file can say that it holds large
/// ones.
fn at_once(bytes_per_image: usize) -> usize {
    const MOST_BYTES: usize = 64 << 20;
    (MOST_BYTES / bytes_per_image.max(1)).clamp(1, CHUNK)
}

fn skip(reader: &mut dyn Read, bytes: u64) -> std::io::Result<()> {
    match std::io::copy(&mut reader.take(bytes), &mut std::io::sink())? {
        skipped if skipped == bytes => Ok(()),
        _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A data set of such arrays: any number of them in each split.
#[derive(Debug)]
pub struct Plain {
    pub labelling: Labelling,
    pub images: BySplit<Vec<PlainImages>>,
    pub passed_over: PassedOver,
    pub color: Color,
}

impl Plain {
    /// Of labels and images that were read; the classes have these `names` if there are as many.
    pub fn new(
        read: BySplit<(Vec<i64>, Vec<PlainImages>)>,
        names: &[&str],
        mut passed_over: PassedOver,
        color: Color,
    ) -> Self {
        let mut labels = read.as_ref().map(|(labels, _)| labels.clone());
        let mut classes = numbered_classes(&labels, names);
        let lowest = labels.as_ref().into_iter().flatten().min();
        // those of EMNIST's letters are 1 to 26
        if names.is_empty() && lowest == Some(&1) {
            classes.remove(0);
            labels = labels.map(|labels| labels.into_iter().map(|label| label - 1).collect());
            passed_over
                .notes
                .push("the labels count from 1, and so do the names of the classes".into());
        }
        Self {
            labelling: Labelling {
                classes,
                ids: None,
                labels,
            },
            images: read.map(|(_, images)| images),
            passed_over,
            color,
        }
    }
}

impl Layout for Plain {
    fn labelling(&self) -> &Labelling {
        &self.labelling
    }

    fn passed_over(&self) -> PassedOver {
        self.passed_over.clone()
    }

    fn channels(&self) -> usize {
        let mut all = self.images.as_ref().into_iter().flatten();
        match self.color {
            Color::Grey => 1,
            Color::Auto if all.all(|images| images.channels == 1) => 1,
            Color::Rgb | Color::Auto => 3,
        }
    }

    fn read(
        &self,
        rows: &BySplit<Vec<usize>>,
        request: &DatasetRequest,
        watch: &mut Watch<'_>,
    ) -> Result<ReadImages> {
        let (channels, side) = (self.channels(), request.size as usize);
        let pixels = rows
            .as_ref()
            .try_map(|rows| Pixels::black(rows.len(), channels, side))?;
        let mut pixels = [pixels.train, pixels.validation, pixels.test];
        let mut left = pixels.each_mut().map(Pixels::bytes_mut);
        self.for_each_chunk(rows, side, watch, &mut |split, images| {
            let rest = std::mem::take(&mut left[split]);
            let (place, rest) = rest.split_at_mut(images.len());
            place.copy_from_slice(images);
            left[split] = rest;
            ControlFlow::Continue(())
        })?;
        let [train, validation, test] = pixels;
        Ok(ReadImages::plain(BySplit {
            train,
            validation,
            test,
        }))
    }

    fn survey(
        &self,
        rows: &BySplit<Vec<usize>>,
        request: &DatasetRequest,
        budget: Duration,
        watch: &mut Watch<'_>,
    ) -> Result<Surveyed> {
        let side = request.size as usize;
        let image = self.channels() * side * side;
        let begin = Instant::now();
        let mut hashes: [Vec<u128>; 3] = Default::default();
        self.for_each_chunk(rows, side, watch, &mut |split, images| {
            hashes[split].par_extend(images.par_chunks_exact(image).map(facts::hash));
            match begin.elapsed() < budget {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        let [train, validation, test] = hashes;
        Ok(Surveyed::of_hashes(BySplit {
            train,
            validation,
            test,
        }))
    }
}

impl Plain {
    /// Gives the images in these rows at `side` × `side` to `take`, some at a time with the number of
    /// their split, until it has enough.
    fn for_each_chunk(
        &self,
        rows: &BySplit<Vec<usize>>,
        side: usize,
        watch: &mut Watch<'_>,
        take: &mut dyn FnMut(usize, &[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        let total = rows.as_ref().into_iter().map(Vec::len).sum::<usize>() as u64;
        let mut done = 0;
        let splits = self.images.as_ref().zip(rows.as_ref());
        for (split, (arrays, rows)) in splits.into_iter().enumerate() {
            let (mut first, mut rows) = (0, rows.as_slice());
            for images in arrays {
                let count = rows.partition_point(|row| *row < first + images.count);
                let (here, further) = rows.split_at(count);
                let here: Vec<usize> = here.iter().map(|row| row - first).collect();
                let mut progress = |count| {
                    report(watch, "images read", done, total)?;
                    done += count as u64;
                    Ok(())
                };
                let form = (self.channels(), side);
                let flow = images.read(&here, form, &mut progress, &mut |images| {
                    take(split, images)
                })?;
                if flow.is_break() {
                    return Ok(());
                }
                (first, rows) = (first + images.count, further);
            }
        }
        report(watch, "images read", total, total)
    }
}

/// The names of classes that the files only number: these names where there are as many, or else the
/// numbers.
pub fn numbered_classes(labels: &BySplit<Vec<i64>>, names: &[&str]) -> Vec<String> {
    let all = labels.as_ref().into_iter().flatten();
    let count = all.max().map_or(0, |most| *most as usize + 1);
    match count == names.len() {
        true => names.iter().map(|name| (*name).to_owned()).collect(),
        false => (0..count).map(|class| class.to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_large_images_are_in_memory_together_and_many_small_ones() {
        assert_eq!(at_once(4096 * 4096 * 3), 1);
        assert_eq!(at_once(1024 * 1024), 64);
        assert_eq!(at_once(28 * 28), CHUNK);
        assert_eq!(at_once(usize::MAX), 1);
    }
}
