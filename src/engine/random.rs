//! Counter-based randomness: every draw of a run comes from a generator that is seeded by the
//! purpose of the draw.
//!
//! No random state is ever stored: a step that is interrupted, replayed in the backward pass, or
//! resumed on another day makes the generator of the same purpose and gets the same numbers, on
//! every device. So the state of a run is a few tensors and plain numbers
//! (`trainer::checkpoint`), and a resumed run ends in the same bytes.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};
use tch::Tensor;

/// The generator of one purpose: `seed` is the run's, `purpose` names what is drawn, `index` which
/// one of them (expert and epoch, iteration, evaluation, …).
pub fn generator(seed: u64, purpose: &str, index: &[u64]) -> ChaCha8Rng {
    let mut hash = blake3::Hasher::new_derive_key("astill counter-based randomness");
    hash.update(&seed.to_le_bytes());
    hash.update(&(purpose.len() as u64).to_le_bytes());
    hash.update(purpose.as_bytes());
    for i in index {
        hash.update(&i.to_le_bytes());
    }
    ChaCha8Rng::from_seed(*hash.finalize().as_bytes())
}

/// `n` standard normal numbers, f32 on the CPU, shape (n).
pub fn normal(rng: &mut ChaCha8Rng, n: usize) -> Tensor {
    let values: Vec<f32> = StandardNormal.sample_iter(rng).take(n).collect();
    Tensor::from_slice(&values)
}

/// `n` numbers uniform in [0, 1), f32 on the CPU, shape (n).
pub fn uniform(rng: &mut ChaCha8Rng, n: usize) -> Tensor {
    use rand::RngExt;
    let values: Vec<f32> = (0..n).map(|_| rng.random::<f32>()).collect();
    Tensor::from_slice(&values)
}

/// `n` integers uniform in [low, high], i64 on the CPU, shape (n).
pub fn integers(rng: &mut ChaCha8Rng, n: usize, low: i64, high: i64) -> Tensor {
    let values: Vec<i64> = match Uniform::new_inclusive(low, high) {
        Ok(range) => range.sample_iter(rng).take(n).collect(),
        Err(_) => vec![low; n],
    };
    Tensor::from_slice(&values)
}

/// The numbers 0 … n − 1 in random order.
pub fn permutation(rng: &mut ChaCha8Rng, n: usize) -> Vec<i64> {
    use rand::seq::SliceRandom;
    let mut order: Vec<i64> = (0..n as i64).collect();
    order.shuffle(rng);
    order
}

/// An integer uniform in [0, n); 0 for n = 0.
pub fn below(rng: &mut ChaCha8Rng, n: u64) -> u64 {
    use rand::RngExt;
    rng.random_range(0..n.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn a_generator_depends_on_seed_purpose_and_index_and_on_nothing_else() {
        let first = |seed, purpose, index: &[u64]| generator(seed, purpose, index).next_u64();
        assert_eq!(first(1, "expert", &[2, 3]), first(1, "expert", &[2, 3]));
        for other in [
            first(2, "expert", &[2, 3]),
            first(1, "distill", &[2, 3]),
            first(1, "expert", &[3, 2]),
        ] {
            assert_ne!(first(1, "expert", &[2, 3]), other);
        }
    }

    #[test]
    fn a_permutation_holds_every_number_once() {
        let mut order = permutation(&mut generator(0, "p", &[]), 100);
        assert_ne!(order, (0..100).collect::<Vec<i64>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<i64>>());
    }
}
