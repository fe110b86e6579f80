//! Calls into libraries that panic where their input is damaged.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// The result of `call`; none if it panics, of which nobody is told.
pub fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    caught(call).ok()
}

/// The result of `call`, or the payload of its panic, of which nobody else is told.
///
/// # Errors
/// The payload.
pub fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    let before = IS_GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    IS_GUARDED.set(before);
    result
}

/// Whether a panic on this thread is expected, and so no bug.
pub fn is_guarded() -> bool {
    IS_GUARDED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_expected_only_within_a_guarded_call() {
        assert_eq!(guarded(|| (is_guarded(), 1)), Some((true, 1)));
        let broken: Option<()> = guarded(|| {
            assert_eq!(guarded(is_guarded), Some(true));
            panic!("damaged")
        });
        assert!(broken.is_none() && !is_guarded());
    }
}
