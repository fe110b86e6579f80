//! A process for each of several devices.

use crate::engine_of;
use crate::place::{Background, Outcome, Place, assert_status, text, wait_until};
use astill_core::run::event::{Evaluation, EventKind, RunOutcome};
use std::collections::BTreeSet;
use std::error::Error;
use std::fs;

/// Long enough that every process trains some of the experts.
const EXPERTS: [&str; 3] = [
    "--set=expert.count=6",
    "--set=expert.epochs=20",
    "--set=expert.train_epochs=20",
];

/// Processes that train experts for the engine of the run r.
fn helpers(place: &Place) -> Vec<u32> {
    let engine = engine_of(place, "r").unwrap_or_default();
    let children = fs::read_to_string(format!("/proc/{engine}/task/{engine}/children"));
    // the trainer is a thread of its own
    let of_threads = fs::read_dir(format!("/proc/{engine}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let all: BTreeSet<u32> = children
        .into_iter()
        .chain(of_threads)
        .flat_map(|text| {
            text.split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect();
    all.into_iter().collect()
}

/// "R", "S", "T" …
fn state_of(process: u32) -> Option<char> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    text.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn a_process_on_each_device_trains_experts_and_the_result_is_the_same() -> Outcome {
    let mut results = Vec::new();
    for device in ["cpu", "cpux3"] {
        let place = Place::new()?;
        let mut arguments = vec!["run", "tiny.yaml", "--headless", "--name", "r"];
        arguments.extend(["--device", device]);
        arguments.extend(EXPERTS);
        let run = place.run(&arguments)?;
        assert_status(&run, 0);
        let by_others = place
            .events("r")?
            .into_iter()
            .filter(|event| matches!(event.what, EventKind::ExpertFound(_)));
        results.push((place.computed("r")?, by_others.count()));
        let left = fs::read_dir(place.path("data/trajectories"))?
            .flatten()
            .flat_map(|store| fs::read_dir(store.path()).into_iter().flatten().flatten())
            .filter(|file| file.path().extension().is_some_and(|e| e == "claim"));
        assert_eq!(left.count(), 0);
    }
    assert!(results[0].0 == results[1].0, "other bytes");
    assert!(results[0].1 == 0 && results[1].1 > 0, "{}", results[1].1);
    Ok(())
}

/// Every evaluation of distilled images after the start, up to this step.
fn evaluations(place: &Place, up_to: u64) -> Result<Vec<Evaluation>, Box<dyn Error>> {
    let all = place.events("r")?.into_iter();
    let found = all.filter_map(|event| match event.what {
        EventKind::Evaluation(found) if (1..=up_to).contains(&found.step) => Some(found),
        _ => None,
    });
    Ok(found.collect())
}

/// Starts a run that never ends by itself and evaluates often, on this device.
fn start_evaluated<'a>(place: &'a Place, device: &str) -> Result<Background<'a>, Box<dyn Error>> {
    let mut arguments = vec!["run", "tiny.yaml", "--name", "r", "--detach"];
    arguments.extend(["--device", device]);
    let often = [
        "evaluate.every=20",
        "evaluate.repeats=6",
        "evaluate.epochs=40",
    ];
    for set in crate::ENDLESS.iter().chain(&often) {
        arguments.extend(["--set", set]);
    }
    assert_status(&place.run(&arguments)?, 0);
    Ok(Background::of(place, "r"))
}

#[test]
fn processes_on_each_device_train_the_networks_of_evaluations_and_the_result_is_the_same() -> Outcome
{
    let (alone, helped) = (Place::new()?, Place::new()?);
    let engine = start_evaluated(&helped, "cpux2")?;
    let joined = engine.wait_for(
        "a worker",
        0,
        |what| matches!(what, EventKind::Worker(change) if change.has_joined),
    )?;
    // one whose networks it can share from the first on
    let evaluated = |engine: &Background<'_>, after: u64, least: u64| {
        engine.wait_for(
            "an evaluation",
            after,
            |what| matches!(what, EventKind::Evaluation(found) if found.step >= least),
        )
    };
    let first = evaluated(&engine, joined.seq + 1, 1)?;
    let EventKind::Evaluation(Evaluation { step, .. }) = first.what else {
        return Err("another event".into());
    };
    let last = step + 20;
    evaluated(&engine, first.seq + 1, last)?;
    engine.accepts(&["stop"], "");
    let end = engine.wait_for("the end", 0, |what| {
        matches!(what, EventKind::RunFinished(_))
    })?;
    let networks = helped
        .events("r")?
        .into_iter()
        .filter_map(|event| match event.what {
            EventKind::Worker(change) => Some(change.networks),
            _ => None,
        });
    assert!(networks.sum::<u64>() > 0, "the worker has trained nothing");
    assert!(matches!(end.what, EventKind::RunFinished(end) if end.status == RunOutcome::Stopped));

    let engine = start_evaluated(&alone, "cpu")?;
    evaluated(&engine, 0, last)?;
    engine.accepts(&["stop"], "");
    assert_eq!(evaluations(&alone, last)?, evaluations(&helped, last)?);
    Ok(())
}

#[test]
fn processes_that_train_experts_stand_still_while_the_run_is_paused_and_end_with_it() -> Outcome {
    let place = Place::new()?;
    let mut arguments = vec!["run", "tiny.yaml", "--name", "r", "--detach"];
    arguments.extend(["--device", "cpux2"]);
    arguments.extend(["--set", "expert.epochs=10000"]);
    arguments.extend(["--set", "expert.train_epochs=10000"]);
    assert_status(&place.run(&arguments)?, 0);
    let engine = Background::of(&place, "r");
    engine.wait_for("an epoch", 0, |what| {
        matches!(what, EventKind::ExpertEpoch(_))
    })?;
    let helper = wait_until("another process", || helpers(&place).first().copied())?;
    let is = |state: fn(char) -> bool, what: &str| -> Result<(), Box<dyn Error>> {
        wait_until(what, || state_of(helper).filter(|s| state(*s)).map(drop))
    };
    engine.accepts(&["pause"], "");
    is(|state| state == 'T', "it stands still")?;
    engine.accepts(&["resume"], "");
    is(|state| state != 'T', "it continues")?;
    // what it trains has other settings from here on
    engine.accepts(&["set", "expert.lr=0.02"], "");
    wait_until("it has ended", || helpers(&place).is_empty().then_some(()))?;
    Ok(())
}

#[test]
fn devices_that_are_not_there_or_named_twice_are_refused_before_anything_begins() -> Outcome {
    let place = Place::new()?;
    for (more, said) in [
        (&["--device", "cpu,cuda:63"][..], "there is no cuda:63 here"),
        (
            &[
                "--device",
                "cpux2",
                "--workers",
                "2",
                "--set=distill.segments=2",
            ],
            "leave one of them out",
        ),
        (
            &["--device", "auto,cpu"],
            "cpuxN for N processes on the CPU",
        ),
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
