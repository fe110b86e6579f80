//! Places, starters and moments as everyday use has them.

use crate::place::{Background, Outcome, Place, assert_status, row, text, wait_until};
use crate::{ENDLESS, engine_of, is_step};
use astill_core::run::RunDir;
use astill_core::run::event::EventKind;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Arguments of a run that never ends by itself.
fn endless() -> Vec<&'static str> {
    let sets = ENDLESS.iter().flat_map(|set| ["--set", set]);
    ["run", "tiny.yaml", "--name", "r"]
        .into_iter()
        .chain(sets)
        .collect()
}

#[test]
fn a_run_works_below_a_path_of_any_characters_and_length() -> Outcome {
    let place = Place::new()?;
    let long = [&*"long".repeat(50); 6].join("/");
    for below in [
        "two words",
        "it's \"quoted\" $HOME",
        "漢字 é\u{301}",
        "line\nbreak",
        &long,
    ] {
        let runs = place.path(below);
        let runs = runs.to_str().ok_or("not UTF-8")?;
        let astill = |arguments: &[&str], from: &Path| {
            let mut command = place.command(env!("CARGO_BIN_EXE_astill"));
            command.current_dir(from).arg("--runs").arg(runs);
            command
                .arg("--data")
                .arg(place.path("data"))
                .args(arguments);
            command.output()
        };
        let here = place.path("");
        let started = astill(&[&endless()[..], &["--detach"]].concat(), &here)?;
        assert_status(&started, 0);
        let run = RunDir::at(Path::new(runs).join("r"));
        let elsewhere = Path::new("/");
        let listed = text(&astill(&["list"], elsewhere)?.stdout);
        assert!(listed.contains("running"), "{below}: {listed}");
        for command in ["pause", "stop"] {
            assert_status(&astill(&["send", "r", command], elsewhere)?, 0);
        }
        wait_until("the engine ends", || (!run.has_engine()).then_some(()))?;
        assert_status(&astill(&["resume", "r", "--detach"], elsewhere)?, 0);
        assert_status(&astill(&["send", "r", "stop"], elsewhere)?, 0);
        wait_until("the engine ends", || (!run.has_engine()).then_some(()))?;
    }
    Ok(())
}

#[test]
fn of_many_that_resume_a_run_at_once_one_has_it() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(&place, &ENDLESS)?;
    engine.wait_for("a step", 0, is_step)?;
    engine.accepts(&["stop"], "");
    let run = RunDir::at(place.path("runs/r"));
    wait_until("the engine ends", || (!run.has_engine()).then_some(()))?;
    let from = place.events("r")?.len() as u64;
    let resume = || {
        let mut command = place.astill(&["resume", "r", "--detach"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    let all: Vec<_> = (0..8).map(|_| resume()).collect::<Result<_, _>>()?;
    for mut one in all {
        one.wait()?;
    }
    let is_start = |what: &EventKind| matches!(what, EventKind::RunStarted(_));
    let first = engine.wait_for("a new engine", from, is_start)?;
    engine.wait_for("a step", first.seq, is_step)?;
    let starts = place.events("r")?.into_iter().skip(from as usize);
    assert_eq!(starts.filter(|event| is_start(&event.what)).count(), 1);
    Ok(())
}

#[test]
fn a_run_under_nohup_outlives_its_terminal() -> Outcome {
    let place = Place::new()?;
    let mut shell = place.command("sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    shell.arg(env!("CARGO_BIN_EXE_astill"));
    shell.args(["--data", "data", "--runs", "runs"]);
    shell.args(endless()).arg("--headless");
    let mut child = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let engine = Background::of(&place, "r");
    wait_until("the run is made", || {
        place.path("runs/r/events.jsonl").exists().then_some(())
    })?;
    engine.wait_for("a step", 0, is_step)?;
    let process = engine_of(&place, "r")?;
    let pid = Pid::from_raw(i32::try_from(process)?).ok_or("no process")?;
    kill_process(pid, Signal::HUP)?;
    let seen = place.events("r")?.len() as u64;
    engine.wait_for("a step after it", seen, is_step)?;
    kill_process(pid, Signal::TERM)?;
    assert_eq!(child.wait()?.code(), Some(143));
    Ok(())
}

#[test]
fn the_first_process_of_a_container_ends_after_a_checkpoint_when_it_is_asked_to() -> Outcome {
    let fault = "first process of a container";
    let apart = ["--pid", "--fork"];
    let possible = Command::new("unshare").args(apart).arg("true").status();
    if !possible.is_ok_and(|status| status.success()) {
        row(fault, 0, "none", "not tried: no namespaces here");
        return Ok(());
    }
    let place = Place::new()?;
    let mut container = place.command("unshare");
    container.args(apart).arg(env!("CARGO_BIN_EXE_astill"));
    container.args(["--data", "data", "--runs", "runs"]);
    container.args(endless()).arg("--headless");
    let mut container = container
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    wait_until("the run is made", || {
        place.path("runs/r/events.jsonl").exists().then_some(())
    })?;
    Background::of(&place, "r").wait_for("a step", 0, is_step)?;
    let id = container.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
    let first = children.split_whitespace().next().ok_or("no child")?;
    let first = Pid::from_raw(first.parse()?).ok_or("no process")?;
    kill_process(first, Signal::TERM)?;
    assert_eq!(container.wait()?.code(), Some(143));
    let is_stop = |what: &EventKind| matches!(what, EventKind::RunFinished(_));
    assert!(place.events("r")?.iter().any(|event| is_stop(&event.what)));
    row(fault, 1, "nothing", "ends after a checkpoint");
    Ok(())
}

#[test]
fn without_a_home_the_folder_of_data_is_asked_for_and_runs_are_still_listed() -> Outcome {
    let place = Place::new()?;
    let homeless = |arguments: &[&str]| {
        let mut command = place.command(env!("CARGO_BIN_EXE_astill"));
        command.args(["--runs", "runs"]).args(arguments);
        command.env_remove("HOME").env_remove("XDG_DATA_HOME");
        command.stdin(Stdio::null()).output()
    };
    for arguments in [
        &["run", "tiny.yaml", "--headless"][..],
        &["check", "tiny.yaml"],
    ] {
        let refused = homeless(arguments)?;
        assert_status(&refused, 2);
        let said = text(&refused.stderr);
        assert!(said.contains("HOME") && said.contains("--data"), "{said}");
        assert!(!place.path("runs").exists());
    }
    assert_status(&homeless(&["list"])?, 0);
    let told = text(&homeless(&["doctor"])?.stdout);
    assert!(
        told.contains("--data") && told.contains("libtorch"),
        "{told}"
    );
    Ok(())
}

/// `| head`, a full disk behind the output, and streams that are closed.
#[test]
fn whoever_stops_reading_ends_no_run_and_no_list() -> Outcome {
    let place = Place::new()?;
    let program = env!("CARGO_BIN_EXE_astill");
    let astill = format!("{program} --data data --runs runs");
    let shell = |script: &str| -> Result<(String, String), Box<dyn std::error::Error>> {
        let output = place.command("sh").args(["-c", script]).output()?;
        let status = fs::read_to_string(place.path("status")).unwrap_or_default();
        Ok((status.trim().to_owned(), text(&output.stderr)))
    };
    let run = "run tiny.yaml --headless --name r";
    let (status, _) = shell(&format!(
        "{{ {astill} {run}; echo $? > status; }} 2>&1 | head -n 2"
    ))?;
    assert_eq!(status, "0");
    assert!(!place.distilled("r")?.is_empty());
    for before in ["", "trap '' PIPE; "] {
        let listed = format!("{before}{{ {astill} list; echo $? > status; }} | head -n 0");
        let (status, said) = shell(&listed)?;
        assert_eq!((status.as_str(), said.as_str()), ("0", ""));
    }
    let (status, said) = shell(&format!("{astill} list > /dev/full; echo $? > status"))?;
    assert_eq!(status, "1");
    assert!(
        said.contains("stdout") && said.contains("No space left"),
        "{said}"
    );
    let (status, _) = shell(&format!("{astill} list <&- >&- 2>&-; echo $? > status"))?;
    assert_eq!(status, "0");
    Ok(())
}

/// What was accepted is done even if nobody can be told so.
#[test]
fn a_command_whose_answer_cannot_be_printed_is_carried_out() -> Outcome {
    let place = Place::new()?;
    let _engine = Background::start(&place, &ENDLESS)?;
    let program = env!("CARGO_BIN_EXE_astill");
    let script = format!("{program} --runs runs send r stop > /dev/full");
    let output = place.command("sh").args(["-c", &script]).output()?;
    let said = text(&output.stderr);
    assert!(
        !output.status.success() && said.contains("stdout"),
        "{said}"
    );
    let run = RunDir::at(place.path("runs/r"));
    wait_until("the engine ends", || (!run.has_engine()).then_some(()))
}
