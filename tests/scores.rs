//! `astill scores` from outside.

mod place;

use place::{Outcome, Place, assert_status, text, wait_until};
use serde_json::Value;
use std::fs;
use std::process::Stdio;

const SCORES: [&str; 8] = [
    "scores",
    "r",
    "--repeats",
    "2",
    "--epochs",
    "4",
    "--full-epochs",
    "3",
];

fn finished() -> Result<Place, Box<dyn std::error::Error>> {
    let place = Place::new()?;
    assert_status(&place.run(&["run", "tiny.yaml", "--name", "r"])?, 0);
    Ok(place)
}

#[test]
fn the_scores_of_a_run_are_printed_and_kept() -> Outcome {
    let place = finished()?;
    let output = place.run(&SCORES)?;
    assert_status(&output, 0);
    let (table, said) = (text(&output.stdout), text(&output.stderr));
    for score in [
        "(HLR)",
        "(IOR)",
        "(LRS)",
        "(ARS)",
        "best augmentation",
        "average over 6",
    ] {
        assert!(table.contains(score), "{table}");
    }
    assert!(said.contains("30 networks on small sets, about"), "{said}");
    assert!(said.contains("all real images, epoch 3 of 3"), "{said}");

    // the second call reads them
    let json: Value =
        serde_json::from_slice(&place.run(&[&SCORES[..], &["--json"]].concat())?.stdout)?;
    let kept: Value = serde_json::from_slice(&fs::read(place.path("runs/r/scores.json"))?)?;
    assert_eq!(json, kept);
    let number = |value: &Value| value.as_f64().ok_or("no number");
    let mean = |what: &str| {
        let measured = json["measured"].as_array().ok_or("nothing measured")?;
        let found = measured.iter().find(|m| m["what"] == what);
        number(&found.ok_or("not measured")?["mean"])
    };
    let (full, own) = (number(&json["full_accuracy"])?, mean("distilled")?);
    let close = |found: &Value, wanted: f64| number(found).is_ok_and(|f| (f - wanted).abs() < 1e-9);
    assert!(close(&json["hlr"]["mean"], full - own), "{json}");
    assert!(close(&json["ior"]["mean"], own - mean("random")?), "{json}");

    // an accuracy that is given needs no training on all images
    let given = place.run(&[&SCORES[..6], &["--full-accuracy", "50"]].concat())?;
    assert_status(&given, 0);
    assert!(text(&given.stdout).contains("all real images, hard labels         50.0"));
    assert!(!text(&given.stderr).contains("epoch"));
    Ok(())
}

#[test]
fn scores_that_were_interrupted_continue_to_the_same_numbers() -> Outcome {
    let whole = finished()?;
    assert_status(&whole.run(&SCORES)?, 0);
    let place = finished()?;
    let partial = place.path("runs/r/scores-partial.json");
    let mut child = place
        .astill(&SCORES)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    wait_until("something is measured", || {
        (partial.exists() || child.try_wait().ok()?.is_some()).then_some(())
    })?;
    child.kill()?;
    child.wait()?;
    assert_status(&place.run(&SCORES)?, 0);
    let scores = |place: &Place| fs::read(place.path("runs/r/scores.json"));
    assert_eq!(scores(&place)?, scores(&whole)?);
    assert!(!partial.exists());
    Ok(())
}

#[test]
fn a_run_without_a_set_and_wrong_options_are_refused() -> Outcome {
    let place = finished()?;
    fs::remove_file(place.path("runs/r/distilled/best.safetensors"))?;
    for (arguments, part) in [
        (&["scores", "r"][..], "no distilled set yet"),
        (&["scores", "nothing"], "nothing"),
        (&["scores", "r", "--repeats", "0"], "--repeats"),
        (&["scores", "r", "--full-accuracy", "101"], "0 to 100"),
    ] {
        let output = place.run(arguments)?;
        assert_status(&output, 2);
        assert!(
            text(&output.stderr).contains(part),
            "{}",
            text(&output.stderr)
        );
    }
    assert!(!place.path("runs/r/scores.json").exists());
    Ok(())
}
