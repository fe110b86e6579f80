//! A file system that is full, read-only or slow, and a run that was removed.

use super::{ENDLESS, is_waiting};
use crate::kill::{arguments, half_written};
use crate::place::{Computed, Outcome, Place, assert_status, in_full, last_step, row, wait_until};
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something mounted in a place, until this is dropped.
struct Mount(PathBuf);

impl Mount {
    /// A file system in memory; none where this user may not mount.
    fn new(at: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&at).ok()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&at)
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|s| s.success()).then_some(Self(at))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Runs to the end; whenever the run says that it waits, `cure` is called. What it said.
fn run_with(
    place: &Place,
    arguments: &[&str],
    mut cure: impl FnMut(&str) -> Outcome,
) -> Result<(i32, u64, String), Box<dyn Error>> {
    let mut child = place
        .astill(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let (mut waits, mut said) = (0, String::new());
    for line in BufReader::new(child.stderr.take().ok_or("no stderr")?).lines() {
        let line = line?;
        if line.contains(" waiting: ") {
            waits += 1;
            cure(&line)?;
        }
        said += &(line + "\n");
    }
    Ok((child.wait()?.code().unwrap_or(-1), waits, said))
}

#[test]
fn a_full_disk_a_read_only_one_a_slow_one_and_a_removed_run() -> Outcome {
    if !in_full() {
        return Ok(());
    }
    let whole = Place::new()?;
    assert_status(&whole.run(&arguments())?, 0);
    let want = whole.computed("r")?;
    full(&want)?;
    read_only(&want)?;
    slow(&want)?;
    removed()
}

/// A file system of 12 MiB with more and more room on it: whatever is being written, the run goes
/// on to the same bytes.
fn full(want: &Computed) -> Outcome {
    let mut waited = 0;
    for free in [64, 300, 500, 700, 900, 1100] {
        let place = Place::new()?;
        let Some(mount) = Mount::new(place.path("runs"), "size=12m") else {
            row("disk full", 0, "", "not tried: mounting takes root");
            return Ok(());
        };
        let ballast = mount.0.join("ballast");
        fs::write(&ballast, vec![1; (12288 - free) << 10])?;
        let mut left = Vec::new();
        let (status, waits, said) = run_with(&place, &arguments(), |why| {
            left.extend(half_written(&mount.0));
            // room for one more file each time; the distilled set is by far the largest
            let room = if why.contains("distilled/") {
                u64::MAX
            } else {
                400 << 10
            };
            let shorter = fs::metadata(&ballast)?.len().saturating_sub(room);
            Ok(fs::OpenOptions::new()
                .write(true)
                .open(&ballast)?
                .set_len(shorter)?)
        })?;
        assert_eq!(status, 0, "{said}");
        assert!(
            place.computed("r")? == *want,
            "other bytes after a full disk"
        );
        assert!(left.is_empty(), "{left:?} on a full disk");
        let all = place.events("r")?;
        assert!(all.iter().map(|e| e.seq).eq(0..all.len() as u64));
        waited += waits;
    }
    assert!(waited >= 12, "{waited}");
    row(
        "disk full (12 MiB), room made",
        waited,
        "nothing",
        "waits, goes on, the same bytes",
    );
    Ok(())
}

fn read_only(want: &Computed) -> Outcome {
    for folder in ["checkpoints", "samples", "distilled"] {
        let place = Place::new()?;
        let path: PathBuf = place.path("runs/r").join(folder);
        let mut mount = None;
        let arguments = arguments();
        let mut child = place
            .astill(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        for line in BufReader::new(child.stderr.take().ok_or("no stderr")?).lines() {
            let line = line?;
            if line.contains(" phase data") {
                mount = Some(Mount::new(path.clone(), "ro"));
            }
            if line.contains(" waiting: ") {
                assert!(line.contains("Read-only file system"), "{line}");
                if let Some(Some(mounted)) = mount.take() {
                    drop(mounted);
                }
            }
        }
        if matches!(mount, Some(None)) {
            row("disk read-only", 0, "", "not tried: mounting takes root");
            return Ok(());
        }
        assert!(mount.is_none(), "{folder} was never waited for");
        assert!(child.wait()?.success());
        assert!(
            place.computed("r")? == *want,
            "other bytes after a read-only {folder}"
        );
    }
    row(
        "disk read-only (three folders), and writable again",
        3,
        "nothing",
        "waits, goes on, the same bytes",
    );
    Ok(())
}

/// Every file takes 50 ms longer to be on the disk.
fn slow(want: &Computed) -> Outcome {
    let place = Place::new()?;
    let engine = Path::new(env!("CARGO_BIN_EXE_astill")).with_file_name("astill-engine");
    let mut command = place.command("strace");
    command
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fsync",
            "-e",
            "inject=fsync:delay_enter=50000",
        ])
        .arg(engine);
    let Ok(output) = command
        .args(["--data", "data", "--runs", "runs"])
        .args(arguments())
        .output()
    else {
        row("disk slow", 0, "", "not tried: there is no strace");
        return Ok(());
    };
    if !output.status.success() && !place.path("runs/r").exists() {
        row("disk slow", 0, "", "not tried: strace may not trace here");
        return Ok(());
    }
    assert_status(&output, 0);
    assert!(
        place.computed("r")? == *want,
        "other bytes with a slow disk"
    );
    assert!(!place.events("r")?.iter().any(|e| is_waiting(&e.what)));
    row(
        "disk slow (50 ms more a file)",
        1,
        "nothing",
        "the same bytes",
    );
    Ok(())
}

fn removed() -> Outcome {
    let place = Place::new()?;
    let mut arguments = vec!["run", "tiny.yaml", "--headless", "--name", "r"];
    ENDLESS.iter().for_each(|s| arguments.extend(["--set", s]));
    let mut child = place
        .astill(&arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    wait_until("a step", || (last_step(&place, "r") > 0).then_some(()))?;
    fs::remove_dir_all(place.path("runs/r"))?;
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().ok_or("no stderr")?).lines() {
        said += &(line? + "\n");
    }
    let status = wait_until("the engine ends", || child.try_wait().ok().flatten())?;
    assert_eq!(status.code(), Some(1), "{said}");
    // the lock may go before the folder
    let first = ["its folder was removed", "its lock was removed"];
    assert!(first.iter().any(|what| said.contains(what)), "{said}");
    assert!(!place.path("runs/r").exists());
    row(
        "run directory removed",
        1,
        "what was removed",
        "ends by itself, with a sentence",
    );
    Ok(())
}
