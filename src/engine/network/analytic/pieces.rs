//! A batch processed in pieces: few enough images for their activations to stay in the caches,
//! several pieces at a time.
//!
//! Each thread does all operations of its piece, with one thread per operation, so threads do not
//! wait for each other between operations, and memory is that of a few images per thread. The
//! results are added up in the order of the pieces, so the number of threads changes no bit.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// Images of a piece, at most. Measured: with more, convolutions get no faster per image, and
/// everything else gets slower.
pub(crate) const PIECE: i64 = 5;

/// A stretch of the images of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    /// Which of the pieces, from 0.
    pub index: usize,
    /// Its first image.
    pub from: i64,
    pub length: i64,
}

/// The number of pieces of `n` images.
pub(crate) fn pieces(n: i64) -> i64 {
    (n + PIECE - 1) / PIECE
}

/// The prefix of the names of threads that work on pieces; a panic in one propagates to the waiting
/// thread.
pub const PIECE_THREAD: &str = "piece";

/// Threads for the pieces of batches: as many as libtorch used for an operation when this was made.
///
/// While it lives, libtorch uses one thread for an operation on this thread: OpenMP's threads wait
/// for the next operation in a busy loop, which takes the processor from the workers.
#[derive(Debug)]
pub(crate) struct Workers {
    threads: i32,
    /// None for a single thread, and where the system refuses to start more.
    pool: Option<Arc<ThreadPool>>,
}

/// The threads of the latest workers: libraries keep memory for every thread, which would be
/// allocated anew for every batch.
static POOL: Mutex<Option<Arc<ThreadPool>>> = Mutex::new(None);

impl Workers {
    pub fn new() -> Self {
        let threads = tch::get_num_threads();
        tch::set_num_threads(1);
        Self {
            threads,
            pool: (threads > 1).then(|| pool(threads as usize)).flatten(),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        tch::set_num_threads(self.threads);
    }
}

fn pool(threads: usize) -> Option<Arc<ThreadPool>> {
    let mut latest = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if latest
        .as_ref()
        .is_none_or(|pool| pool.current_num_threads() != threads)
    {
        let one_each = |_| {
            // libtorch sets the number of a new thread when it is first read, which would otherwise
            // happen after we set it
            tch::get_num_threads();
            tch::set_num_threads(1);
        };
        let name = |i| format!("{PIECE_THREAD} {i}");
        *latest = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(name)
            .start_handler(one_each)
            .build()
            .ok()
            .map(Arc::new);
    }
    latest.clone()
}

/// Does `work(shared, piece)` for all pieces of `n` images, and hands the results to `collect`, in
/// order.
///
/// Every worker has a copy of what is `shared`, and its operations take one thread, so nothing
/// waits except for the last piece. The pieces, and so the results, do not depend on the number of
/// threads.
pub(crate) fn in_pieces<S: Send, R: Send>(
    workers: &Workers,
    n: i64,
    share: impl Fn() -> S,
    work: impl Fn(&S, Piece) -> R + Sync,
    mut collect: impl FnMut(R),
) {
    let pieces = pieces(n);
    let piece = |shared: &S, i: i64| {
        let (from, to) = (n * i / pieces, n * (i + 1) / pieces);
        tch::no_grad(|| {
            work(
                shared,
                Piece {
                    index: i as usize,
                    from,
                    length: to - from,
                },
            )
        })
    };
    let threads = i64::from(workers.threads).min(pieces);
    let Some(pool) = workers.pool.as_ref().filter(|_| threads > 1) else {
        let shared = share();
        return (0..pieces).for_each(|i| collect(piece(&shared, i)));
    };
    let next = AtomicI64::new(0);
    let (send, receive) = mpsc::channel();
    // a panic of a worker propagates to here
    pool.in_place_scope(|scope| {
        let (piece, next) = (&piece, &next);
        for _ in 0..threads {
            let (shared, send) = (share(), send.clone());
            scope.spawn(move |_| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= pieces || send.send((i, piece(&shared, i))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let (mut early, mut due) = (BTreeMap::new(), 0);
        for (i, result) in receive {
            early.insert(i, result);
            while let Some(result) = early.remove(&due) {
                collect(result);
                due += 1;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_in_one_piece_and_results_come_in_order() {
        for n in [0, 1, 5, 6, 23] {
            let mut seen = Vec::new();
            in_pieces(
                &Workers::new(),
                n,
                || (),
                |(), p| (p.from..p.from + p.length).collect::<Vec<_>>(),
                |rows| seen.extend(rows),
            );
            assert_eq!(seen, (0..n).collect::<Vec<_>>());
        }
    }
}
