//! Arrays of NumPy: an .npz is a zip of .npy, and an .npy is `\x93NUMPY`, a version, the length of its
//! header, the header as a Python dict, and the values.

use astill_core::{Error, Result, files::untrusted};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

const MAGIC: &[u8] = b"\x93NUMPY";
const LONGEST_HEADER: u32 = 1 << 16;

/// The kind of an array's values, "|u1", and its lengths.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: String,
    /// In Fortran order.
    pub is_by_columns: bool,
    pub shape: Vec<u64>,
}

/// An array in an archive.
#[derive(Debug, Clone)]
pub struct Member {
    pub archive: PathBuf,
    /// Without ".npy".
    pub name: String,
}

/// What a file that is not such an archive is called.
pub fn damaged(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::file(
        path,
        format!("expected a zip of arrays: {error}; get it again"),
    )
}

fn open(path: &Path) -> Result<zip::ZipArchive<BufReader<File>>> {
    let file = untrusted::open(path).map_err(Error::io("open", path))?;
    zip::ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(path, error))
}

/// The names of the arrays in a file, without ".npy", and those of what else there is.
///
/// # Errors
/// It cannot be opened, or is not a zip archive.
pub fn names(path: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let archive = open(path)?;
    let (mut arrays, mut others) = (Vec::new(), Vec::new());
    for name in archive.file_names() {
        let name = name.map_err(|error| damaged(path, error))?;
        match name.strip_suffix(".npy") {
            Some(array) => arrays.push(array.to_owned()),
            None => others.push(name.into_owned()),
        }
    }
    Ok((arrays, others))
}

impl Member {
    /// Where it is, for messages.
    pub fn path(&self) -> PathBuf {
        self.archive.join(format!("{}.npy", self.name))
    }

    /// Its header, and a reader at its first value, which fails at the last one if its checksum is
    /// wrong.
    ///
    /// # Errors
    /// It is not there, compressed in an unusual way, or not an array.
    pub fn read(&self) -> Result<(Header, Box<dyn Read>)> {
        let mut archive = open(&self.archive)?;
        let name = format!("{}.npy", self.name);
        let index = archive.index_for_name(&name);
        let index = index.ok_or_else(|| damaged(&self.archive, format!("{name} is gone")))?;
        let (start, length, packed, size, checksum) = {
            let file = archive
                .by_index_raw(index)
                .map_err(|error| damaged(&self.archive, error))?;
            (
                file.data_start(),
                file.compressed_size(),
                file.compression(),
                file.size(),
                file.crc32(),
            )
        };
        let start = start.ok_or_else(|| damaged(&self.archive, "it has no data"))?;
        let mut file = untrusted::open(&self.archive).map_err(Error::io("open", &self.archive))?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(start))
            .map_err(Error::io("read", &self.archive))?;
        let file = BufReader::with_capacity(1 << 16, file).take(length);
        let unpacked: Box<dyn Read> = match packed {
            zip::CompressionMethod::Stored => Box::new(file),
            zip::CompressionMethod::Deflated => Box::new(flate2::read::DeflateDecoder::new(file)),
            other => return Err(damaged(&self.archive, format!("{other} is not read"))),
        };
        let mut reader = Box::new(Checked {
            unpacked,
            left: size,
            hash: crc32fast::Hasher::new(),
            checksum,
        });
        let header = header(&mut reader).map_err(|problem| Error::file(self.path(), problem))?;
        Ok((header, reader))
    }
}

/// The content of a member of a zip archive, as long as the archive says and with its checksum.
struct Checked {
    unpacked: Box<dyn Read>,
    left: u64,
    hash: crc32fast::Hasher,
    checksum: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let read = self.unpacked.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.hash.update(&buffer[..read]);
        self.left -= read as u64;
        match self.left == 0 && self.hash.clone().finalize() != self.checksum {
            true => Err(io::Error::other("its checksum does not match its content")),
            false => Ok(read),
        }
    }
}

/// Reads the header of an .npy.
fn header(reader: &mut dyn Read) -> std::result::Result<Header, String> {
    let cut_off = |error: io::Error| format!("expected an array of NumPy: {error}");
    let mut begin = [0; 8];
    reader.read_exact(&mut begin).map_err(cut_off)?;
    if !begin.starts_with(MAGIC) {
        return Err("expected an array of NumPy, found something else".into());
    }
    let mut length = [0; 4];
    let width = if begin[6] == 1 { 2 } else { 4 };
    reader.read_exact(&mut length[..width]).map_err(cut_off)?;
    let length = u32::from_le_bytes(length);
    if length > LONGEST_HEADER {
        return Err(format!(
            "expected a header of an array, found one of {length} bytes"
        ));
    }
    let mut text = vec![0; length as usize];
    reader.read_exact(&mut text).map_err(cut_off)?;
    let text = String::from_utf8_lossy(&text);
    parsed(&text).ok_or_else(|| format!("expected the header of an array, found {text:?}"))
}

/// Of "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 8, 8), }".
fn parsed(text: &str) -> Option<Header> {
    let after = |key: &str| {
        let at = text.find(&format!("'{key}'"))?;
        text[at + key.len() + 2..]
            .trim_start()
            .strip_prefix(':')
            .map(str::trim_start)
    };
    let kind = after("descr")?.strip_prefix('\'')?.split_once('\'')?.0;
    let order = after("fortran_order")?;
    let shape = after("shape")?.strip_prefix('(')?.split_once(')')?.0;
    let lengths = shape
        .split(',')
        .map(str::trim)
        .filter(|length| !length.is_empty());
    Some(Header {
        kind: kind.to_owned(),
        is_by_columns: match (order.starts_with("True"), order.starts_with("False")) {
            (true, false) => true,
            (false, true) => false,
            _ => return None,
        },
        shape: lengths
            .map(|length| length.parse().ok())
            .collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_whatever_their_order() {
        let header = parsed("{'shape': (3, 8, 8), 'fortran_order': False, 'descr': '|u1', }");
        let want = Header {
            kind: "|u1".into(),
            is_by_columns: false,
            shape: vec![3, 8, 8],
        };
        assert_eq!(header, Some(want));
        for broken in [
            "",
            "{'descr': '|u1'}",
            "{'descr': [('a', 'u1')], 'fortran_order': False}",
        ] {
            assert_eq!(parsed(broken), None, "{broken}");
        }
    }
}
