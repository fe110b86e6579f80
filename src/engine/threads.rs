//! How many threads compute, and whether the system allows them.

use crate::open_files;
use astill_core::{Error, Result, cores};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

/// Threads besides those that compute: the trainer, the socket, signals, connections.
const OTHERS: usize = 8;
/// Computing threads start up to this often: for libtorch's operations, for its thread pool, and
/// for the pieces of a batch.
const POOLS: usize = 3;
/// More than any machine has; a record that names more is not trusted.
pub const MOST: i64 = 4096;
/// How a user chooses the number, and what a process is told by.
pub const CHOSEN_BY_USER: &str = "OMP_NUM_THREADS";
const CHOSEN_BY: [&str; 2] = [CHOSEN_BY_USER, "MKL_NUM_THREADS"];

/// Makes libtorch use no more threads than this process may run at a time: it knows the processors
/// of the machine and those that this process is bound to, but not the quota of a container or a
/// batch job. What the user has chosen holds.
pub fn limit() {
    let allowed = cores::usable().map_or(i32::MAX, |n| n.try_into().unwrap_or(i32::MAX));
    if !is_chosen() && allowed < tch::get_num_threads() {
        tch::set_num_threads(allowed);
    }
}

fn is_chosen() -> bool {
    CHOSEN_BY
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()))
}

/// The threads of each of `processes` that compute at the same time and share the processors; none
/// where the user has chosen a number, which then holds for each of them.
pub fn per_process(processes: usize) -> Option<usize> {
    let all = cores::usable().unwrap_or(1);
    (!is_chosen()).then(|| share(all, processes))
}

fn share(all: usize, processes: usize) -> usize {
    (all / processes.max(1)).max(1)
}

/// Starts as many threads as a run needs, and ends them again. libtorch hangs or ends the process
/// where it cannot start its own. Open files, which have a limit too, are checked with them.
///
/// # Errors
/// [`Error::Usage`] if the system refuses one, or allows too few open files.
pub fn check() -> Result<()> {
    check_for(tch::get_num_threads().into())
}

/// As [`check`], for a run that computes with `threads`: a resumed one has those of its beginning, and
/// a worker those of its engine.
///
/// # Errors
/// As [`check`].
pub fn check_for(threads: i64) -> Result<()> {
    open_files::check()?;
    start(POOLS * threads.clamp(1, MOST) as usize + OTHERS)
}

fn start(count: usize) -> Result<()> {
    let (mut started, mut refused) = (Vec::<JoinHandle<()>>::new(), None);
    // all of them live until it is free
    let hold = Arc::new(Mutex::new(()));
    let held = hold.lock();
    for _ in 0..count {
        let hold = hold.clone();
        let wait = move || drop(hold.lock());
        match Builder::new().stack_size(64 << 10).spawn(wait) {
            Ok(thread) => started.push(thread),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    drop(held);
    let running = started.len();
    for thread in started {
        let _ = thread.join();
    }
    refused.map_or(Ok(()), |error| {
        Err(Error::Usage(format!(
            "computing takes up to {count} threads, and the system allows only {running} \
             ({error}): this user, or the container or batch job, may have no more processes. Raise \
             that limit (`ulimit -u`, pids.max), or use fewer threads: OMP_NUM_THREADS=1"
        )))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_share_the_processors_and_have_one_thread_at_least() {
        assert_eq!([share(16, 4), share(2, 3), share(8, 0)], [4, 1, 8]);
    }

    #[test]
    fn threads_that_the_system_allows_are_started_and_ended() {
        assert!(check().is_ok());
    }
}
