//! One file from the network: resumed where it was cut, from the next address where one fails.

use super::digest::{self, Running};
use super::http::{Answer, Client};
use super::place::Place;
use super::progress::Progress;
use super::set::SourceFile;
use astill_core::files::atomic;
use astill_core::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// An address is given up after so many failures in a row that brought no byte.
pub const FAILURES: u32 = 4;
/// An address that gives less than this in such a time is given up.
const LEAST: (u64, Duration) = (64 << 10, Duration::from_secs(300));
/// Beyond this no file is taken whose length nobody has published.
const LARGEST_UNKNOWN: u64 = 1 << 38;

/// How one address ended.
enum Ended {
    /// All bytes are there, with the checksums.
    Whole,
    /// It does not give this file, and why.
    Refused(String),
}

/// The path of `file`, whole and checked.
///
/// # Errors
/// [`Error::Network`] if no address gives it, with what each of them did and what to do; what has
/// arrived stays, for the next try. [`Error::Io`] if it cannot be written.
pub fn download(
    file: &SourceFile,
    mirrors: &[String],
    place: &Place,
    client: &Client,
    progress: &mut dyn Progress,
) -> Result<PathBuf> {
    let base = file.name.rsplit('/').next().unwrap_or(&file.name);
    let mirrored = mirrors
        .iter()
        .map(|mirror| format!("{}/{base}", mirror.trim_end_matches('/')));
    let urls: Vec<String> = mirrored.chain(file.urls.iter().cloned()).collect();
    let mut part = Part::open(place.part(file))?;
    let mut problems = Vec::new();
    for url in &urls {
        progress.say(&match part.running.bytes() {
            0 => format!("fetching {url}"),
            there => format!("fetching {url}, from byte {there} on"),
        });
        match from_address(url, file, &mut part, client, progress)? {
            Ended::Whole => return part.finish(),
            Ended::Refused(problem) => {
                progress.say(&format!("{url}: {problem}"));
                problems.push(format!("{url}: {problem}"));
            }
        }
    }
    Err(Error::Network(format!(
        "cannot fetch {}:\n  {}\nTry again later (what has arrived is kept), name another address \
         with --mirror URL, or bring the file here and use --from FILE",
        file.name,
        problems.join("\n  ")
    )))
}

/// Tries one address until the file is whole or the address fails for good.
fn from_address(
    url: &str,
    file: &SourceFile,
    part: &mut Part,
    client: &Client,
    progress: &mut dyn Progress,
) -> Result<Ended> {
    let (mut failures, mut has_begun_again) = (0, false);
    // a server that begins again each time may get as far as before, and no further, for ever
    let mut furthest = part.running.bytes();
    // what an earlier call has left may be whole
    let mut is_new = part.running.bytes() == 0;
    loop {
        let before = part.running.bytes();
        let ended = match is_whole(file, part) {
            true => Ok(None),
            false => match client.get(url, before, part.validator_of(url)) {
                Ok(answer) => receive(answer, url, file, part, progress)?,
                Err(problem) => Err(problem),
            },
        };
        match ended {
            Ok(None) => match part.running.clone().flaw(file) {
                None => return Ok(Ended::Whole),
                Some(flaw) => {
                    part.begin_again()?;
                    // the first bytes may be those of another version, or damaged on this disk
                    if is_new || has_begun_again {
                        return Ok(Ended::Refused(format!("gives another file: {flaw}")));
                    }
                    progress.say(&format!("{}: {flaw}; beginning again", file.name));
                    (is_new, has_begun_again) = (true, true);
                    continue;
                }
            },
            Ok(Some(refusal)) => return Ok(Ended::Refused(refusal)),
            Err(problem) => {
                failures = match part.running.bytes() > furthest {
                    true => 0,
                    false => failures + 1,
                };
                furthest = furthest.max(part.running.bytes());
                if failures >= FAILURES {
                    return Ok(Ended::Refused(problem));
                }
                client.pause_after(failures, &|| progress.is_ended())?;
            }
        }
    }
}

fn is_whole(file: &SourceFile, part: &Part) -> bool {
    file.bytes
        .is_some_and(|bytes| part.running.bytes() >= bytes)
}

/// Takes in what the server sends: nothing once all of it is there, a refusal for good, or in `Err`
/// a problem that may pass.
fn receive(
    mut answer: Answer,
    url: &str,
    file: &SourceFile,
    part: &mut Part,
    progress: &mut dyn Progress,
) -> Result<std::result::Result<Option<String>, String>> {
    let there = part.running.bytes();
    match answer.status {
        206 => match answer.range {
            Some((from, _)) if from == there && there > 0 => {}
            _ => {
                part.begin_again()?;
                return Ok(Err("sent another part than the one asked for".into()));
            }
        },
        200 => {}
        416 if there > 0 => {
            // there is no more than what is here; the checksum decides, where there is one
            return Ok(match file.checksums.is_empty() {
                true => {
                    part.begin_again()?;
                    Err("has a shorter file than the part that is here".into())
                }
                false => Ok(None),
            });
        }
        429 | 500.. => return Ok(Err(format!("answers with status {}", answer.status))),
        401 | 403 => {
            return Ok(Ok(Some(format!(
                "refuses with status {}; a data set of the Hub may need HF_TOKEN, and its terms to be \
                 accepted on its page",
                answer.status
            ))));
        }
        status => return Ok(Ok(Some(format!("answers with status {status}")))),
    }
    let whole = match answer.range {
        Some((_, whole)) => whole,
        None => answer.length,
    };
    if let (Some(expected), Some(whole)) = (file.bytes, whole)
        && expected != whole
    {
        // what is here may be right, and another address go on with it
        return Ok(Ok(Some(format!(
            "has another file: expected {expected} bytes, found {whole}"
        ))));
    }
    if answer.status == 200 {
        // it does not know ranges, or the file has changed
        part.begin_again()?;
        part.keep_validator(answer.validator.take(), url)?;
    }
    let begun = part.running.bytes();
    let total = file.bytes.or(whole);
    let most = total.unwrap_or(LARGEST_UNKNOWN);
    let mut block = vec![0; 1 << 16];
    let mut pace = Pace::default();
    loop {
        let n = match answer.body.read(&mut block) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Ok(Err(e.to_string())),
        };
        part.append(&block[..n])?;
        if part.running.bytes() > most {
            part.begin_again()?;
            return Ok(Ok(Some(format!(
                "sends more than the {most} bytes of the file"
            ))));
        }
        progress.bytes(&file.name, part.running.bytes(), total);
        if progress.is_ended() {
            return Err(Error::Interrupted);
        }
        if pace.is_too_slow(n as u64, Instant::now()) {
            let (bytes, time) = LEAST;
            return Ok(Ok(Some(format!(
                "sent less than {} KiB in {} minutes",
                bytes >> 10,
                time.as_secs() / 60
            ))));
        }
    }
    let received = part.running.bytes();
    match total {
        Some(total) if received < total => {
            Ok(Err(format!("ended after {received} of {total} bytes")))
        }
        None if answer.length.is_some_and(|l| received - begun < l) => {
            Ok(Err(format!("ended after {received} bytes")))
        }
        _ => Ok(Ok(None)),
    }
}

/// How fast bytes come.
#[derive(Debug, Default)]
struct Pace {
    since: Option<Instant>,
    bytes: u64,
}

impl Pace {
    /// Takes in that so many bytes have come by now; whether [`LEAST`] has not been reached.
    fn is_too_slow(&mut self, bytes: u64, now: Instant) -> bool {
        let (least, time) = LEAST;
        let since = *self.since.get_or_insert(now);
        self.bytes += bytes;
        if now - since < time {
            return false;
        }
        let is_slow = self.bytes < least;
        *self = Self {
            since: Some(now),
            bytes: 0,
        };
        is_slow
    }
}

/// What has arrived of a file.
struct Part {
    path: PathBuf,
    file: File,
    running: Running,
    /// Names the version of the file that the bytes are of, after the address that calls it so and a
    /// line break.
    validator: Option<String>,
}

impl Part {
    /// What an earlier call has left, or nothing.
    fn open(path: PathBuf) -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        let mut running = Running::default();
        digest::read_all(&mut file, &mut running).map_err(Error::io("read", &path))?;
        let validator = fs::read_to_string(validator_path(&path)).ok();
        Ok(Self {
            validator: validator.filter(|v| !v.is_empty() && v.len() < 10_000),
            path,
            file,
            running,
        })
    }

    /// What this address calls the version of the bytes; another one may call it anything.
    fn validator_of(&self, url: &str) -> Option<&str> {
        let (of, validator) = self.validator.as_deref()?.split_once('\n')?;
        (of == url).then_some(validator)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(Error::io("write", &self.path))?;
        self.running.update(bytes);
        Ok(())
    }

    fn begin_again(&mut self) -> Result<()> {
        let emptied = self
            .file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(Error::io("write", &self.path))?;
        self.running = Running::default();
        self.keep_validator(None, "")
    }

    fn keep_validator(&mut self, validator: Option<String>, url: &str) -> Result<()> {
        let path = validator_path(&self.path);
        let validator = validator.map(|validator| format!("{url}\n{validator}"));
        match &validator {
            Some(text) => fs::write(&path, text).map_err(Error::io("write", &path))?,
            None => _ = fs::remove_file(&path),
        }
        self.validator = validator;
        Ok(())
    }

    fn finish(self) -> Result<PathBuf> {
        atomic::sync(&self.file).map_err(Error::io("write", &self.path))?;
        let _ = fs::remove_file(validator_path(&self.path));
        Ok(self.path)
    }
}

fn validator_path(part: &Path) -> PathBuf {
    let mut name = part.as_os_str().to_os_string();
    name.push(".version");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_a_minute_is_too_slow_and_a_slow_line_is_not() {
        let begin = Instant::now();
        let is_given_up = |bytes: u64, seconds: u64| {
            let mut pace = Pace::default();
            let mut times = (0..20).map(|n| begin + Duration::from_secs(n * seconds));
            times.any(|now| pace.is_too_slow(bytes, now))
        };
        assert!(is_given_up(1, 60));
        assert!(!is_given_up(1 << 16, 250));
        assert!(!is_given_up(1, 1), "not before the time is over");
    }
}
