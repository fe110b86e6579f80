//! The run directory: everything that a run leaves behind, and its interface to the outside.
//!
//! ```text
//! RUN/profile.yaml     the resolved profile, every key
//!     events.jsonl     what happened, one event per line
//!     run.log          the same for people
//!     samples/         pictures of the synthetic images, one row per class: step_00000.png …
//!     checkpoints/     what a resumed run starts from: step_00000.safetensors …
//!     distilled/       the result: best.safetensors
//!     edits.json       live edits, if there were any
//!     note.txt         what the user has written about the run, in a line
//!     lock             held by the engine; names its machine and process while it runs, and if it
//!                      was killed
//!     engine.sock      its socket, while it runs
//!     workers.json     where its workers find it, while it distils with several segments
//!     inbox/           commands from where no socket reaches it
//! ```

use crate::files::atomic::PART;
use crate::profile::Profile;
use crate::{Error, Result, files::untrusted};
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// An existing run directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
    /// Whether the path is that of an open folder, /proc/self/fd/N, which has another name outside.
    is_held: bool,
}

/// The folders of a run.
pub const FOLDERS: [&str; 4] = ["samples", "checkpoints", "distilled", INBOX];
/// Where commands are left that no socket can bring to the engine.
pub(super) const INBOX: &str = "inbox";

const NAME_LENGTH: usize = 100;
/// A profile is a page of text.
const LARGEST_PROFILE: u64 = 1 << 20;
/// The directory of runs unless `--runs` names another.
pub const DEFAULT_RUNS_DIR: &str = "runs";

impl RunDir {
    /// Removes what [`RunDir::create`] made, for a run that could not be started. If anything else
    /// is in the folder, that stays, and so does the folder.
    pub fn discard_unstarted(&self) {
        let _ = fs::remove_file(self.profile());
        let _ = fs::remove_file(self.path.join("lock"));
        if fs::metadata(self.log()).is_ok_and(|log| log.len() == 0) {
            let _ = fs::remove_file(self.log());
        }
        FOLDERS
            .iter()
            .for_each(|folder| _ = fs::remove_dir(self.path.join(folder)));
        let _ = fs::remove_dir(&self.path);
    }

    /// Makes those of the run's folders that are missing, as after a copy by a program that leaves
    /// empty folders out.
    ///
    /// # Errors
    /// The system refuses to make one.
    pub fn make_folders(&self) -> Result<()> {
        for folder in FOLDERS {
            let path = self.path.join(folder);
            match fs::create_dir(&path) {
                Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                    return Err(Error::io("create", path)(e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks that the run's folders are folders of its own.
    ///
    /// # Errors
    /// One of the run's folders is a link, behind which anything of the user's could be changed, or
    /// is not a folder.
    pub fn check_folders(&self) -> Result<()> {
        for folder in FOLDERS {
            let path = self.path.join(folder);
            if path.symlink_metadata().is_ok_and(|m| !m.is_dir()) {
                return Err(Error::file(
                    path,
                    "is not a folder, or is a link to one, and a run writes only to folders of its \
                     own; put a real folder there",
                ));
            }
        }
        Ok(())
    }

    /// The run in this folder; none if it holds no run, or one that is still being made.
    pub fn open(path: &Path) -> Option<Self> {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let is_whole = !name.starts_with(PART.as_bytes()) && path.join("profile.yaml").is_file();
        is_whole.then(|| Self::at(path))
    }

    /// Finds an existing run: a path, a name below `runs`, or the beginning of exactly one name
    /// there.
    ///
    /// # Errors
    /// [`Error::Usage`] if no run, or more than one, has such a name; the message lists the runs
    /// there.
    pub fn find(runs: &Path, reference: &str) -> Result<Self> {
        if let Some(run) = Self::find_whole(runs, reference) {
            return Ok(run);
        }
        let mut names: Vec<String> = fs::read_dir(runs)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|e| Self::open(&e.path()).is_some())
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        let matching: Vec<&String> = names.iter().filter(|n| n.starts_with(reference)).collect();
        match (matching.as_slice(), names.as_slice()) {
            ([only], _) => Ok(Self::at(runs.join(only))),
            ([], []) => Err(Error::Usage(format!(
                "no run \"{reference}\": there are no runs in {} (use --runs DIR to look elsewhere)",
                runs.display()
            ))),
            ([], all) => Err(Error::Usage(format!(
                "no run \"{reference}\" in {}, only {}",
                runs.display(),
                listed(all.iter())
            ))),
            (several, _) => Err(Error::Usage(format!(
                "\"{reference}\" matches {}: give more of the name",
                listed(several.iter().copied())
            ))),
        }
    }

    /// Finds the run that is to be changed, or whose result is used: as [`Self::find`], but the
    /// beginning of a name is not enough. The run that somebody means may be gone, and another begin in the same way.
    ///
    /// # Errors
    /// As [`Self::find`]; [`Error::Usage`] if only the beginning of a name is given.
    pub fn find_exactly(runs: &Path, reference: &str) -> Result<Self> {
        if let Some(run) = Self::find_whole(runs, reference) {
            return Ok(run);
        }
        let other = Self::find(runs, reference)?.name();
        Err(Error::Usage(format!(
            "no run \"{reference}\" in {}: \"{other}\" only begins like that, and what changes \
             or uses a run takes its whole name",
            runs.display()
        )))
    }

    fn find_whole(runs: &Path, reference: &str) -> Option<Self> {
        let places = [runs.join(reference), PathBuf::from(reference)];
        let mut found = places.iter().filter_map(|path| Self::open(path));
        found.next().filter(|_| !reference.is_empty())
    }

    /// The run in this folder, without checking that there is one.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            is_held: false,
        }
    }

    /// The run in the open folder behind `path`, /proc/self/fd/N.
    pub(super) fn held(path: PathBuf) -> Self {
        Self {
            path,
            is_held: true,
        }
    }

    /// The folder: the path to reach its files by. Of a run that is held, that is not the one to
    /// show to people.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder's path as people know it: as it was given; of a run that is held, where it is now.
    pub fn real_path(&self) -> PathBuf {
        match self.is_held {
            true => fs::read_link(&self.path).unwrap_or_else(|_| self.path.clone()),
            false => self.path.clone(),
        }
    }

    /// The run's name: that of its folder, or of the link to it that it was found by.
    pub fn name(&self) -> String {
        let path = self.real_path();
        let named = match path.file_name() {
            Some(name) => Some(name.to_owned()),
            // "." and ".."
            None => path
                .canonicalize()
                .ok()
                .and_then(|p| p.file_name().map(ToOwned::to_owned)),
        };
        named.unwrap_or_default().to_string_lossy().into_owned()
    }

    /// How to refer to this run on the command line: its name if it is in the default directory of
    /// runs, else its path.
    pub fn reference(&self) -> String {
        let path = self.real_path();
        let folder = |path: &Path| path.canonicalize().ok();
        let is_usual = path
            .parent()
            .and_then(folder)
            .is_some_and(|parent| Some(parent) == folder(Path::new(DEFAULT_RUNS_DIR)));
        let usual = path.file_name().filter(|_| is_usual);
        usual
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned()
    }

    pub fn profile(&self) -> PathBuf {
        self.path.join("profile.yaml")
    }

    /// The profile that the run was started with.
    ///
    /// # Errors
    /// The file cannot be read, or is refused like any profile.
    pub fn read_profile(&self) -> Result<Profile> {
        let path = self.profile();
        let text =
            untrusted::read_text(&path, LARGEST_PROFILE).map_err(Error::io("read", &path))?;
        Profile::from_resolved(&text, &path).map_err(Error::Profile)
    }

    /// The path of a file that the record of the run names, which must lie in the run's folder: a
    /// record may come from anybody.
    ///
    /// # Errors
    /// An absolute path or `..`, a link that leads out of the folder, or anything other than a
    /// regular file.
    pub fn own_file(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        if !Path::new(name)
            .components()
            .all(|c| matches!(c, Component::Normal(_)))
        {
            return Err(Error::file(
                &self.path,
                format!(
                    "its events name the file {name:?}, expected a file inside the run's folder"
                ),
            ));
        }
        let (found, folder) = (path.canonicalize(), self.path.canonicalize());
        let (found, folder) = (
            found.map_err(Error::io("find", &path))?,
            folder.map_err(Error::io("find", &self.path))?,
        );
        match found.starts_with(folder) && found.is_file() {
            true => Ok(found),
            false => Err(Error::file(
                path,
                "leads out of the run's folder or is not a regular file, so it was not opened",
            )),
        }
    }

    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    pub fn edits(&self) -> PathBuf {
        self.path.join("edits.json")
    }

    /// What the user has written about the run.
    pub fn note(&self) -> PathBuf {
        self.path.join("note.txt")
    }

    pub fn log(&self) -> PathBuf {
        self.path.join("run.log")
    }
}

/// Checks the name of a run, as --name gives it.
///
/// # Errors
/// [`Error::Usage`] for a bad one.
pub(crate) fn check_name(name: &str) -> Result<()> {
    match name_problem(name) {
        Some(problem) => Err(Error::Usage(format!("--name: {problem}"))),
        None => Ok(()),
    }
}

/// What is wrong with the name of a run.
#[must_use]
pub fn name_problem(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty()
        || name.len() > NAME_LENGTH
        || name.starts_with(['.', '-'])
        || !name.chars().all(allowed)
    {
        let shown: String = name.escape_debug().take(NAME_LENGTH).collect();
        return Some(format!(
            "found \"{shown}\", expected 1 to {NAME_LENGTH} letters, digits, \".\", \"-\" or \"_\", \
             not beginning with \".\" or \"-\""
        ));
    }
    None
}

/// The part of the name of a profile, or of another file, that its runs are named after.
#[must_use]
pub fn name_stem(profile: &str) -> String {
    let safe: String = profile
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
                c
            } else {
                '-'
            }
        })
        .collect();
    let stem: String = safe
        .trim_start_matches(['.', '-'])
        .chars()
        .take(NAME_LENGTH / 2)
        .collect();
    if stem.is_empty() { "run".into() } else { stem }
}

fn listed<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    const SHOWN: usize = 8;
    let (count, mut shown): (usize, Vec<&str>) =
        (names.len(), names.take(SHOWN).map(String::as_str).collect());
    if count > SHOWN {
        shown.push("…");
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_found_by_name_path_or_unique_beginning() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        for name in ["alpha-1", "alpha-2", "beta"] {
            let run = RunDir::create(runs.path(), "p", Some(name), "")?.0;
            fs::write(run.profile(), "").map_err(Error::io("write", run.profile()))?;
        }
        let find = |r: &str| RunDir::find(runs.path(), r).map(|d| d.name());
        assert_eq!(find("b")?, "beta");
        assert_eq!(find("alpha-2")?, "alpha-2");
        assert_eq!(
            find(&runs.path().join("alpha-1").to_string_lossy())?,
            "alpha-1"
        );
        let exactly = |r: &str| RunDir::find_exactly(runs.path(), r).map(|d| d.name());
        assert_eq!(exactly("beta")?, "beta");
        assert!(exactly("b").is_err_and(|e| e.to_string().contains("takes its whole name")));
        assert!(find("alpha").is_err_and(|e| e.to_string().contains("alpha-1, alpha-2")));
        assert!(find("gamma").is_err_and(|e| e.exit_status() == 2));
        Ok(())
    }
}
