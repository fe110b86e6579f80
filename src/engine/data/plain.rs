//! Images as plain bytes, one after another, in files or archives.

use super::decode::{CHUNK, resize_planar};
use super::layout::{BySplit, Labelling, Layout, ReadImages};
use super::left_out::PassedOver;
use super::pixels::Pixels;
use super::request::DatasetRequest;
use crate::progress::{Watch, report};
use astill_core::profile::Color;
use astill_core::{Error, Result};
use rayon::prelude::*;
use std::fmt::Debug;
use std::io::Read;
use std::path::PathBuf;

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

    /// Reads the images in these rows, ascending, into `pixels`.
    fn read(
        &self,
        rows: &[usize],
        pixels: &mut Pixels,
        progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<()> {
        let [_, channels, side, _] = pixels.shape();
        let (source, target) = (self.bytes_per_image(), pixels.bytes_per_image());
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
        let mut chunk = vec![0; source * CHUNK.min(rows.len())];
        let places = pixels.bytes_mut().chunks_mut(CHUNK * target);
        for (rows, places) in rows.chunks(CHUNK).zip(places) {
            progress(rows.len())?;
            for (row, image) in rows.iter().zip(chunk.chunks_exact_mut(source)) {
                skip(&mut reader, ((row - next) * source) as u64).map_err(cut_off)?;
                reader.read_exact(image).map_err(cut_off)?;
                next = row + 1;
            }
            places
                .par_chunks_exact_mut(target)
                .zip(chunk.par_chunks_exact(source))
                .for_each(|(place, image)| self.fit(image, channels, side, place));
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
        Ok(())
    }

    /// One image, with this many channels and at this size.
    fn fit(&self, image: &[u8], channels: usize, side: usize, place: &mut [u8]) {
        let (plane, target) = (self.rows * self.columns, side * side);
        let value = |channel: usize, at: usize| match self.is_interleaved {
            true => image[at * self.channels + channel],
            false => image[channel * plane + at],
        };
        let planar: Vec<u8> = match (self.channels, channels) {
            // the luminance of ITU-R 601-2
            (3, 1) => (0..plane)
                .map(|at| {
                    let [r, g, b] = [0, 1, 2].map(|channel| u32::from(value(channel, at)));
                    ((19_595 * r + 38_470 * g + 7_471 * b + 0x8000) >> 16) as u8
                })
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
        passed_over: PassedOver,
        color: Color,
    ) -> Self {
        let labels = read.as_ref().map(|(labels, _)| labels.clone());
        Self {
            labelling: Labelling {
                classes: numbered_classes(&labels, names),
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
        let total = rows.as_ref().into_iter().map(Vec::len).sum::<usize>() as u64;
        let mut done = 0;
        let pixels = self.images.as_ref().zip(rows.as_ref());
        let pixels = pixels.try_map(|(arrays, rows)| {
            let size = request.size as usize;
            let mut parts = Vec::new();
            let (mut first, mut rows) = (0, rows.as_slice());
            for images in arrays {
                let count = rows.partition_point(|row| *row < first + images.count);
                let (here, further) = rows.split_at(count);
                let here: Vec<usize> = here.iter().map(|row| row - first).collect();
                let mut pixels = Pixels::black(here.len(), self.channels(), size)?;
                images.read(&here, &mut pixels, &mut |count| {
                    report(watch, "images read", done, total)?;
                    done += count as u64;
                    Ok(())
                })?;
                parts.push(pixels);
                (first, rows) = (first + images.count, further);
            }
            Pixels::joined(parts, self.channels(), size)
        })?;
        report(watch, "images read", total, total)?;
        Ok(ReadImages::plain(pixels))
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
