//! A random walk: an engine killed, also in the middle of something, stopped, renamed, rolled back,
//! edited, robbed of its lock, its sockets, its inbox, its edits and its disk, in any order. A model says what must hold after every act, and in the end the
//! run must have the bytes of one that went the same way undisturbed.

use crate::disk::limit_files;
use crate::place::{Background, Outcome, Place, assert_status, in_full, row, text, wait_until};
use astill_core::run::event::{Event, EventKind};
use astill_core::run::{RunDir, checkpoints};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::{Pid, Signal, kill_process};
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

const ENDLESS: [&str; 4] = [
    "distill.iterations=1000000",
    "evaluate.every=1000000",
    "evaluate.repeats=1",
    "expert.count=1",
];
const EDITS: [&str; 7] = [
    "distill.step=0.03",
    "distill.step=0.06",
    "distill.momentum=0.5",
    "distill.momentum=0.9",
    "distill.lr_student=0.005",
    "distill.lr_student=0.02",
    "distill.perturbation=0",
];
const ACTS: usize = 15;
/// An engine is killed up to so long after it was asked for something, in ms.
const LONGEST: u64 = 40;

struct Walk {
    place: Place,
    random: ChaCha8Rng,
    /// The run's name now.
    name: String,
    /// Every engine that was started.
    engines: Vec<u32>,
    names: usize,
}

impl Walk {
    fn begin(seed: u64) -> Result<Self, Box<dyn Error>> {
        let place = Place::new()?;
        let mut arguments = vec!["run", "tiny.yaml", "--name", "r", "--detach"];
        ENDLESS.iter().for_each(|s| arguments.extend(["--set", s]));
        assert_status(&place.run(&arguments)?, 0);
        let mut walk = Self {
            place,
            random: ChaCha8Rng::seed_from_u64(seed),
            name: "r".into(),
            engines: Vec::new(),
            names: 0,
        };
        walk.note_engine()?;
        walk.next_step()?;
        Ok(walk)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path("runs").join(&self.name).join(name)
    }

    fn run(&self) -> RunDir {
        RunDir::at(self.path(""))
    }

    fn events(&self) -> Result<Vec<Event>, Box<dyn Error>> {
        // the last line may be half written
        let text = fs::read_to_string(self.path("events.jsonl"))?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Ok(whole
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?)
    }

    fn send(&self, what: &[&str]) -> Result<(Option<i32>, String), Box<dyn Error>> {
        let output = self
            .place
            .run(&[&["send", self.name.as_str()], what].concat())?;
        Ok((
            output.status.code(),
            text(&output.stdout) + &text(&output.stderr),
        ))
    }

    fn accepted(&self, what: &[&str]) -> Outcome {
        let (status, said) = self.send(what)?;
        assert_eq!(status, Some(0), "{what:?}: {said}");
        Ok(())
    }

    fn note_engine(&mut self) -> Outcome {
        let process = self.run().holder().and_then(|(holder, _)| holder.process);
        self.engines.push(process.ok_or("no engine")?);
        Ok(())
    }

    fn engine(&self) -> Result<u32, Box<dyn Error>> {
        Ok(*self.engines.last().ok_or("no engine")?)
    }

    /// The step after the events so far: where the run stands.
    fn step(&self) -> Result<u64, Box<dyn Error>> {
        let mut step = 0;
        for event in self.events()? {
            match event.what {
                EventKind::DistillStep(done) => step = done.step,
                EventKind::RunStarted(started) => step = started.step,
                EventKind::RolledBack { to, .. } => step = to,
                _ => {}
            }
        }
        Ok(step)
    }

    /// Waits until an event that is recorded from now on `is` one.
    fn wait_for(
        &self,
        what: &str,
        is: impl Fn(&EventKind) -> bool,
    ) -> Result<Event, Box<dyn Error>> {
        let from = self.events()?.len();
        self.wait_from(from, what, is)
    }

    fn wait_from(
        &self,
        from: usize,
        what: &str,
        is: impl Fn(&EventKind) -> bool,
    ) -> Result<Event, Box<dyn Error>> {
        wait_until(what, || {
            let events = self.events().ok()?;
            events.into_iter().skip(from).find(|e| is(&e.what))
        })
    }

    fn next_step(&self) -> Outcome {
        self.wait_for("a step", |w| matches!(w, EventKind::DistillStep(_)))?;
        Ok(())
    }

    /// Resumes the run, which must go on from the step `at_least` or a later one.
    fn resume(&mut self, at_least: u64) -> Outcome {
        self.resume_with(at_least, &[])
    }

    /// As [`Self::resume`], with these arguments.
    fn resume_with(&mut self, at_least: u64, more: &[&str]) -> Outcome {
        let from = self.events()?.len();
        let arguments = [&["resume", &self.name, "--detach"], more].concat();
        assert_status(&self.place.run(&arguments)?, 0);
        let is_start = |w: &EventKind| matches!(w, EventKind::RunStarted(_));
        let EventKind::RunStarted(started) = self.wait_from(from, "a new engine", is_start)?.what
        else {
            return Err("another event".into());
        };
        assert!(started.step >= at_least, "{} < {at_least}", started.step);
        self.note_engine()?;
        self.next_step()
    }

    fn newest_checkpoint(&self) -> Result<u64, Box<dyn Error>> {
        let steps = checkpoints::steps(&self.path(""))?;
        Ok(steps.last().copied().unwrap_or(0))
    }

    fn wait_for_no_engine(&self) -> Outcome {
        let run = self.run();
        wait_until("the engine ends", || (!run.has_engine()).then_some(()))
    }

    fn kill(&mut self) -> Outcome {
        let kept = self.newest_checkpoint()?;
        let process = Pid::from_raw(self.engine()? as i32).ok_or("no process")?;
        kill_process(process, Signal::KILL)?;
        self.wait_for_no_engine()?;
        self.resume(kept)
    }

    /// Stops the run; the last step that it has done.
    fn stop(&self) -> Result<u64, Box<dyn Error>> {
        self.accepted(&["stop"])?;
        self.wait_for_no_engine()?;
        self.step()
    }

    fn rename(&mut self) -> Outcome {
        self.names += 1;
        let name = format!("r{}", self.names);
        fs::rename(self.path(""), self.place.path("runs").join(&name))?;
        self.name = name;
        self.next_step()
    }

    fn roll_back(&mut self) -> Outcome {
        let steps = checkpoints::steps(&self.path(""))?;
        let step = steps[self.random.random_range(0..steps.len())];
        let from = self.events()?.len();
        self.accepted(&["roll-back", &step.to_string()])?;
        let back = |w: &EventKind| matches!(w, EventKind::RolledBack { to, .. } if *to == step);
        self.wait_from(from, "going back", back)?;
        assert!(self.newest_checkpoint()? <= self.step()?);
        Ok(())
    }

    fn lose_the_lock(&mut self) -> Outcome {
        let (kept, old) = (self.newest_checkpoint()?, self.engine()?);
        fs::remove_file(self.path("lock"))?;
        self.resume(kept)?;
        wait_until("the first engine ends", || (!is_alive(old)).then_some(()))
    }

    fn lose_the_sockets(&self) -> Outcome {
        let run = self.run();
        let places = [
            astill_core::run::socket::beside(&run),
            astill_core::run::socket::path(&run, false)?,
        ];
        for place in &places {
            let _ = fs::remove_file(place);
        }
        wait_until("new sockets", || {
            places.iter().all(|p| p.exists()).then_some(())
        })
    }

    fn fill_the_disk(&self) -> Outcome {
        let process = self.engine()?;
        limit_files(process, Some(1))?;
        let (status, said) = self.send(&["checkpoint"])?;
        limit_files(process, None)?;
        assert_eq!(status, Some(0), "{said}");
        self.next_step()
    }

    /// An engine that is killed while it is asked for something has done that, or not.
    fn kill_in_the_middle(&mut self) -> Outcome {
        let steps = checkpoints::steps(&self.path(""))?;
        let newest = steps.last().copied().unwrap_or(0);
        let back = steps[self.random.random_range(0..steps.len())];
        let edit = EDITS[self.random.random_range(0..EDITS.len())];
        let number = back.to_string();
        let (what, at_least): (&[&str], u64) = match self.random.random_range(0..4) {
            0 => (&["roll-back", &number], back),
            1 => (&["checkpoint"], newest),
            2 => (&["set", edit], newest),
            _ => (&["stop"], newest),
        };
        let sender = self
            .place
            .astill(&[&["send", self.name.as_str()], what].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let delay = self.random.random_range(0..LONGEST);
        let is_full = self.random.random_ratio(1, 4);
        if is_full {
            limit_files(self.engine()?, Some(1))?;
        }
        sleep(Duration::from_millis(delay));
        let process = Pid::from_raw(self.engine()? as i32).ok_or("no process")?;
        // one that was asked to stop may have done so
        let _ = kill_process(process, Signal::KILL);
        let answer = sender.wait_with_output()?;
        let (accepted, said) = (answer.status.success(), text(&answer.stderr));
        assert!(!said.contains("os error"), "{what:?}: {said}");
        self.wait_for_no_engine()?;
        if accepted && what[0] == "set" {
            let kept = fs::read_to_string(self.path("edits.json"))?;
            assert!(kept.contains(edit), "{edit} was accepted: {kept}");
        }
        if self.random.random_ratio(1, 4) {
            self.names += 1;
            let name = format!("r{}", self.names);
            fs::rename(self.path(""), self.place.path("runs").join(&name))?;
            self.name = name;
        }
        self.resume(at_least)
    }

    /// The list of edits, which every checkpoint depends on, is removed.
    fn lose_the_edits(&self) -> Outcome {
        let file = self.path("edits.json");
        let Ok(before) = fs::read_to_string(&file) else {
            return Ok(());
        };
        fs::remove_file(&file)?;
        self.accepted(&["checkpoint"])?;
        wait_until("the edits again", || {
            (fs::read_to_string(&file).ok()? == before).then_some(())
        })
    }

    fn lose_the_inbox(&self) -> Outcome {
        let folder = self.path("inbox");
        fs::remove_dir_all(&folder)?;
        wait_until("the inbox again", || folder.is_dir().then_some(()))
    }

    /// The run is stopped, and resumed with a change.
    fn change_at_resume(&mut self) -> Outcome {
        let step = self.stop()?;
        let edit = EDITS[self.random.random_range(0..EDITS.len())];
        self.resume_with(step, &["--set", edit])
    }

    /// A setting that is not live is changed by hand, and refused.
    fn tamper(&mut self) -> Outcome {
        let step = self.stop()?;
        let file = self.path("profile.yaml");
        let before = fs::read_to_string(&file)?;
        fs::write(&file, before.replacen("ipc: 2", "ipc: 1", 1))?;
        let refused = self.place.run(&["resume", &self.name, "--detach"])?;
        assert_status(&refused, 2);
        assert!(text(&refused.stderr).contains("distill.ipc"));
        fs::write(&file, before)?;
        self.resume(step)
    }

    fn act(&mut self, act: usize) -> Outcome {
        match act {
            0 => self.kill(),
            1 => {
                let step = self.stop()?;
                self.resume(step)
            }
            2 => self.rename(),
            3 => self.roll_back(),
            4 | 5 => {
                let edit = EDITS[self.random.random_range(0..EDITS.len())];
                self.accepted(&["set", edit])?;
                self.accepted(&["checkpoint"])
            }
            6 => self.lose_the_lock(),
            7 => self.lose_the_sockets(),
            8 => self.fill_the_disk(),
            9 => self.lose_the_edits(),
            10 => self.lose_the_inbox(),
            11 => self.change_at_resume(),
            12 | 13 => self.kill_in_the_middle(),
            _ => self.tamper(),
        }
    }

    /// What holds after every act.
    fn check(&mut self) -> Outcome {
        let alive: Vec<u32> = self
            .engines
            .iter()
            .copied()
            .filter(|p| is_alive(*p))
            .collect();
        assert_eq!(alive, [self.engine()?], "engines");
        let events = self.events()?;
        assert!(events.iter().map(|e| e.seq).eq(0..events.len() as u64));
        if self.random.random_ratio(1, 4) {
            let second = self.place.run(&["resume", &self.name, "--detach"])?;
            assert_status(&second, 2);
        }
        let listed = text(&self.place.run(&["list"])?.stdout);
        assert!(
            listed.lines().count() == 1 && listed.contains("running"),
            "{listed}"
        );
        Ok(())
    }

    /// Lets the run end, and compares it with one that has the same edits from the beginning.
    fn end(&self) -> Outcome {
        self.accepted(&["pause"])?;
        let last = wait_until("a step", || self.step().ok())?;
        let iterations = format!("distill.iterations={}", last + 3);
        self.accepted(&["set", &iterations])?;
        self.accepted(&["resume"])?;
        self.wait_for_no_engine()?;
        let other = self.place.path("runs/other");
        fs::create_dir(&other)?;
        for file in ["profile.yaml", "edits.json"] {
            fs::copy(self.path(file), other.join(file))?;
        }
        assert_status(&self.place.run(&["resume", "other", "--headless"])?, 0);
        assert!(
            self.place.computed(&self.name)? == self.place.computed("other")?,
            "other bytes than the same run undisturbed: {}",
            fs::read_to_string(self.path("edits.json"))?
        );
        Ok(())
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        drop(Background::of(&self.place, &self.name));
    }
}

fn is_alive(process: u32) -> bool {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = text.rsplit_once(") ").map(|(_, rest)| rest);
    text.contains("(astill-engine)") && state.is_some_and(|state| !state.starts_with('Z'))
}

/// A number that a longer walk is asked for by.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn a_random_walk_loses_nothing_and_ends_like_an_undisturbed_run() -> Outcome {
    let (seeds, acts) = if in_full() { (3, 20) } else { (1, 4) };
    let first = number("ASTILL_WALK_SEED").unwrap_or(1);
    let seeds = number("ASTILL_WALK_SEEDS").unwrap_or(seeds);
    let acts = number("ASTILL_WALK_ACTS").unwrap_or(acts);
    let mut done = 0;
    for seed in first..first + seeds {
        println!("ASTILL_WALK_SEED={seed}");
        let mut walk = Walk::begin(seed)?;
        for number in 0..acts {
            let act = walk.random.random_range(0..ACTS);
            println!("  act {number}: {act}");
            walk.act(act)?;
            walk.check()?;
            done += 1;
        }
        walk.end()?;
    }
    row(
        "a random walk of kills, renames, roll-backs, edits …",
        done,
        "since the last checkpoint",
        &format!("{seeds} runs end in the same bytes as undisturbed ones"),
    );
    Ok(())
}
