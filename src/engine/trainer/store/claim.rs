//! Claims: which process trains an expert, written down so that it holds between machines and on
//! file systems without locks.
//!
//! ```text
//! expert_003.claim            node7 · boot 0b8f… · process 4711 · …: made by whoever comes first
//! expert_003.partial/heir     the claim of the process that is about to take an abandoned one over
//! ```
//!
//! A claim is a file that only one process can create. Its holder touches it between its small
//! steps; once it has not done so for [`ABANDONED_AFTER`], by the clock of the file system, another
//! process takes the expert over. Should two train the same expert all the same, they do the same
//! work twice, and lose none.

use super::Store;
use astill_core::files::{atomic, clock, sharing, untrusted};
use astill_core::run::Holder;
use astill_core::{Error, Result};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A claim that has not been touched for this long is abandoned.
const ABANDONED_AFTER: Duration = Duration::from_secs(600);
/// A claim that names nobody is abandoned after this: its process died while it wrote it.
const UNWRITTEN_AFTER: Duration = Duration::from_secs(10);
/// How often a claim is touched.
const TOUCHED_EVERY: Duration = Duration::from_secs(15);
/// How often the age of the same claim is measured, which takes a new file.
const MEASURED_EVERY: Duration = Duration::from_secs(20);
/// How often a claim is tried again that has just vanished.
const TRIES: usize = 5;
/// The longest claim that is read, in bytes.
const LONGEST: u64 = 4096;
/// How batch systems name the job that a process belongs to.
const JOBS: [&str; 4] = ["SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"];

/// The right of this process to train an expert of a store, until it is dropped, or another process
/// finds it abandoned.
#[derive(Debug)]
pub struct Claim {
    file: File,
    path: PathBuf,
    text: String,
    touched: Instant,
}

/// What became of trying to claim an expert.
#[derive(Debug)]
pub enum Claimed {
    /// It is this process's to train.
    Here(Claim),
    /// Another process is training it, as far as is known this one.
    There(Option<Claimant>),
}

/// Who claims an expert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    holder: Holder,
    /// What its process id counts in: containers have ids of their own.
    namespace: Option<String>,
    /// When the process started, in ticks since the machine did: ids are used again.
    started: Option<String>,
    job: Option<String>,
    /// Tells the claims of one process apart.
    number: Option<String>,
}

impl Claimant {
    /// This process, with a new claim.
    fn this() -> Self {
        static CLAIMS: AtomicU64 = AtomicU64::new(0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let number = CLAIMS.fetch_add(1, Ordering::Relaxed);
        let job = JOBS.iter().find_map(|name| std::env::var(name).ok());
        Self {
            holder: Holder::this(),
            namespace: namespace(),
            started: started("self"),
            job: job.filter(|job| !job.is_empty() && !job.contains('\n')),
            number: Some(format!("{}-{number}", since.unwrap_or_default().as_nanos())),
        }
    }

    /// Reads a claim; none if it names nobody.
    fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| {
            let mut lines = text.lines().skip(1).filter_map(|line| line.split_once(' '));
            Some(lines.find(|(key, _)| *key == name)?.1.to_string())
        };
        Some(Self {
            holder: Holder::parse(text)?,
            namespace: value("namespace"),
            started: value("started"),
            job: value("job"),
            // the last line, so that a claim is whole if it has one
            number: Some(value("claim")?),
        })
    }

    /// Whether this machine shows that the process has ended.
    fn has_ended(&self) -> bool {
        let here = Holder::this();
        let (Some(process), Some(began)) = (self.holder.process, &self.started) else {
            return false;
        };
        let is_visible = here.boot.is_some()
            && here.boot == self.holder.boot
            && self.namespace.is_some()
            && self.namespace == namespace();
        is_visible
            && match fs::read_to_string(format!("/proc/{process}/stat")) {
                Ok(stat) => start_in(&stat) != Some(began),
                // those of other users may be hidden
                Err(_) => self.holder.is_gone(),
            }
    }

    fn text(&self) -> String {
        let mut text = self.holder.to_string();
        for (name, value) in [
            ("namespace", &self.namespace),
            ("started", &self.started),
            ("job", &self.job),
            ("claim", &self.number),
        ] {
            if let Some(value) = value {
                text += &format!("{name} {value}\n");
            }
        }
        text
    }
}

/// "process 4711 on node7, job 12".
impl fmt::Display for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(process) = self.holder.process {
            write!(f, "process {process} on ")?;
        }
        f.write_str(&self.holder.host)?;
        match &self.job {
            Some(job) => write!(f, ", job {job}"),
            None => Ok(()),
        }
    }
}

/// What process ids count in, here.
fn namespace() -> Option<String> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(link.to_str()?.to_string())
}

/// When a process of this machine started; none if there is none of this id, or it has ended and
/// only its parent does not know yet.
fn started(process: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    start_in(&stat).map(String::from)
}

/// "ID (NAME) STATE …", and a name may hold anything; the start is the field number 22.
fn start_in(stat: &str) -> Option<&str> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?;
    (!matches!(state, "Z" | "X")).then_some(started)
}

impl Claim {
    /// Shows that this process is at work on its expert. Costs nothing if it was shown a moment ago.
    pub fn touch(&mut self) {
        if self.touched.elapsed() >= TOUCHED_EVERY {
            self.touched = Instant::now();
            // where this fails for long, another process takes over
            let _ = clock::touch(&self.file);
        }
    }

    /// Whether the expert is still this process's: no other has found the claim abandoned.
    pub fn is_held(&self) -> bool {
        match untrusted::read_text(&self.path, LONGEST) {
            Ok(text) => text == self.text,
            // whoever removes claims by hand gets the same work done twice
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_held() {
            // one that stays is seen to be abandoned
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A claim as it was found.
struct Found {
    text: String,
    claimant: Option<Claimant>,
    modified: SystemTime,
}

impl Found {
    /// The claim at `path`; none if there is none.
    fn read(path: &Path) -> Result<Option<Self>> {
        let read = || -> std::io::Result<_> {
            let modified = path.symlink_metadata()?.modified()?;
            let text = untrusted::read_text(path, LONGEST)?;
            Ok((modified, text))
        };
        match read() {
            Ok((modified, text)) => Ok(Some(Self {
                claimant: Claimant::parse(&text),
                text,
                modified,
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }

    /// Whether its process is gone, as far as can be told; `age` measures the time since the claim
    /// was touched.
    fn is_abandoned(&self, age: impl FnOnce() -> Result<Option<Duration>>) -> Result<bool> {
        let patience = match &self.claimant {
            Some(claimant) if claimant.has_ended() => return Ok(true),
            Some(_) => ABANDONED_AFTER,
            None => UNWRITTEN_AFTER,
        };
        Ok(age()?.is_some_and(|age| age >= patience))
    }
}

impl Store {
    /// Claims expert `index`, of which the folder of the store exists, unless another process is
    /// training it.
    ///
    /// # Errors
    /// The claim cannot be written or read.
    pub fn claim(&self, index: u64) -> Result<Claimed> {
        let (path, claimant) = (self.claim_file(index), Claimant::this());
        for _ in 0..TRIES {
            if let Some(claim) = create(&path, &claimant)? {
                return Ok(checked(claim));
            }
            let Some(found) = Found::read(&path)? else {
                continue; // it has just been given back
            };
            if !self.is_abandoned(&path, &found)? {
                return Ok(Claimed::There(found.claimant));
            }
            if let Some(claim) = self.take_over(index, &found, &claimant)? {
                return Ok(checked(claim));
            }
        }
        Ok(Claimed::There(None))
    }

    /// Whether the claim that was found at `path` is abandoned.
    fn is_abandoned(&self, path: &Path, found: &Found) -> Result<bool> {
        found.is_abandoned(|| {
            let mut measured = self.measured.borrow_mut();
            let recently = |at: &Instant| at.elapsed() < MEASURED_EVERY;
            if measured.get(path).is_some_and(recently) {
                return Ok(None);
            }
            measured.insert(path.to_path_buf(), Instant::now());
            self.age(found.modified).map(Some)
        })
    }

    /// The time since a file of the store was changed.
    fn age(&self, modified: SystemTime) -> Result<Duration> {
        clock::age(&self.folder, modified).map_err(Error::io("write in", &self.folder))
    }

    /// Puts a claim in the place of an abandoned one; none if another process is doing that.
    fn take_over(&self, index: u64, found: &Found, claimant: &Claimant) -> Result<Option<Claim>> {
        let (path, heir) = (self.claim_file(index), self.heir_file(index));
        self.make_partial_folder(index)?;
        let Some(mut claim) = create(&heir, claimant)? else {
            let other = Found::read(&heir)?;
            if let Some(other) = other
                && self.is_abandoned(&heir, &other)?
            {
                // at worst it is that of another process, which then finds that it has no claim
                let _ = fs::remove_file(&heir);
            }
            return Ok(None);
        };
        // only the heir renames, so what is found now stays until it does
        let is_same = Found::read(&path)?.is_some_and(|now| now.text == found.text);
        if is_same && fs::rename(&heir, &path).is_ok() {
            claim.path = path;
            return Ok(Some(claim));
        }
        Ok(None) // and gives up being the heir
    }

    pub(super) fn claim_file(&self, index: u64) -> PathBuf {
        self.folder.join(format!("expert_{index:03}.claim"))
    }

    fn heir_file(&self, index: u64) -> PathBuf {
        self.partial_folder(index).join("heir")
    }
}

/// A claim at `path`; none if there is one already.
fn create(path: &Path, claimant: &Claimant) -> Result<Option<Claim>> {
    let text = claimant.text();
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(Error::io("create", path)(error)),
    };
    sharing::share(&file, path.parent().unwrap_or(Path::new(".")));
    // other machines shall not see an empty one, which names nobody
    if let Err(error) = file
        .write_all(text.as_bytes())
        .and_then(|()| atomic::sync(&file))
    {
        let _ = fs::remove_file(path);
        return Err(Error::io("write", path)(error));
    }
    Ok(Some(Claim {
        file,
        path: path.to_path_buf(),
        text,
        touched: Instant::now(),
    }))
}

/// A new claim, unless another process has claimed the same at the same time.
fn checked(claim: Claim) -> Claimed {
    match claim.is_held() {
        true => Claimed::Here(claim),
        false => Claimed::There(None),
    }
}

#[cfg(test)]
mod tests;
