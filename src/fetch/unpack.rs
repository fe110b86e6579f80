//! Archives, which may come from anybody: only files and folders, only below the folder that they
//! are unpacked into, and no more of them than an honest one holds.

use super::set::Packing;
use astill_core::files::{sharing, tar_names::Names};
use astill_core::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// An archive unpacks to at most so many times its size, and [`SMALLEST`] bytes more. Images hardly
/// shrink.
const LARGEST_RATIO: u64 = 20;
const SMALLEST: u64 = 16 << 20;
const MOST_ENTRIES: u64 = 20_000_000;

/// Gets the bytes of an archive that have been read, of all; may end the unpacking.
pub type Report<'a> = dyn FnMut(u64, Option<u64>) -> ControlFlow<()> + 'a;

/// Unpacks `archive` into `folder`, which is empty.
///
/// # Errors
/// [`Error::Interrupted`] if `report` ends it; [`Error::File`] if it is damaged, or holds a link, a device, an absolute path, `..`, or far more
/// than its size allows; [`Error::Io`] if the system refuses to write.
pub fn unpack(
    archive: &Path,
    packing: Packing,
    folder: &Path,
    report: &mut Report<'_>,
) -> Result<()> {
    let file = File::open(archive).map_err(Error::io("open", archive))?;
    let size = file.metadata().map_err(Error::io("read", archive))?.len();
    let mut target = Target {
        archive,
        folder,
        left: SMALLEST.saturating_add(size.saturating_mul(LARGEST_RATIO)),
        entries: 0,
        read: Rc::default(),
        size,
        report,
    };
    match packing {
        Packing::TarGz => tar_gz(file, &mut target),
        Packing::Zip => zip(file, &mut target),
        Packing::Plain => Ok(()),
    }
}

/// Where entries go, and how much more may come.
struct Target<'a, 'r> {
    archive: &'a Path,
    folder: &'a Path,
    left: u64,
    entries: u64,
    /// Bytes of the archive that have been read, of all.
    read: Rc<Cell<u64>>,
    size: u64,
    report: &'a mut Report<'r>,
}

impl Target<'_, '_> {
    fn damaged(&self, problem: impl std::fmt::Display) -> Error {
        Error::file(
            self.archive,
            format!("is damaged, or not the archive it should be: {problem}"),
        )
    }

    fn refused(&self, name: &Path, problem: &str) -> Error {
        self.damaged(format!(
            "its entry {name:?} {problem}, so nothing of it was used"
        ))
    }

    /// Tells how far it is.
    fn report(&mut self) -> Result<()> {
        match (self.report)(self.read.get(), Some(self.size)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Interrupted),
        }
    }

    /// The place of an entry; none for the folder itself.
    fn place(&mut self, name: &Path) -> Result<Option<PathBuf>> {
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            return Err(self.damaged(format!("it has more than {MOST_ENTRIES} entries")));
        }
        let mut path = self.folder.to_path_buf();
        let mut is_below = false;
        for component in name.components() {
            match component {
                Component::Normal(part) => {
                    path.push(part);
                    is_below = true;
                }
                Component::CurDir => {}
                _ => return Err(self.refused(name, "leads out of its folder")),
            }
        }
        Ok(is_below.then_some(path))
    }

    fn folder(&self, path: &Path) -> Result<()> {
        use io::ErrorKind::{AlreadyExists, NotADirectory};
        sharing::create_all(path).map_err(|error| match error.kind() {
            AlreadyExists | NotADirectory => {
                let name = path.strip_prefix(self.folder).unwrap_or(path);
                self.refused(name, "is a file and a folder")
            }
            _ => Error::io("create", path)(error),
        })
    }

    fn file(&mut self, name: &Path, path: &Path, content: &mut dyn Read) -> Result<()> {
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        let mut file = File::create_new(path).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => self.refused(name, "is there twice"),
            _ => Error::io("create", path)(e),
        })?;
        let mut limited = content.take(self.left.saturating_add(1));
        let mut block = vec![0; 1 << 16];
        let mut written = 0;
        loop {
            let n = match limited.read(&mut block) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.damaged(e)),
            };
            io::Write::write_all(&mut file, &block[..n]).map_err(Error::io("write", path))?;
            written += n as u64;
            self.report()?;
        }
        self.left = self.left.checked_sub(written).ok_or_else(|| {
            self.damaged(format!(
                "it unpacks to more than {LARGEST_RATIO} times its size"
            ))
        })?;
        Ok(())
    }
}

fn tar_gz(file: File, target: &mut Target<'_, '_>) -> Result<()> {
    let counted = Counted {
        inner: BufReader::with_capacity(1 << 18, file),
        read: Rc::clone(&target.read),
    };
    let mut archive = tar::Archive::new(MultiGzDecoder::new(counted));
    let mut names = Names::default();
    // raw, because a long name is otherwise read whole, however long it is
    let entries = archive.entries().map_err(|e| target.damaged(e))?;
    for entry in entries.raw(true) {
        let mut entry = entry.map_err(|e| target.damaged(e))?;
        let path = names.path(&mut entry).map_err(|e| target.damaged(e))?;
        // one that only says something about the next
        let Some(name) = path else { continue };
        let kind = entry.header().entry_type();
        let Some(path) = target.place(&name)? else {
            continue;
        };
        match kind {
            tar::EntryType::Directory => target.folder(&path)?,
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                target.file(&name, &path, &mut entry)?;
            }
            _ => return Err(target.refused(&name, "is a link or a device")),
        }
        target.report()?;
    }
    Ok(())
}

fn zip(file: File, target: &mut Target<'_, '_>) -> Result<()> {
    const KIND: u32 = 0o170_000;
    const REGULAR: u32 = 0o100_000;
    const FOLDER: u32 = 0o040_000;
    let mut archive =
        ::zip::ZipArchive::new(BufReader::new(file)).map_err(|e| target.damaged(e))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|e| target.damaged(e))?;
        let name = entry.name().map_err(|e| target.damaged(e))?;
        let name = PathBuf::from(name.into_owned());
        let Some(path) = target.place(&name)? else {
            continue;
        };
        match entry.unix_mode().map_or(0, |mode| mode & KIND) {
            0 | REGULAR if !entry.is_dir() => target.file(&name, &path, &mut entry)?,
            0 | FOLDER if entry.is_dir() => target.folder(&path)?,
            _ => return Err(target.refused(&name, "is a link or a device")),
        }
        let read = target.read.get().saturating_add(entry.compressed_size());
        target.read.set(read);
        target.report()?;
    }
    Ok(())
}

/// Counts the bytes that are read.
struct Counted<R> {
    inner: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.read.set(self.read.get() + n as u64);
        Ok(n)
    }
}
