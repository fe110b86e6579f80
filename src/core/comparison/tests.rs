use super::*;
use crate::profile::load;
use std::fs;
use tempfile::TempDir;

/// A run of the profile "shapes" with changed settings and these events.
fn run(runs: &Path, name: &str, sets: &[&str], events: &[&str]) -> Result<RunDir> {
    let sets: Vec<String> = sets.iter().map(|s| s.to_string()).collect();
    let profile = load("shapes", &sets).map_err(Error::Profile)?.profile;
    let run = RunDir::create(runs, "shapes", Some(name), "")?.0;
    fs::write(run.profile(), profile.to_yaml()).map_err(Error::io("write", run.profile()))?;
    let started = format!(
        r#""kind":"run_started","run":"{name}","profile":"shapes","seed":0,"device":"cpu","threads":2,"version":"0","process":1,"data":"d","folder":"f","step":0,"iterations":9"#
    );
    let mut text = String::new();
    for (seq, event) in std::iter::once(started.as_str())
        .chain(events.iter().copied())
        .enumerate()
    {
        text += &format!(r#"{{"seq":{seq},"time":"2026-01-01T00:00:{seq:02}Z",{event}}}"#);
        text.push('\n');
    }
    fs::write(run.events(), text).map_err(Error::io("write", run.events()))?;
    Ok(run)
}

fn folder() -> Result<TempDir> {
    tempfile::tempdir().map_err(Error::io("create", "."))
}

const DONE: &str = r#""kind":"run_finished","status":"done","reason":null,"best_step":6,"best_validation":33.25,"results":[{"network":"convnet","labels":"distilled","mean":34.5,"std":0.5,"values":[34.0,35.0]},{"network":"convnet","labels":"random","mean":16.1,"std":0.2,"values":[16.0,16.2]}],"paper_style_max":null,"cautions":["one split"],"file":"distilled/best.safetensors","seconds":3.0"#;
const FAILED: &str = r#""kind":"run_finished","status":"failed","reason":"diverged","best_step":null,"best_validation":null,"results":[],"paper_style_max":null,"file":null,"seconds":1.0"#;
const VALIDATED: &str = r#""kind":"evaluation","step":3,"network":"convnet","labels":"distilled","split":"validation","mean":30.0,"std":1.414,"values":[29.0,31.0]"#;

#[test]
fn results_and_the_settings_that_differ_stand_side_by_side() -> Result<()> {
    let runs = folder()?;
    let compared = [
        run(runs.path(), "one", &[], &[VALIDATED, DONE])?,
        run(
            runs.path(),
            "two",
            &["distill.ipc=3", "distill.labels=soft"],
            &[VALIDATED, FAILED],
        )?,
    ];
    let comparison = Comparison::read(&compared)?;
    let keys: Vec<&str> = comparison.differences.iter().map(|d| d.key).collect();
    assert_eq!(keys, ["distill.ipc", "distill.labels"]);
    assert_eq!(
        comparison.runs[1].last_validation(),
        Some((3, 30., 2_f64.sqrt()))
    );
    // the cells without what aligns them
    let words = |text: String| {
        text.split(' ')
            .filter(|w| !w.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let text = words(table(&comparison));
    for line in [
        "34.5 ± 0.5",
        "| 33.2 | 6 |",
        "16.1 ± 0.2",
        "| 30.0 ± 1.4 | 3 |",
        "- one: one split",
        "- two failed: diverged",
        "| distill.labels | hard | soft |",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert!(!text.contains("soft labels"), "no column without a result");
    let json = comparison.json();
    assert_eq!(json["runs"][0]["results"][0]["values"], json!([34., 35.]));
    assert_eq!(json["runs"][1]["failure"], json!("diverged"));
    let csv = csv(&comparison);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].ends_with(",distill.ipc,distill.labels"));
    assert!(lines[2].ends_with(",3,soft"));
    Ok(())
}

#[test]
fn a_change_made_at_work_is_a_difference() -> Result<()> {
    let runs = folder()?;
    let compared = [
        run(runs.path(), "one", &[], &[DONE])?,
        run(runs.path(), "two", &[], &[DONE])?,
    ];
    assert_eq!(Comparison::read(&compared)?.differences, []);
    assert!(table(&Comparison::read(&compared)?).contains("All settings are the same."));
    let edits = r#"[{"at":{"step":0},"set":"distill.lr_images=7"}]"#;
    fs::write(compared[1].edits(), edits).map_err(Error::io("write", "edits"))?;
    let found = Comparison::read(&compared)?.differences;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key, "distill.lr_images");
    assert_eq!(found[0].values[1], json!(7.));
    Ok(())
}

#[test]
fn one_run_and_the_same_run_twice_are_refused() -> Result<()> {
    let runs = folder()?;
    let one = run(runs.path(), "one", &[], &[])?;
    for refused in [vec![one.clone()], vec![one.clone(), one]] {
        let error = Comparison::read(&refused).err();
        assert_eq!(error.map(|e| e.exit_status()), Some(2));
    }
    Ok(())
}

#[test]
fn namesakes_are_told_apart_by_their_folders() -> Result<()> {
    let (here, there) = (folder()?, folder()?);
    let compared = [
        run(here.path(), "same", &[], &[])?,
        run(there.path(), "same", &[], &[])?,
    ];
    let comparison = Comparison::read(&compared)?;
    let names: Vec<&String> = comparison.runs.iter().map(|r| &r.name).collect();
    assert!(names[0].ends_with("/same") && names[1].ends_with("/same"));
    assert_ne!(names[0], names[1]);
    Ok(())
}

#[test]
fn namesakes_are_told_apart_however_their_paths_are_written() -> Result<()> {
    let place = folder()?;
    for name in ["a", "b"] {
        run(&place.path().join(name), "same", &[], &[])?;
    }
    let path = |path: &str| RunDir::at(place.path().join(path));
    let names = distinct_names(&[path("a/same"), path("a/../b/same")]);
    assert_eq!(names, ["a/same", "b/same"]);
    Ok(())
}

#[test]
fn what_is_done_again_does_not_count_twice_and_unreadable_lines_are_counted() -> Result<()> {
    let runs = folder()?;
    let again = r#""kind":"run_started","run":"r","profile":"shapes","seed":0,"device":"cpu","threads":2,"version":"0","process":1,"data":"d","folder":"f","step":0,"iterations":9"#;
    let newer = r#""kind":"teleported""#;
    let compared = [
        run(runs.path(), "one", &[], &[VALIDATED, again])?,
        run(runs.path(), "two", &[], &[again, VALIDATED, newer])?,
    ];
    let torn = fs::read_to_string(compared[0].events()).map(|text| text + "{\"seq\":");
    let torn = torn.map_err(Error::io("read", "events"))?;
    fs::write(compared[0].events(), torn).map_err(Error::io("write", "events"))?;
    let comparison = Comparison::read(&compared)?;
    assert_eq!(comparison.runs[0].last_validation(), None);
    assert!(comparison.runs[1].last_validation().is_some());
    let unreadable: Vec<u64> = comparison
        .runs
        .iter()
        .map(|r| r.outcome.unreadable)
        .collect();
    assert_eq!(unreadable, [0, 1], "a line that is being written is none");
    let text = table(&comparison);
    assert!(
        text.contains("- two: 1 line of its record could not be read."),
        "{text}"
    );
    Ok(())
}
