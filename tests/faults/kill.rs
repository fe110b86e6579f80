//! SIGKILL at any moment: the resumed run ends in the same bytes.

use crate::place::{Computed, Outcome, Place, TRIES, assert_status, in_full, last_step, row, text};
use astill_core::run::event::{Event, EventKind, Phase};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

/// Long enough in the short phases to be hit there, and with every part of the method that has a state
/// of its own.
const SETS: [&str; 9] = [
    "distill.iterations=12",
    "evaluate.every=4",
    "evaluate.epochs=30",
    "distill.labels=soft",
    "distill.lr_labels=1",
    "distill.ema=0.9",
    "distill.match_at=nearest",
    "distill.mirror=true",
    "expert.per_epoch=2",
];
const PHASES: [Phase; 5] = [
    Phase::Data,
    Phase::Experts,
    Phase::Init,
    Phase::Distill,
    Phase::Evaluate,
];

/// When the engine is killed.
#[derive(Debug, Clone)]
pub enum Moment {
    /// So many milliseconds after an event of a phase: 0 is the first, that of the phase itself.
    After {
        phase: Phase,
        event: usize,
        delay: u64,
    },
    /// As soon as a file is being written in this folder of the place, for the time number `nth`
    /// from 0.
    Writing { folder: String, nth: usize },
}

/// Numbers that are the same in every run of the tests (SplitMix64).
pub struct Draws(pub u64);

impl Draws {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % n as u64) as usize
    }
}

/// Files that are being written, or that a killed program has left half written, anywhere below
/// `folder`.
pub fn half_written(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(".part-") {
            found.push(name);
        } else if entry.file_type().is_ok_and(|t| t.is_dir()) {
            found.extend(half_written(&entry.path()));
        }
    }
    found
}

pub fn arguments() -> Vec<&'static str> {
    let mut arguments = vec!["run", "tiny.yaml", "--headless", "--name", "r"];
    SETS.iter().for_each(|s| arguments.extend(["--set", s]));
    arguments
}

/// The phase that a run is in, and its events since that began.
fn whereabouts(events: &[Event]) -> Option<(Phase, usize)> {
    let phase = |e: &Event| {
        if let EventKind::Phase { name } = e.what {
            Some(name)
        } else {
            None
        }
    };
    let (at, name) = events
        .iter()
        .enumerate()
        .rev()
        .find_map(|(i, e)| Some((i, phase(e)?)))?;
    Some((name, events.len() - at))
}

/// Starts an engine and kills it at `moment`; the phase that it was in. None if it had ended
/// before.
pub fn kill_at(
    place: &Place,
    arguments: &[&str],
    moment: &Moment,
) -> Result<Option<Phase>, Box<dyn Error>> {
    let before = seen(place).last().map_or(0, |e| e.seq + 1);
    let mut engine = place
        .astill(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let new = |place: &Place| -> Vec<Event> {
        seen(place)
            .into_iter()
            .filter(|e| e.seq >= before)
            .collect()
    };
    let mut written: Vec<String> = Vec::new();
    loop {
        if engine.try_wait()?.is_some() {
            return Ok(None);
        }
        match moment {
            Moment::After {
                phase,
                event,
                delay,
            } => {
                let here = whereabouts(&new(place));
                if here.is_some_and(|(name, seen)| {
                    name as u8 > *phase as u8 || (name == *phase && seen > *event)
                }) {
                    sleep(Duration::from_millis(*delay));
                    break;
                }
                sleep(Duration::from_micros(500));
            }
            Moment::Writing { folder, nth } => {
                written.extend(
                    half_written(&place.path(folder))
                        .into_iter()
                        .filter(|f| !written.contains(f))
                        .collect::<Vec<_>>(),
                );
                if written.len() > *nth {
                    break;
                }
            }
        }
    }
    engine.kill()?;
    let ended = engine.wait()?.signal().is_none();
    let hit = whereabouts(&new(place)).map_or(Phase::Data, |(phase, _)| phase);
    Ok((!ended).then_some(hit))
}

/// The step from which the latest engine of a run went on.
pub fn went_on_from(events: &[Event]) -> Option<u64> {
    events.iter().rev().find_map(|e| {
        if let EventKind::RunStarted(started) = &e.what {
            Some(started.step)
        } else {
            None
        }
    })
}

/// A place whose run was killed at `moment` and is as the test `wants` it: on a machine with other
/// work a kill may come too late, and another run is killed then.
pub fn killed<T>(
    moment: &Moment,
    wants: impl Fn(&Place) -> Option<T>,
) -> Result<(Place, T), Box<dyn Error>> {
    for _ in 0..TRIES {
        let place = Place::new()?;
        if kill_at(&place, &arguments(), moment)?.is_some()
            && let Some(found) = wants(&place)
        {
            return Ok((place, found));
        }
    }
    Err(format!("{moment:?} was missed {TRIES} times").into())
}

/// What a kill has cost.
#[derive(Default)]
struct Tally {
    runs: u64,
    phases: BTreeMap<u8, u64>,
    in_writing: u64,
    steps_lost: u64,
}

impl Tally {
    /// Kills a new run at the first moment, the engine that goes on with it at the next, and so on;
    /// then lets it end.
    fn try_moments(&mut self, moments: &[Moment], want: &Computed) -> Outcome {
        for _ in 0..TRIES {
            let place = Place::new()?;
            let mut killed = 0;
            for (i, moment) in moments.iter().enumerate() {
                let arguments = if i > 0 {
                    vec!["resume", "r", "--headless"]
                } else {
                    arguments()
                };
                let Some(phase) = kill_at(&place, &arguments, moment)? else {
                    continue;
                };
                killed += 1;
                *self.phases.entry(phase as u8).or_default() += 1;
                self.in_writing += u64::from(!half_written(&place.path("")).is_empty());
            }
            if killed > 0 {
                return self.go_on(&place, moments, want);
            }
        }
        Err(format!("{moments:?} never came").into())
    }

    /// Lets a run that was killed go on to its end, and looks at what came of it.
    fn go_on(&mut self, place: &Place, moments: &[Moment], want: &Computed) -> Outcome {
        let steps = |e: Event| {
            if let EventKind::DistillStep(step) = &e.what {
                Some(step.step)
            } else {
                None
            }
        };
        let done = seen(place)
            .into_iter()
            .filter_map(steps)
            .next_back()
            .unwrap_or(0);
        let ended = place.run(&["resume", "r"])?;
        assert!(
            ended.status.success(),
            "{moments:?}: {}",
            text(&ended.stderr)
        );
        assert!(
            place.computed("r")? == *want,
            "other bytes after {moments:?}"
        );
        let events = place.events("r")?;
        assert!(
            events.iter().map(|e| e.seq).eq(0..events.len() as u64),
            "events are missing after {moments:?}"
        );
        let left = [
            half_written(&place.path("runs")),
            half_written(&place.path("data/trajectories")),
        ]
        .concat();
        assert!(left.is_empty(), "{left:?} left after {moments:?}");
        self.steps_lost = self
            .steps_lost
            .max(done.saturating_sub(went_on_from(&events).unwrap_or(0)));
        self.runs += 1;
        Ok(())
    }
}

/// The events so far; a last line that is not whole is none yet.
fn seen(place: &Place) -> Vec<Event> {
    let text = fs::read_to_string(place.path("runs/r/events.jsonl")).unwrap_or_default();
    text.lines()
        .filter_map(|l| serde_json::from_str(l).ok())
        .collect()
}

#[test]
fn a_run_that_is_killed_at_any_moment_ends_in_the_same_bytes() -> Outcome {
    let whole = Place::new()?;
    assert_status(&whole.run(&arguments())?, 0);
    let want = whole.computed("r")?;
    assert_eq!(last_step(&whole, "r"), 12);
    let events = whole.events("r")?;
    let store = fs::read_dir(whole.path("data/trajectories"))?
        .flatten()
        .next()
        .ok_or("no store")?
        .file_name();
    let store = format!("data/trajectories/{}", store.to_string_lossy());

    let mut draws = Draws(4);
    let mut after = |phase: Phase| {
        let of_phase = events
            .iter()
            .skip_while(|e| !matches!(e.what, EventKind::Phase { name } if name == phase));
        let count = 1 + of_phase
            .skip(1)
            .take_while(|e| !matches!(e.what, EventKind::Phase { .. }))
            .count();
        Moment::After {
            phase,
            event: draws.below(count),
            delay: draws.below(40) as u64,
        }
    };
    let writing = |folder: &str, nth| Moment::Writing {
        folder: folder.into(),
        nth,
    };
    let partial = format!("{store}/expert_001.partial");
    let mut trials: Vec<Vec<Moment>> = Vec::new();
    if in_full() {
        for _ in 0..16 {
            trials.extend(PHASES.map(|p| vec![after(p)]));
        }
        // those that go on are killed as well
        for _ in 0..3 {
            trials.push(PHASES.map(&mut after).to_vec());
        }
        trials.extend((0..6).map(|nth| {
            vec![
                writing("runs/r/checkpoints", nth),
                writing("runs/r/checkpoints", 1),
            ]
        }));
        trials.extend((0..3).map(|nth| vec![writing(&partial, nth)]));
        trials.extend([
            vec![writing("runs/r/samples", 1)],
            vec![
                writing("runs/r/distilled", 0),
                writing("runs/r/distilled", 0),
            ],
        ]);
        trials.extend([
            vec![writing("data/cache", 0)],
            vec![writing(&store, 0)],
            vec![writing(&store, 3)],
        ]);
    } else {
        trials.push(vec![
            after(Phase::Data),
            after(Phase::Experts),
            after(Phase::Distill),
        ]);
        trials.push(vec![
            writing("runs/r/checkpoints", 1),
            after(Phase::Evaluate),
        ]);
    }
    let mut tally = Tally::default();
    for moments in &trials {
        tally.try_moments(moments, &want)?;
    }
    let kills: u64 = tally.phases.values().sum();
    for (phase, name) in PHASES.iter().map(|p| (*p as u8, p)) {
        row(
            &format!("  killed in the phase {name}"),
            tally.phases.get(&phase).copied().unwrap_or(0),
            "",
            "",
        );
    }
    row(
        "  killed with a file half written",
        tally.in_writing,
        "",
        "",
    );
    let outcome = format!("{0} of {0} runs end in the same bytes", tally.runs);
    row(
        "engine killed (SIGKILL), resumed",
        kills,
        &format!("at most {} steps, or one epoch", tally.steps_lost),
        &outcome,
    );
    assert!(!in_full() || kills >= 90, "{kills} kills");
    Ok(())
}
