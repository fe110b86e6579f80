//! Several draws for an update.

use crate::is_step;
use crate::place::{Background, Outcome, Place, assert_status, last_step, text, wait_until};
use astill_core::run::RunDir;
use astill_core::run::event::{DistillStep, EventKind, WorkerChange};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

/// What `take` takes of the events of the run.
fn recorded<T>(
    place: &Place,
    take: impl Fn(EventKind) -> Option<T>,
) -> Result<Vec<T>, Box<dyn std::error::Error>> {
    let events = place.events("r")?.into_iter();
    Ok(events.filter_map(|e| take(e.what)).collect())
}

fn steps(place: &Place) -> Result<Vec<DistillStep>, Box<dyn std::error::Error>> {
    recorded(place, |what| match what {
        EventKind::DistillStep(step) => Some(step),
        _ => None,
    })
}

#[test]
fn an_update_takes_the_mean_of_its_segments_which_are_all_recorded() -> Outcome {
    let place = Place::new()?;
    let run = place.run(&[
        "run",
        "tiny.yaml",
        "--headless",
        "--name",
        "r",
        "--set",
        "distill.segments=3",
        "--set",
        "distill.max_start_epoch=3",
        "--set",
        "expert.epochs=5",
    ])?;
    assert_status(&run, 0);
    let steps = steps(&place)?;
    assert!(!steps.is_empty());
    for step in &steps {
        let (all, count) = (&step.segments, 3.);
        assert_eq!(all.len(), 3);
        assert_eq!(
            (step.expert, step.start_epoch, step.mirrored),
            (all[0].expert, all[0].start_epoch, all[0].mirrored)
        );
        let loss = all.iter().map(|s| s.matching_loss).sum::<f64>() / count;
        let ratio = all.iter().map(|s| s.final_ratio).sum::<f64>() / count;
        assert!((step.matching_loss - loss).abs() < 1e-12 * loss.abs());
        assert!((step.final_ratio - ratio).abs() < 1e-12 * ratio.abs());
    }
    // two experts and three starts: every pair is drawn once in two updates
    let pairs: BTreeSet<(u64, u64)> = steps
        .iter()
        .take(2)
        .flat_map(|step| &step.segments)
        .map(|s| (s.expert, s.start_epoch))
        .collect();
    assert_eq!(pairs.len(), 6);
    Ok(())
}

fn changes(place: &Place) -> Result<Vec<WorkerChange>, Box<dyn std::error::Error>> {
    recorded(place, |what| match what {
        EventKind::Worker(change) => Some(change),
        _ => None,
    })
}

/// The process of a worker, from its name.
fn process_of(change: &WorkerChange) -> Result<Pid, Box<dyn std::error::Error>> {
    let number = change
        .name
        .split_once(" process ")
        .and_then(|(_, rest)| rest.split(' ').next());
    Pid::from_raw(number.ok_or("no process")?.parse()?).ok_or_else(|| "no process".into())
}

fn has_joined(what: &EventKind) -> bool {
    matches!(what, EventKind::Worker(change) if change.has_joined)
}

/// Starts a run that never ends by itself, with segments and these arguments.
fn start<'a>(
    place: &'a Place,
    more: &[&str],
) -> Result<Background<'a>, Box<dyn std::error::Error>> {
    let mut arguments = vec!["run", "tiny.yaml", "--name", "r", "--detach"];
    arguments.extend(["--set", "distill.segments=4"]);
    crate::ENDLESS
        .iter()
        .for_each(|set| arguments.extend(["--set", set]));
    arguments.extend(more);
    assert_status(&place.run(&arguments)?, 0);
    Ok(Background::of(place, "r"))
}

/// Everything that a step computed.
fn numbers(step: &DistillStep) -> String {
    let timeless = DistillStep {
        seconds: 0.,
        ..step.clone()
    };
    // every float is written with all its digits
    format!("{timeless:?}")
}

#[test]
fn the_result_does_not_depend_on_how_many_processes_compute_it() -> Outcome {
    let soft = &["--set", "distill.labels=soft"][..];
    let (alone, helped) = (Place::new()?, Place::new()?);
    let engine = start(&helped, &[soft, &["--workers", "3"]].concat())?;
    let first = engine.wait_for("a worker", 0, has_joined)?;
    engine.wait_for("another", first.seq + 1, has_joined)?;
    let joined = last_step(&helped, "r");
    wait_until("steps with both", || {
        (last_step(&helped, "r") > joined + 20).then_some(())
    })?;
    engine.accepts(&["stop"], "");
    wait_for_the_end(&engine)?;
    assert!(!helped.path("runs/r/workers.json").exists());
    let solved: u64 = changes(&helped)?.iter().map(|change| change.solved).sum();
    assert!(solved > 0, "the workers have computed nothing");

    let with_workers = steps(&helped)?;
    let engine = start(&alone, soft)?;
    wait_until("as many steps", || {
        (last_step(&alone, "r") >= with_workers.len() as u64).then_some(())
    })?;
    engine.accepts(&["stop"], "");
    assert!(changes(&alone)?.is_empty());
    for (alone, helped) in steps(&alone)?.iter().zip(&with_workers) {
        assert_eq!(numbers(alone), numbers(helped));
    }
    Ok(())
}

/// Also of a run that is stopped and resumed with another number.
#[test]
fn a_run_ends_in_the_same_bytes_with_any_number_of_processes() -> Outcome {
    const SETTINGS: [&str; 4] = [
        "--set",
        "distill.segments=3",
        "--set",
        "distill.iterations=400",
    ];
    let begin = ["run", "tiny.yaml", "--name", "r"];
    let mut results = Vec::new();
    for (first, then) in [(None, None), (Some("2"), None), (Some("3"), Some("2"))] {
        let place = Place::new()?;
        let workers = |n: Option<&'static str>| n.map(|n| ["--workers", n]).into_iter().flatten();
        let mut run = [&begin[..], &SETTINGS].concat();
        run.extend(workers(first));
        run.push(if then.is_some() {
            "--detach"
        } else {
            "--headless"
        });
        assert_status(&place.run(&run)?, 0);
        if then.is_some() {
            let engine = Background::of(&place, "r");
            engine.wait_for("a step", 0, is_step)?;
            engine.accepts(&["stop"], "");
            wait_for_the_end(&engine)?;
            assert!(last_step(&place, "r") < 400, "it was stopped too late");
            let resume = ["resume", "r", "--headless"].into_iter();
            let resume: Vec<&str> = resume.chain(workers(then)).collect();
            assert_status(&place.run(&resume)?, 0);
        }
        results.push(std::fs::read(
            place.path("runs/r/distilled/best.safetensors"),
        )?);
    }
    assert!(results.iter().all(|result| *result == results[0]));
    Ok(())
}

fn wait_for_the_end(engine: &Background<'_>) -> Outcome {
    let is_end = |what: &EventKind| matches!(what, EventKind::RunFinished(_));
    engine.wait_for("the end", 0, is_end).map(drop)
}

/// Connects to the engine as a worker that says `token`, and returns what it answers.
fn greet(address: &str, token: &str, version: &str) -> Result<String, Box<dyn std::error::Error>> {
    let message = serde_json::json!({ "token": token, "version": version, "name": "stranger" });
    let metadata = HashMap::from([("message".to_string(), message.to_string())]);
    let none: Vec<(&str, safetensors::tensor::TensorView<'_>)> = Vec::new();
    let body = safetensors::serialize(none, Some(metadata))?;
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(&(body.len() as u64).to_le_bytes())?;
    stream.write_all(&body)?;
    let mut answer = Vec::new();
    // it closes the connection
    let _ = stream.read_to_end(&mut answer);
    Ok(text(&answer))
}

#[test]
fn workers_that_die_or_hang_and_strangers_do_not_harm_a_run() -> Outcome {
    let place = Place::new()?;
    let engine = start(&place, &["--workers", "3"])?;
    let first = engine.wait_for("a worker", 0, has_joined)?;
    let second = engine.wait_for("another worker", first.seq + 1, has_joined)?;
    let (EventKind::Worker(first_worker), EventKind::Worker(second_worker)) =
        (&first.what, &second.what)
    else {
        return Err("other events".into());
    };

    // one hangs
    let hanging = process_of(second_worker)?;
    kill_process(hanging, Signal::STOP)?;
    let stopped = last_step(&place, "r");
    wait_until("steps without it", || {
        (last_step(&place, "r") > stopped + 10).then_some(())
    })?;
    kill_process(hanging, Signal::CONT)?;

    // one is killed
    kill_process(process_of(first_worker)?, Signal::KILL)?;
    let lost = engine.wait_for(
        "its loss",
        second.seq,
        |what| matches!(what, EventKind::Worker(change) if change.reason.is_some()),
    )?;
    engine.wait_for(
        "how it ended",
        lost.seq,
        |what| matches!(what, EventKind::Warning { message } if message.contains("signal: 9")),
    )?;
    engine.wait_for("a step without it", lost.seq, is_step)?;

    // strangers
    let file = place.path("runs/r/workers.json");
    assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    let told: serde_json::Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let address = told["address"].as_str().ok_or("no address")?;
    let token = told["token"].as_str().ok_or("no token")?;
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    for noise in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 64],
        b"\x02\0\0\0\0\0\0\0{}",
    ] {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(noise)?;
        let mut answer = Vec::new();
        // the engine closes the connection
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty());
    }
    let before = changes(&place)?.len();
    let version = env!("CARGO_PKG_VERSION");
    assert!(greet(address, "guessed", version)?.contains("this is not the token"));
    assert_eq!(changes(&place)?.len(), before);
    assert!(greet(address, token, "0.0.1")?.contains("its version is 0.0.1"));
    engine.wait_for(
        "what is said of it",
        lost.seq,
        |what| matches!(what, EventKind::Worker(change) if change.name == "stranger"),
    )?;
    engine.accepts(&["stop"], "");
    Ok(())
}

#[test]
fn a_worker_waits_for_the_experts_and_needs_the_same_ones() -> Outcome {
    let place = Place::new()?;
    // a process on another machine claims the second expert, so that distillation does not begin
    let experts = ["experts", "tiny.yaml", "--only", "1"];
    assert_status(&place.run(&experts)?, 0);
    let folder = fs::read_dir(place.path("data/trajectories"))?
        .next()
        .ok_or("no experts")??;
    let claim = folder.path().join("expert_001.claim");
    fs::write(&claim, "elsewhere\nclaim 1\n")?;
    let engine = start(&place, &[])?;
    let mut early = place
        .astill(&["work", "r"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(early.stderr.take().ok_or("no stderr")?).lines();
    let first = said.next().ok_or("it says nothing")??;
    assert!(
        first.contains("waiting for the run to have all its experts"),
        "{first}"
    );
    fs::remove_file(&claim)?;
    let came = engine.wait_for("the worker", 0, has_joined)?;
    assert!(
        said.next()
            .ok_or("no more")??
            .contains("computing for the run")
    );
    engine.wait_for("a step with it", came.seq, is_step)?;

    // another folder of data: with the same experts, with others, with none
    let other = place.path("other");
    let there = other.join("trajectories").join(folder.file_name());
    fs::create_dir_all(&there)?;
    let copy = |from: &str, to: &str| fs::copy(folder.path().join(from), there.join(to));
    let expert = |number: u32| format!("expert_{number:03}.safetensors");
    let experts = [expert(0), expert(1)];
    let work = |data: &str| {
        let mut command = place.command(env!("CARGO_BIN_EXE_astill"));
        command.args(["--data", data, "--runs", "runs", "work", "r"]);
        command
    };
    let refused = work("none").output()?;
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    experts
        .iter()
        .try_for_each(|name| copy(name, name).map(drop))?;
    copy(&experts[0], &experts[1])?;
    let refused = work("other").output()?;
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("is another expert than the engine's"));
    engine.wait_for(
        "what is said of it",
        came.seq,
        |what| matches!(what, EventKind::Worker(change) if change.reason.as_ref().is_some_and(|why| why.contains("another expert"))),
    )?;
    copy(&experts[1], &experts[1])?;
    let seq = place.events("r")?.len() as u64;
    let mut helper = work("other").stderr(Stdio::null()).spawn()?;
    engine.wait_for("the worker with its own folder", seq, has_joined)?;

    engine.accepts(&["stop"], "");
    for worker in [&mut early, &mut helper] {
        assert_eq!(worker.wait()?.code(), Some(0));
    }
    let run = RunDir::at(place.path("runs/r"));
    wait_until("the engine ends", || (!run.has_engine()).then_some(()))?;
    let none = place.run(&["work", "r"])?;
    assert_status(&none, 2);
    assert!(text(&none.stderr).contains("has no engine"));
    Ok(())
}

#[test]
fn workers_without_anything_to_do_are_refused() -> Outcome {
    let place = Place::new()?;
    for (more, said) in [
        (&["--workers", "2"][..], "distill.segments is 1"),
        (&["--listen", "0.0.0.0"], "distill.segments is 1"),
        (
            &["--workers", "3", "--set", "distill.segments=2"],
            "found 3 processes, but an update has 2 segments",
        ),
        (&["--workers", "none"], "expected a number from 1 to 1024"),
        (
            &["--device", "cpu", "--workers", "cuda:0,cuda:1"],
            "leave out --device",
        ),
        (
            // an address for documentation, which no machine has
            &["--set", "distill.segments=2", "--listen", "192.0.2.1"],
            "cannot listen for workers on 192.0.2.1",
        ),
    ] {
        let arguments = [&["run", "tiny.yaml", "--headless", "--name", "r"], more].concat();
        let refused = place.run(&arguments)?;
        assert_status(&refused, 2);
        let message = text(&refused.stderr);
        assert!(message.contains(said), "{more:?}: {message}");
        assert!(!place.path("runs/r").exists());
    }
    let engine = Background::start(&place, &crate::ENDLESS)?;
    let alone = place.run(&["work", "r"])?;
    assert_status(&alone, 2);
    assert!(text(&alone.stderr).contains("distill.segments is 1"));
    engine.accepts(&["stop"], "");
    Ok(())
}
