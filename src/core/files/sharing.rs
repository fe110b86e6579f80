//! Folders that the users of a group share: one that is writable for its group and passes its group
//! on (setgid) stays so in everything that is made below it, whatever the umask says.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The mode of a folder that passes its group on.
const SETGID: u32 = 0o2000;
const GROUP_WRITES: u32 = 0o020;
/// What its group may do in a shared folder, and with a file in it.
const SHARED_FOLDER: u32 = 0o2070;
const SHARED_FILE: u32 = 0o060;

/// Whether a group shares this folder.
fn is_shared(folder: &Path) -> bool {
    let wanted = SETGID | GROUP_WRITES;
    fs::metadata(folder).is_ok_and(|m| m.permissions().mode() & wanted == wanted)
}

/// Creates a folder and those above it that are missing.
///
/// # Errors
/// The system refuses to create one.
pub fn create_all(folder: &Path) -> io::Result<()> {
    let missing = folder
        .ancestors()
        .take_while(|f| !f.as_os_str().is_empty() && !f.exists());
    let missing: Vec<&Path> = missing.collect();
    fs::create_dir_all(folder)?;
    for made in missing.into_iter().rev() {
        let parent = made.parent().filter(|p| !p.as_os_str().is_empty());
        if is_shared(parent.unwrap_or(Path::new("."))) {
            let mode = fs::metadata(made)?.permissions().mode();
            // of somebody else, who has just made it, it cannot be changed and need not be
            let _ = fs::set_permissions(made, Permissions::from_mode(mode | SHARED_FOLDER));
        }
    }
    Ok(())
}

/// Lets the group write to a new file in `folder`, if it shares that folder.
pub fn share(file: &File, folder: &Path) {
    if is_shared(folder)
        && let Ok(found) = file.metadata()
    {
        let mode = found.permissions().mode() | SHARED_FILE;
        // where it cannot be changed, the others find out by themselves
        let _ = file.set_permissions(Permissions::from_mode(mode & 0o777));
    }
}

/// Opens a file to lock, which is created if it is missing. One of another user that cannot be
/// written is opened for reading: that is enough to lock it.
///
/// # Errors
/// The system refuses to open it.
pub fn open_lock(path: &Path) -> io::Result<File> {
    let refused = match OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
    {
        Ok(file) => {
            share(&file, path.parent().unwrap_or(Path::new(".")));
            return Ok(file);
        }
        Err(error) => error,
    };
    match refused.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            File::open(path).map_err(|_| refused)
        }
        _ => Err(refused),
    }
}

/// Whether an error says that a file system has no locks at all.
#[must_use]
pub fn has_no_locks(error: &io::Error) -> bool {
    let codes = [libc::ENOSYS, libc::EOPNOTSUPP, libc::ENOLCK, libc::EINVAL];
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_is_made_in_a_shared_folder_is_shared() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("own/a");
        create_all(&own).unwrap();
        assert_eq!(mode(&own) & GROUP_WRITES, 0, "only the umask counts");
        let shared = root.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, Permissions::from_mode(0o2775)).unwrap();
        let below = shared.join("a/b");
        create_all(&below).unwrap();
        for folder in [&below, &shared.join("a")] {
            assert_eq!(mode(folder) & SHARED_FOLDER, SHARED_FOLDER);
        }
        let lock = below.join("lock");
        open_lock(&lock).unwrap();
        assert_eq!(mode(&lock) & 0o666, 0o664 & mode(&lock) | SHARED_FILE);
    }
}
