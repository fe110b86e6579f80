//! Files in tar archives, compressed with gzip or not.

use astill_core::files::{tar_names::Names, untrusted};
use astill_core::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// No more than this is unpacked of an archive: a small one may unpack to any length.
const MOST_UNPACKED: u64 = 64 << 30;

/// Takes the path of a file and a function that reads it.
pub type TakeFile<'a> = dyn FnMut(&Path, &mut dyn FnMut() -> Result<Vec<u8>>) -> Result<()> + 'a;

/// Calls `take` with the path of every regular file in an archive, and with a function that reads it.
///
/// # Errors
/// [`Error::File`] if the archive is damaged, or a file that is read has more than `largest` bytes;
/// and those of `take`.
pub fn for_each_file(archive: &Path, largest: u64, take: &mut TakeFile<'_>) -> Result<()> {
    let damaged = |error: std::io::Error| {
        Error::file(
            archive,
            format!("expected a tar archive, possibly compressed with gzip: {error}; get it again"),
        )
    };
    let file = untrusted::open(archive).map_err(Error::io("open", archive))?;
    let mut tar = tar::Archive::new(unpacked(file).map_err(damaged)?.take(MOST_UNPACKED));
    let mut names = Names::default();
    for entry in tar.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        let Some(path) = names.path(&mut entry).map_err(damaged)? else {
            continue;
        };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let length = entry.size();
        let mut read = || {
            if length > largest {
                return Err(Error::file(
                    archive.join(&path),
                    format!("expected at most {largest} bytes, found {length}; get it again"),
                ));
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(damaged)?;
            Ok(bytes)
        };
        take(&path, &mut read)?;
    }
    Ok(())
}

/// The content of a file, unpacked if it is compressed.
pub fn unpacked(file: File) -> std::io::Result<Box<dyn Read>> {
    use std::os::unix::fs::FileExt;
    let mut begin = [0; 2];
    let is_packed = file.read_at(&mut begin, 0)? == 2 && begin == [0x1F, 0x8B];
    let file = BufReader::with_capacity(1 << 16, file);
    Ok(match is_packed {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    })
}
