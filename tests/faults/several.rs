//! Several processes that train and use the same experts: each expert is trained once, and SIGKILL
//! of any of them changes no byte.

use crate::kill::{Draws, arguments, half_written};
use crate::place::{Computed, Outcome, PATIENCE, Place, assert_status, in_full, row};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
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

/// Processes that share the experts of one store.
const PROCESSES: usize = 8;
const EXPERTS: [&str; 4] = [
    "experts",
    "tiny.yaml",
    "--set=expert.count=8",
    "--set=expert.train_epochs=3",
];

/// Starts to train experts; what it reports goes into a file with this name.
fn train(place: &Place, name: &str) -> Result<Child, Box<dyn Error>> {
    let records = place.path("records");
    fs::create_dir_all(&records)?;
    Ok(place
        .astill(&EXPERTS)
        .env("TMPDIR", records)
        .stdout(Stdio::null())
        .stderr(File::create(said(place, name))?)
        .spawn()?)
}

/// The files of the store, by name.
fn stored(place: &Place) -> Result<BTreeMap<String, Vec<u8>>, Box<dyn Error>> {
    let stores: Vec<_> = fs::read_dir(place.path("data/trajectories"))?
        .flatten()
        .collect();
    assert_eq!(stores.len(), 1);
    let files = fs::read_dir(stores[0].path())?.flatten();
    files
        .map(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            let bytes = fs::read(file.path()).map_err(|e| format!("{name}: {e}"))?;
            Ok((name, bytes))
        })
        .collect()
}

/// Whether no expert is missing.
fn are_all_trained(place: &Place) -> bool {
    let stores = fs::read_dir(place.path("data/trajectories"));
    let files = stores
        .into_iter()
        .flatten()
        .flatten()
        .flat_map(|store| fs::read_dir(store.path()).into_iter().flatten().flatten());
    let is_expert = |name: &str| name.starts_with("expert_") && name.ends_with(".safetensors");
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    names.filter(|name| is_expert(name)).count() == 8
}

/// Waits for all, each of which must have found or trained every expert.
fn finish(place: &Place, processes: Vec<Child>) -> Outcome {
    for (number, mut process) in processes.into_iter().enumerate() {
        let status = process.wait()?;
        assert_success(place, &number.to_string(), status)?;
    }
    Ok(())
}

fn start_all(place: &Place) -> Result<Vec<Child>, Box<dyn Error>> {
    let start = |number: usize| train(place, &number.to_string());
    (0..PROCESSES).map(start).collect()
}

#[test]
fn processes_that_share_experts_train_each_of_them_once_to_the_bytes_of_one() -> Outcome {
    let whole = Place::new()?;
    assert_status(&whole.run(&EXPERTS)?, 0);
    let want = stored(&whole)?;
    assert_eq!(want.len(), 8 + 2, "{:?}", want.keys());

    let place = Place::new()?;
    finish(&place, start_all(&place)?)?;
    assert!(
        stored(&place)? == want,
        "other files: {:?}",
        stored(&place)?.keys()
    );
    let mut epochs: Vec<String> = Vec::new();
    for number in 0..PROCESSES {
        let text = fs::read_to_string(said(&place, &number.to_string()))?;
        // each line begins with the time
        let told = text
            .lines()
            .filter_map(|line| Some(&line[line.find("expert ")?..]));
        let names = told.filter_map(|line| Some(line.split_once(':')?.0));
        let trained = names.filter(|name| name.contains(" epoch ") && !name.contains(','));
        epochs.extend(trained.map(str::to_string));
    }
    epochs.sort();
    let all = (1..=8).flat_map(|e| (1..=3).map(move |n| format!("expert {e} epoch {n}")));
    assert_eq!(epochs, all.collect::<Vec<_>>());

    // any of them may be killed at any moment, as long as experts are missing
    let kills = if in_full() { 100 } else { 3 };
    let mut draws = Draws(11);
    let mut killed = 0;
    while killed < kills {
        let place = Place::new()?;
        let mut processes = start_all(&place)?;
        while killed < kills {
            sleep(Duration::from_millis(draws.below(LONGEST) as u64));
            if are_all_trained(&place) {
                break;
            }
            let which = draws.below(PROCESSES);
            killed += u64::from(processes[which].try_wait()?.is_none());
            processes[which].kill()?;
            processes[which].wait()?;
            processes[which] = train(&place, &which.to_string())?;
        }
        finish(&place, processes)?;
        assert!(
            stored(&place)? == want,
            "other files: {:?}",
            stored(&place)?.keys()
        );
        let left = half_written(&place.path("data/trajectories"));
        assert!(left.is_empty(), "{left:?}");
    }
    row(
        "any of 8 processes that train experts killed",
        kills,
        "since the last epoch",
        "each expert in the same bytes",
    );
    Ok(())
}
