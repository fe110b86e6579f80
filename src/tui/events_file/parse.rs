//! Lines to events, many at a time.
//!
//! Serde reads an internally tagged enum by way of a tree of values. Nearly all lines of a long run
//! are distillation steps: these go straight into the fields of their struct, everything else the
//! general way.

use astill_core::run::event::{DistillStep, Event, EventKind};
use rayon::prelude::*;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// Pieces smaller than this are not worth another thread.
const PIECE: usize = 256 << 10;

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
    let step = serde_json::from_slice::<StepLine>(line).ok();
    step.map(|line| line.0)
        .or_else(|| serde_json::from_slice(line).ok())
}

/// A line that begins with the keys `seq`, `time` and `kind`, as engines write it, of the kind
/// `distill_step`. Any other line is refused at its first keys.
struct StepLine(Event);

impl<'de> Deserialize<'de> for StepLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(StepVisitor)
    }
}

struct StepVisitor;

impl<'de> Visitor<'de> for StepVisitor {
    type Value = StepLine;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event of the kind distill_step")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StepLine, A::Error> {
        let seq = value(&mut map, "seq")?;
        let time = value(&mut map, "time")?;
        if value::<&str, A>(&mut map, "kind")? != "distill_step" {
            return Err(A::Error::custom("another kind"));
        }
        let step = DistillStep::deserialize(MapAccessDeserializer::new(map))?;
        let what = EventKind::DistillStep(step);
        Ok(StepLine(Event { seq, time, what }))
    }
}

/// The value of the next key, which must be this one.
fn value<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    map: &mut A,
    key: &str,
) -> Result<T, A::Error> {
    match map.next_key::<&str>()? {
        Some(found) if found == key => map.next_value(),
        _ => Err(A::Error::custom("another key")),
    }
}
