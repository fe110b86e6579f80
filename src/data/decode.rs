//! From image files to square RGB pixels.

use crate::progress::{Watch, report};
use crate::{Result, foreign_file};
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use rayon::prelude::*;
use std::io::Cursor;
use std::path::Path;
use std::sync::Mutex;

/// How many images are worked on between two reports.
pub const CHUNK: usize = 1024;

/// Larger images are refused: a small file can hold a picture that fills the memory.
const LARGEST_SIDE: u32 = 32_768;
const LARGEST_BYTES: u64 = 512 << 20;
/// And larger files, which are read whole.
const LARGEST_FILE: u64 = 256 << 20;
/// Of images that take more than this only one is decoded at a time: many processors must not fill the memory together.
const LARGE: u64 = 32 << 20;

/// Decodes image files, on several threads.
#[derive(Debug, Default)]
pub struct Decoder {
    large: Mutex<()>,
}

impl Decoder {
    /// Decodes a PNG or JPEG (known by its content, not its name) and writes its central square, `size` × `size`, into `planar`
    /// (3·size·size bytes). The error says what is wrong with the file.
    ///
    /// Grey, palette, CMYK and 16-bit images become 8-bit RGB; transparent ones lie over black. An orientation in the metadata is
    /// ignored, as other training programs do.
    pub fn decode(&self, path: &Path, size: usize, planar: &mut [u8]) -> std::result::Result<(), String> {
        let file = foreign_file::read(path, LARGEST_FILE).map_err(|error| error.to_string())?;
        let image = self.image(&file).map_err(|error| error.to_string())?;
        write_planar(&square(over_black(image), size as u32), planar);
        Ok(())
    }

    fn image(&self, file: &[u8]) -> image::ImageResult<DynamicImage> {
        let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
        match reader.format() {
            // the decoder would make up what is missing
            Some(ImageFormat::Jpeg) if is_cut_off(file) => return Err(std::io::Error::other("the file is cut off").into()),
            Some(ImageFormat::Jpeg | ImageFormat::Png) => {}
            _ => return Err(std::io::Error::other("it is neither a PNG nor a JPEG").into()),
        }
        let mut limits = Limits::default();
        limits.max_image_width = Some(LARGEST_SIDE);
        limits.max_image_height = Some(LARGEST_SIDE);
        limits.max_alloc = Some(LARGEST_BYTES);
        reader.limits(limits.clone());
        let decoder = reader.into_decoder()?;
        limits.reserve(decoder.total_bytes())?;
        let _one_at_a_time = (decoder.total_bytes() > LARGE).then(|| self.large.lock());
        DynamicImage::from_decoder(decoder)
    }
}

/// Whether a JPEG lacks the marker of its end behind that of its last scan.
fn is_cut_off(jpeg: &[u8]) -> bool {
    let marker = |second: u8| move |pair: &[u8]| pair == [0xFF, second];
    let scan = jpeg.windows(2).rposition(marker(0xDA));
    scan.is_some_and(|at| !jpeg[at..].windows(2).any(marker(0xD9)))
}

/// Planar images of side `from` at side `to`; as they are if the two are equal.
pub fn resize_all(pixels: Vec<u8>, from: usize, to: usize, watch: &mut Watch<'_>) -> Result<Vec<u8>> {
    if from == to {
        return Ok(pixels);
    }
    let (source, target) = (3 * from * from, 3 * to * to);
    let total = pixels.len() / source;
    let mut resized = vec![0; total * target];
    let mut done = 0;
    for (pixels, resized) in pixels.chunks(CHUNK * source).zip(resized.chunks_mut(CHUNK * target)) {
        report(watch, "images resized", done as u64, total as u64)?;
        pixels.par_chunks_exact(source).zip(resized.par_chunks_exact_mut(target)).for_each(|(pixels, resized)| {
            let plane = from * from;
            let image = RgbImage::from_fn(from as u32, from as u32, |x, y| {
                let at = y as usize * from + x as usize;
                image::Rgb([pixels[at], pixels[plane + at], pixels[2 * plane + at]])
            });
            write_planar(&square(image, to as u32), resized);
        });
        done += pixels.len() / source;
    }
    report(watch, "images resized", done as u64, total as u64)?;
    Ok(resized)
}

fn over_black(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let image = image.into_rgba8();
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [r, g, b, alpha] = image.get_pixel(x, y).0;
        let over = |value: u8| ((u32::from(value) * u32::from(alpha) + 127) / 255) as u8;
        image::Rgb([over(r), over(g), over(b)])
    })
}

/// The central square at `size` × `size`. Cutting before scaling gives the same picture as scaling the shorter side to `size` and
/// cutting then, but never needs more memory than the image, however long it is.
fn square(image: RgbImage, size: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    let side = width.min(height);
    let image = match width == height {
        true => image,
        false => imageops::crop_imm(&image, (width - side) / 2, (height - side) / 2, side, side).to_image(),
    };
    match side == size {
        true => image,
        false => imageops::resize(&image, size, size, FilterType::Lanczos3),
    }
}

/// Interleaved RGB → the three planes one after another.
fn write_planar(image: &RgbImage, planar: &mut [u8]) {
    let plane = planar.len() / 3;
    for (at, pixel) in image.pixels().enumerate() {
        for (channel, value) in pixel.0.into_iter().enumerate() {
            planar[channel * plane + at] = value;
        }
    }
}
