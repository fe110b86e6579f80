//! Work on images that may not all fit into a GPU's memory at once is done in pieces: the whole, or its
//! halves, quarters and so on. Sizes that depended on every byte that is free would add up in another
//! order each time.

use crate::{device, failure, guard};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU32, Ordering};
use tch::Device;

/// Plans use this share of the available memory: the allocator also needs some between blocks.
const USABLE: f64 = 0.8;
/// Work that takes less, in bytes, is tried without asking how much is available.
const SMALL: f64 = 256e6;
/// Plans are halved at most so often.
const MOST_HALVINGS: u32 = 16;

/// How often memory has run out in this process all the same. Plans are halved as often, or each would
/// fail again.
static HALVINGS: AtomicU32 = AtomicU32::new(0);

/// How many of `n` images to process at a time, where each takes about so many bytes: all of them on
/// the CPU, and where the memory of the GPU is not known.
#[must_use]
pub fn planned(on: Device, n: i64, bytes_of_image: f64) -> i64 {
    if n as f64 * bytes_of_image < SMALL {
        return n;
    }
    let Some(available) = device::available_bytes(on) else {
        return n;
    };
    let halvings = f64::from(HALVINGS.load(Ordering::Relaxed));
    let budget = available as f64 * USABLE / halvings.exp2();
    halved(n, (budget / bytes_of_image) as i64)
}

/// `n` halved as often as it takes to be at most `most`; at least 1.
fn halved(n: i64, most: i64) -> i64 {
    let mut piece = n;
    while piece > most.max(1) {
        piece = half(piece);
    }
    piece
}

/// The larger half.
fn half(piece: i64) -> i64 {
    (piece + 1) / 2
}

/// Does `work` with pieces of this size, and again with half of it whenever the GPU runs out of memory;
/// also the size that fitted. `work` changes nothing but what it returns.
pub fn until_it_fits<T>(on: Device, piece: i64, work: impl Fn(i64) -> T) -> (T, i64) {
    if on == Device::Cpu {
        return (work(piece), piece);
    }
    let mut piece = piece;
    loop {
        match guard::caught(|| work(piece)) {
            Ok(result) => return (result, piece),
            Err(payload)
                if piece > 1 && failure::is_out_of_memory(failure::text(payload.as_ref())) =>
            {
                let more = |halvings| (halvings < MOST_HALVINGS).then_some(halvings + 1);
                let _ = HALVINGS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
                piece = half(piece);
            }
            Err(payload) => resume_unwind(payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn a_piece_is_the_whole_halved_as_often_as_it_takes() {
        assert_eq!(halved(256, 1000), 256);
        assert_eq!(halved(256, 255), 128);
        assert_eq!(halved(10, 3), 3);
        assert_eq!(halved(5, 0), 1);
        assert_eq!(halved(0, 5), 0);
        assert_eq!(planned(Device::Cpu, 1000, 1e9), 1000);
    }

    #[test]
    fn pieces_are_halved_until_they_fit() {
        let tried = RefCell::new(Vec::new());
        let work = |piece| {
            tried.borrow_mut().push(piece);
            assert!(piece <= 3, "CUDA out of memory");
            piece
        };
        assert_eq!(until_it_fits(Device::Cuda(0), 10, work), (3, 3));
        assert_eq!(*tried.borrow(), [10, 5, 3]);
    }

    #[test]
    fn another_failure_is_passed_on_at_once() {
        let other =
            guard::guarded(|| until_it_fits(Device::Cuda(0), 10, |_| panic!("another failure")));
        assert_eq!(other, None::<((), i64)>);
    }
}
