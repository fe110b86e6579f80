//! What a file is, by its first bytes and by its name.

use image::ImageFormat;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The formats of images that are read.
pub const FORMATS: [ImageFormat; 7] = [
    ImageFormat::Png,
    ImageFormat::Jpeg,
    ImageFormat::WebP,
    ImageFormat::Bmp,
    ImageFormat::Tiff,
    ImageFormat::Pnm,
    ImageFormat::Gif,
];

/// What images in those formats are called; a file with such a name is taken for one, and it is an
/// error if it is not.
const NAMES: [&str; 17] = [
    "png", "apng", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "dib", "tif", "tiff", "ppm", "pgm",
    "pbm", "pnm", "pam", "gif",
];

/// What files with images that are not read are called.
const UNREAD_NAMES: [(&str, &str); 24] = [
    ("heic", "HEIC"),
    ("heif", "HEIC"),
    ("avif", "AVIF"),
    ("jxl", "JPEG XL"),
    ("jp2", "JPEG 2000"),
    ("j2k", "JPEG 2000"),
    ("svg", "SVG"),
    ("psd", "Photoshop"),
    ("dcm", "DICOM"),
    ("exr", "OpenEXR"),
    ("hdr", "Radiance HDR"),
    ("ico", "ICO"),
    ("npy", "NumPy"),
    ("nii", "NIfTI"),
    ("hif", "HEIC"),
    ("jpx", "JPEG 2000"),
    ("j2c", "JPEG 2000"),
    ("tga", "TGA"),
    ("dds", "DDS"),
    ("pcx", "PCX"),
    ("qoi", "QOI"),
    ("ff", "farbfeld"),
    ("xpm", "XPM"),
    ("xcf", "GIMP"),
];

/// What compressed files are called.
const PACKED_NAMES: [&str; 6] = ["gz", "bz2", "xz", "zst", "lz4", "zip"];

/// The beginnings of files with images that are not read: place, bytes, format.
const UNREAD: [(usize, &[u8], &str); 20] = [
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftyphevc", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypmsf1", "HEIC"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\xFF\x0A", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xFF\x4F\xFF\x51", "JPEG 2000"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\x76\x2F\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"\0\0\x01\0", "ICO"),
    (0, b"qoif", "QOI"),
    (0, b"DDS ", "DDS"),
    (0, b"farbfeld", "farbfeld"),
    (0, b"\x93NUMPY", "NumPy"),
    (128, b"DICM", "DICOM"),
];

/// How many bytes of a file decide what it is.
pub const DECISIVE: u64 = 256;

/// What a file is to a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Image,
    /// An image that is not read, and what it is.
    Unread(String),
    /// Not an image, and what it is.
    Other(String),
}

/// What the file is, by its first bytes. One with the name of an image that is read is not opened:
/// it is taken for one, and the decoder, which judges by content too, says what else it is.
pub fn of_file(path: &Path) -> Content {
    if is_image_name(path) {
        return Content::Image;
    }
    match begin(path) {
        Ok(begin) => of_beginning(path, &begin),
        Err(error) => Content::Unread(error.to_string()),
    }
}

/// Whether a file whose first two letters are those of this format begins as such files do: a text may
/// begin with "BM" or "P5", too.
fn begins_with(begin: &[u8], format: ImageFormat) -> bool {
    match format {
        // the length of the second header
        ImageFormat::Bmp => {
            let length = begin.get(14..18).and_then(|b| b.try_into().ok());
            matches!(
                length.map(u32::from_le_bytes),
                Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124)
            )
        }
        ImageFormat::Pnm => begin
            .get(2)
            .is_some_and(|b| b.is_ascii_whitespace() || *b == b'#'),
        _ => true,
    }
}

/// Whether a name is that of an image that is read.
pub fn is_image_name(name: &Path) -> bool {
    NAMES.contains(&extension(name).as_str())
}

/// What a file of this name with these first bytes is: by the bytes, or by the name where they do
/// not tell.
pub fn of_beginning(name: &Path, begin: &[u8]) -> Content {
    let not_read =
        |format: &str| Content::Unread(format!("{format} is not read; convert it to PNG"));
    let format = image::guess_format(begin).ok();
    if format.is_some_and(|format| FORMATS.contains(&format) && begins_with(begin, format)) {
        return Content::Image;
    }
    if let Some(format) = unread(begin) {
        return not_read(format);
    }
    let end = extension(name);
    if let Some(format) = format_of(&end) {
        return not_read(format);
    }
    let inner = name.file_stem().map(Path::new).unwrap_or(name);
    let is_image = is_image_name(inner) || format_of(&extension(inner)).is_some();
    match end.as_str() {
        packed if PACKED_NAMES.contains(&packed) && is_image => {
            Content::Unread("compressed images are not read; unpack it".into())
        }
        "" => Content::Other("it is not an image".into()),
        end => Content::Other(format!("it is not an image but .{}", end.escape_debug())),
    }
}

fn extension(name: &Path) -> String {
    let end = name.extension().unwrap_or_default();
    end.to_string_lossy().to_lowercase()
}

/// The format that is not read, by the extension of its files.
fn format_of(extension: &str) -> Option<&'static str> {
    let mut known = UNREAD_NAMES.iter();
    known
        .find(|(name, _)| *name == extension)
        .map(|(_, format)| *format)
}

/// What a decoder says about a file, in the words of people who do not know its types.
pub fn problem(error: &image::ImageError) -> String {
    use image::ImageError::Unsupported;
    use image::error::UnsupportedErrorKind::Color;
    match error {
        Unsupported(error) if matches!(error.kind(), Color(_)) => {
            "its values are not whole numbers of 8 or 16 bits; convert it to PNG".into()
        }
        other => other.to_string(),
    }
}

/// The first bytes of a regular file.
fn begin(path: &Path) -> std::io::Result<Vec<u8>> {
    let file: File = astill_core::files::untrusted::open(path)?;
    let mut begin = Vec::new();
    file.take(DECISIVE).read_to_end(&mut begin)?;
    Ok(begin)
}

fn unread(begin: &[u8]) -> Option<&'static str> {
    UNREAD
        .iter()
        .find(|(at, bytes, _)| begin.get(*at..).is_some_and(|rest| rest.starts_with(bytes)))
        .map(|(_, _, format)| *format)
}

/// Why the content of a file is not an image that can be read.
pub fn describe(content: &[u8]) -> String {
    let text = content.trim_ascii_start();
    let is = |beginning: &[u8]| {
        text.get(..beginning.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(beginning))
    };
    if content.is_empty() {
        return "the file is empty".into();
    }
    if let Some(format) = unread(content) {
        return format!("{format} is not read; convert it to PNG");
    }
    if is(b"<svg") || is(b"<?xml") {
        return "it is SVG or XML, not an image of pixels".into();
    }
    if is(b"<!doctype") || is(b"<html") {
        return "it is a web page, not an image".into();
    }
    if content.iter().take(512).all(|&byte| byte == 0) {
        return "it holds zeros, not an image".into();
    }
    let is_text = content
        .iter()
        .take(512)
        .all(|&byte| byte >= 0x20 || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0C));
    match is_text {
        true => "it is text, not an image".into(),
        false => "it is not PNG, JPEG, WebP, BMP, TIFF, PNM or GIF".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_image_is_named() {
        for (content, want) in [
            (&b""[..], "empty"),
            (b" <!DOCTYPE html><html>", "web page"),
            (b"version https://git-lfs.github.com", "text"),
            (b"\0\0\0\x20ftypavif\0\0", "AVIF"),
            (&[0; 600], "zeros"),
            (&[7, 1, 2, 3], "not PNG"),
        ] {
            assert!(describe(content).contains(want), "{}", describe(content));
        }
    }

    #[test]
    fn content_decides_before_the_name_and_compressed_images_are_images() {
        let judged = |name: &str, begin: &[u8]| of_beginning(Path::new(name), begin);
        let jpeg = b"\xFF\xD8\xFF\xE0";
        assert_eq!(judged("phone.heic", jpeg), Content::Image);
        for (name, begin, want) in [
            ("a.tga", &b"\0\0\x02"[..], "TGA"),
            ("a.dat", b"DDS |", "DDS"),
            ("a.png.gz", b"\x1F\x8B", "compressed"),
            ("a.nii.gz", b"\x1F\x8B", "compressed"),
        ] {
            let found = judged(name, begin);
            assert!(
                matches!(&found, Content::Unread(what) if what.contains(want)),
                "{found:?}"
            );
        }
        // a table, a text, and images without an ending
        for (begin, is_image) in [
            (&b"BMI,age,weight,height\n"[..], false),
            (b"P5 is the fifth person", true),
            (b"P5th column", false),
            (b"P6\n4 4\n255\n", true),
            (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", true),
        ] {
            assert_eq!(judged("a", begin) == Content::Image, is_image, "{begin:?}");
        }
        for name in ["boxes.csv.gz", "a.pdf", "notes"] {
            assert!(
                matches!(judged(name, b"\x1F\x8B"), Content::Other(_)),
                "{name}"
            );
        }
    }
}
