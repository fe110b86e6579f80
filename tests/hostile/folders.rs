//! Names and links that lead out of the folder of a run.

use super::inputs::{folder, try_many};
use super::place::{Outcome, Place, assert_status, row, stopped, text};
use astill_core::run::{RunDir, socket};
use rustix::fs::{CWD, Mode, mkfifoat};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

#[test]
fn names_of_runs_and_of_their_files_stay_in_their_folder() -> Outcome {
    let folder = folder()?;
    let (runs, outside) = (folder.path().join("runs"), folder.path().join("outside"));
    fs::create_dir(&outside)?;
    fs::write(outside.join("secret.png"), "secret")?;
    let seeds = [
        "mine",
        "shapes-001",
        "a.b_c-9",
        "A",
        "..",
        "../x",
        "a/b",
        "/tmp/x",
        ".hidden",
        "-rf",
        "a\nb",
        "ä",
    ];
    let valid = seeds[..4].iter().map(|s| s.as_bytes().to_vec()).collect();
    try_many("a name of a run", valid, Vec::new(), |input| {
        let name = String::from_utf8_lossy(input);
        let Ok((run, _)) = RunDir::create(&runs, "p", Some(&name), "") else {
            return false;
        };
        assert_eq!(run.path().parent(), Some(runs.as_path()), "{name:?}");
        assert_eq!(run.name(), name);
        fs::remove_dir_all(run.path()).is_ok()
    });
    for bad in &seeds[4..] {
        assert!(RunDir::create(&runs, "p", Some(bad), "").is_err(), "{bad}");
    }
    assert_eq!(fs::read_dir(folder.path())?.count(), 2);

    // what the record of a run calls its file
    let (run, held) = RunDir::create(&runs, "p", Some("r"), "")?;
    fs::write(run.path().join("samples/s.png"), "mine")?;
    symlink("s.png", run.path().join("samples/inner.png"))?;
    symlink(
        outside.join("secret.png"),
        run.path().join("samples/link.png"),
    )?;
    symlink(&outside, run.path().join("folder"))?;
    symlink("/dev/zero", run.path().join("samples/zero.png"))?;
    mkfifoat(CWD, run.path().join("samples/pipe.png"), Mode::RWXU)?;
    let secret = outside.join("secret.png").to_string_lossy().into_owned();
    let refused = [
        "../../outside/secret.png",
        "samples/../../../outside/secret.png",
        &secret,
        "/dev/zero",
        "/etc/passwd",
        "samples/link.png",
        "folder/secret.png",
        "samples/zero.png",
        "samples/pipe.png",
        "samples",
        "",
        ".",
        "./samples/s.png",
        "none",
        "samples/s.png/x",
        "a\0b",
    ];
    for name in refused {
        assert!(run.own_file(name).is_err(), "{name:?}");
    }
    for name in ["samples/s.png", "samples/inner.png"] {
        assert_eq!(fs::read(run.own_file(name)?)?, b"mine");
    }
    row(
        "a record that names files outside its folder",
        refused.len() as u64,
        "none",
        "refused, nothing opened",
    );

    // a run that is reached by a link is the same run
    symlink(run.path(), folder.path().join("other-name"))?;
    let linked = RunDir::at(folder.path().join("other-name"));
    assert_eq!(fs::read(linked.own_file("samples/s.png")?)?, b"mine");
    assert_eq!(socket::path(&linked, false)?, socket::path(&run, false)?);
    assert!(linked.lock().is_err());
    drop(held);
    Ok(())
}

/// A run that was copied from somebody: its own files lead elsewhere.
#[test]
fn a_run_whose_files_are_pipes_devices_or_links_is_neither_waited_for_nor_written_through()
-> Outcome {
    let run = [
        "run",
        "tiny.yaml",
        "--name",
        "r",
        "--set",
        "distill.iterations=1",
    ];
    let place = stopped(Place::new, &run, "phase data", |_| true)?;
    let mine = place.path("mine.txt");
    fs::write(&mine, "mine")?;
    let refused = |file: &str| -> Outcome {
        assert_status(&place.run(&["list"])?, 0);
        let resumed = place.run(&["resume", "r", "--detach"])?;
        let said = text(&resumed.stderr);
        assert!(
            !resumed.status.success() && said.contains(file),
            "{file}: {said}"
        );
        assert_eq!(fs::read(&mine)?, b"mine", "{file}");
        Ok(())
    };
    let files = ["lock", "events.jsonl", "run.log", "edits.json"];
    for file in files {
        let path = place.path("runs/r").join(file);
        let kept = fs::read(&path).ok();
        for target in [&mine, Path::new("/dev/zero")] {
            let _ = fs::remove_file(&path);
            symlink(target, &path)?;
            refused(file)?;
        }
        fs::remove_file(&path)?;
        mkfifoat(CWD, &path, Mode::RWXU)?;
        refused(file)?;
        fs::remove_file(&path)?;
        kept.iter().try_for_each(|bytes| fs::write(&path, bytes))?;
    }
    // folders that lead elsewhere
    let other = place.path("other");
    fs::create_dir(&other)?;
    for file in [".part-x", "step_00000.safetensors", "best.safetensors"] {
        fs::write(other.join(file), "mine")?;
    }
    let folders = ["samples", "checkpoints", "distilled"];
    for folder in folders {
        let path = place.path("runs/r").join(folder);
        let kept = place.path("kept");
        fs::rename(&path, &kept)?;
        symlink(&other, &path)?;
        refused(folder)?;
        assert_eq!(fs::read_dir(&other)?.count(), 3, "{folder}");
        fs::remove_file(&path)?;
        fs::rename(&kept, &path)?;
    }
    assert_status(&place.run(&["resume", "r"])?, 0);
    row(
        "a run with links, devices, pipes for files and folders",
        (3 * files.len() + folders.len()) as u64,
        "none",
        "refused with a reason, nothing waits or is overwritten",
    );
    Ok(())
}
