//! What the engine says about a run before it is started, for the menu: asked one question at a time,
//! given up once the answer is not wanted any more, and remembered until files come or go.

use astill_core::{Error, Result, program};
use rustix::process::{Signal, nice};
use serde_json::Value;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a process is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How much less of the processor than others it wants.
const POLITE: i32 = 10;
/// Entries that are looked at, and levels of folders below the first one: `train/CLASS/images`.
const MOST_ENTRIES: usize = 4000;
const FOLDERS_BELOW: usize = 2;

/// Every key of a profile, written out, and the device.
type Question = (String, String);

/// What tells whether a folder has changed: its own state and that of what is in it, by its path.
pub type FolderStamp = Vec<(OsString, u64, i64, i64)>;

/// An answer says what is free of the device's memory for so long.
const FREE_FOR: Duration = Duration::from_secs(30);

/// The answers that hold as long as the files stay as they were.
#[derive(Debug, Default)]
pub struct KnownAnswers {
    answers: Mutex<HashMap<Question, (FolderStamp, Instant, Value)>>,
}

impl KnownAnswers {
    /// The answer to a question, if the data are still as they were then; without the memory that was
    /// free, once that may have been taken. Where `device_varies`, that is true of the device too, and an
    /// answer about another one is none.
    pub fn get(
        &self,
        question: &Question,
        data: &FolderStamp,
        device_varies: bool,
        now: Instant,
    ) -> Option<Value> {
        let answers = self.answers.lock();
        let answers = answers.unwrap_or_else(PoisonError::into_inner);
        let (stamp, when, answer) = answers.get(question)?;
        let is_old = now.saturating_duration_since(*when) >= FREE_FOR;
        if stamp != data || (is_old && device_varies) {
            return None;
        }
        let mut answer = answer.clone();
        if is_old && let Some(fields) = answer.as_object_mut() {
            fields.remove("free_mib");
        }
        Some(answer)
    }

    /// Remembers an answer that was given `now`.
    pub fn put(&self, question: Question, data: FolderStamp, answer: Value, now: Instant) {
        let answers = self.answers.lock();
        let mut answers = answers.unwrap_or_else(PoisonError::into_inner);
        answers.insert(question, (data, now, answer));
    }
}

/// The state of a folder, of what is directly in it, and of the folders two levels below that; empty if
/// there is none. A folder changes with every file that comes or goes.
pub fn folder_stamp(folder: &Path) -> FolderStamp {
    let of = |path: &Path| {
        let found = path.metadata().ok()?;
        let name = path.strip_prefix(folder).unwrap_or(path);
        Some((
            name.as_os_str().to_owned(),
            found.len(),
            found.mtime(),
            found.mtime_nsec(),
        ))
    };
    let mut stamp: FolderStamp = of(folder).into_iter().collect();
    let mut folders = vec![folder.to_path_buf()];
    for depth in 0..=FOLDERS_BELOW {
        let mut below = Vec::new();
        for entry in folders
            .iter()
            .filter_map(|folder| folder.read_dir().ok())
            .flatten()
            .flatten()
        {
            // a link may lead to a folder
            let is_folder = entry
                .file_type()
                .is_ok_and(|kind| kind.is_dir() || kind.is_symlink());
            if stamp.len() >= MOST_ENTRIES || (depth > 0 && !is_folder) {
                continue;
            }
            stamp.extend(of(&entry.path()));
            if is_folder {
                below.push(entry.path());
            }
        }
        folders = below;
    }
    stamp.sort();
    stamp
}

/// Runs a program to its end; none if `is_outdated` has become true meanwhile: then it is killed. It
/// also ends with this process.
///
/// # Errors
/// It cannot be started or waited for.
pub fn run_unless_outdated(
    command: &mut Command,
    is_outdated: &dyn Fn() -> bool,
) -> Result<Option<Output>> {
    let name = command.get_program().to_os_string();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    program::tied(command, Signal::KILL);
    let prepare = || {
        // what nobody has asked for waits for everything else
        let _ = nice(POLITE);
        Ok(())
    };
    // SAFETY: between fork and exec only this one system call is made, which takes no lock and no memory
    unsafe { command.pre_exec(prepare) };
    let mut child = command.spawn().map_err(Error::io("start", &name))?;
    // read all the time, so that the program never waits for a reader
    let output = child.stdout.take().map(read);
    let errors = child.stderr.take().map(read);
    let ended = loop {
        match child.try_wait().map_err(Error::io("wait for", &name))? {
            Some(status) => break Some(status),
            None if is_outdated() => {
                end(&mut child);
                break None;
            }
            None => std::thread::sleep(POLL_INTERVAL),
        }
    };
    let text = |reader: Option<JoinHandle<Vec<u8>>>| {
        reader
            .and_then(|reader| reader.join().ok())
            .unwrap_or_default()
    };
    let (stdout, stderr) = (text(output), text(errors));
    Ok(ended.map(|status| Output {
        status,
        stdout,
        stderr,
    }))
}

fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // what was read until then is all there is
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

/// Kills a program and waits until it is gone.
fn end(child: &mut Child) {
    // one that has just ended needs no signal
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::cell::Cell;

    #[test]
    fn a_program_whose_answer_is_not_wanted_any_more_is_ended() -> Result<()> {
        let asked = Cell::new(0);
        let is_outdated = || asked.replace(asked.get() + 1) > 0;
        let mut endless = Command::new("tail");
        endless.args(["-f", "/dev/null"]);
        assert!(run_unless_outdated(&mut endless, &is_outdated)?.is_none());
        assert!(asked.get() > 1, "it was still running");
        let mut short = Command::new("echo");
        let output = run_unless_outdated(short.arg("here"), &|| false)?;
        assert_eq!(output.map(|o| o.stdout), Some(b"here\n".to_vec()));
        Ok(())
    }

    #[test]
    fn what_is_free_of_a_device_is_forgotten_soon() {
        let (known, now) = (KnownAnswers::default(), Instant::now());
        let question = ("dataset: {}".to_string(), "auto".to_string());
        let answer = json!({ "device": "cuda:0", "free_mib": 80_000., "estimate": {} });
        known.put(question.clone(), Vec::new(), answer.clone(), now);
        let get = |varies, after| known.get(&question, &Vec::new(), varies, now + after);
        let soon = FREE_FOR / 2;
        assert_eq!(get(true, soon), Some(answer));
        let later = get(false, FREE_FOR).unwrap_or_default();
        assert_eq!(later, json!({ "device": "cuda:0", "estimate": {} }));
        assert_eq!(get(true, FREE_FOR), None, "another GPU may be chosen now");
    }

    #[test]
    fn an_answer_holds_until_the_data_change() -> Result<()> {
        let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let known = KnownAnswers::default();
        let question = ("dataset: {}".to_string(), "cpu".to_string());
        let before = folder_stamp(folder.path());
        let now = Instant::now();
        let get = |stamp: &FolderStamp| known.get(&question, stamp, false, now);
        known.put(question.clone(), before.clone(), Value::Bool(true), now);
        assert_eq!(get(&before), Some(Value::Bool(true)));
        let file = folder.path().join("data_batch_1.bin");
        std::fs::write(&file, "x").map_err(Error::io("write", &file))?;
        assert_eq!(get(&folder_stamp(folder.path())), None);
        // images come and go in the folders of the classes
        for depth in ["train/cat", "train/cat/images"] {
            let class = folder.path().join(depth);
            std::fs::create_dir_all(&class).map_err(Error::io("create", &class))?;
            // the next change may come in the same moment by the clock of the file system
            std::fs::File::open(&class)
                .and_then(|folder| folder.set_modified(std::time::UNIX_EPOCH))
                .map_err(Error::io("touch", &class))?;
            let before = folder_stamp(folder.path());
            let image = class.join("0.png");
            std::fs::write(&image, "x").map_err(Error::io("write", &image))?;
            assert_ne!(folder_stamp(folder.path()), before, "{depth}");
        }
        assert_eq!(folder_stamp(&folder.path().join("none")), Vec::new());
        Ok(())
    }
}
