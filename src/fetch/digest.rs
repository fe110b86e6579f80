//! Checksums, worked out while bytes come in.

use super::set::{Checksum, SourceFile};
use md5::Md5;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The checksums of bytes so far.
#[derive(Debug, Default, Clone)]
pub struct Running {
    bytes: u64,
    md5: Md5,
    sha256: Sha256,
}

impl Running {
    pub fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.md5.update(bytes);
        self.sha256.update(bytes);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is wrong with the bytes as the whole of `file`.
    pub fn flaw(self, file: &SourceFile) -> Option<String> {
        if let Some(expected) = file.bytes.filter(|b| *b != self.bytes) {
            return Some(wrong_length(expected, self.bytes));
        }
        let hex = |digest: &[u8]| -> String { digest.iter().map(|b| format!("{b:02x}")).collect() };
        let (md5, sha256) = (hex(&self.md5.finalize()), hex(&self.sha256.finalize()));
        file.checksums.iter().find_map(|checksum| {
            let (kind, expected) = checksum.parts();
            let found = match checksum {
                Checksum::Md5(_) => &md5,
                Checksum::Sha256(_) => &sha256,
            };
            (found != expected).then(|| format!("expected the {kind} {expected}, found {found}"))
        })
    }
}

/// Whether the file at `path` is `file`; what is wrong if not.
pub fn check_file(path: &Path, file: &SourceFile) -> Result<(), String> {
    match flaw_of(path, file).map_err(|e| e.to_string())? {
        None => Ok(()),
        Some(flaw) => Err(format!(
            "is not {}: {flaw}; download it again from {}",
            file.name,
            file.urls.join(" or ")
        )),
    }
}

/// What is wrong with the file at `path` as `file`. One of another length is not read.
pub fn flaw_of(path: &Path, file: &SourceFile) -> std::io::Result<Option<String>> {
    let mut open = File::open(path)?;
    let found = open.metadata()?.len();
    if let Some(expected) = file.bytes.filter(|expected| *expected != found) {
        return Ok(Some(wrong_length(expected, found)));
    }
    let mut running = Running::default();
    read_all(&mut open, &mut running)?;
    Ok(running.flaw(file))
}

fn wrong_length(expected: u64, found: u64) -> String {
    format!("expected {expected} bytes, found {found}")
}

/// Feeds the rest of a file to `running`.
pub fn read_all(file: &mut File, running: &mut Running) -> std::io::Result<()> {
    let mut block = vec![0; 1 << 18];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(()),
            n => running.update(&block[..n]),
        }
    }
}
