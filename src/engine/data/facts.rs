//! What is noticed about single images.

use super::pixels::Pixels;
use rayon::prelude::*;

/// What a decoder noticed in an image file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// At least one pixel is not opaque.
    pub is_transparent: bool,
    /// Its metadata asks for it to be turned or mirrored, which is not done.
    pub is_turned: bool,
    /// It is stored without colours.
    pub is_grey: bool,
    /// The largest value of an image with 16 bits per value; none for others.
    pub deepest: Option<u16>,
}

impl ImageFacts {
    /// For the cache.
    pub const BYTES: usize = 3;

    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let flag = |is_set: bool, bit: u8| u8::from(is_set) << bit;
        let flags = flag(self.is_transparent, 0)
            | flag(self.is_turned, 1)
            | flag(self.is_grey, 2)
            | flag(self.deepest.is_some(), 3);
        let [low, high] = self.deepest.unwrap_or_default().to_le_bytes();
        [flags, low, high]
    }

    pub fn from_bytes([flags, low, high]: [u8; Self::BYTES]) -> Self {
        let flag = |bit: u8| flags >> bit & 1 == 1;
        Self {
            is_transparent: flag(0),
            is_turned: flag(1),
            is_grey: flag(2),
            deepest: flag(3).then(|| u16::from_le_bytes([low, high])),
        }
    }
}

/// A hash of every image: equal for equal pixels.
pub fn hashes(pixels: &Pixels) -> Vec<u128> {
    let image = pixels.bytes_per_image().max(1);
    pixels.bytes().par_chunks(image).map(hash).collect()
}

/// The hash of an image's pixels.
pub fn hash(pixels: &[u8]) -> u128 {
    let mut first = [0; 16];
    first.copy_from_slice(&blake3::hash(pixels).as_bytes()[..16]);
    u128::from_le_bytes(first)
}
