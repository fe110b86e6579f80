//! The names of entries of tar archives, of which a hostile one may be as long as its file.

use std::io::{Error, Read, Result};
use std::path::PathBuf;
use tar::{Entry, PaxExtensions};

/// More than the name of any file.
const LONGEST: u64 = 1 << 16;

/// What the entries before one say about it, in an archive whose entries are
/// read raw.
#[derive(Debug, Default)]
pub struct Names {
    long: Option<Vec<u8>>,
}

impl Names {
    /// The path of an entry; none for one that only says something about the next.
    ///
    /// # Errors
    /// A name that is too long, or an entry whose length stands elsewhere.
    pub fn path(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<Option<PathBuf>> {
        let kind = entry.header().entry_type();
        let is_pax = kind.is_pax_local_extensions();
        let is_about = is_pax
            || kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_global_extensions();
        if !is_about {
            let long = self.long.take();
            let path = long.map(|name| PathBuf::from(String::from_utf8_lossy(&name).into_owned()));
            return path
                .map_or_else(|| entry.path().map(|path| path.into_owned()), Ok)
                .map(Some);
        }
        if entry.size() > LONGEST {
            return Err(Error::other("an entry has a name longer than any file's"));
        }
        if is_pax || kind.is_gnu_longname() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            if !is_pax {
                self.long = bytes.split(|byte| *byte == 0).next().map(<[u8]>::to_vec);
                return Ok(None);
            }
            for extension in PaxExtensions::new(&bytes) {
                let extension = extension?;
                match extension.key_bytes() {
                    b"path" => self.long = Some(extension.value_bytes().to_vec()),
                    b"size" => return Err(Error::other("an entry has more than 8 GiB")),
                    _ => {}
                }
            }
        }
        Ok(None)
    }
}
