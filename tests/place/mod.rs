//! A folder for whole runs of a tiny profile, and the program started in it.
#![allow(dead_code)] // each test program uses a part
#![allow(clippy::expect_used)] // clippy takes only functions with #[test] for tests

mod table;

#[allow(unused_imports)]
pub use table::{in_full, row};

use astill_core::run::RunDir;
use astill_core::run::event::{Event, EventKind};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
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

/// What a run computed, to the last bit.
#[derive(PartialEq, Eq)]
pub struct Computed {
    distilled: Vec<u8>,
    /// The numbers of each step as it was computed last: the set alone holds the images of the best
    /// step.
    steps: BTreeMap<u64, [u64; 4]>,
}

/// A folder with a profile, data and runs of its own.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let place = Self {
            folder: TempDir::new()?,
        };
        fs::write(place.path("tiny.yaml"), TINY)?;
        Ok(place)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn astill(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_astill"));
        command
            .args(["--data", "data", "--runs", "runs"])
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Another program in this place, which finds `astill` by its name.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let folder = Path::new(env!("CARGO_BIN_EXE_astill"))
            .parent()
            .unwrap_or(Path::new("/"));
        let path = format!(
            "{}:{}",
            folder.display(),
            std::env::var("PATH").unwrap_or_default()
        );
        // one thread: the tests run beside each other, and the bits depend on the number
        command
            .current_dir(self.folder.path())
            .env("OMP_NUM_THREADS", "1")
            .env_remove("LC_ALL")
            .env_remove("LC_CTYPE")
            .env("LANG", "C.UTF-8")
            // not the keys and colours of whoever runs the tests
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("PATH", path);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Result<Output, Box<dyn Error>> {
        Ok(self.astill(arguments).output()?)
    }

    pub fn events(&self, run: &str) -> Result<Vec<Event>, Box<dyn Error>> {
        let text = fs::read_to_string(self.path("runs").join(run).join("events.jsonl"))?;
        Ok(text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?)
    }

    /// Everything that a run computed: its result, and the numbers of each step.
    pub fn computed(&self, run: &str) -> Result<Computed, Box<dyn Error>> {
        let mut steps = BTreeMap::new();
        for event in self.events(run)? {
            match event.what {
                EventKind::DistillStep(s) => {
                    let numbers = [
                        s.matching_loss,
                        s.student_lr,
                        s.image_gradient,
                        s.image_scale,
                    ];
                    steps.insert(s.step, numbers.map(f64::to_bits));
                }
                EventKind::RunStarted(started) => drop(steps.split_off(&(started.step + 1))),
                EventKind::RolledBack { to, .. } => drop(steps.split_off(&(to + 1))),
                _ => {}
            }
        }
        let distilled = self.distilled(run)?;
        Ok(Computed { distilled, steps })
    }

    pub fn distilled(&self, run: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        Ok(fs::read(
            self.path("runs")
                .join(run)
                .join("distilled/best.safetensors"),
        )?)
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
pub fn assert_status(output: &Output, status: i32) {
    assert_eq!(
        output.status.code(),
        Some(status),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// The latest step of a run; 0 before the first.
pub fn last_step(place: &Place, run: &str) -> u64 {
    let steps = |e: &Event| {
        if let EventKind::DistillStep(step) = &e.what {
            Some(step.step)
        } else {
            None
        }
    };
    place
        .events(run)
        .unwrap_or_default()
        .iter()
        .rev()
        .find_map(steps)
        .unwrap_or(0)
}

pub fn epochs_trained(events: &[Event]) -> usize {
    events
        .iter()
        .filter(|e| matches!(e.what, EventKind::ExpertEpoch { .. }))
        .count()
}

/// An engine in the background; stopped when dropped, so that a test that fails leaves none.
pub struct Background<'a> {
    place: &'a Place,
    run: String,
}

impl Background<'_> {
    /// Starts a tiny run with the name r.
    pub fn start<'a>(place: &'a Place, sets: &[&str]) -> Result<Background<'a>, Box<dyn Error>> {
        let mut arguments = vec!["run", "tiny.yaml", "--name", "r", "--detach"];
        sets.iter().for_each(|s| arguments.extend(["--set", s]));
        let started = place.run(&arguments)?;
        assert_status(&started, 0);
        assert_eq!(text(&started.stdout).trim(), "runs/r");
        Ok(Self::of(place, "r"))
    }

    /// The engine of a run that something else has started, or will.
    pub fn of<'a>(place: &'a Place, run: &str) -> Background<'a> {
        Background {
            place,
            run: run.into(),
        }
    }

    /// `astill send RUN …`: the exit status and what was said.
    pub fn send(&self, what: &[&str]) -> Result<(Option<i32>, String), Box<dyn Error>> {
        let output = self
            .place
            .run(&[&["send", self.run.as_str()], what].concat())?;
        Ok((
            output.status.code(),
            text(&output.stdout) + &text(&output.stderr),
        ))
    }

    #[track_caller]
    pub fn accepts(&self, what: &[&str], change: &str) {
        let (status, said) = self.send(what).expect("starts");
        assert!(
            status == Some(0) && said.starts_with("accepted") && said.contains(change),
            "{what:?}: {said}"
        );
    }

    #[track_caller]
    pub fn rejects(&self, what: &[&str], reason: &str) {
        let (status, said) = self.send(what).expect("starts");
        assert!(
            status == Some(1) && said.starts_with("rejected") && said.contains(reason),
            "{what:?}: {said}"
        );
    }

    /// Waits for the next event, from the number `from` on, that `is` one.
    pub fn wait_for(
        &self,
        what: &str,
        from: u64,
        is: impl Fn(&EventKind) -> bool,
    ) -> Result<Event, Box<dyn Error>> {
        wait_until(what, || {
            self.place
                .events(&self.run)
                .ok()?
                .into_iter()
                .find(|e| e.seq >= from && is(&e.what))
        })
    }
}

impl Drop for Background<'_> {
    fn drop(&mut self) {
        let _ = self.send(&["stop"]);
        if let Some(run) = RunDir::open(&self.place.path("runs").join(&self.run)) {
            let _ = wait_until("the engine ends", || (!run.has_engine()).then_some(()));
        }
    }
}

/// Runs `arguments` and sends SIGTERM as soon as a line on stderr contains `sign`.
fn stop_at(place: &Place, arguments: &[&str], sign: &str) -> Result<Option<i32>, Box<dyn Error>> {
    let mut child = place
        .astill(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stderr.take().ok_or("no stderr")?).lines();
    for line in lines.by_ref() {
        if line?.contains(sign) {
            kill_process(Pid::from_child(&child), Signal::TERM)?;
            break;
        }
    }
    lines.for_each(drop);
    Ok(child.wait()?.code())
}

/// A place in which a program was stopped at a sign and that is as the test `wants` it: on a
/// machine with other work the signal may come late, and then it is tried again in another place.
pub fn stopped(
    begin: impl Fn() -> Result<Place, Box<dyn Error>>,
    arguments: &[&str],
    sign: &str,
    wants: impl Fn(&Place) -> bool,
) -> Result<Place, Box<dyn Error>> {
    for _ in 0..TRIES {
        let place = begin()?;
        match stop_at(&place, arguments, sign)? {
            Some(143) if wants(&place) => return Ok(place),
            Some(0 | 143) => {}
            status => {
                return Err(format!("status {status:?} where it was stopped at {sign}").into());
            }
        }
    }
    Err(format!("{sign} was over {TRIES} times").into())
}

/// How often a signal that came too late is tried again.
pub const TRIES: usize = 20;

/// How long anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(300);

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
