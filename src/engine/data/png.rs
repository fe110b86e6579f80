//! PNG files that other programs read although they are not quite right.

use std::borrow::Cow;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const DATA: &[u8; 4] = b"IDAT";
const END: &[u8; 4] = b"IEND";
/// Length and kind before the content of a chunk, and its checksum after it.
const HEAD: usize = 8;
const CHECKSUM: usize = 4;

/// `file` with the right checksums of its data, and with an end: like Pillow, and so torchvision's
/// folders, this compares no checksum of the data and needs no end. Whether all rows are there is
/// for the decoder to say. A file that is right, or not a PNG, is not copied.
pub fn mended(file: &[u8]) -> Cow<'_, [u8]> {
    if !file.starts_with(SIGNATURE) {
        return Cow::Borrowed(file);
    }
    let mut at = SIGNATURE.len();
    let mut has_data = false;
    let mut right = Cow::Borrowed(file);
    while let Some(head) = file.get(at..at + HEAD) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let kind = [head[4], head[5], head[6], head[7]];
        let from = at + HEAD;
        let rest = file.len() - from;
        let is_whole = length <= rest.saturating_sub(CHECKSUM);
        if kind == *DATA {
            let content = &file[from..from + length.min(rest)];
            if !is_whole {
                return Cow::Owned(ended(&file[..at], Some(content)));
            }
            let checksum = from + length..from + length + CHECKSUM;
            let wanted = checksum_of(DATA, content).to_be_bytes();
            if file[checksum.clone()] != wanted {
                right.to_mut()[checksum].copy_from_slice(&wanted);
            }
            has_data = true;
        } else if kind == *END || !is_whole {
            break;
        }
        at = from + length + CHECKSUM;
    }
    let is_ended = file.get(at + 4..at + HEAD) == Some(END);
    match has_data && !is_ended {
        true => Cow::Owned(ended(&right[..at.min(file.len())], None)),
        false => right,
    }
}

/// What comes before the end, with this last part of the data and an end after it.
fn ended(before: &[u8], data: Option<&[u8]>) -> Vec<u8> {
    let mut file = before.to_vec();
    for (kind, content) in data
        .map(|data| (DATA, data))
        .into_iter()
        .chain([(END, &[][..])])
    {
        file.extend((content.len() as u32).to_be_bytes());
        file.extend(kind);
        file.extend(content);
        file.extend(checksum_of(kind, content).to_be_bytes());
    }
    file
}

fn checksum_of(kind: &[u8; 4], content: &[u8]) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(kind);
    hash.update(content);
    hash.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, RgbImage};
    use std::io::Cursor;

    /// A PNG, the place of its data, and that of its end.
    fn png(image: &RgbImage) -> (Vec<u8>, usize, usize) {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, ImageFormat::Png).unwrap();
        let file = file.into_inner();
        let find = |kind: &[u8]| file.windows(4).position(|w| w == kind).unwrap();
        let (data, end) = (find(DATA), find(END) - 4);
        (file, data, end)
    }

    fn decoded(file: &[u8]) -> Option<RgbImage> {
        let image = image::load_from_memory_with_format(&mended(file), ImageFormat::Png);
        image.ok().map(|image| image.to_rgb8())
    }

    #[test]
    fn what_pillow_reads_is_read_and_what_it_refuses_is_refused() {
        let image = RgbImage::from_fn(40, 40, |x, y| {
            image::Rgb([(x * y) as u8, (x * 7 + y * y) as u8, (x * x) as u8])
        });
        let (file, data, end) = png(&image);
        assert!(matches!(mended(&file), Cow::Borrowed(_)));
        assert_eq!(decoded(&file).as_ref(), Some(&image));
        let flipped = |at: usize| {
            let mut file = file.clone();
            file[at] ^= 1;
            file
        };
        for (what, broken) in [
            ("a checksum of the data", flipped(end - 1)),
            ("the checksum of the end", flipped(file.len() - 1)),
            ("no end", file[..end].to_vec()),
            ("half an end", file[..end + 6].to_vec()),
            ("half a checksum", file[..end - 2].to_vec()),
            ("no checksum", file[..end - 4].to_vec()),
        ] {
            assert_eq!(decoded(&broken).as_ref(), Some(&image), "{what}");
        }
        for (what, broken) in [
            ("the checksum of the header", flipped(8 + 8 + 13)),
            ("half of the data", file[..(data + end) / 2].to_vec()),
            ("most of the data", file[..end - 30].to_vec()),
            ("no data", file[..data - 4].to_vec()),
            ("the signature alone", file[..8].to_vec()),
            ("half a signature", file[..4].to_vec()),
        ] {
            assert_eq!(decoded(&broken), None, "{what}");
        }
    }
}
