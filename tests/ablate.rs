//! `astill ablate` from outside: variants and seeds of a tiny profile, killed and resumed, and what
//! is refused.
#![allow(clippy::expect_used)] // clippy takes only functions with #[test] for tests

mod place;

use astill_core::ablation;
use place::{Background, Outcome, PATIENCE, Place, assert_status, text, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::process::Stdio;

const PARTS: &str = "
no-clipping: {expert.clipping: false}
real: {distill.init: real}
";
const ABLATE: [&str; 6] = [
    "ablate",
    "tiny.yaml",
    "--seeds",
    "2",
    "--variants",
    "parts.yaml",
];
/// Every run of it.
const RUNS: [&str; 6] = [
    "base-s0",
    "real-s0",
    "no-clipping-s0",
    "base-s1",
    "real-s1",
    "no-clipping-s1",
];

fn place() -> Result<Place, Box<dyn std::error::Error>> {
    let place = Place::new()?;
    fs::write(place.path("parts.yaml"), PARTS)?;
    Ok(place)
}

/// Table and summary.
fn results(place: &Place) -> Result<[String; 2], Box<dyn std::error::Error>> {
    let read = |file: &str| fs::read_to_string(place.path("runs/tiny-parts").join(file));
    Ok([read("table.md")?, read("summary.csv")?])
}

/// A cell of a table, by the heads of its row and column.
fn cell<'a>(csv: &'a str, row: &str, column: &str) -> &'a str {
    let mut rows = csv.lines().map(|l| l.split(',').collect::<Vec<_>>());
    let heads = rows.next().unwrap_or_default();
    let at = heads.iter().position(|h| *h == column).expect("a column");
    let found = rows.find(|r| r[0] == row).expect("a row");
    found[at]
}

#[test]
fn the_studies_of_the_results_can_be_repeated() -> Outcome {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/results");
    let small = results.join("small.yaml").display().to_string();
    let arrows = results.join("arrows.yaml").display().to_string();
    for (profile, variants) in [
        ("cifar10-cpu", "rates.yaml"),
        (&*small, "parts.yaml"),
        (&*small, "segments.yaml"),
        (&*arrows, "arrows-variants.yaml"),
    ] {
        let file = results.join(variants);
        ablation::Ablation::load(profile, &[], Some(&file), 6, false)?;
    }
    Ok(())
}

#[test]
fn variants_and_seeds_become_a_table_and_files() -> Outcome {
    let place = place()?;
    let output = place.run(&ABLATE)?;
    assert_status(&output, 0);
    let [table, summary] = results(&place)?;
    assert_eq!(text(&output.stdout).trim(), table.trim());
    assert!(
        table.contains("| no-clipping ") && table.contains("cannot go below 0.5"),
        "{table}"
    );

    // the table holds what the runs reported
    let folder = place.path("runs/tiny-parts");
    let runs = fs::read_to_string(folder.join("runs.csv"))?;
    assert_eq!(runs.lines().count(), 1 + RUNS.len());
    let mean = |variant: &str, seed: u64| -> Result<f64, Box<dyn std::error::Error>> {
        let of_run = |line: &&str| line.starts_with(&format!("{variant},{seed},"));
        let line = runs.lines().find(of_run).ok_or("no such run")?;
        Ok(line.split(',').nth(5).ok_or("no mean")?.parse()?)
    };
    let d = [0, 1].map(|seed| Ok(mean("no-clipping", seed)? - mean("base", seed)?));
    let [first, second]: [Result<f64, Box<dyn std::error::Error>>; 2] = d;
    let d: f64 = cell(&summary, "no-clipping", "d").parse()?;
    assert!(((first? + second?) / 2. - d).abs() < 1e-9, "{summary}");

    for name in RUNS {
        let events = fs::read(folder.join(name).join("events.jsonl"))?;
        assert!(runs.contains(&*blake3::hash(&events).to_hex()), "{runs}");
        // the profile that is kept is the one that ran
        assert_eq!(
            fs::read(folder.join(format!("profiles/{name}.yaml")))?,
            fs::read(folder.join(name).join("profile.yaml"))?
        );
    }
    // runs that share their experts train them once
    let trained = |name: &str| -> Result<usize, Box<dyn std::error::Error>> {
        Ok(place::epochs_trained(
            &place.events(&format!("tiny-parts/{name}"))?,
        ))
    };
    assert_eq!((trained("base-s0")?, trained("real-s0")?), (5, 0));
    assert_eq!((trained("base-s1")?, trained("no-clipping-s1")?), (5, 5));

    // in the list it is one row; its runs are reached by their names
    let list = text(&place.run(&["list"])?.stdout);
    assert_eq!(list.lines().count(), 1, "{list}");
    assert!(
        list.contains("tiny-parts") && list.contains("done  6 of 6 runs"),
        "{list}"
    );
    let json: serde_json::Value = serde_json::from_slice(&place.run(&["list", "--json"])?.stdout)?;
    assert_eq!(json[0]["ablation"]["runs_done"], 6);
    assert_status(&place.run(&["resume", "tiny-parts/real-s1"])?, 0);
    Ok(())
}

#[test]
fn an_ablation_that_is_done_does_nothing_and_one_with_more_seeds_only_the_rest() -> Outcome {
    let place = place()?;
    let one = [
        "ablate",
        "tiny.yaml",
        "--seeds",
        "1",
        "--variants",
        "parts.yaml",
    ];
    let first = place.run(&one)?;
    assert_status(&first, 0);
    assert!(text(&first.stdout).contains("there is no interval and no p"));
    let events = |name: &str| {
        fs::read(
            place
                .path("runs/tiny-parts")
                .join(name)
                .join("events.jsonl"),
        )
    };
    let before = events("base-s0")?;
    let again = place.run(&one)?;
    assert_status(&again, 0);
    assert_eq!(again.stdout, first.stdout);
    assert_status(&place.run(&ABLATE)?, 0);
    assert_eq!(events("base-s0")?, before);
    assert!(events("base-s1").is_ok());
    Ok(())
}

#[test]
fn one_that_is_killed_at_any_moment_comes_to_the_same_table() -> Outcome {
    let whole = place()?;
    assert_status(&whole.run(&ABLATE)?, 0);
    let want = results(&whole)?;

    let place = place()?;
    let folder = place.path("runs/tiny-parts");
    // the supervisor and the engine are killed again and again, a little later each time
    for name in RUNS {
        let mut child = place
            .astill(&ABLATE)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let events = folder.join(name).join("events.jsonl");
        wait_until(name, || {
            (events.exists() || child.try_wait().ok()?.is_some()).then_some(())
        })?;
        child.kill()?;
        child.wait()?;
        if name.starts_with("real") {
            // the engine outlives its supervisor here, and is waited for
            continue;
        }
        if let Some(engine) = place
            .events(&format!("tiny-parts/{name}"))
            .ok()
            .and_then(engine)
        {
            let _ = kill_process(engine, Signal::KILL);
        }
    }
    // the rests of a run that was killed as it was created
    let unborn = folder.join("no-clipping-s1");
    if !unborn.exists() {
        fs::create_dir_all(unborn.join("samples"))?;
    }
    assert_status(&place.run(&ABLATE)?, 0);
    assert_eq!(results(&place)?, want);
    Ok(())
}

/// The engine that wrote these events last.
fn engine(events: Vec<astill_core::run::event::Event>) -> Option<Pid> {
    let started = events.into_iter().rev().find_map(|e| match e.what {
        astill_core::run::event::EventKind::RunStarted(started) => Some(started),
        _ => None,
    });
    Pid::from_raw(started?.process as i32)
}

#[test]
fn a_signal_stops_the_current_run_with_a_checkpoint_and_says_how_to_continue() -> Outcome {
    let place = place()?;
    let long = [
        "--set",
        "distill.iterations=1000000",
        "--set",
        "evaluate.every=1000000",
    ];
    let mut child = place
        .astill(&[&ABLATE[..], &long].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let run = Background::of(&place, "tiny-parts/base-s0");
    run.wait_for("a step", 0, |w| {
        matches!(w, astill_core::run::event::EventKind::DistillStep(_))
    })?;
    let running = ablation::list(Path::new(&place.path("runs")))?;
    assert_eq!(running[0].state, ablation::AblationState::Running);
    assert_eq!(running[0].progress(), "0 of 6 runs");
    assert_eq!(running[0].current.as_deref(), Some("base-s0"));
    // a second one has to wait
    let second = place.run(&[&ABLATE[..], &long].concat())?;
    assert_status(&second, 2);
    assert!(text(&second.stderr).contains("already being run"));

    // a batch system's wish for a checkpoint does not end it
    kill_process(Pid::from_child(&child), Signal::USR1)?;
    let seq = place.events("tiny-parts/base-s0")?.len() as u64;
    run.wait_for("a checkpoint", seq.saturating_sub(1), |w| {
        matches!(w, astill_core::run::event::EventKind::Checkpoint { .. })
    })?;
    assert!(child.try_wait()?.is_none());

    kill_process(Pid::from_child(&child), Signal::INT)?;
    let begin = std::time::Instant::now();
    let output = child.wait()?;
    assert!(begin.elapsed() < PATIENCE);
    assert_eq!(output.code(), Some(130));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().ok_or("no stderr")?, &mut said)?;
    assert!(
        said.contains("continue with: astill") && said.contains("--variants parts.yaml"),
        "{said}"
    );
    let events = place.events("tiny-parts/base-s0")?;
    assert!(events.iter().rev().any(|e| matches!(
        &e.what,
        astill_core::run::event::EventKind::RunFinished(f) if f.status.to_string() == "stopped"
    )));
    let stopped = ablation::list(Path::new(&place.path("runs")))?;
    assert_eq!(stopped[0].state, ablation::AblationState::Stopped);
    Ok(())
}

#[test]
fn an_ablation_whose_folder_was_moved_leaves_its_successor_alone() -> Outcome {
    let place = place()?;
    let mut child = place
        .astill(&ABLATE)
        .args(["--set", "distill.iterations=1000000"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let run = Background::of(&place, "tiny-parts/base-s0");
    run.wait_for("a step", 0, |w| {
        matches!(w, astill_core::run::event::EventKind::DistillStep(_))
    })?;
    std::fs::rename(place.path("runs/tiny-parts"), place.path("runs/moved"))?;
    std::fs::create_dir(place.path("runs/tiny-parts"))?;
    let moved = Background::of(&place, "moved/base-s0");
    moved.accepts(&["stop"], "");
    assert_eq!(child.wait()?.code(), Some(1));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().ok_or("no stderr")?, &mut said)?;
    assert!(said.contains("moved, removed or replaced"), "{said}");
    assert_eq!(std::fs::read_dir(place.path("runs/tiny-parts"))?.count(), 0);
    Ok(())
}

#[test]
fn a_variant_that_fails_leaves_the_others_alone() -> Outcome {
    let place = place()?;
    let parts = "wild: {expert.lr: 10, expert.gradient_penalty: 100}\n";
    fs::write(place.path("parts.yaml"), parts)?;
    let output = place.run(&[&ABLATE[..3], &["1"], &ABLATE[4..]].concat())?;
    assert_status(&output, 1);
    let table = text(&output.stdout);
    assert!(table.contains("wild-s0 failed and is left out"), "{table}");
    assert!(text(&output.stderr).contains("try the others again with: astill"));
    let summary = &results(&place)?[1];
    assert_eq!(cell(summary, "base", "seeds"), "1");
    assert!(summary.contains("hard labels,0,1,,"), "{summary}");
    Ok(())
}

/// Refused with exit status 2 and a message with `parts`, with nothing created.
fn assert_refused(place: &Place, arguments: &[&str], parts: &[&str]) -> Outcome {
    let output = place.run(arguments)?;
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    for part in parts {
        assert!(
            message.contains(part),
            "{arguments:?} says {message:?}, without {part:?}"
        );
    }
    assert!(
        output.stdout.is_empty() && !place.path("runs").exists(),
        "{arguments:?}"
    );
    Ok(())
}

#[test]
fn variants_that_cannot_be_run_are_refused_before_anything_is_created() -> Outcome {
    let place = place()?;
    for (content, parts) in [
        ("", &["parts.yaml", "is empty", "no-clipping: {"][..]),
        ("- a\n", &["parts.yaml", "a list", "mapping"]),
        ("a: {\n", &["parts.yaml", "not valid YAML"]),
        ("a: 3\n", &["parts.yaml:1", "variant a", "found 3"]),
        (
            "base: {distill.ipc: 1}\n",
            &["parts.yaml:1", "the profile itself"],
        ),
        (
            "a/b: {distill.ipc: 1}\n",
            &["parts.yaml:1", "a/b", "letters, digits"],
        ),
        (
            "x: {distill.ipc: 1}\nX: {distill.ipc: 3}\n",
            &["parts.yaml:2", "X twice"],
        ),
        (
            "a: {distill.ipc: 1}\nb: {distill.lr_image: 3}\n",
            &["parts.yaml:2", "lr_image", "did you mean", "variant b"],
        ),
        (
            "a:\n  distill.ipc: many\n  expert.seed: 3\n",
            &[
                "parts.yaml:2",
                "distill.ipc",
                "many",
                "parts.yaml:3",
                "the seeds are those",
            ],
        ),
        (
            "a: {distill.ipc: 2}\n",
            &["parts.yaml:1", "same settings as base"],
        ),
        (
            "a: {expert.clipping: false}\nb: {expert.clipping: false}\n",
            &["parts.yaml:2", "same settings as a"],
        ),
        (
            "a: {profile: nowhere}\n",
            &["parts.yaml:1", "nowhere", "variant a"],
        ),
        // what only the data can tell
        (
            "a: {distill.ipc: 11}\n",
            &["variant a", "distill.ipc", "11", "10"],
        ),
        (
            "a: {dataset.kind: cifar10}\n",
            &["variant a", "cifar10", "data_batch_1.bin"],
        ),
    ] {
        fs::write(place.path("parts.yaml"), content)?;
        assert_refused(&place, &ABLATE, parts)?;
    }
    assert_refused(
        &place,
        &["ablate", "tiny.yaml", "--seeds", "0"],
        &["--seeds"],
    )?;
    let missing = [
        "ablate",
        "tiny.yaml",
        "--seeds",
        "1",
        "--variants",
        "no.yaml",
    ];
    assert_refused(&place, &missing, &["no.yaml"])?;
    fs::write(place.path("parts.yaml"), PARTS)?;
    let bad_name = [&ABLATE[..], &["--name", "../x"]].concat();
    assert_refused(&place, &bad_name, &["--name", "../x"])
}

#[test]
fn what_is_already_there_is_never_overwritten() -> Outcome {
    let place = place()?;
    let one = ["ablate", "tiny.yaml", "--seeds", "1", "--name", "x"];
    assert_status(&place.run(&one)?, 0);
    let before = place.events("x/base-s0")?;
    let other = [&one[..], &["--set", "distill.iterations=6"]].concat();
    let refused = place.run(&other)?;
    assert_status(&refused, 2);
    let message = text(&refused.stderr);
    assert!(
        message.contains("distill.iterations (5, not 6)"),
        "{message}"
    );
    assert_eq!(place.events("x/base-s0")?, before);

    assert_status(&place.run(&["run", "tiny.yaml", "--name", "r"])?, 0);
    let refused = place.run(&["ablate", "tiny.yaml", "--seeds", "1", "--name", "r"])?;
    assert_status(&refused, 2);
    assert!(text(&refused.stderr).contains("not an ablation"));
    Ok(())
}
