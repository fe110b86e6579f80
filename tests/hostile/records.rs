//! Records of runs that came from elsewhere, a newer version, or an enemy.

use super::inputs::{folder, try_many};
use super::place::{Outcome, Place, in_full, row, text};
use super::run_in;
use astill::tui::events_file::EventsFile;
use astill::tui::model::Model;
use astill_core::run::event::{EventKind, Phase};
use astill_core::run::{History, list};
use std::fs;
use std::io::Write;

/// A line of every kind, and what a newer version might write.
const EVENTS: &str = include_str!("../inputs/events.jsonl");

/// Whatever is in the record of a run, the app and `astill list` read it and go on.
#[test]
fn records_of_runs() -> Outcome {
    let folder = folder()?;
    let run = run_in(folder.path())?;
    let newer = r#"{"seq":14,"time":"later","kind":"teleported","to":[1,{"x":null}]}"#;
    let mut seeds: Vec<Vec<u8>> = EVENTS.lines().map(|l| format!("{l}\n").into()).collect();
    seeds.push(EVENTS.into());
    seeds.push(format!("{}\n{newer}\n", EVENTS.lines().next().unwrap_or_default()).into());
    let mut model = Model::new();
    try_many(
        "events.jsonl (app, list, resume)",
        seeds,
        Vec::new(),
        |input| {
            fs::write(run.events(), input).expect("is written");
            let events = EventsFile::open(run.events())
                .poll(usize::MAX / 2)
                .expect("is read");
            // as they come, and all of them one after another
            let mut fresh = Model::new();
            for event in &events {
                fresh.apply(event);
                model.apply(event);
            }
            let (summary, history) = (list::summary(run.clone()), History::read(&run.events()));
            let _ = (
                fresh.seconds_per_step(),
                fresh.work().and_then(|w| w.seconds_left()),
                fresh.baselines().len(),
            );
            summary.name == "r" && history.is_ok() && !events.is_empty()
        },
    );
    Ok(())
}

#[test]
fn kinds_and_fields_of_a_newer_version_are_passed_over() -> Outcome {
    let folder = folder()?;
    let run = run_in(folder.path())?;
    let warning = r#"{"seq":2,"time":"2026-01-01T00:00:02Z","kind":"warning","message":"seen","colour":"red","deep":{"er":[1]}}"#;
    let first = EVENTS.lines().next().unwrap_or_default();
    let garbage = "{\"seq\":1,\"kind\":\"teleported\"}\nnot even JSON\n\0\u{1}\n{\"seq\":";
    fs::write(
        run.events(),
        format!(
            "{first}\n{garbage}\n{warning}\n{}\n{{\"torn",
            EVENTS.lines().nth(1).unwrap_or_default()
        ),
    )?;
    let mut file = EventsFile::open(run.events());
    let events = file.poll(1 << 20)?;
    assert_eq!((events.len(), file.skipped()), (3, 4));
    assert!(
        events
            .iter()
            .any(|e| matches!(&e.what, EventKind::Warning { message } if message == "seen"))
    );
    let summary = list::summary(run);
    assert_eq!(
        (summary.profile.as_str(), summary.phase),
        ("shapes", Some(Phase::Experts))
    );
    Ok(())
}

/// `astill list` of a run that somebody made to steer the terminal of who looks.
#[test]
fn a_record_cannot_steer_the_terminal() -> Outcome {
    let place = Place::new()?;
    let run = run_in(&place.path("runs"))?;
    let escape = r"\u001b[2J\u009b1m";
    fs::write(
        run.events(),
        EVENTS
            .replace("shapes", escape)
            .replace("2026-01-01T00:00:00", escape),
    )?;
    fs::create_dir(place.path("runs/\u{1b}[2J"))?;
    fs::copy(run.profile(), place.path("runs/\u{1b}[2J/profile.yaml"))?;
    for arguments in [
        &["list"][..],
        &["attach", "nowhere"],
        &["send", "r", "pause"],
    ] {
        let said = place.run(arguments)?;
        let said = text(&said.stdout) + &text(&said.stderr);
        assert!(
            !said.is_empty() && !said.contains(['\u{1b}', '\u{9b}']),
            "{arguments:?}: {said:?}"
        );
    }
    Ok(())
}

/// A gigabyte without a line end is passed over by everything that reads a record, without being
/// kept.
#[test]
fn a_gigabyte_without_a_line_end_is_not_kept_in_memory() -> Outcome {
    // in a process of its own: memory is that of the whole process
    if std::env::var_os("ASTILL_TEST_ALONE").is_none() {
        let name = "records::a_gigabyte_without_a_line_end_is_not_kept_in_memory";
        let mut alone = std::process::Command::new(std::env::current_exe()?);
        let output = alone
            .args(["--exact", name, "--nocapture"])
            .env("ASTILL_TEST_ALONE", "1")
            .output()?;
        print!("{}", text(&output.stdout));
        assert!(output.status.success(), "{}", text(&output.stderr));
        return Ok(());
    }
    let folder = folder()?;
    let run = run_in(folder.path())?;
    let size: u64 = if in_full() { 1 << 30 } else { 128 << 20 };
    let lines: Vec<&str> = EVENTS.lines().collect();
    let mut events = fs::File::create(run.events())?;
    writeln!(events, "{}", lines[0])?;
    // a hole: it takes no room on the disk
    events.set_len(size)?;
    let mut events = fs::OpenOptions::new().append(true).open(run.events())?;
    writeln!(events, "\n{}", lines[1])?;
    let before = peak_memory()?;
    let mut file = EventsFile::open(run.events());
    let mut read = 0;
    while {
        read += file.poll(2 << 20)?.len();
        !file.at_end()
    } {}
    assert_eq!(read, 2);
    assert_eq!(
        History::read(&run.events())?.profile.as_deref(),
        Some("shapes")
    );
    assert_eq!(list::summary(run).profile, "shapes");
    let grown = peak_memory()?.saturating_sub(before) >> 20;
    assert!(grown < 110, "{grown} MiB more");
    row(
        &format!("a line of {} MiB in events.jsonl", size >> 20),
        3,
        "none",
        &format!("passed over; {grown} MiB more memory at most"),
    );
    Ok(())
}

/// The most memory that this process has had, in bytes.
fn peak_memory() -> Result<u64, Box<dyn std::error::Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM")?;
    Ok(peak.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}
