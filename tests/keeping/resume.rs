//! What a resumed run refuses, takes and makes again.

use crate::place::{
    Background, Outcome, Place, assert_status, last_step, stopped, text, wait_until,
};
use astill_core::run::event::{EvalSplit, Event, EventKind, ImageSet, RunFinished};
use astill_core::run::{RunDir, checkpoints};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// A job of a batch system, before the name of its run.
const JOB: [&str; 5] = ["run", "tiny.yaml", "--headless", "--or-resume", "--name"];

/// Whether only the first engine has recorded anything.
fn is_untouched(place: &Place, before: &[Event]) -> Result<bool, Box<dyn std::error::Error>> {
    Ok(place.events("r")?.len() == before.len())
}

#[test]
fn settings_that_are_not_live_cannot_change_between_two_engines() -> Outcome {
    let place = Place::new()?;
    assert_status(
        &place.run(&["run", "tiny.yaml", "--name", "r", "--headless"])?,
        0,
    );
    let (profile, before) = (place.path("runs/r/profile.yaml"), place.events("r")?);
    let text_before = fs::read_to_string(&profile)?;
    for (from, to, key, said) in [
        (
            "ipc: 2",
            "ipc: 1",
            "distill.ipc",
            "found 1, but the run was begun with 2",
        ),
        (
            "zca: true",
            "zca: false",
            "dataset.zca",
            "found false, but the run was begun with true",
        ),
        ("width: 8", "width: 16", "network.width", "found 16"),
        ("depth: 2", "depth: 1", "network.depth", "found 1"),
        (
            "train_limit: 120",
            "train_limit: 130",
            "dataset.train_limit",
            "found 130",
        ),
        ("\nseed: 0", "\nseed: 1", "  seed", "found 1"),
        ("lr: 0.01", "lr: 0.02", "expert.lr", "found 0.02"),
    ] {
        assert!(text_before.contains(from), "{from}");
        fs::write(&profile, text_before.replacen(from, to, 1))?;
        for how in ["--headless", "--detach"] {
            let refused = place.run(&["resume", "r", how, "--set", "distill.iterations=7"])?;
            assert_status(&refused, 2);
            let message = text(&refused.stderr);
            assert!(message.contains(key) && message.contains(said), "{message}");
        }
        assert!(is_untouched(&place, &before)?, "{key}");
    }
    fs::write(&profile, &text_before)?;
    for (set, said) in [
        ("distill.ipc=1", "cannot change during a run"),
        ("distill.iterations=3", "5 steps will already be done"),
        ("distill.lr_images=7", "raise distill.iterations above 5"),
        ("expert.lr=0.5", "already trained"),
        ("nonsense", "SECTION.KEY=VALUE"),
    ] {
        let refused = place.run(&["resume", "r", "--headless", "--set", set])?;
        assert_status(&refused, 2);
        assert!(
            text(&refused.stderr).contains(said),
            "{}",
            text(&refused.stderr)
        );
    }
    assert!(is_untouched(&place, &before)? && !place.path("runs/r/edits.json").exists());
    Ok(())
}

#[test]
fn a_run_that_is_done_is_extended_and_its_lost_result_and_folders_are_made_again() -> Outcome {
    let place = Place::new()?;
    assert_status(
        &place.run(&["run", "tiny.yaml", "--name", "r", "--headless"])?,
        0,
    );
    let want = place.distilled("r")?;
    for damage in ["removed", "cut"] {
        let result = place.path("runs/r/distilled/best.safetensors");
        match damage {
            "removed" => {
                fs::remove_dir_all(place.path("runs/r/distilled"))?;
                fs::remove_dir_all(place.path("runs/r/samples"))?;
            }
            _ => fs::write(&result, &want[..want.len() / 2])?,
        }
        let resumed = place.run(&["resume", "r", "--headless"])?;
        assert_status(&resumed, 0);
        assert!(text(&resumed.stderr).contains("to write its distilled set again"));
        assert!(place.distilled("r")? == want, "{damage}");
    }
    let done = place.run(&["resume", "r", "--headless"])?;
    assert!(text(&done.stderr).contains("is already done"));

    assert_status(
        &place.run(&["resume", "r", "--headless", "--set", "distill.iterations=8"])?,
        0,
    );
    let events = place.events("r")?;
    let Some(EventKind::RunFinished(RunFinished { results, .. })) = events.last().map(|e| &e.what)
    else {
        return Err("it has not ended".into());
    };
    // the figures are of the images that are the result now
    let evaluated =
        |e: &&Event| matches!(&e.what, EventKind::Evaluation(v) if v.step > 5 || v.step == 0);
    assert!(results.len() == 3 && events.iter().rev().filter(evaluated).count() > 3);
    let listed = text(&place.run(&["list"])?.stdout);
    assert!(listed.contains("done  step 8/8"), "{listed}");

    // by hand, and with fewer steps than are done
    let profile = place.path("runs/r/profile.yaml");
    let begun = fs::read_to_string(&profile)?;
    fs::write(&profile, begun.replace("iterations: 5", "iterations: 9"))?;
    let resumed = place.run(&["resume", "r", "--headless"])?;
    assert_status(&resumed, 0);
    assert!(text(&resumed.stderr).contains("profile.yaml was edited: distill.iterations=9"));
    assert_eq!(fs::read_to_string(&profile)?, begun);
    assert!(text(&place.run(&["list"])?.stdout).contains("done  step 9/9"));
    Ok(())
}

/// Two classes of a dozen images, each of one shade.
fn draw(folder: &Path) -> Outcome {
    for part in ["train", "test"] {
        for class in ["a", "b"] {
            let inside = folder.join(part).join(class);
            fs::create_dir_all(&inside)?;
            for number in 0..12u8 {
                let shade = 20 * number + u8::from(class == "b");
                let image = image::RgbImage::from_pixel(16, 16, image::Rgb([shade, number, 9]));
                image.save(inside.join(format!("{number}.png")))?;
            }
        }
    }
    Ok(())
}

#[test]
fn changed_images_are_refused_before_an_expert_is_trained_and_moved_ones_are_taken() -> Outcome {
    let place = Place::new()?;
    draw(&place.path("images"))?;
    let mut tiny = fs::read_to_string(place.path("tiny.yaml"))?;
    for (from, to) in [
        ("kind: shapes", "kind: image-folder, path: images"),
        ("zca: true", "zca: false"),
        ("batch: 32, lr: 0.01", "batch: 8, lr: 0.001"),
        ("batch: 8, iter", "batch: 2, iter"),
    ] {
        tiny = tiny.replace(from, to);
    }
    fs::write(place.path("tiny.yaml"), tiny)?;
    assert_status(
        &place.run(&["run", "tiny.yaml", "--name", "r", "--headless"])?,
        0,
    );
    let extend = ["resume", "r", "--headless", "--set", "distill.iterations=8"];
    let swapped = place.path("images/train/a/3.png");
    let kept = fs::read(&swapped)?;
    fs::copy(place.path("images/train/b/7.png"), &swapped)?;
    let trained = crate::place::epochs_trained(&place.events("r")?);
    let refused = place.run(&extend)?;
    assert_status(&refused, 1);
    let said = text(&refused.stderr);
    assert!(said.contains("holds different training images"), "{said}");
    assert_eq!(crate::place::epochs_trained(&place.events("r")?), trained);
    // before the first checkpoint, what the record says of the images counts
    let checkpoints = place.path("runs/r/checkpoints");
    let set_aside = place.path("checkpoints");
    fs::rename(&checkpoints, &set_aside)?;
    let refused = place.run(&extend)?;
    assert_status(&refused, 1);
    let said = text(&refused.stderr);
    assert!(said.contains("holds different training images"), "{said}");
    assert_eq!(crate::place::epochs_trained(&place.events("r")?), trained);
    fs::remove_dir_all(&checkpoints)?;
    fs::rename(&set_aside, &checkpoints)?;

    fs::write(&swapped, kept)?;
    fs::rename(place.path("images"), place.path("moved"))?;
    let profile = place.path("runs/r/profile.yaml");
    let begun = fs::read_to_string(&profile)?;
    fs::write(&profile, begun.replace("path: images", "path: moved"))?;
    let resumed = place.run(&extend)?;
    assert_status(&resumed, 0);
    assert!(text(&resumed.stderr).contains("dataset.path was images and is moved now"));
    Ok(())
}

#[test]
fn a_run_without_its_checkpoints_says_that_it_begins_anew() -> Outcome {
    let place = Place::new()?;
    assert_status(
        &place.run(&["run", "tiny.yaml", "--name", "r", "--headless"])?,
        0,
    );
    let want = place.computed("r")?;
    fs::remove_dir_all(place.path("runs/r/checkpoints"))?;
    fs::remove_dir_all(place.path("runs/r/distilled"))?;
    // without a checkpoint, the record tells what the run was begun with
    let (profile, before) = (place.path("runs/r/profile.yaml"), place.events("r")?);
    let text_before = fs::read_to_string(&profile)?;
    fs::write(&profile, text_before.replacen("ipc: 2", "ipc: 1", 1))?;
    let refused = place.run(&["resume", "r", "--headless"])?;
    assert_status(&refused, 2);
    let message = text(&refused.stderr);
    let expected = "distill.ipc: found 1, but the run was begun with 2";
    assert!(message.contains(expected), "{message}");
    assert!(is_untouched(&place, &before)?);
    fs::write(&profile, &text_before)?;
    let resumed = place.run(&["resume", "r", "--headless"])?;
    assert_status(&resumed, 0);
    let said = text(&resumed.stderr);
    assert!(
        said.contains("had done 5 steps, but there is no checkpoint left"),
        "{said}"
    );
    assert!(place.computed("r")? == want);
    Ok(())
}

#[test]
fn a_job_that_is_queued_again_continues_with_its_run() -> Outcome {
    let place = Place::new()?;
    let job = |name, more: &[&str]| place.run(&[&JOB[..], &[name], more].concat());
    assert_status(&job("whole", &[])?, 0);
    let mut child = place
        .astill(&[&JOB[..], &["r"]].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    wait_until("a step", || (last_step(&place, "r") >= 1).then_some(()))?;
    child.kill()?;
    child.wait()?;
    assert_status(&job("r", &[])?, 0);
    assert!(place.computed("r")? == place.computed("whole")?);
    let before = place.events("r")?;
    let again = job("r", &[])?;
    assert_status(&again, 0);
    assert!(text(&again.stderr).contains("already done"));
    let refused = job("r", &["--set", "distill.ipc=1"])?;
    assert_status(&refused, 2);
    let message = text(&refused.stderr);
    assert!(
        message.contains("distill.ipc: found 1, but the run was begun with 2"),
        "{message}"
    );
    assert!(is_untouched(&place, &before)?);
    let nameless = place.run(&["run", "tiny.yaml", "--headless", "--or-resume"])?;
    assert_status(&nameless, 2);
    Ok(())
}

/// Removes the folders below `folder` that hold nothing; how many there were.
fn remove_empty(folder: &Path) -> std::io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            removed += remove_empty(&path)?;
            removed += usize::from(fs::remove_dir(&path).is_ok());
        }
    }
    Ok(removed)
}

/// Object stores and git leave empty folders out.
#[test]
fn a_copy_without_its_empty_folders_is_resumed_to_the_same_bytes() -> Outcome {
    let begin = || {
        let place = Place::new()?;
        let whole = ["run", "tiny.yaml", "--name", "whole", "--headless"];
        assert_status(&place.run(&whole)?, 0);
        Ok(place)
    };
    let run = ["run", "tiny.yaml", "--name", "r", "--headless"];
    let is_begun = |place: &Place| last_step(place, "r") < 5;
    let place = stopped(begin, &run, "phase distill", is_begun)?;
    let copy = place.path("runs/copy");
    fs::rename(place.path("runs/r"), &copy)?;
    assert!(remove_empty(&copy)? > 0, "none was empty");
    for folder in ["samples", "distilled", "inbox"] {
        // also those with what can be made again
        let _ = fs::remove_dir_all(copy.join(folder));
    }
    assert_status(&place.run(&["resume", "copy", "--headless"])?, 0);
    assert!(place.computed("copy")? == place.computed("whole")?);
    Ok(())
}

/// The figures of the last phase are of the images that are the result then.
#[test]
fn a_run_that_is_extended_between_two_figures_has_those_of_its_new_result() -> Outcome {
    let place = Place::new()?;
    let sets = ["evaluate.every=100", "evaluate.epochs=800"];
    let engine = Background::start(&place, &sets)?;
    let is_figure = |what: &EventKind| matches!(what, EventKind::Evaluation(found) if found.split == EvalSplit::Test);
    let first = engine.wait_for("a figure", 0, is_figure)?.seq;
    engine.accepts(&["stop"], "");
    let run = RunDir::open(&place.path("runs/r")).ok_or("no run")?;
    wait_until("the engine ends", || (!run.has_engine()).then_some(()))?;
    let ended = place.events("r")?.len() as u64;
    let longer = ["resume", "r", "--headless", "--set", "distill.iterations=8"];
    assert_status(&place.run(&longer)?, 0);
    let events = place.events("r")?;
    let Some(EventKind::RunFinished(RunFinished {
        results, best_step, ..
    })) = events.last().map(|e| &e.what)
    else {
        return Err("it has not ended".into());
    };
    assert!(first < ended && results.len() == 3);
    let distilled = results
        .iter()
        .find(|result| result.labels == ImageSet::Distilled);
    let distilled = distilled.ok_or("no result")?;
    let is_it = |event: &&Event| match &event.what {
        EventKind::Evaluation(found) => {
            event.seq >= ended
                && found.split == EvalSplit::Test
                && found.labels == ImageSet::Distilled
                && Some(found.step) == *best_step
                && found.values == distilled.values
        }
        _ => false,
    };
    assert_eq!(events.iter().filter(is_it).count(), 1, "{results:?}");
    Ok(())
}

/// As on a network file system that does not know yet that the machine of the first engine is gone.
#[test]
fn a_job_that_is_queued_again_waits_for_the_lock_of_a_machine_that_has_failed() -> Outcome {
    let place = Place::new()?;
    let job = [&JOB[..], &["r", "--set", "distill.iterations=4"]].concat();
    assert_status(&place.run(&job)?, 0);
    let path = place.path("runs/r/lock");
    let lock = fs::File::options().write(true).open(&path)?;
    lock.lock()?;
    fs::write(&path, "elsewhere\n")?;
    let mut again = place.astill(&job);
    let mut child = again.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stderr.take().ok_or("no stderr")?).lines();
    let waits = |line: &std::io::Result<String>| {
        line.as_ref()
            .is_ok_and(|line| line.contains("still locked by an engine on elsewhere"))
    };
    assert!(lines.any(|line| waits(&line)));
    lock.unlock()?;
    assert!(child.wait()?.success());
    // somebody at a terminal is told at once
    lock.lock()?;
    fs::write(&path, "elsewhere\n")?;
    let by_hand = place.run(&["resume", "r", "--headless"])?;
    assert_status(&by_hand, 2);
    let said = text(&by_hand.stderr);
    assert!(said.contains("already has an engine"), "{said}");
    Ok(())
}

#[test]
fn a_run_whose_record_is_gone_says_what_it_no_longer_knows() -> Outcome {
    let place = Place::new()?;
    let run = ["run", "tiny.yaml", "--name", "r", "--headless"];
    assert_status(&place.run(&run)?, 0);
    fs::write(place.path("runs/r/events.jsonl"), "")?;
    let resumed = place.run(&["resume", "r", "--headless"])?;
    assert_status(&resumed, 0);
    let said = text(&resumed.stderr);
    assert!(
        said.contains("no longer says how the run was begun"),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_resume_that_is_stopped_as_it_starts_leaves_the_run_as_it_was() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(&place, &crate::ENDLESS)?;
    engine.wait_for("a step", 0, crate::is_step)?;
    engine.accepts(&["stop"], "");
    let run = RunDir::at(place.path("runs/r"));
    let wait_for_no_engine = || wait_until("the engine ends", || (!run.has_engine()).then_some(()));
    wait_for_no_engine()?;
    let profile = fs::read(place.path("runs/r/profile.yaml"))?;
    let checkpoints = || checkpoints::steps(&place.path("runs/r"));
    let before = checkpoints()?.last().copied();
    for delay in [0, 30, 100, 300] {
        // nothing shows any more that it has had an engine
        fs::remove_file(place.path("runs/r/events.jsonl"))?;
        let mut resume = place.astill(&["resume", "r", "--detach"]).spawn()?;
        std::thread::sleep(Duration::from_millis(delay));
        kill_process(Pid::from_child(&resume), Signal::INT)?;
        resume.wait()?;
        if place.path("runs/r/events.jsonl").exists() {
            let _ = engine.send(&["stop"])?;
            wait_for_no_engine()?;
        } else {
            fs::write(place.path("runs/r/events.jsonl"), "")?;
        }
        assert_eq!(fs::read(place.path("runs/r/profile.yaml"))?, profile);
        assert!(checkpoints()?.last().copied() >= before);
    }
    Ok(())
}
