//! SIGKILL of any of several runs that train and use the same experts: each ends in the same bytes.

use crate::kill::{Draws, arguments, half_written};
use crate::place::{Computed, Outcome, PATIENCE, Place, assert_status, in_full, row};
use std::error::Error;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest time between two kills, in milliseconds: a run takes a few times as long.
const LONGEST: usize = 900;

/// Begins a run, or resumes it where it has begun.
fn start(place: &Place, name: &str) -> Result<Child, Box<dyn Error>> {
    let mut command = arguments();
    command.extend(["--or-resume", "--name", name]);
    // the last name counts
    let own = command.iter().position(|a| *a == "r").ok_or("no name")?;
    command.drain(own - 1..=own);
    Ok(place
        .astill(&command)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(said(place, name))?)
        .spawn()?)
}

/// Where the latest process of a run says what is wrong.
fn said(place: &Place, name: &str) -> PathBuf {
    place.path(&format!("{name}.stderr"))
}

fn assert_success(place: &Place, name: &str, status: ExitStatus) -> Outcome {
    let said = std::fs::read_to_string(said(place, name))?;
    assert!(status.success(), "{name}: {status}: {said}");
    Ok(())
}

/// Runs as many processes as there are names, and kills one of them after the other at random until
/// there were so many `kills`.
fn kill_any(names: &[&str], kills: u64, draws: &mut Draws, want: &Computed) -> Outcome {
    let place = Place::new()?;
    let start = |name: &&str| start(&place, name);
    let mut runs: Vec<Child> = names.iter().map(start).collect::<Result<_, _>>()?;
    let mut killed = 0;
    while killed < kills {
        sleep(Duration::from_millis(draws.below(LONGEST) as u64));
        let which = draws.below(names.len());
        if let Some(status) = runs[which].try_wait()? {
            // it had ended before it was hit
            assert_success(&place, names[which], status)?;
            std::fs::remove_dir_all(place.path("runs").join(names[which]))?;
        } else {
            runs[which].kill()?;
            runs[which].wait()?;
            killed += 1;
        }
        runs[which] = start(&names[which])?;
    }
    let begin = Instant::now();
    for (name, run) in names.iter().zip(&mut runs) {
        let status = run.wait()?;
        assert_success(&place, name, status)?;
        assert!(place.computed(name)? == *want, "other bytes: {name}");
    }
    assert!(begin.elapsed() < PATIENCE, "waited for one another");
    let left = half_written(&place.path(""));
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

#[test]
fn runs_that_share_experts_and_are_killed_at_random_end_in_the_same_bytes() -> Outcome {
    let whole = Place::new()?;
    assert_status(&whole.run(&arguments())?, 0);
    let want = whole.computed("r")?;
    // each round begins without experts
    let (rounds, kills) = if in_full() { (6, 10) } else { (1, 2) };
    let mut draws = Draws(9);
    for names in [&["a", "b"][..], &["a", "b", "c"]] {
        for _ in 0..rounds {
            kill_any(names, kills, &mut draws, &want)?;
        }
        row(
            &format!("any of {} runs on one store killed", names.len()),
            rounds * kills,
            "since the last checkpoint",
            "each ends in the same bytes",
        );
    }
    Ok(())
}
