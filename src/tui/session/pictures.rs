//! The pictures of a run, decoded.

use crate::tui::model::Sample;
use crate::tui::picture::Picture;
use std::collections::{HashMap, HashSet, VecDeque};

/// Decoded pictures are kept up to this many bytes, but at least a few.
const PICTURE_BYTES: usize = 64 << 20;
const FEWEST_PICTURES: usize = 4;

/// Decoded pictures, and those that are being read.
#[derive(Debug, Default)]
pub struct Pictures {
    /// By file and event.
    decoded: HashMap<(String, u64), Result<Picture, String>>,
    order: VecDeque<(String, u64)>,
    bytes: usize,
    pending: HashSet<(String, u64)>,
}

impl Pictures {
    /// The picture of a sample, or why there is none; nothing before it has been read.
    pub fn get(&self, sample: &Sample) -> Option<Result<&Picture, &str>> {
        self.decoded
            .get(&key(sample))
            .map(|r| r.as_ref().map_err(String::as_str))
    }

    /// Whether the caller has to have it read; from then on it is pending.
    pub fn request(&mut self, sample: &Sample) -> bool {
        !self.decoded.contains_key(&key(sample)) && self.pending.insert(key(sample))
    }

    /// Takes what was read.
    pub fn put(&mut self, sample: &Sample, picture: Result<Picture, String>) {
        let key = key(sample);
        self.pending.remove(&key);
        self.bytes += size(&picture);
        if let Some(old) = self.decoded.insert(key.clone(), picture) {
            self.bytes -= size(&old);
        } else {
            self.order.push_back(key);
        }
        while self.bytes > PICTURE_BYTES && self.order.len() > FEWEST_PICTURES {
            let oldest = self.order.pop_front();
            let dropped = oldest.and_then(|key| self.decoded.remove(&key));
            self.bytes -= dropped.as_ref().map_or(0, size);
        }
    }
}

fn key(sample: &Sample) -> (String, u64) {
    (sample.file.clone(), sample.seq)
}

fn size(picture: &Result<Picture, String>) -> usize {
    picture.as_ref().map_or(0, |p| p.rgb.len())
}
