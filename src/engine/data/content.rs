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
const UNREAD_NAMES: [(&str, &str); 14] = [
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
];

/// The beginnings of files with images that are not read: place, bytes, format.
const UNREAD: [(usize, &[u8], &str); 18] = [
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
    (0, b"\x93NUMPY", "NumPy"),
    (128, b"DICM", "DICOM"),
];

/// How many bytes of a file decide what it is.
const DECISIVE: u64 = 256;

/// What a file is to a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Image,
    /// An image that is not read, and what it is.
    Unread(String),
    /// Not an image, and what it is.
    Other(String),
}

/// What the file is: by its name where that is the name of an image, or else by its first bytes.
pub fn of_file(path: &Path) -> Content {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    if NAMES.contains(&extension.as_str()) {
        return Content::Image;
    }
    if let Some((_, format)) = UNREAD_NAMES.iter().find(|(name, _)| *name == extension) {
        return Content::Unread(format!("{format} is not read; convert it to PNG"));
    }
    let begin = match begin(path) {
        Ok(begin) => begin,
        Err(error) => return Content::Unread(error.to_string()),
    };
    match image::guess_format(&begin) {
        Ok(format) if FORMATS.contains(&format) => Content::Image,
        _ => match unread(&begin) {
            Some(format) => Content::Unread(format!("{format} is not read; convert it to PNG")),
            None if extension.is_empty() => Content::Other("it is not an image".into()),
            None => Content::Other(format!(
                "it is not an image but .{}",
                extension.escape_debug()
            )),
        },
    }
}

/// Whether the extension of a name is that of an image that is read.
pub fn is_image_name(extension: &std::ffi::OsStr) -> bool {
    NAMES.contains(&extension.to_string_lossy().to_lowercase().as_str())
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
}
