//! Work on images that may not all fit into a GPU's memory at once: it is done in pieces.

use crate::{device, failure, guard};
use std::panic::resume_unwind;
use tch::Device;

/// This share of the available memory is planned with: the allocator also needs some between blocks.
const USABLE: f64 = 0.8;
/// What takes less, in bytes, is tried without a look at the memory.
const SMALL: f64 = 256e6;

/// How many of `n` images are processed at a time, where each takes about so many bytes: all of them on
/// the CPU, and where the memory of the GPU is not known.
#[must_use]
pub fn images_at_once(on: Device, n: i64, bytes_of_image: f64) -> i64 {
    if n as f64 * bytes_of_image < SMALL {
        return n;
    }
    let available = device::available_bytes(on).map(|bytes| bytes as f64 * USABLE);
    available.map_or(n, |bytes| balanced(n, (bytes / bytes_of_image) as i64))
}

/// The size of as few pieces of `n` images as there are with at most `most` in each, all about equal.
fn balanced(n: i64, most: i64) -> i64 {
    let most = most.clamp(1, n.max(1));
    let pieces = ((n + most - 1) / most).max(1);
    (n + pieces - 1) / pieces
}

/// Does `work` with pieces of this size, and again with half of it as often as the GPU runs out of
/// memory. `work` changes nothing but what it returns.
pub fn halving<T>(on: Device, piece: i64, work: impl Fn(i64) -> T) -> T {
    if on == Device::Cpu {
        return work(piece);
    }
    let mut piece = piece;
    loop {
        match guard::caught(|| work(piece)) {
            Ok(result) => return result,
            Err(payload)
                if piece > 1 && failure::is_out_of_memory(failure::text(payload.as_ref())) =>
            {
                piece = (piece + 1) / 2;
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
    fn pieces_are_equal_and_as_few_as_fit() {
        assert_eq!(balanced(256, 1000), 256);
        assert_eq!(balanced(256, 200), 128);
        assert_eq!(balanced(10, 3), 3);
        assert_eq!(balanced(5, 0), 1);
        assert_eq!(balanced(0, 5), 0);
        assert_eq!(images_at_once(Device::Cpu, 1000, 1e9), 1000);
    }

    #[test]
    fn pieces_are_halved_until_they_fit() {
        let tried = RefCell::new(Vec::new());
        let work = |piece| {
            tried.borrow_mut().push(piece);
            assert!(piece <= 3, "CUDA out of memory");
            piece
        };
        assert_eq!(halving(Device::Cuda(0), 10, work), 3);
        assert_eq!(*tried.borrow(), [10, 5, 3]);
    }

    #[test]
    fn another_failure_is_passed_on_at_once() {
        let other = guard::guarded(|| halving(Device::Cuda(0), 10, |_| panic!("another failure")));
        assert_eq!(other, None::<()>);
    }
}
