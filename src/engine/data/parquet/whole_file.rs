//! The bytes of a parquet file. The crate's own reader of files goes on asking for bytes behind the end,
//! one at a time, as often as a damaged header says.

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io::{BufReader, Error, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A reader that reads everything finds the end once or twice; one that goes on does not look.
const MOST_AT_END: u32 = 16;

/// A file of this length.
#[derive(Debug)]
pub struct WholeFile {
    file: Arc<File>,
    length: u64,
}

impl WholeFile {
    /// # Errors
    /// Its length cannot be read.
    pub fn new(file: File) -> std::io::Result<Self> {
        Ok(Self {
            length: file.metadata()?.len(),
            file: Arc::new(file),
        })
    }
}

impl Length for WholeFile {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for WholeFile {
    type T = BufReader<FromPlace>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::new(FromPlace {
            file: Arc::clone(&self.file),
            at: start,
            at_end: 0,
        }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // nothing is made for what cannot be there
        if start
            .checked_add(length as u64)
            .is_none_or(|end| end > self.length)
        {
            return Err(ParquetError::EOF(format!(
                "expected {length} bytes from {start} on, the file has {}",
                self.length
            )));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// The bytes from a place on.
#[derive(Debug)]
pub struct FromPlace {
    file: Arc<File>,
    at: u64,
    /// How often the end was read.
    at_end: u32,
}

impl Read for FromPlace {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read_at(into, self.at)?;
        self.at += count as u64;
        if count == 0 && !into.is_empty() {
            self.at_end += 1;
            if self.at_end > MOST_AT_END {
                return Err(Error::new(
                    ErrorKind::UnexpectedEof,
                    "it is cut off, or damaged",
                ));
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn source(bytes: &[u8]) -> WholeFile {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        WholeFile::new(file).unwrap()
    }

    #[test]
    fn who_goes_on_behind_the_end_is_stopped() {
        let source = source(b"abcdef");
        let mut reader = source.get_read(4).unwrap();
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"ef");
        let ends = (0..100).map(|_| reader.read(&mut [0]));
        assert!(ends.take_while(std::result::Result::is_ok).count() < 100);
        assert_eq!(&source.get_bytes(1, 3).unwrap()[..], b"bcd");
        for (start, length) in [(4, 3), (7, 0), (0, usize::MAX), (u64::MAX, 1)] {
            assert!(source.get_bytes(start, length).is_err());
        }
    }
}
