//! Several draws for an update.

use crate::is_step;
use crate::place::{Background, Outcome, Place, assert_status, text};
use astill_core::run::event::{DistillStep, EventKind, WorkerChange};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
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

#[test]
fn the_result_does_not_depend_on_how_many_processes_compute_it() -> Outcome {
    let mut results = Vec::new();
    for workers in ["1", "2", "3"] {
        let place = Place::new()?;
        let run = place.run(&[
            "run",
            "tiny.yaml",
            "--headless",
            "--name",
            "r",
            "--workers",
            workers,
            "--set=distill.segments=3",
            "--set=distill.iterations=300",
            "--set=distill.labels=soft",
            "--set=evaluate.every=150",
        ])?;
        assert_status(&run, 0);
        assert!(!place.path("runs/r/workers.json").exists());
        results.push((
            place.distilled("r")?,
            steps(&place)?.len(),
            changes(&place)?,
        ));
    }
    let (alone, count, nobody) = &results[0];
    assert!(*count == 300 && nobody.is_empty());
    for (bytes, count, changes) in &results[1..] {
        assert!(bytes == alone, "other bytes");
        assert_eq!(*count, 300);
        let joined = changes.iter().any(|c| c.has_joined);
        assert!(joined, "the worker came too late to be of use: {changes:?}");
    }
    Ok(())
}

#[test]
fn workers_that_die_or_are_none_do_not_harm_a_run() -> Outcome {
    let place = Place::new()?;
    let mut arguments = vec![
        "run",
        "tiny.yaml",
        "--name",
        "r",
        "--detach",
        "--workers",
        "3",
    ];
    arguments.extend(["--set", "distill.segments=4"]);
    crate::ENDLESS
        .iter()
        .for_each(|set| arguments.extend(["--set", set]));
    assert_status(&place.run(&arguments)?, 0);
    let engine = Background::of(&place, "r");
    let first = engine.wait_for("a worker", 0, has_joined)?;
    engine.wait_for("another worker", first.seq + 1, has_joined)?;

    // one is killed
    let EventKind::Worker(change) = &first.what else {
        return Err("another event".into());
    };
    kill_process(process_of(change)?, Signal::KILL)?;
    let lost = engine.wait_for(
        "its loss",
        first.seq,
        |what| matches!(what, EventKind::Worker(change) if change.reason.is_some()),
    )?;
    engine.wait_for("a step without it", lost.seq, is_step)?;

    // strangers
    let address = fs::read_to_string(place.path("runs/r/workers.json"))?;
    let address: serde_json::Value = serde_json::from_str(&address)?;
    let address = address["address"].as_str().ok_or("no address")?;
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    for noise in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 64],
        b"\x02\0\0\0\0\0\0\0{}",
    ] {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(noise)?;
        let mut answer = Vec::new();
        // it is hung up on
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty());
    }

    // one that comes by itself
    let seq = place.events("r")?.len() as u64;
    let helper = place
        .astill(&["work", "r"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let came = engine.wait_for("a worker by hand", seq, has_joined)?;
    engine.wait_for("a step with it", came.seq, is_step)?;
    engine.accepts(&["stop"], "");
    let helped = helper.wait_with_output()?;
    assert_status(&helped, 0);
    assert!(text(&helped.stderr).contains("computing segments"));
    let none = place.run(&["work", "r"])?;
    assert_status(&none, 2);
    assert!(
        text(&none.stderr).contains("has no engine"),
        "{}",
        text(&none.stderr)
    );
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
    ] {
        let arguments = [&["run", "tiny.yaml", "--headless", "--name", "r"], more].concat();
        let refused = place.run(&arguments)?;
        assert_status(&refused, 2);
        let message = text(&refused.stderr);
        assert!(message.contains(said), "{more:?}: {message}");
        assert!(!place.path("runs/r").exists());
    }
    Ok(())
}
