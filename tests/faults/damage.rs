//! Files that are damaged: noticed, told, and done without.

use super::kill::{Draws, Moment, arguments, killed, went_on_from};
use crate::place::{Computed, Outcome, Place, assert_status, in_full, row, text};
use astill_core::run::checkpoints;
use astill_core::run::event::{EventKind, Phase};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

const IN_HEADER: usize = 803;

/// Ways to damage a file of so many bytes: a bit flipped somewhere, cut off, empty.
fn damages(length: u64, draws: &mut Draws) -> Vec<(String, Damage)> {
    let (flips, end) = (if in_full() { 10 } else { 1 }, 8 * length as usize);
    let mut bits: Vec<usize> = (0..flips).map(|_| draws.below(end)).collect();
    let mut all = Vec::new();
    if in_full() {
        all.extend([
            ("cut off".to_string(), Damage::Cut(length / 2)),
            ("empty".into(), Damage::Cut(0)),
        ]);
        bits.extend([IN_HEADER, end - 1]);
    }
    all.extend(
        bits.into_iter()
            .map(|bit| (format!("bit {bit} flipped"), Damage::Flip(bit))),
    );
    all
}

enum Damage {
    Cut(u64),
    Flip(usize),
}

impl Damage {
    fn make(&self, path: &Path) -> Outcome {
        let mut bytes = fs::read(path)?;
        match self {
            Self::Cut(length) => bytes.truncate(*length as usize),
            Self::Flip(bit) => bytes[bit / 8] ^= 1 << (bit % 8),
        }
        Ok(fs::write(path, bytes)?)
    }
}

fn copy(from: &Path, to: &Path) -> Outcome {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(".part-") {
            // the kill fell into its writing
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        } else if entry.file_type()?.is_file() {
            // not the socket that a killed engine leaves
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn newest(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.is_file())
        .collect();
    files.sort();
    files.retain(|p| p.extension().is_some_and(|e| e == "safetensors"));
    files.pop().ok_or_else(|| "no file".into())
}

/// The folder of an expert in training, not of one that is finished.
fn in_training(place: &Place) -> Option<PathBuf> {
    let store = fs::read_dir(place.path("data/trajectories"))
        .ok()?
        .flatten()
        .next()?
        .path();
    let folders = fs::read_dir(store).ok()?.flatten().map(|e| e.path());
    folders
        .into_iter()
        .find(|p| p.is_dir() && !p.with_extension("safetensors").exists())
}

fn warnings(place: &Place, run: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let warning = |what: EventKind| {
        if let EventKind::Warning { message } = what {
            Some(message)
        } else {
            None
        }
    };
    Ok(place
        .events(run)?
        .into_iter()
        .filter_map(|e| warning(e.what))
        .collect())
}

fn reference() -> Result<(Place, Computed), Box<dyn Error>> {
    let whole = Place::new()?;
    assert_status(&whole.run(&arguments())?, 0);
    let want = whole.computed("r")?;
    Ok((whole, want))
}

#[test]
fn damage_is_noticed_told_and_costs_only_time() -> Outcome {
    let (whole, want) = reference()?;
    let mut draws = Draws(5);
    let killed = newest_checkpoint(&want, &mut draws)?;
    all_checkpoints(&killed)?;
    finished_expert_and_cache(&whole, &want, &mut draws)?;
    epoch_in_training(&want, &mut draws)
}

/// Of a run that was killed: the checkpoint before it is used.
fn newest_checkpoint(want: &Computed, draws: &mut Draws) -> Result<Place, Box<dyn Error>> {
    let moment = Moment::After {
        phase: Phase::Distill,
        event: 19,
        delay: 0,
    };
    let (place, checkpoint) = killed(&moment, |place| {
        let (events, kept) = (
            place.events("r").unwrap_or_default(),
            checkpoints::steps(&place.path("runs/r")).ok()?,
        );
        let is_done = events
            .iter()
            .any(|e| matches!(e.what, EventKind::RunFinished { .. }));
        (!is_done && kept.len() > 1).then(|| newest(&place.path("runs/r/checkpoints")).ok())?
    })?;
    let (length, kept) = (
        fs::metadata(checkpoint)?.len(),
        checkpoints::steps(&place.path("runs/r"))?,
    );
    let mut lost = 0;
    let ways = damages(length, draws);
    for (i, (name, damage)) in ways.iter().enumerate() {
        let run = format!("t{i}");
        copy(&place.path("runs/r"), &place.path("runs").join(&run))?;
        let file = newest(&place.path("runs").join(&run).join("checkpoints"))?;
        damage.make(&file)?;
        assert_status(&place.run(&["resume", &run])?, 0);
        assert!(
            place.computed(&run)? == *want,
            "other bytes with a checkpoint {name}"
        );
        let told = warnings(&place, &run)?;
        let file = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        assert!(
            told.iter()
                .any(|w| w.contains(&file) && w.contains("resumes from step")),
            "{name}: {told:?}"
        );
        let from = went_on_from(&place.events(&run)?).ok_or("never begun")?;
        lost = lost.max(kept.last().ok_or("no checkpoint")? - from);
    }
    row(
        "checkpoint damaged",
        ways.len() as u64,
        &format!("{lost} steps, the next checkpoint"),
        "told; the same bytes",
    );

    Ok(place)
}

/// Nothing is touched, and the message says what to do.
fn all_checkpoints(place: &Place) -> Outcome {
    copy(&place.path("runs/r"), &place.path("runs/all"))?;
    let all = || checkpoints::steps(&place.path("runs/all"));
    let there = all()?;
    for entry in fs::read_dir(place.path("runs/all/checkpoints"))?.flatten() {
        Damage::Flip(9000).make(&entry.path())?;
    }
    let refused = place.run(&["resume", "all"])?;
    assert_status(&refused, 1);
    assert!(
        text(&refused.stderr).contains("none that can be used"),
        "{}",
        text(&refused.stderr)
    );
    assert_eq!(all()?, there);
    row(
        "all checkpoints damaged",
        1,
        "nothing is touched",
        "refused, with what to do",
    );

    Ok(())
}

/// Both are made again; the cache is that of the whitening.
fn finished_expert_and_cache(whole: &Place, want: &Computed, draws: &mut Draws) -> Outcome {
    let store = fs::read_dir(whole.path("data/trajectories"))?
        .flatten()
        .next()
        .ok_or("no store")?
        .path();
    let cache = newest(&whole.path("data/cache"))?;
    for (file, what, kind) in [
        (
            store.join("expert_001.safetensors"),
            "trained again",
            "expert",
        ),
        (cache, "rebuilt", "cache"),
    ] {
        let mut ways = damages(fs::metadata(&file)?.len(), draws);
        if kind == "cache" {
            // its checksum is of the numbers; the rest need only describe them
            ways.retain(|(_, damage)| !matches!(damage, Damage::Flip(IN_HEADER)));
        }
        for (i, (name, damage)) in ways.iter().enumerate() {
            let run = format!("{kind}{i}");
            damage.make(&file)?;
            let arguments = arguments()
                .into_iter()
                .map(|a| if a == "r" { run.as_str() } else { a })
                .collect::<Vec<_>>();
            assert_status(&whole.run(&arguments)?, 0);
            assert!(
                whole.computed(&run)? == *want,
                "other bytes with the {kind} {name}"
            );
            let told = warnings(whole, &run)?;
            assert!(
                told.iter().any(|w| w.contains(what)),
                "{kind} {name}: {told:?}"
            );
        }
        row(
            &format!("{kind} in the data folder damaged"),
            ways.len() as u64,
            "its computing",
            "told; the same bytes",
        );
    }

    Ok(())
}

/// The expert continues from the epoch before it.
fn epoch_in_training(want: &Computed, draws: &mut Draws) -> Outcome {
    let moment = Moment::After {
        phase: Phase::Experts,
        event: 2,
        delay: 0,
    };
    let (place, epoch) = killed(&moment, |place| newest(&in_training(place)?).ok())?;
    Damage::Flip(draws.below(8 * fs::metadata(&epoch)?.len() as usize)).make(&epoch)?;
    assert_status(&place.run(&["resume", "r"])?, 0);
    assert!(place.computed("r")? == *want);
    assert!(
        warnings(&place, "r")?
            .iter()
            .any(|w| w.contains("continues from an earlier epoch"))
    );
    row(
        "epoch of an expert in training damaged",
        1,
        "one epoch",
        "told; the same bytes",
    );
    Ok(())
}
