//! From image files to square RGB pixels.

use super::pixels::Pixels;
use crate::progress::{Watch, report};
use astill_core::{Result, files::untrusted};
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use rayon::prelude::*;
use std::io::Cursor;
use std::path::Path;
use std::sync::Mutex;

/// Images are decoded to red, green and blue.
pub const CHANNELS: usize = 3;

/// How many images are worked on between two reports.
pub const CHUNK: usize = 1024;

/// Larger images are refused: a small file can hold an image that fills the memory.
const LARGEST_SIDE: u32 = 32_768;
const LARGEST_BYTES: u64 = 512 << 20;
/// Larger files are refused too, as they are read whole.
const LARGEST_FILE: u64 = 256 << 20;
/// Only one file or image larger than this is processed at a time: many threads together must not
/// fill the memory.
const LARGE: u64 = 32 << 20;

/// Decodes image files, on several threads.
#[derive(Debug, Default)]
pub struct Decoder {
    large: Mutex<()>,
}

impl Decoder {
    /// Decodes a PNG or JPEG (known by its content, not its name) and writes its central square,
    /// `size` × `size`, into `planar` (3·size·size bytes).
    ///
    /// # Errors
    /// What is wrong with the file.
    ///
    /// Grey, palette, CMYK and 16-bit images become 8-bit RGB; transparent ones lie over black. An
    /// orientation in the metadata is ignored, as other training programs do.
    pub fn decode(
        &self,
        path: &Path,
        size: usize,
        planar: &mut [u8],
    ) -> std::result::Result<(), String> {
        // held until nothing of the image is left but its square
        let mut alone = std::fs::metadata(path)
            .is_ok_and(|file| file.len() > LARGE)
            .then(|| self.large.lock());
        let file = untrusted::read(path, LARGEST_FILE).map_err(|error| error.to_string())?;
        let decoder = decoder(&file).map_err(|error| error.to_string())?;
        if alone.is_none() && decoder.total_bytes() > LARGE {
            alone = Some(self.large.lock());
        }
        let image = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
        drop(file);
        let square = square(over_black(image), size as u32);
        drop(alone);
        write_planar(&square, planar);
        Ok(())
    }
}

/// Reads the header of an image; refuses other files, and images that are too large.
fn decoder(file: &[u8]) -> image::ImageResult<impl ImageDecoder> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
    match reader.format() {
        // the decoder would make up what is missing
        Some(ImageFormat::Jpeg) if is_cut_off(file) => {
            return Err(std::io::Error::other("the file is cut off").into());
        }
        Some(ImageFormat::Jpeg | ImageFormat::Png) => {}
        _ => return Err(std::io::Error::other("it is neither PNG nor JPEG").into()),
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    // for the header alone: the image itself is decoded later, and may take more
    limits.max_alloc = Some(LARGE);
    reader.limits(limits);
    let decoder = reader.into_decoder()?;
    match decoder.total_bytes() {
        0..=LARGEST_BYTES => Ok(decoder),
        bytes => Err(std::io::Error::other(format!(
            "it takes {} MiB when decoded, the limit is {}",
            bytes >> 20,
            LARGEST_BYTES >> 20
        ))
        .into()),
    }
}

/// Whether a JPEG ends before the marker of its end. What follows that marker is not part of the
/// image.
fn is_cut_off(jpeg: &[u8]) -> bool {
    const START: u8 = 0xD8;
    const END: u8 = 0xD9;
    const SCAN: u8 = 0xDA;
    let mut at = 0;
    while at + 1 < jpeg.len() {
        match [jpeg[at], jpeg[at + 1]] {
            [0xFF, END] => return false,
            // a segment without content
            [0xFF, START | 0x01 | 0xD0..=0xD7] => at += 2,
            // fill bytes may precede a marker
            [0xFF, 0xFF] => at += 1,
            [0xFF, kind] if at + 3 < jpeg.len() => {
                at += 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
                if kind == SCAN {
                    // coded data, in which FF is followed by 00, or by the marker of a restart
                    let next = jpeg.get(at..).unwrap_or_default().windows(2);
                    let next = next
                        .into_iter()
                        .position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xD0..=0xD7));
                    at += next.unwrap_or(jpeg.len());
                }
            }
            // the decoder reports what this is
            _ => return jpeg.len() <= at + 3,
        }
    }
    true
}

/// RGB images at `size` × `size` pixels; as they are if that is their size.
pub fn resize_all(images: Pixels, size: usize, watch: &mut Watch<'_>) -> Result<Pixels> {
    let [total, channels, side, _] = images.shape();
    if side == size {
        return Ok(images);
    }
    let mut resized = Pixels::black(total, channels, size)?;
    let (source, target) = (images.bytes_per_image(), resized.bytes_per_image());
    let mut done = 0;
    for (images, resized) in images
        .bytes()
        .chunks(CHUNK * source)
        .zip(resized.bytes_mut().chunks_mut(CHUNK * target))
    {
        report(watch, "images resized", done as u64, total as u64)?;
        images
            .par_chunks_exact(source)
            .zip(resized.par_chunks_exact_mut(target))
            .for_each(|(planar, resized)| {
                let plane = side * side;
                let image = RgbImage::from_fn(side as u32, side as u32, |x, y| {
                    let at = y as usize * side + x as usize;
                    image::Rgb([planar[at], planar[plane + at], planar[2 * plane + at]])
                });
                write_planar(&square(image, size as u32), resized);
            });
        done += images.len() / source;
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

/// The central square at `size` × `size`. Cutting before scaling gives the same image as scaling
/// the shorter side to `size` and cutting then, but never needs more memory than the image, however
/// long it is.
fn square(image: RgbImage, size: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    let side = width.min(height);
    let image = match width == height {
        true => image,
        false => imageops::crop_imm(&image, (width - side) / 2, (height - side) / 2, side, side)
            .to_image(),
    };
    match side == size {
        true => image,
        false => imageops::resize(&image, size, size, FilterType::Lanczos3),
    }
}

/// Interleaved RGB → the three planes one after another.
fn write_planar(image: &RgbImage, planar: &mut [u8]) {
    let plane = planar.len() / CHANNELS;
    for (at, pixel) in image.pixels().enumerate() {
        for (channel, value) in pixel.0.into_iter().enumerate() {
            planar[channel * plane + at] = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_is_cut_off_before_its_end_and_not_by_what_follows_it() -> image::ImageResult<()> {
        let noise = RgbImage::from_fn(40, 40, |x, y| {
            image::Rgb([(x * 91 + y * 57) as u8, (x * y) as u8, (x * 13) as u8])
        });
        let mut jpeg = Cursor::new(Vec::new());
        noise.write_to(&mut jpeg, ImageFormat::Jpeg)?;
        let jpeg = jpeg.into_inner();
        assert!(!is_cut_off(&jpeg));
        for length in 2..jpeg.len() {
            assert!(is_cut_off(&jpeg[..length]), "{length} of {}", jpeg.len());
        }
        // the video of a motion photo; bytes that resemble a scan
        for tail in [
            &[0xFF, 0xDA, 0x00, 0x04][..],
            &[0; 9],
            &[0xFF; 9],
            &jpeg[..jpeg.len() / 2],
        ] {
            assert!(!is_cut_off(&[&jpeg, tail].concat()), "{tail:?}");
        }
        let comment = [
            &jpeg[..2],
            &[0xFF, 0xFE, 0x00, 0x06, 0xFF, 0xD9, 0xFF, 0xDA],
            &jpeg[2..],
        ]
        .concat();
        assert!(!is_cut_off(&comment) && is_cut_off(&comment[..comment.len() - 2]));
        Ok(())
    }
}
