//! Makes inputs that nobody meant: valid ones with bits flipped, cut, spliced, repeated, with
//! absurd numbers, and plain noise. The same ones every time.

use super::place::in_full;

/// How many inputs every parser gets in `make faults`, and in `make test`.
const FULL: u64 = 1_000_000;
pub const SHORT: u64 = 1_500;

const NUMBERS: [&str; 12] = [
    "-1",
    "0",
    "1e999",
    "-1e999",
    "NaN",
    "0.1e-400",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "-9223372036854775808",
    "99999999999999999999999999999999999999999",
];

/// Makes inputs from `seeds`.
pub struct Inputs {
    seeds: Vec<Vec<u8>>,
    state: u64,
}

impl Inputs {
    pub fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self { seeds, state: 1 }
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        (self.random() % end.max(1) as u64) as usize
    }

    /// A stretch of at most `longest` of `length` bytes.
    fn stretch(&mut self, length: usize, longest: usize) -> std::ops::Range<usize> {
        let from = self.below(length + 1);
        from..(from + self.below(longest + 1)).min(length)
    }

    fn noise(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.random() as u8).collect()
    }

    /// A valid input.
    fn seed(&mut self) -> Vec<u8> {
        let which = self.below(self.seeds.len());
        self.seeds[which].clone()
    }

    pub fn next(&mut self) -> Vec<u8> {
        if self.below(16) == 0 {
            let length = self.below(400);
            return self.noise(length);
        }
        let mut input = self.seed();
        for _ in 0..=self.below(4).min(self.below(4)) {
            self.spoil(&mut input);
        }
        input
    }

    fn spoil(&mut self, input: &mut Vec<u8>) {
        match self.below(8) {
            0 | 1 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] ^= 1 << self.below(8);
            }
            2 => input.truncate(self.below(input.len() + 1)),
            3 => {
                // the end of another
                let other = self.seed();
                input.truncate(self.below(input.len() + 1));
                input.extend_from_slice(&other[self.below(other.len() + 1)..]);
            }
            4 => {
                let (place, length) = (self.stretch(input.len(), 16), self.below(16));
                input.splice(place, self.noise(length));
            }
            5 => {
                let (place, times) = (self.stretch(input.len(), 32), self.below(64));
                let repeated = input[place.clone()].repeat(times);
                input.splice(place, repeated);
            }
            6 => {
                // signs that build structure
                let sign = b"{}[]()\"':,-?&*!|>%@#\n\t\\\0 ~=<."[self.below(29)];
                let (at, times) = (self.below(input.len() + 1), 1 + self.below(200));
                input.splice(at..at, std::iter::repeat_n(sign, times));
            }
            _ => {
                let begins: Vec<usize> = (0..input.len())
                    .filter(|&i| {
                        input[i].is_ascii_digit() && (i == 0 || !input[i - 1].is_ascii_digit())
                    })
                    .collect();
                if let Some(&begin) = begins.get(self.below(begins.len())) {
                    let length = input[begin..]
                        .iter()
                        .take_while(|b| b.is_ascii_digit() || **b == b'.')
                        .count();
                    let number = NUMBERS[self.below(NUMBERS.len())];
                    input.splice(begin..begin + length, number.bytes());
                }
            }
        }
    }
}

/// How many inputs to try: as many as ASTILL_INPUTS says, where it is set.
pub fn count() -> u64 {
    let given = std::env::var("ASTILL_INPUTS").ok();
    let usual = if in_full() { FULL } else { SHORT };
    given.and_then(|count| count.parse().ok()).unwrap_or(usual)
}
