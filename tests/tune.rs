//! `astill tune` from outside: trials of a tiny profile become a profile, and what is refused.

mod place;

use place::{Outcome, Place, assert_status, text};
use std::fs;

const TUNE: [&str; 7] = [
    "tune",
    "tiny.yaml",
    "--steps",
    "0.12,0.03",
    "--iterations",
    "2",
    "--name",
];

fn tune(place: &Place, more: &[&str]) -> Result<std::process::Output, Box<dyn std::error::Error>> {
    let arguments: Vec<&str> = TUNE.iter().chain(more).copied().collect();
    place.run(&arguments)
}

#[test]
fn trials_become_a_profile_that_runs_and_are_done_once() -> Outcome {
    let place = Place::new()?;
    let output = tune(&place, &["trials"])?;
    assert_status(&output, 0);
    let reasons = text(&output.stdout);
    assert!(
        reasons.contains("2 trials of 2 iterations") && reasons.contains("Chosen: distill.step 0."),
        "{reasons}"
    );
    let tuned = fs::read_to_string(place.path("tiny-tuned.yaml"))?;
    assert!(reasons.lines().all(|line| tuned.contains(line.trim_end())));
    let checked = place.run(&["check", "tiny-tuned.yaml", "--no-estimate", "--json"])?;
    assert_status(&checked, 0);
    let checked: serde_json::Value = serde_json::from_str(&text(&checked.stdout))?;
    let distill = &checked["profile"]["distill"];
    let step = distill["step"].as_f64().ok_or("no step")?;
    assert!(reasons.contains(&format!("Chosen: distill.step {step}")));
    assert_eq!(
        [&distill["lr_student"], &distill["lr_lr"]],
        ["auto", "auto"]
    );

    // again: the file is in the way; without it, nothing is computed anew
    let runs = ["step-0.03-s0", "step-0.12-s0"];
    let events = || {
        let folder = place.path("runs/trials");
        runs.map(|run| fs::read(folder.join(run).join("events.jsonl")).ok())
    };
    let before = events();
    let refused = tune(&place, &["trials"])?;
    assert_status(&refused, 2);
    assert!(text(&refused.stderr).contains("tiny-tuned.yaml exists already"));
    let again = tune(&place, &["trials", "--to", "other.yaml"])?;
    assert_status(&again, 0);
    assert_eq!(fs::read_to_string(place.path("other.yaml"))?, tuned);
    assert!(before.iter().all(Option::is_some) && before == events());
    Ok(())
}

#[test]
fn what_cannot_be_tuned_is_refused_and_leaves_nothing() -> Outcome {
    let place = Place::new()?;
    for (arguments, part) in [
        (["x", "--set", "distill.step=0.1"], "--steps"),
        (["x", "--set", "dataset.validation=0"], "dataset.validation"),
        (["x", "--steps", "0.1,-1"], "distill.step"),
        (["x", "--to", "missing/tuned.yaml"], "no folder missing"),
        (["..", "--set", "seed=1"], "--name"),
    ] {
        let output = tune(&place, &arguments)?;
        assert_status(&output, 2);
        let error = text(&output.stderr);
        assert!(error.contains(part), "{arguments:?}: {error}");
        assert!(!place.path("runs").exists(), "{arguments:?}");
    }
    Ok(())
}
