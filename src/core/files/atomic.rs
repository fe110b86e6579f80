//! Files that are replaced in one step: a reader sees the old file or the new one, never a part.

use super::sharing;
use crate::{Error, Result};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// The names of unfinished files begin with this.
pub const PART: &str = ".part-";
/// The mode of a file that only its user may read.
const PRIVATE: u32 = 0o600;

/// Removes the unfinished files in `folder` that killed programs have left behind, except those
/// younger than `age`: another program may still be writing them.
pub fn remove_left_over(folder: &Path, age: Duration) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_old = || {
            entry
                .metadata()
                .and_then(|m| m.modified())
                .is_ok_and(|t| t.elapsed().unwrap_or_default() >= age)
        };
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PART.as_bytes())
            && is_old()
        {
            // one that stays only takes up space
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Writes `bytes` to `path` so that, whatever happens, the file there is either the old one or the
/// complete new one.
///
/// # Errors
/// The operating system refuses to create, write or rename a file in that folder; the old file is
/// then untouched.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically_with(path, |file, _| file.write_all(bytes))
}

/// As [`write_atomically`], for content that need not be in memory as a whole: `write` gets the new
/// file and the name that it has until it is complete.
///
/// # Errors
/// As [`write_atomically`], or `write` fails.
pub fn write_atomically_with(
    path: &Path,
    write: impl FnOnce(&mut File, &Path) -> io::Result<()>,
) -> Result<()> {
    replace(path, 0o666, write) // less the user's umask, like any file
}

/// As [`write_atomically`], readable for this user alone.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_privately(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, PRIVATE, |file, _| file.write_all(bytes))
}

fn replace(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File, &Path) -> io::Result<()>,
) -> Result<()> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // the system's own error, because tempfile's names a random file
    let mut refused = None;
    let create = |path: &Path| {
        let created = File::options()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path);
        created.inspect_err(|e| refused = e.raw_os_error())
    };
    let mut file = tempfile::Builder::new()
        .prefix(PART)
        .make_in(folder, create)
        .map_err(|e| refused.map_or(e, io::Error::from_raw_os_error))
        .map_err(Error::io("write", path))?;
    let unfinished = file.path().to_path_buf();
    write(file.as_file_mut(), &unfinished).map_err(Error::io("write", path))?;
    sync(file.as_file()).map_err(Error::io("write", path))?;
    if mode != PRIVATE {
        sharing::share(file.as_file(), folder);
    }
    file.persist(path)
        .map_err(|e| Error::io("write", path)(e.error))?;
    Ok(())
}

/// Waits until a file is on the disk, where the file system can wait for that.
///
/// # Errors
/// It was not written.
pub fn sync(file: &File) -> io::Result<()> {
    let cannot = [libc::EINVAL, libc::ENOSYS, libc::EOPNOTSUPP];
    match file.sync_all() {
        Err(e) if e.raw_os_error().is_some_and(|code| cannot.contains(&code)) => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_same_failure_reads_the_same_every_time() {
        let missing = Path::new("/nowhere/at/all/file");
        let errors = [(); 2].map(|()| write_atomically(missing, b"x").map_err(|e| e.to_string()));
        assert_eq!(
            errors[0],
            Err("cannot write /nowhere/at/all/file: No such file or directory (os error 2)".into())
        );
        assert_eq!(errors[0], errors[1]);
    }

    #[test]
    fn a_file_in_a_shared_folder_is_shared() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let group_may = |mode: u32| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder.path(), permissions).unwrap();
            write_atomically(&file, b"x").unwrap();
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o060
        };
        assert_eq!(group_may(0o755) & 0o020, 0);
        assert_eq!(group_may(0o2775), 0o060);
        write_privately(&file, b"x").unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
