//! A run stays the run that was begun, and its engine can be reached, whatever happens to its folder,
//! its files and its sockets. docs/reliability.md says what is promised.

mod place;

#[path = "keeping/devices.rs"]
mod devices;
#[path = "keeping/everyday.rs"]
mod everyday;
#[path = "keeping/folder.rs"]
mod folder;
#[path = "keeping/reach.rs"]
mod reach;
#[path = "keeping/resume.rs"]
mod resume;
#[path = "keeping/segments.rs"]
mod segments;
#[path = "keeping/undo.rs"]
mod undo;

use crate::place::{Place, wait_until};
use astill_core::run::RunDir;
use astill_core::run::event::EventKind;
use std::error::Error;

/// A run that never ends by itself.
const ENDLESS: [&str; 3] = [
    "distill.iterations=1000000",
    "evaluate.every=1000000",
    "evaluate.repeats=1",
];

fn is_step(what: &EventKind) -> bool {
    matches!(what, EventKind::DistillStep { .. })
}

/// The process of the engine that has the run.
fn engine_of(place: &Place, run: &str) -> Result<u32, Box<dyn Error>> {
    let holder = RunDir::at(place.path("runs").join(run)).holder();
    let process = holder.and_then(|(holder, _)| holder.process);
    Ok(process.ok_or("no engine")?)
}

fn wait_for_the_end_of(process: u32) -> Result<(), Box<dyn Error>> {
    let status = format!("/proc/{process}/stat");
    wait_until("the engine ends", || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        // whoever started it may not have asked for its status yet
        let state = text
            .rsplit_once(") ")
            .map(|(_, rest)| rest.starts_with('Z'));
        state.unwrap_or(true).then_some(())
    })
}
