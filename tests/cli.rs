//! The program from outside: whole runs of a tiny profile, stopping and resuming, and everything
//! that is refused.

mod place;

use astill_core::run::command::Command;
use astill_core::run::event::{EventKind, ImageSet};
use place::{Outcome, Place, assert_status, epochs_trained, stopped, text};
use safetensors::SafeTensors;
use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;

#[test]
fn a_run_leaves_every_event_a_table_and_a_distilled_set() -> Outcome {
    let place = Place::new()?;
    let output = place.run(&["run", "tiny.yaml", "--name", "one"])?;
    assert_status(&output, 0);
    let table = text(&output.stdout);
    for labels in ["distilled", "random", "representative"] {
        assert!(
            table
                .lines()
                .any(|l| l.trim_start().starts_with(labels) && l.contains("±")),
            "{table}"
        );
    }

    let lines = fs::read_to_string(place.path("runs/one/events.jsonl"))?;
    let kinds: BTreeSet<String> = lines
        .lines()
        .map(|l| {
            serde_json::from_str::<serde_json::Value>(l)
                .map(|v| v["kind"].as_str().unwrap_or_default().to_string())
        })
        .collect::<Result<_, _>>()?;
    for kind in [
        "run_started",
        "phase",
        "progress",
        "dataset",
        "expert_epoch",
        "distill_step",
        "samples",
        "evaluation",
        "checkpoint",
        "memory",
        "run_finished",
    ] {
        assert!(kinds.contains(kind), "no {kind} among {kinds:?}");
    }
    let events = place.events("one")?;
    assert!(events.iter().map(|e| e.seq).eq(0..events.len() as u64));
    for event in &events {
        if let EventKind::Samples { file, .. } | EventKind::Checkpoint { file, .. } = &event.what
            && file.starts_with("samples")
        {
            image::open(place.path("runs/one").join(file))?;
        }
    }

    let bytes = place.distilled("one")?;
    let set = SafeTensors::deserialize(&bytes)?;
    assert_eq!(set.tensor("images")?.shape(), [20, 3, 16, 16]);
    assert_eq!(set.tensor("labels")?.shape(), [20]);
    assert_eq!(set.tensor("zca_directions")?.shape()[0], 768);
    let student_lr: [u8; 8] = set.tensor("student_lr")?.data().try_into()?;
    assert!(f64::from_le_bytes(student_lr) > 0.);
    let (_, header) = SafeTensors::read_metadata(&bytes)?;
    let settings: serde_json::Value =
        serde_json::from_str(&header.metadata().as_ref().ok_or("no metadata")?["astill"])?;
    assert_eq!(settings["profile"]["distill"]["ipc"], 2);
    assert_eq!(settings["classes"].as_array().map(Vec::len), Some(10));
    Ok(())
}

#[test]
fn the_same_profile_and_seed_give_the_same_bytes_and_experts_are_trained_once() -> Outcome {
    let place = Place::new()?;
    for name in ["one", "two"] {
        assert_status(
            &place.run(&["run", "tiny.yaml", "--headless", "--name", name])?,
            0,
        );
    }
    assert_eq!(place.distilled("one")?, place.distilled("two")?);
    // one expert to the end, for the initial images, and two epochs of the other, which are read
    assert_eq!(epochs_trained(&place.events("one")?), 5);
    assert_eq!(epochs_trained(&place.events("two")?), 0);

    // more experts: only the new one is trained; another way to train: all of them
    assert_status(
        &place.run(&[
            "run",
            "tiny.yaml",
            "--name",
            "more",
            "--set",
            "expert.count=3",
        ])?,
        0,
    );
    assert_eq!(epochs_trained(&place.events("more")?), 2);
    assert_status(
        &place.run(&[
            "run",
            "tiny.yaml",
            "--name",
            "other",
            "--set",
            "expert.gradient_penalty=1",
        ])?,
        0,
    );
    assert_eq!(epochs_trained(&place.events("other")?), 5);
    assert_status(
        &place.run(&["run", "tiny.yaml", "--name", "seed", "--seed", "1"])?,
        0,
    );
    // the seed of a run is not that of its experts
    assert_eq!(epochs_trained(&place.events("seed")?), 0);
    // a run that reads one more epoch trains the experts on from where they are
    assert_status(
        &place.run(&[
            "run",
            "tiny.yaml",
            "--name",
            "longer",
            "--set",
            "distill.max_start_epoch=2",
        ])?,
        0,
    );
    assert_eq!(epochs_trained(&place.events("longer")?), 1);
    assert_ne!(place.distilled("one")?, place.distilled("seed")?);
    Ok(())
}

#[test]
fn a_run_stopped_in_any_phase_is_resumed_to_the_same_bytes() -> Outcome {
    // long enough in the short phases for the signal to arrive in them
    let long = [
        "--set",
        "evaluate.epochs=40",
        "--set",
        "distill.iterations=30",
        "--set",
        "evaluate.every=15",
    ];
    let whole = Place::new()?;
    assert_status(
        &whole.run(&[&["run", "tiny.yaml", "--name", "r"], &long[..]].concat())?,
        0,
    );
    let want = whole.computed("r")?;

    for phase in ["data", "experts", "init", "distill", "evaluate"] {
        let place = stopped(
            Place::new,
            &[&["run", "tiny.yaml", "--name", "r"], &long[..]].concat(),
            &format!("phase {phase}"),
            |place| {
                let events = place.events("r").unwrap_or_default();
                let latest = events.iter().rev().find_map(|e| {
                    if let EventKind::Phase { name } = e.what {
                        Some(name)
                    } else {
                        None
                    }
                });
                latest.is_some_and(|name| name.to_string() == phase)
            },
        )?;
        let events = place.events("r")?;
        assert!(
            events.iter().any(
                |e| matches!(&e.what, EventKind::Command(c) if matches!(c.command, Command::Stop { .. }))
            )
        );
        assert!(!place.path("runs/r/distilled/best.safetensors").exists());
        assert_status(&place.run(&["resume", "r"])?, 0);
        assert!(
            place.computed("r")? == want,
            "other bytes after a stop in {phase}"
        );
        // a run that is done says so and does nothing
        let again = place.run(&["resume", "r"])?;
        assert_status(&again, 0);
        assert!(text(&again.stdout).contains("distilled"));
    }
    Ok(())
}

#[test]
fn experts_that_were_interrupted_are_not_trained_again() -> Outcome {
    let place = stopped(
        Place::new,
        &["run", "tiny.yaml", "--name", "r"],
        "expert 1 epoch 2",
        |place| {
            place
                .events("r")
                .is_ok_and(|events| epochs_trained(&events) < 5)
        },
    )?;
    let before = epochs_trained(&place.events("r")?);
    assert!(before >= 2);
    assert_status(&place.run(&["resume", "r"])?, 0);
    assert_eq!(epochs_trained(&place.events("r")?), 5);
    Ok(())
}

/// What a command prints as JSON.
fn printed_json(place: &Place, arguments: &[&str]) -> Result<serde_json::Value, Box<dyn Error>> {
    let output = place.run(arguments)?;
    assert_status(&output, 0);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs the tiny profile with starts in epoch 1 alone, or in all, and these settings; the warnings of
/// the run.
fn with_starts(place: &Place, name: &str, sets: &[&str]) -> Result<Vec<String>, Box<dyn Error>> {
    let mut arguments = vec!["run", "tiny.yaml", "--headless", "--name", name];
    arguments.extend(["--set", "distill.max_start_epoch=2"]);
    sets.iter().for_each(|set| arguments.extend(["--set", set]));
    assert_status(&place.run(&arguments)?, 0);
    let events = place.events(name)?.into_iter();
    Ok(events
        .filter_map(|e| match e.what {
            EventKind::Warning { message } => Some(message),
            _ => None,
        })
        .collect())
}

#[test]
fn a_run_keeps_what_it_needs_of_its_experts_and_trains_again_what_another_did_not_keep() -> Outcome
{
    let (late, needed) = ("distill.min_start_epoch=1", "expert.keep=needed");
    let (whole, thin) = (Place::new()?, Place::new()?);
    with_starts(&whole, "late", &[late])?;
    with_starts(&whole, "early", &[])?;
    let sizes = |place: &Place| -> Result<u64, Box<dyn Error>> {
        let store = fs::read_dir(place.path("data/trajectories"))?
            .flatten()
            .next()
            .ok_or("no store")?;
        let files = fs::read_dir(store.path())?.flatten();
        Ok(files.map(|f| f.metadata().map_or(0, |m| m.len())).sum())
    };
    let is_early = |message: &String| message.contains("is trained again from the beginning");
    // both sizes are known before
    let mut check = vec!["check", "tiny.yaml", "--json", "--no-images"];
    check.extend([
        "--set",
        "distill.max_start_epoch=2",
        "--set",
        late,
        "--set",
        needed,
    ]);
    let checked = printed_json(&thin, &check)?;
    let size = |key: &str| checked["estimate"][key].as_f64();
    assert!(size("experts_needed_mib") < size("experts_all_mib"));
    assert!(
        size("experts_needed_mib").is_some() && size("experts_needed_mib") == size("experts_mib")
    );
    with_starts(&thin, "thin", &[late, needed])?;
    // the same result from fewer checkpoints, which another run finds
    let warnings = with_starts(&thin, "late", &[late])?;
    assert!(!warnings.iter().any(is_early));
    assert_eq!(epochs_trained(&thin.events("late")?), 0);
    assert!(thin.computed("late")? == whole.computed("late")?);
    let few = sizes(&thin)?;
    assert!(few < sizes(&whole)?);
    // another run that needs all of them
    let warnings = with_starts(&thin, "early", &[])?;
    assert_eq!(warnings.iter().filter(|w| is_early(w)).count(), 2);
    assert!(thin.computed("early")? == whole.computed("early")?);
    // from then on they are there
    assert!(sizes(&thin)? > few);
    for name in ["late-again", "early-again"] {
        let sets: &[&str] = if name.starts_with("late") {
            &[late, needed]
        } else {
            &[]
        };
        with_starts(&thin, name, sets)?;
        assert_eq!(epochs_trained(&thin.events(name)?), 0, "{name}");
    }
    Ok(())
}

/// The accuracy on the validation share of a set of images at step 0.
fn at_the_start(place: &Place, run: &str, set: ImageSet) -> Result<Vec<f64>, Box<dyn Error>> {
    let found = place.events(run)?.into_iter().find_map(|e| match e.what {
        EventKind::Evaluation(e) if e.step == 0 && e.labels == set => Some(e.values),
        _ => None,
    });
    Ok(found.unwrap_or_default())
}

#[test]
fn the_images_that_distillation_starts_from_compete_as_what_they_are() -> Outcome {
    let place = Place::new()?;
    for (name, correct_only) in [("baseline", false), ("apart", true)] {
        let correct_only = format!("distill.correct_only={correct_only}");
        assert_status(
            &place.run(&[
                "run",
                "tiny.yaml",
                "--name",
                name,
                "--set",
                "distill.init=real",
                "--set",
                &correct_only,
            ])?,
            0,
        );
        assert_eq!(at_the_start(&place, name, ImageSet::Random)?.len(), 2);
    }
    // random images are the start of the first; the second starts from images that an expert
    // labels right, which are measured on their own
    assert!(at_the_start(&place, "baseline", ImageSet::Distilled)?.is_empty());
    assert_eq!(at_the_start(&place, "apart", ImageSet::Distilled)?.len(), 2);
    Ok(())
}

#[test]
fn one_engine_has_a_run_at_a_time() -> Outcome {
    let place = stopped(
        Place::new,
        &["run", "tiny.yaml", "--name", "r"],
        "phase experts",
        |_| true,
    )?;
    let lock = fs::File::create(place.path("runs/r/lock"))?;
    lock.lock()?;
    let refused = place.run(&["resume", "r"])?;
    assert_status(&refused, 2);
    assert!(text(&refused.stderr).contains("already has an engine"));
    Ok(())
}

/// Refused by `check` and `run` alike: exit status 2, a message with `parts`, and nothing on disk.
fn assert_refused(place: &Place, arguments: &[&str], parts: &[&str]) -> Outcome {
    for command in ["check", "run"] {
        let output = place.run(&[&[command], arguments].concat())?;
        let message = text(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{command} {arguments:?}: {message}"
        );
        for part in parts {
            assert!(
                message.contains(part),
                "{command} {arguments:?} says {message:?}, without {part:?}"
            );
        }
        assert!(!message.contains("panicked") && output.stdout.is_empty());
    }
    assert!(
        !place.path("runs").exists() && !place.path("data").exists(),
        "{arguments:?} left something behind"
    );
    Ok(())
}

#[test]
fn settings_that_cannot_be_run_are_refused() -> Outcome {
    let place = Place::new()?;
    for (set, parts) in [
        (
            "distill.lr_image=3",
            &["lr_image", "did you mean", "lr_images"][..],
        ),
        ("distill.ipc=many", &["distill.ipc", "many", "whole number"]),
        ("distill.ipc=0", &["distill.ipc", "found 0", "from 1"]),
        ("distill.ipc=11", &["distill.ipc", "11", "10"]),
        (
            "distill.syn_steps=1",
            &["distill.syn_steps", "distill.expert_epochs"],
        ),
        (
            "distill.max_start_epoch=3",
            &["distill.max_start_epoch", "expert.epochs"],
        ),
        ("distill.batch=21", &["distill.batch", "21", "20"]),
        ("expert.batch=1000", &["expert.batch", "1000"]),
        ("network.depth=5", &["network.depth", "dataset.size", "16"]),
        (
            "dataset.kind=cifar10",
            &[
                "cifar10",
                "data_batch_1.bin",
                "cifar-10-binary.tar.gz",
                "dataset.path",
            ],
        ),
        ("expert.lr=.inf", &["expert.lr"]),
        (
            "evaluate.networks=[resnet34]",
            &["evaluate.networks", "resnet34", "convnet"],
        ),
    ] {
        assert_refused(&place, &["tiny.yaml", "--set", set], parts)?;
    }
    assert_refused(&place, &["shape"], &["shape", "shapes"])
}

#[test]
fn files_that_are_not_profiles_are_refused() -> Outcome {
    let place = Place::new()?;
    let bomb = format!(
        "a: &a [{x}]\nb: &b [{a}]\nc: &c [{b}]\nd: &d [{c}]\ne: [{d}]\n",
        x = ["x"; 99].join(","),
        a = ["*a"; 99].join(","),
        b = ["*b"; 99].join(","),
        c = ["*c"; 99].join(","),
        d = ["*d"; 99].join(",")
    );
    for (name, content, parts) in [
        (
            "unknown.yaml",
            &b"dataset: {kind: shapes}\ndistil: {ipc: 1}\n"[..],
            &["unknown.yaml:2", "distil", "distill"][..],
        ),
        (
            "orphan.yaml",
            b"extends: nowhere\n",
            &["orphan.yaml", "nowhere"],
        ),
        ("circle.yaml", b"extends: circle.yaml\n", &["circle.yaml"]),
        ("bomb.yaml", bomb.as_bytes(), &["bomb.yaml"]),
        (
            "latin1.yaml",
            b"dataset: {kind: shapes} # caf\xe9\n",
            &["latin1.yaml", "UTF-8"],
        ),
        ("empty.yaml", b"", &["empty.yaml", "empty"]),
        ("list.yaml", b"- shapes\n", &["list.yaml"]),
    ] {
        fs::write(place.path(name), content)?;
        assert_refused(&place, &[name], parts)?;
    }
    assert_refused(&place, &["missing.yaml"], &["missing.yaml"])
}

#[test]
fn wrong_use_is_refused_before_anything_is_created() -> Outcome {
    let place = Place::new()?;
    for arguments in [
        &["run", "tiny.yaml", "--name", "../x"][..],
        &["run", "tiny.yaml", "--device", "tpu"],
        &["--color", "lots", "list"],
        &["run", "tiny.yaml", "--seed", "minus"],
        &["resume", "nothing"],
        &["bench", "--depth", "9"],
        &["bench", "--threads", "0"],
        &["bench", "expert", "--batch", "0"],
        &["bench", "evaluate", "--epochs", "0"],
        // there is no CIFAR-10 here
        &["bench", "data"],
        &["frobnicate"],
    ] {
        let output = place.run(arguments)?;
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        assert!(!Path::new(&place.path("runs")).exists(), "{arguments:?}");
    }
    Ok(())
}

#[test]
fn completions_and_manual_pages_are_printed() -> Outcome {
    let place = Place::new()?;
    for (shell, part) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef astill"),
        ("fish", "complete -c astill"),
    ] {
        let output = place.run(&["completions", shell])?;
        assert_status(&output, 0);
        let said = text(&output.stdout);
        assert!(
            said.contains(part) && said.contains("roll-back"),
            "{shell}: {said}"
        );
    }
    let output = place.run(&["man"])?;
    assert_status(&output, 0);
    assert!(text(&output.stdout).contains(".TH astill 1"));
    assert_status(&place.run(&["man", "--to", "pages"])?, 0);
    for page in ["astill.1", "astill-run.1", "astill-export.1"] {
        assert!(place.path("pages").join(page).is_file(), "{page}");
    }
    Ok(())
}

#[test]
fn a_check_as_json_says_what_is_wrong_as_json() -> Outcome {
    let place = Place::new()?;
    let output = place.run(&["check", "tiny.yaml", "--json", "--set", "distill.ipc=0"])?;
    assert_status(&output, 2);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let problem = said["problem"].as_str().unwrap_or_default();
    assert!(problem.contains("distill.ipc: found 0"), "{said}");
    Ok(())
}

#[test]
fn bench_reports_the_keys_that_other_programs_report() -> Outcome {
    let place = Place::new()?;
    let small = [
        "bench",
        "student",
        "--width",
        "8",
        "--size",
        "16",
        "--depth",
        "2",
        "--syn-steps",
        "2",
        "--iterations",
        "1",
        "--json",
    ];
    let output = place.run(&small)?;
    assert_status(&output, 0);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    for key in [
        "ipc",
        "syn_steps",
        "width",
        "size",
        "depth",
        "classes",
        "batch",
        "iterations",
        "threads",
        "device",
        "seconds_per_iteration",
        "seconds_min",
        "peak_rss_mib",
    ] {
        assert!(!report[key].is_null(), "no {key} in {report}");
    }
    let phases = report["phases"].as_object().ok_or("no phases")?;
    assert!(
        phases
            .keys()
            .eq(["forward", "adjoint", "augmentation", "update"]),
        "{report}"
    );
    let sum: f64 = phases.values().filter_map(serde_json::Value::as_f64).sum();
    // every time is rounded to a tenth of a millisecond
    assert!(
        sum > 0.
            && sum
                <= report["seconds_per_iteration"]
                    .as_f64()
                    .ok_or("no number")?
                    + 3e-4,
        "{report}"
    );
    assert_eq!(report["kept_steps"], 2.0, "{report}");
    assert!(
        report["convolution_floor_s"].is_number() && report["floor_ratio"].as_f64() > Some(0.),
        "{report}"
    );
    Ok(())
}

#[test]
fn bench_times_an_expert_too() -> Outcome {
    let place = Place::new()?;
    let small = [
        "bench", "expert", "--width", "8", "--size", "16", "--depth", "2", "--batch", "8",
        "--steps", "1", "--json",
    ];
    let output = place.run(&small)?;
    assert_status(&output, 0);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let keys = [
        "batch", "width", "size", "depth", "classes", "steps", "threads", "device",
    ];
    for key in keys
        .into_iter()
        .chain(["seconds_per_step", "images_per_second", "peak_rss_mib"])
    {
        assert!(!report[key].is_null(), "no {key} in {report}");
    }
    Ok(())
}

#[test]
fn bench_times_an_evaluation() -> Outcome {
    let place = Place::new()?;
    let sizes = [
        "--width",
        "8",
        "--size",
        "16",
        "--depth",
        "2",
        "--epochs",
        "2",
        "--repeats",
        "2",
        "--test",
        "40",
        "--json",
    ];
    let output = place.run(&[&["bench", "evaluate"], &sizes[..]].concat())?;
    assert_status(&output, 0);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(
        (
            &report["ipc"],
            &report["epochs"],
            &report["repeats"],
            &report["test"]
        ),
        (&1.into(), &2.into(), &2.into(), &40.into())
    );
    let seconds = |key: &str| {
        report[key]
            .as_f64()
            .ok_or_else(|| format!("no {key} in {report}"))
    };
    assert!(
        (seconds("train_s")? + seconds("test_s")? - seconds("seconds")?).abs() < 3e-4,
        "{report}"
    );
    assert!(seconds("peak_rss_mib")? > 0.);
    Ok(())
}
