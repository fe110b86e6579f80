//! A file of records, each a protocol buffer with its length and its checksums.

use astill_core::{Error, Result};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The Castagnoli polynomial, its bits reversed.
const POLYNOMIAL: u32 = 0x82F6_3B78;
/// What TFRecord adds to a rotated checksum, so that one over checksums is not weaker.
const MASK: u32 = 0xA282_EAD8;

const TABLE: [u32; 256] = table();

/// Field numbers and wire types: of `Event`, `Summary`, `Summary.Value` and `SessionLog`.
mod field {
    pub const WALL_TIME: u8 = 1 << 3 | FIXED64;
    pub const STEP: u8 = 2 << 3 | VARINT;
    pub const FILE_VERSION: u8 = 3 << 3 | BYTES;
    pub const SUMMARY: u8 = 5 << 3 | BYTES;
    pub const SESSION_LOG: u8 = 7 << 3 | BYTES;
    pub const VALUE: u8 = 1 << 3 | BYTES;
    pub const TAG: u8 = 1 << 3 | BYTES;
    pub const SIMPLE_VALUE: u8 = 2 << 3 | FIXED32;
    pub const STATUS: u8 = 1 << 3 | VARINT;
    const VARINT: u8 = 0;
    const FIXED64: u8 = 1;
    const BYTES: u8 = 2;
    const FIXED32: u8 = 5;
}

/// A file that TensorBoard reads.
pub struct Records {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Records {
    /// A new file in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// They cannot be made or written.
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
        // by "tfevents" in the name it is found; the number orders the files of a folder
        let path = folder.join("events.out.tfevents.0000000000.astill");
        let file = File::create(&path).map_err(Error::io("make", &path))?;
        let mut records = Self {
            path,
            file: BufWriter::new(file),
        };
        let mut event = Vec::new();
        bytes(&mut event, field::FILE_VERSION, b"brain.Event:2");
        records.write(&event)?;
        Ok(records)
    }

    /// Adds the numbers of one step.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn scalars(&mut self, time: f64, step: u64, numbers: &[(String, f64)]) -> Result<()> {
        let mut summary = Vec::new();
        for (name, number) in numbers {
            let mut value = Vec::new();
            bytes(&mut value, field::TAG, name.as_bytes());
            value.push(field::SIMPLE_VALUE);
            value.extend((*number as f32).to_le_bytes());
            bytes(&mut summary, field::VALUE, &value);
        }
        let mut event = head(time, step);
        bytes(&mut event, field::SUMMARY, &summary);
        self.write(&event)
    }

    /// From `step` on, what was written before no longer counts.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn restart(&mut self, time: f64, step: u64) -> Result<()> {
        const START: u8 = 1;
        let mut event = head(time, step);
        bytes(&mut event, field::SESSION_LOG, &[field::STATUS, START]);
        self.write(&event)
    }

    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.file.flush().map_err(Error::io("write", &self.path))
    }

    fn write(&mut self, event: &[u8]) -> Result<()> {
        let length = (event.len() as u64).to_le_bytes();
        let parts: [&[u8]; 4] = [
            &length,
            &masked_checksum(&length).to_le_bytes(),
            event,
            &masked_checksum(event).to_le_bytes(),
        ];
        let mut all = parts.into_iter();
        all.try_for_each(|part| self.file.write_all(part))
            .map_err(Error::io("write", &self.path))
    }
}

fn head(time: f64, step: u64) -> Vec<u8> {
    let mut event = vec![field::WALL_TIME];
    event.extend(time.to_le_bytes());
    event.push(field::STEP);
    varint(&mut event, step);
    event
}

fn bytes(into: &mut Vec<u8>, field: u8, content: &[u8]) {
    into.push(field);
    varint(into, content.len() as u64);
    into.extend(content);
}

fn varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// CRC-32C, rotated and shifted.
pub fn masked_checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| TABLE[((sum ^ u32::from(*byte)) & 0xff) as usize] ^ (sum >> 8);
    let sum = !bytes.iter().fold(!0, step);
    sum.rotate_right(15).wrapping_add(MASK)
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ (if sum & 1 == 1 { POLYNOMIAL } else { 0 });
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}
