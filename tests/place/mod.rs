//! A folder for whole runs of a tiny profile, and the program started in it.
#![allow(dead_code)] // each test program uses a part

use astill::run::event::{Event, What};
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub type Outcome = Result<(), Box<dyn Error>>;

/// Every phase takes a fraction of a second.
pub const TINY: &str = "
dataset: {kind: shapes, size: 16, train_limit: 120, validation: 0.2, zca: true}
network: {width: 8, depth: 2}
expert: {count: 2, epochs: 3, batch: 32, lr: 0.01}
distill: {ipc: 2, batch: 8, iterations: 5, syn_steps: 4, expert_epochs: 2, max_start_epoch: 1, lr_images: 10}
evaluate: {every: 2, repeats: 2, epochs: 8}
";

/// A folder with a profile, data and runs of its own.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let place = Self { folder: TempDir::new()? };
        fs::write(place.path("tiny.yaml"), TINY)?;
        Ok(place)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn astill(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_astill"));
        command.current_dir(self.folder.path()).args(["--data", "data", "--runs", "runs"]).args(arguments);
        // one thread: the tests run beside each other, and the bits depend on the number
        command.env("OMP_NUM_THREADS", "1").stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Result<Output, Box<dyn Error>> {
        Ok(self.astill(arguments).output()?)
    }

    pub fn events(&self, run: &str) -> Result<Vec<Event>, Box<dyn Error>> {
        let text = fs::read_to_string(self.path("runs").join(run).join("events.jsonl"))?;
        Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    }

    pub fn distilled(&self, run: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        Ok(fs::read(self.path("runs").join(run).join("distilled/best.safetensors"))?)
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
pub fn assert_status(output: &Output, status: i32) {
    assert_eq!(output.status.code(), Some(status), "{}{}", text(&output.stdout), text(&output.stderr));
}

pub fn epochs_trained(events: &[Event]) -> usize {
    events.iter().filter(|e| matches!(e.what, What::ExpertEpoch { .. })).count()
}

/// Runs `arguments` and sends SIGTERM as soon as a line on stderr contains `sign`.
pub fn stop_at(place: &Place, arguments: &[&str], sign: &str) -> Result<Option<i32>, Box<dyn Error>> {
    let mut child = place.astill(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stderr.take().ok_or("no stderr")?).lines();
    for line in lines.by_ref() {
        if line?.contains(sign) {
            let id = i32::try_from(child.id())?;
            assert_eq!(unsafe { libc::kill(id, libc::SIGTERM) }, 0);
            break;
        }
    }
    lines.for_each(drop);
    Ok(child.wait()?.code())
}

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until `look` finds what is waited for.
pub fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, Box<dyn Error>> {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if begin.elapsed() > PATIENCE {
            return Err(format!("waited {} s in vain: {what}", PATIENCE.as_secs()).into());
        }
        std::thread::yield_now();
        std::thread::sleep(Duration::from_millis(5));
    }
}
