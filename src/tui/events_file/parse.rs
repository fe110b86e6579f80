//! Lines to events, many at a time.
//!
//! Serde reads an internally tagged enum by way of a tree of values. Nearly all lines of a long run
//! are distillation steps: these go straight into their fields, everything else the general way.

use astill_core::json::{real, reals};
use astill_core::run::event::{Event, EventKind, Perturbation};
use rayon::prelude::*;
use serde::Deserialize;

/// Pieces smaller than this are not worth another thread.
const PIECE: usize = 256 << 10;

/// What a line of this kind has in it, whatever stands before.
const STEP: &[u8] = br#""kind":"distill_step""#;

/// The kind is the third key, after a number and a time.
const WHERE_KIND_IS: usize = 96;

/// The events of whole lines, in order, and how many lines were none.
pub fn lines(bytes: &[u8]) -> (Vec<Event>, u64) {
    if bytes.len() < 2 * PIECE {
        return piece(bytes);
    }
    let parts: Vec<(Vec<Event>, u64)> = pieces(bytes).par_iter().map(|p| piece(p)).collect();
    let mut events = Vec::with_capacity(parts.iter().map(|p| p.0.len()).sum());
    let mut skipped = 0;
    for (mut part, bad) in parts {
        events.append(&mut part);
        skipped += bad;
    }
    (events, skipped)
}

/// Cuts at line ends.
fn pieces(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let from = PIECE.min(bytes.len() - 1);
        let end = bytes[from..]
            .iter()
            .position(|&b| b == b'\n')
            .map_or(bytes.len(), |at| from + at + 1);
        let (piece, rest) = bytes.split_at(end);
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

fn piece(bytes: &[u8]) -> (Vec<Event>, u64) {
    let mut skipped = 0;
    let mut events = Vec::with_capacity(bytes.len() / 256);
    for line in bytes
        .split(|&b| b == b'\n')
        .filter(|l| !l.trim_ascii().is_empty())
    {
        match event(line) {
            Some(event) => events.push(event),
            None => skipped += 1,
        }
    }
    (events, skipped)
}

fn event(line: &[u8]) -> Option<Event> {
    let start = &line[..line.len().min(WHERE_KIND_IS)];
    if start.windows(STEP.len()).any(|w| w == STEP)
        && let Ok(step) = serde_json::from_slice::<Step>(line)
    {
        return Some(step.into());
    }
    serde_json::from_slice(line).ok()
}

/// A line of kind `distill_step`, field by field; [`EventKind::DistillStep`] says what they mean.
#[derive(Deserialize)]
struct Step {
    seq: u64,
    time: String,
    step: u64,
    expert: u64,
    start_epoch: u64,
    #[serde(deserialize_with = "real")]
    matching_loss: f64,
    #[serde(deserialize_with = "real")]
    final_ratio: f64,
    #[serde(deserialize_with = "reals")]
    intermediate: Vec<f64>,
    #[serde(deserialize_with = "real")]
    student_lr: f64,
    #[serde(deserialize_with = "real")]
    balance_factor: f64,
    perturbation: Perturbation,
    #[serde(deserialize_with = "real")]
    reach: f64,
    #[serde(deserialize_with = "real")]
    alignment: f64,
    #[serde(deserialize_with = "real")]
    image_gradient: f64,
    seconds: f64,
}

impl From<Step> for Event {
    fn from(line: Step) -> Self {
        let Step {
            seq,
            time,
            step,
            expert,
            start_epoch,
            matching_loss,
            final_ratio,
            intermediate,
            student_lr,
            ..
        } = line;
        let Step {
            balance_factor,
            perturbation,
            reach,
            alignment,
            image_gradient,
            seconds,
            ..
        } = line;
        let what = EventKind::DistillStep {
            step,
            expert,
            start_epoch,
            matching_loss,
            final_ratio,
            intermediate,
            student_lr,
            balance_factor,
            perturbation,
            reach,
            alignment,
            image_gradient,
            seconds,
        };
        Self { seq, time, what }
    }
}
