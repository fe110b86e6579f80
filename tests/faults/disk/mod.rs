//! A disk that cannot be written to: the run waits, and continues.

mod file_system;

use crate::place::{
    Background, Outcome, PATIENCE, Place, assert_status, epochs_trained, last_step, row, text,
    wait_until,
};
use astill_core::run::event::{Event, EventKind};
use astill_core::run::{RunDir, socket};
use rustix::process::{Pid, Resource, Rlimit};
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::time::Duration;

const ENDLESS: [&str; 4] = [
    "distill.iterations=1000000",
    "evaluate.every=1000000",
    "evaluate.repeats=1",
    "evaluate.epochs=1",
];

/// This process may not write files longer than `length`; none is no limit.
pub fn limit_files(process: u32, length: Option<u64>) -> Outcome {
    let limit = Rlimit {
        current: length,
        maximum: None,
    };
    let process = Pid::from_raw(i32::try_from(process)?);
    rustix::process::prlimit(process, Resource::Fsize, limit)?;
    Ok(())
}

fn process_of(events: &[Event]) -> Result<u32, Box<dyn Error>> {
    let process = |e: &Event| {
        if let EventKind::RunStarted(started) = &e.what {
            Some(started.process)
        } else {
            None
        }
    };
    events
        .iter()
        .rev()
        .find_map(process)
        .ok_or_else(|| "no engine".into())
}

/// Processor time of a process in hundredths of a second.
fn ticks(process: u32) -> Result<u64, Box<dyn Error>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

fn is_waiting(what: &EventKind) -> bool {
    matches!(what, EventKind::Waiting { reason: Some(_) })
}

fn goes_on(what: &EventKind) -> bool {
    matches!(what, EventKind::Waiting { reason: None })
}

/// A run that distils without an end, and its engine's process.
fn distilling(place: &Place) -> Result<(Background<'_>, u32), Box<dyn Error>> {
    let engine = Background::start(place, &ENDLESS)?;
    engine.wait_for("a step", 0, |w| matches!(w, EventKind::DistillStep { .. }))?;
    let process = process_of(&place.events("r")?)?;
    Ok((engine, process))
}

#[test]
fn a_run_that_cannot_write_waits_without_work_and_goes_on() -> Outcome {
    let place = Place::new()?;
    let (engine, process) = distilling(&place)?;
    let events = place.path("runs/r/events.jsonl");
    for round in 0..2 {
        // in the middle of an event
        limit_files(process, Some(fs::metadata(&events)?.len() + 700))?;
        let log = place.path("runs/r/run.log");
        wait_until("the run waits", || {
            (fs::read_to_string(&log)
                .ok()?
                .matches("waiting: cannot write")
                .count()
                > round)
                .then_some(())
        })?;
        let stands = wait_until("no part of a line stays", || {
            fs::read(&events).ok().filter(|b| b.last() == Some(&b'\n'))
        })?;
        engine.accepts(&["pause"], "the run waits: cannot write");
        engine.accepts(&["resume"], "the run waits: cannot write");
        let before = ticks(process)?;
        std::thread::sleep(Duration::from_secs(1));
        assert!(ticks(process)? - before < 20, "it spins");
        assert!(fs::read(&events)? == stands, "it writes");
        limit_files(process, None)?;
        let seq = stands.iter().filter(|b| **b == b'\n').count() as u64;
        let went = engine.wait_for("it goes on", seq, goes_on)?;
        engine.wait_for("a step", went.seq, |w| {
            matches!(w, EventKind::DistillStep { .. })
        })?;
        // not a line is missing, and those of the commands in the pause are there
        let all = place.events("r")?;
        assert!(all.iter().map(|e| e.seq).eq(0..all.len() as u64));
        let commands = all
            .iter()
            .filter(|e| e.seq >= seq && matches!(&e.what, EventKind::Command { .. }))
            .count();
        assert_eq!(commands, 2);
    }
    row(
        "file size limit reached in the middle of an event",
        2,
        "nothing",
        "waits, answers, goes on",
    );

    // a stop is not kept waiting
    limit_files(process, Some(1000))?;
    engine.accepts(&["stop"], "");
    let run = RunDir::open(&place.path("runs/r")).ok_or("no run")?;
    wait_until("the engine ends", || (!run.has_engine()).then_some(()))?;
    assert_status(&place.run(&["resume", "r", "--detach"])?, 0);
    row(
        "stopped while it could not write",
        1,
        "back to the last checkpoint",
        "said; ends at once; resumed",
    );
    Ok(())
}

#[test]
fn a_run_that_cannot_write_bears_any_number_of_commands() -> Outcome {
    let place = Place::new()?;
    let (_engine, process) = distilling(&place)?;
    limit_files(process, Some(1000))?;
    let run = RunDir::open(&place.path("runs/r")).ok_or("no run")?;
    let mut stream = UnixStream::connect(socket::path(&run, false)?)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answers = BufReader::new(stream.try_clone()?).lines();
    let (mut refused, mut asked) = (0, 0);
    while refused < 100 && asked < 20_000 {
        stream.write_all(&b"{\"command\":\"resume\"}\n".repeat(100))?;
        asked += 100;
        for answer in answers.by_ref().take(100) {
            refused += u64::from(answer?.contains("too many commands"));
        }
    }
    assert!(
        refused >= 100 && asked < 12_000,
        "{refused} of {asked} refused"
    );
    // somebody asks and asks, and yet it goes on once it can
    limit_files(process, None)?;
    let before = last_step(&place, "r");
    wait_until("it goes on", || {
        stream
            .write_all(&b"{\"command\":\"resume\"}\n".repeat(10))
            .ok()?;
        answers.by_ref().take(10).for_each(drop);
        (last_step(&place, "r") > before + 2).then_some(())
    })?;
    row(
        "asked without a pause while it cannot write",
        asked,
        "nothing",
        "refused after 10,000; goes on",
    );
    Ok(())
}

#[test]
fn a_run_that_cannot_be_begun_leaves_nothing_behind() -> Outcome {
    let place = Place::new()?;
    let begin = ["run", "tiny.yaml", "--name", "r"];
    let mut command = place.astill(&begin);
    let nothing = Rlimit {
        current: Some(0),
        maximum: None,
    };
    let no_files = move || Ok(rustix::process::setrlimit(Resource::Fsize, nothing)?);
    // SAFETY: between fork and exec this only makes one system call, which allocates nothing
    unsafe { command.pre_exec(no_files) };
    let output = command.output()?;
    assert_status(&output, 1);
    assert!(
        text(&output.stderr).contains("File too large"),
        "{}",
        text(&output.stderr)
    );
    assert!(!place.path("runs/r").exists());
    // what a start leaves that was killed in between
    fs::create_dir_all(place.path("runs/r/samples"))?;
    let output = place.run(&begin)?;
    assert_status(&output, 2);
    assert!(
        text(&output.stderr).contains("which is not a run"),
        "{}",
        text(&output.stderr)
    );
    row(
        "no room to begin a run",
        1,
        "nothing",
        "refused; no folder is left",
    );
    Ok(())
}

#[test]
fn a_stop_while_an_expert_cannot_be_kept_says_that_work_is_lost() -> Outcome {
    let place = Place::new()?;
    // more than a megabyte an epoch
    let engine = Background::start(
        &place,
        &["expert.epochs=10000", "expert.count=1", "network.width=128"],
    )?;
    wait_until("an epoch", || {
        epochs_trained(&place.events("r").ok()?).checked_sub(2)
    })?;
    // an event may be written, an expert may not
    limit_files(process_of(&place.events("r")?)?, Some(200_000))?;
    engine.wait_for("it waits", 0, is_waiting)?;
    engine.accepts(&["stop"], "");
    let run = RunDir::open(&place.path("runs/r")).ok_or("no run")?;
    wait_until("the engine ends", || (!run.has_engine()).then_some(()))?;
    let said = fs::read_to_string(run.log())?;
    assert!(
        said.contains("stopped while it could not write") && said.contains("may be lost"),
        "{said}"
    );
    assert!(text(&place.run(&["list"])?.stdout).contains("failed"));
    row(
        "stopped while an expert could not be kept",
        1,
        "the last epoch",
        "said; ends at once",
    );
    Ok(())
}

#[test]
fn a_run_directory_that_is_moved_away_and_back_is_followed() -> Outcome {
    let place = Place::new()?;
    let sets = [
        "distill.iterations=1000000",
        "evaluate.every=5",
        "evaluate.repeats=1",
        "evaluate.epochs=1",
    ];
    let engine = Background::start(&place, &sets)?;
    engine.wait_for("a step", 0, |w| matches!(w, EventKind::DistillStep { .. }))?;
    let away = place.path("runs/away");
    fs::rename(place.path("runs/r"), &away)?;
    let before = last_step(&place, "away");
    wait_until("it goes on there", || {
        (last_step(&place, "away") > before).then_some(())
    })?;
    let listed = text(&place.run(&["list"])?.stdout);
    assert!(
        listed.starts_with("away") && listed.contains("running"),
        "{listed}"
    );
    fs::rename(&away, place.path("runs/r"))?;
    let seq = place.events("r")?.len() as u64;
    engine.wait_for("a step", seq, |w| {
        matches!(w, EventKind::DistillStep { .. })
    })?;
    let all = place.events("r")?;
    assert!(!all.iter().any(|e| is_waiting(&e.what)));
    assert!(all.iter().map(|e| e.seq).eq(0..all.len() as u64));
    row(
        "run directory moved away and back",
        1,
        "nothing",
        "goes on in both places",
    );
    Ok(())
}
