//! Where a data set goes: a folder beside it holds what has been downloaded, so that the set is never
//! there in part.

use super::digest;
use super::presence::{self, COMMIT};
use super::progress::Progress;
use super::set::{DataSet, Packing, Proof, SourceFile};
use super::unpack;
use astill_core::files::{atomic, sharing};
use astill_core::{Error, Result};
use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder of a set, and the one beside it for what has been downloaded. Held by one process at a
/// time.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    /// `DATA/.fetch/NAME`
    coming: PathBuf,
    _lock: File,
}

/// In [`Place::coming`]: held by the process that fetches the set.
const LOCK: &str = "lock";

/// How often a lock that another process holds is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// In [`Place::coming`]: what has been unpacked, and what an archive is being unpacked to.
const UNPACKED: &str = "unpacked";
const UNPACKING: &str = "unpacking";

/// Waits until another process gives a lock back, or nobody wants the data set any more.
fn wait_for(lock: &File, progress: &dyn Progress) -> io::Result<()> {
    while !progress.is_ended() {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => std::thread::sleep(TRY_AGAIN),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(())
}

impl Place {
    /// Waits for another process that fetches the same set.
    ///
    /// # Errors
    /// A folder cannot be created; [`Error::Interrupted`] if nobody wants the set any more.
    pub fn new(set: &DataSet, data: &Path, progress: &mut dyn Progress) -> Result<Self> {
        let coming = coming(set, data);
        let path = coming.join(LOCK);
        let lock = loop {
            sharing::create_all(&coming).map_err(Error::io("create", &coming))?;
            let lock = sharing::open_lock(&path).map_err(Error::io("open", &path))?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    progress.say(&format!("another astill is fetching {}; waiting", set.name));
                    wait_for(&lock, progress).map_err(Error::io("lock", &path))?;
                    if progress.is_ended() {
                        return Err(Error::Interrupted);
                    }
                }
                // two that fetch the same set then get in each other's way, and say so
                Err(TryLockError::Error(e)) if sharing::has_no_locks(&e) => {}
                Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path)(e)),
            }
            // the one that held the lock removes the folder when it is done, and a third process may
            // have made another one
            let held = lock.metadata().map_err(Error::io("lock", &path))?;
            if fs::metadata(&path).is_ok_and(|there| there.ino() == held.ino()) {
                break lock;
            }
        };
        if let Some(commit) = &set.commit {
            keep_only_of(commit, &coming)?;
        }
        Ok(Self {
            folder: data.join(&set.folder),
            coming,
            _lock: lock,
        })
    }

    /// Removes what a fetch that was killed after its last step has left, unless another process is at
    /// work there.
    pub fn sweep(set: &DataSet, data: &Path) {
        let coming = coming(set, data);
        let Ok(lock) = File::open(coming.join(LOCK)) else {
            return;
        };
        if lock.try_lock().is_ok() {
            let folder = data.join(&set.folder);
            let place = Self {
                folder,
                coming,
                _lock: lock,
            };
            place.discard();
        }
    }

    /// Checks, before anything is fetched, that nothing is in the way.
    ///
    /// # Errors
    /// [`Error::Usage`] if something with the name of a part of the set is in its folder.
    pub fn check_free(&self, set: &DataSet) -> Result<()> {
        for root in roots(set) {
            let path = self.folder.join(root);
            if path.symlink_metadata().is_ok() && !self.is_plain(set, root) {
                return Err(in_the_way(&path, set, presence::missing(set, &self.folder)));
            }
        }
        Ok(())
    }

    /// Files that stay as they are may be there one by one.
    fn is_plain(&self, set: &DataSet, root: &str) -> bool {
        set.files
            .iter()
            .any(|f| f.packing == Packing::Plain && f.name.split('/').next() == Some(root))
    }

    /// Whether a file that stays as it is has arrived already, or is in the set's folder.
    pub fn has(&self, file: &SourceFile) -> bool {
        let places = [self.coming.join(UNPACKED), self.folder.clone()];
        let is_whole = |path: PathBuf| matches!(digest::flaw_of(&path, file), Ok(None));
        let mut paths = places.iter().map(|place| place.join(&file.name));
        file.packing == Packing::Plain && paths.any(is_whole)
    }

    /// Where a file is kept while it arrives.
    pub fn part(&self, file: &SourceFile) -> PathBuf {
        self.coming.join(file.name.replace('/', "--") + ".part")
    }

    /// Unpacks `archive`, which is `file`, beside the set's folder.
    ///
    /// # Errors
    /// [`Error::File`] for an archive that holds anything but files and folders below its own
    /// folder; [`Error::Io`] if the system refuses to write.
    pub fn unpack(
        &self,
        set: &DataSet,
        file: &SourceFile,
        archive: &Path,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let into = self.coming.join(UNPACKED);
        let is_own = archive.starts_with(&self.coming);
        if file.packing == Packing::Plain {
            let to = into.join(&file.name);
            let folder = to.parent().unwrap_or(&into);
            sharing::create_all(folder).map_err(Error::io("create", folder))?;
            return match is_own {
                true => fs::rename(archive, &to).map_err(Error::io("move", archive)),
                false => {
                    let part = self.part(file);
                    fs::copy(archive, &part).map_err(Error::io("copy", archive))?;
                    fs::rename(&part, &to).map_err(Error::io("move", part))
                }
            };
        }
        // what a process that was killed has left
        let apart = self.coming.join(UNPACKING);
        remove(&apart)?;
        sharing::create_all(&apart).map_err(Error::io("create", &apart))?;
        progress.say(&format!("unpacking {}", file.name));
        let unpacked = unpack::unpack(archive, file.packing, &apart, &mut |done, total| {
            progress.bytes("unpacking", done, total);
            match progress.is_ended() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        if let Err(error) = unpacked {
            remove(&apart)?;
            // a disk that is full or fails says nothing about the archive, which has its checksum
            if is_own && matches!(&error, Error::File { .. }) {
                let _ = fs::remove_file(archive);
            }
            return Err(error);
        }
        match into.exists() {
            true => move_into(&apart, &into, set).and_then(|()| remove(&apart)),
            false => fs::rename(&apart, &into).map_err(Error::io("move", apart)),
        }
    }

    /// Moves what was unpacked into the set's folder, once all that proves it complete is there.
    ///
    /// # Errors
    /// [`Error::File`] if a part of the set is missing; [`Error::Io`] if the system refuses to move
    /// it.
    pub fn finish(self, set: &DataSet) -> Result<()> {
        let unpacked = self.coming.join(UNPACKED);
        let flaw_of = |proof: &Proof| {
            let flaw = presence::flaw(proof, &unpacked)?;
            presence::flaw(proof, &self.folder).map(|_| flaw)
        };
        if let Some(flaw) = set.proof.iter().find_map(flaw_of) {
            let flaw = format!(
                "the files of the data set {} are not complete: {flaw}",
                set.name
            );
            let folder = self.folder.clone();
            self.discard();
            return Err(Error::file(folder, flaw));
        }
        // before any file, so that one that is killed here is known for what it is
        if let Some(note) = presence::note(set) {
            sharing::create_all(&self.folder).map_err(Error::io("create", &self.folder))?;
            atomic::write_atomically(&self.folder.join(COMMIT), note.as_bytes())?;
        }
        sync_tree(&unpacked);
        sharing::create_all(&self.folder).map_err(Error::io("create", &self.folder))?;
        move_into(&unpacked, &self.folder, set)?;
        self.discard();
        Ok(())
    }

    /// Removes the folder for what has been downloaded, if nothing has arrived.
    pub fn tidy(self) {
        let mut entries = fs::read_dir(&self.coming).into_iter().flatten().flatten();
        let is_empty =
            |entry: fs::DirEntry| entry.metadata().is_ok_and(|m| m.is_file() && m.len() == 0);
        if entries.all(is_empty) {
            self.discard();
        }
    }

    /// Removes what has been downloaded.
    pub fn discard(self) {
        let _ = fs::remove_dir_all(&self.coming);
        // only if no other set is being fetched
        if let Some(parent) = self.coming.parent() {
            let _ = fs::remove_dir(parent);
        }
    }
}

/// Removes what has arrived of another commit, and notes of which commit the next files are.
fn keep_only_of(commit: &str, coming: &Path) -> Result<()> {
    // empty, as what is left of a fetch that brought nothing
    let mark = coming.join(format!("commit-{commit}"));
    if mark.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(coming).map_err(Error::io("read", coming))? {
        let path = entry.map_err(Error::io("read", coming))?.path();
        match path.file_name().is_some_and(|name| name == LOCK) {
            true => Ok(()),
            false if path.is_dir() => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        }
        .map_err(Error::io("remove", &path))?;
    }
    File::create(&mark).map_err(Error::io("create", &mark))?;
    Ok(())
}

/// The first names in the paths of a set.
fn roots(set: &DataSet) -> Vec<&str> {
    let mut roots: Vec<&str> = set
        .proof
        .iter()
        .filter_map(|p| p.path.split('/').next())
        .collect();
    roots.dedup();
    roots
}

/// Where a set is, for people: one that lies among the others is named by what it brings.
pub fn shown(set: &DataSet, data: &Path) -> PathBuf {
    let folder = data.join(&set.folder);
    match (set.folder.is_empty(), roots(set).as_slice()) {
        (true, [only]) => folder.join(only),
        _ => folder,
    }
}

fn in_the_way(path: &Path, set: &DataSet, missing: Option<String>) -> Error {
    let missing = missing.map(|missing| format!(" ({missing})"));
    Error::Usage(format!(
        "{} exists, but it is not the complete data set {}{}; move it away, then fetch again",
        path.display(),
        set.name,
        missing.unwrap_or_default()
    ))
}

/// The folder for what has been downloaded of a set.
fn coming(set: &DataSet, data: &Path) -> PathBuf {
    let name: String = set
        .name
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') => c,
            _ => '-',
        })
        .collect();
    data.join(".fetch").join(name)
}

/// Moves everything in the folder `from` into the folder `to`.
fn move_into(from: &Path, to: &Path, set: &DataSet) -> Result<()> {
    for entry in fs::read_dir(from).map_err(Error::io("read", from))? {
        let entry = entry.map_err(Error::io("read", from))?;
        merge(&entry.path(), &to.join(entry.file_name()), set)?;
    }
    Ok(())
}

/// Moves `from` to `to`; into a folder that is there already, file by file.
fn merge(from: &Path, to: &Path, set: &DataSet) -> Result<()> {
    if from.is_dir() && to.is_dir() {
        return move_into(from, to, set);
    }
    match to.symlink_metadata() {
        // a file of the same set, from before, is replaced as a whole
        Ok(there) if !there.is_file() || from.is_dir() => Err(in_the_way(to, set, None)),
        _ => fs::rename(from, to).map_err(Error::io("move to", to)),
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Asks the system to write the file system that holds `path`; a failure costs nothing here.
fn sync_tree(path: &Path) {
    if let Ok(folder) = File::open(path) {
        let _ = rustix::fs::syncfs(&folder);
    }
}
