//! From encoded images to square pixels.

use super::content::{self, FORMATS};
use super::facts::ImageFacts;
use super::pixels::Pixels;
use super::png;
use crate::progress::{Watch, report};
use astill_core::profile::{Background, Color};
use astill_core::{Result, files::untrusted};
use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{
    ColorType, DynamicImage, GrayImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader,
    Limits, Pixel, RgbImage,
};
use rayon::prelude::*;
use std::fs::File;
use std::io::Cursor;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many images are worked on between two reports, at most.
pub const CHUNK: usize = 1024;
/// And how many at first, when it is not known how long one takes.
pub const FIRST_CHUNK: usize = 4;
/// How long to work between two reports.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// Larger images are refused: a small file can hold an image that fills the memory.
const LARGEST_SIDE: u32 = 32_768;
const LARGEST_BYTES: u64 = 512 << 20;
/// Larger files are refused too, as they are read whole.
pub const LARGEST_FILE: u64 = 256 << 20;
/// Only one file or image larger than this is processed at a time: many threads together must not
/// fill the memory.
const LARGE: u64 = 32 << 20;

/// An encoded image.
#[derive(Debug, Clone)]
pub enum Encoded {
    File(PathBuf),
    /// A part of a file.
    Part {
        file: Arc<File>,
        offset: u64,
        length: u64,
    },
    Bytes(Vec<u8>),
}

impl Encoded {
    fn len(&self) -> u64 {
        match self {
            Self::File(path) => std::fs::metadata(path).map_or(0, |file| file.len()),
            Self::Part { length, .. } => *length,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    fn into_bytes(self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::File(path) => untrusted::read(&path, LARGEST_FILE),
            Self::Bytes(bytes) => Ok(bytes),
            Self::Part { length, .. } if length > LARGEST_FILE => Err(std::io::Error::other(
                format!("it has {length} bytes, the limit is {LARGEST_FILE}"),
            )),
            Self::Part {
                file,
                offset,
                length,
            } => {
                let mut bytes = vec![0; length as usize];
                file.read_exact_at(&mut bytes, offset)?;
                Ok(bytes)
            }
        }
    }
}

/// Why an image cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    pub problem: String,
    /// Whether it is the system that refused to read the image: that may pass, and says nothing of
    /// what is in it.
    pub may_pass: bool,
}

impl From<String> for Flaw {
    fn from(problem: String) -> Self {
        Self {
            problem,
            may_pass: false,
        }
    }
}

impl From<std::io::Error> for Flaw {
    fn from(error: std::io::Error) -> Self {
        Self {
            problem: error.to_string(),
            // only the system's own errors have a number
            may_pass: error.raw_os_error().is_some(),
        }
    }
}

/// What images are decoded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The side, in pixels.
    pub size: usize,
    /// 1 or 3.
    pub channels: usize,
    pub color: Color,
    pub background: Background,
}

impl Form {
    pub fn bytes_per_image(&self) -> usize {
        self.channels * self.size * self.size
    }
}

/// Decodes images, on several threads.
#[derive(Debug, Default)]
pub struct Decoder {
    large: Mutex<()>,
}

impl Decoder {
    /// Decodes an image in any of the formats of `image` (known by its content, not its name) and
    /// writes its central square in this form into `planar`.
    ///
    /// # Errors
    /// What is wrong with the image.
    ///
    /// Palette, CMYK and 16-bit images become 8-bit ones, of an animation the first picture is
    /// taken, and an orientation in the metadata is ignored, as other training programs do.
    pub fn decode(
        &self,
        encoded: Encoded,
        form: &Form,
        planar: &mut [u8],
    ) -> std::result::Result<ImageFacts, Flaw> {
        // held until nothing of the image is left but its square
        let mut alone = (encoded.len() > LARGE).then(|| self.large.lock());
        let file = encoded.into_bytes()?;
        let mended = png::mended(&file);
        let mut decoder = decoder(&mended)?;
        if alone.is_none() && decoder.total_bytes() > LARGE {
            alone = Some(self.large.lock());
        }
        let mut facts = ImageFacts {
            is_grey: is_grey(decoder.color_type()),
            is_turned: !matches!(
                decoder.orientation(),
                Ok(Orientation::NoTransforms) | Err(_)
            ),
            ..ImageFacts::default()
        };
        let image = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
        // some formats store grey as equal parts of three colours
        if form.channels == 1 && form.color == Color::Auto && !facts.is_grey && has_colours(&image)
        {
            let problem = "it has colours, but others are grey; set dataset.color to rgb or grey";
            return Err(problem.to_owned().into());
        }
        drop(mended);
        drop(file);
        if matches!(image.color(), ColorType::Rgb32F | ColorType::Rgba32F) {
            let problem = "its values are floating-point numbers; convert it to 8 or 16 bits";
            return Err(problem.to_owned().into());
        }
        facts.deepest = deepest(&image);
        let (image, is_transparent) = opaque(image, form.background);
        facts.is_transparent = is_transparent;
        let size = form.size as u32;
        match form.channels {
            1 => write_planar(&square(grey(&image), size), planar),
            _ => write_planar(&square(image, size), planar),
        }
        drop(alone);
        Ok(facts)
    }

    /// Whether an image is without colours: as it is stored, or where its format has no other way to store
    /// grey than as equal parts of three colours, as it looks. None if it cannot be read.
    pub fn is_grey(&self, encoded: Encoded) -> Option<bool> {
        let _alone = (encoded.len() > LARGE).then(|| self.large.lock());
        let bytes = encoded.into_bytes().ok()?;
        let decoder = decoder(&bytes).ok()?;
        if is_grey(decoder.color_type()) || !has_palette(&bytes) {
            return Some(is_grey(decoder.color_type()));
        }
        let image = DynamicImage::from_decoder(decoder).ok()?;
        Some(!has_colours(&image))
    }
}

/// How many images to work on until the next report, after so many took so long.
pub fn next_chunk(images: usize, took: Duration) -> usize {
    let fitting = images as f64 * REPORT_EVERY.as_secs_f64() / took.as_secs_f64().max(1e-6);
    (fitting as usize).clamp(1, CHUNK)
}

fn is_grey(color: ColorType) -> bool {
    !color.has_color()
}

/// Whether an image has a palette, or is of a format that has no grey of its own.
fn has_palette(file: &[u8]) -> bool {
    /// Where the header of a PNG says how it stores colours, and what stands for a palette.
    const PNG_PALETTE: (usize, u8) = (25, 3);
    match image::guess_format(file) {
        Ok(ImageFormat::Gif | ImageFormat::Bmp | ImageFormat::WebP) => true,
        Ok(ImageFormat::Png) => file.get(PNG_PALETTE.0) == Some(&PNG_PALETTE.1),
        Ok(_) | Err(_) => false,
    }
}

fn has_colours(image: &DynamicImage) -> bool {
    let rgb = image.to_rgb16();
    rgb.pixels()
        .any(|pixel| pixel[0] != pixel[1] || pixel[1] != pixel[2])
}

/// Reads the header of an image; refuses other files, and images that are too large.
fn decoder(file: &[u8]) -> std::result::Result<impl ImageDecoder, String> {
    let mut reader = ImageReader::new(Cursor::new(file))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    match reader.format() {
        // the decoder would make up what is missing
        Some(ImageFormat::Jpeg) if is_cut_off(file) => return Err("the file is cut off".into()),
        Some(format) if FORMATS.contains(&format) => {}
        _ => return Err(content::describe(file)),
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    // for the header alone: the image itself is decoded later, and may take more
    limits.max_alloc = Some(LARGE);
    reader.limits(limits);
    let decoder = reader
        .into_decoder()
        .map_err(|error| content::problem(&error))?;
    match decoder.total_bytes() {
        0..=LARGEST_BYTES => Ok(decoder),
        bytes => Err(format!(
            "it takes {} MiB when decoded, the limit is {}",
            bytes >> 20,
            LARGEST_BYTES >> 20
        )),
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

/// Images at `size` × `size` pixels; as they are if that is their size.
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
            .for_each(|(planar, resized)| resize_planar(planar, [channels, side, side], resized));
        done += images.len() / source;
    }
    report(watch, "images resized", done as u64, total as u64)?;
    Ok(resized)
}

/// The central square of one image of [channels, rows, columns], plane by plane, at the size of
/// `resized`, which has as many channels.
pub fn resize_planar(planar: &[u8], [channels, rows, columns]: [usize; 3], resized: &mut [u8]) {
    let (plane, target) = (rows * columns, resized.len() / channels.max(1));
    let size = target.isqrt() as u32;
    let planes = planar.chunks_exact(plane.max(1));
    for (values, resized) in planes.zip(resized.chunks_exact_mut(target.max(1))) {
        let image = GrayImage::from_fn(columns as u32, rows as u32, |x, y| {
            image::Luma([values[y as usize * columns + x as usize]])
        });
        write_planar(&square(image, size), resized);
    }
}

/// The largest value of a 16-bit image.
fn deepest(image: &DynamicImage) -> Option<u16> {
    let values: &[u16] = match image {
        DynamicImage::ImageLuma16(image) => image.as_raw(),
        DynamicImage::ImageRgb16(image) => image.as_raw(),
        // a full alpha says nothing about the range of the others
        DynamicImage::ImageLumaA16(image) => {
            return image.pixels().map(|pixel| pixel.0[0]).max();
        }
        DynamicImage::ImageRgba16(image) => {
            return image.pixels().flat_map(|pixel| pixel.0[..3].to_vec()).max();
        }
        _ => return None,
    };
    values.iter().copied().max()
}

/// The image over this background, and whether any of it shows.
fn opaque(image: DynamicImage, background: Background) -> (RgbImage, bool) {
    if !image.color().has_alpha() {
        return (image.into_rgb8(), false);
    }
    let below = match background {
        Background::White => 255,
        Background::Black => 0,
        Background::Grey => 128,
    };
    let image = image.into_rgba8();
    let is_transparent = image.pixels().any(|pixel| pixel.0[3] < u8::MAX);
    let image = RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [r, g, b, alpha] = image.get_pixel(x, y).0.map(u32::from);
        let over = |value: u32| ((value * alpha + below * (255 - alpha) + 127) / 255) as u8;
        image::Rgb([over(r), over(g), over(b)])
    });
    (image, is_transparent)
}

/// Without colours; grey stays as it is.
fn grey(image: &RgbImage) -> GrayImage {
    GrayImage::from_fn(image.width(), image.height(), |x, y| {
        let [r, g, b] = image.get_pixel(x, y).0.map(u32::from);
        image::Luma([luminance([r, g, b])])
    })
}

/// The luminance of ITU-R 601-2 of values up to 255, as Pillow rounds it.
pub fn luminance([r, g, b]: [u32; 3]) -> u8 {
    ((19_595 * r + 38_470 * g + 7_471 * b + 0x8000) >> 16) as u8
}

/// The central square at `size` × `size`. Cutting before scaling gives the same image as scaling
/// the shorter side to `size` and cutting then, but never needs more memory than the image, however
/// long it is.
fn square<P: Pixel<Subpixel = u8> + 'static>(
    image: ImageBuffer<P, Vec<u8>>,
    size: u32,
) -> ImageBuffer<P, Vec<u8>> {
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

/// Interleaved values → the planes one after another.
fn write_planar<P: Pixel<Subpixel = u8>>(image: &ImageBuffer<P, Vec<u8>>, planar: &mut [u8]) {
    let channels = usize::from(P::CHANNEL_COUNT);
    let plane = planar.len() / channels;
    for (at, pixel) in image.as_raw().chunks_exact(channels).enumerate() {
        for (channel, value) in pixel.iter().enumerate() {
            planar[channel * plane + at] = *value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_waits_for_few_images_where_each_takes_long() {
        let after = |images, milliseconds| next_chunk(images, Duration::from_millis(milliseconds));
        assert_eq!(after(4, 1000), 1);
        assert_eq!(after(4, 100_000), 1);
        assert_eq!(after(4, 10), 100);
        assert_eq!(after(CHUNK, 0), CHUNK);
    }

    #[test]
    fn grey_that_is_stored_as_three_colours_has_none() {
        let image = |g: u8| DynamicImage::from(RgbImage::from_pixel(3, 2, image::Rgb([7, g, 7])));
        assert!(has_colours(&image(8)) && !has_colours(&image(7)));
    }

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
