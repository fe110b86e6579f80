//! How memory is kept, and the end of it. libtorch throws when it gets none, and the run's record
//! says so. Most of what Rust itself asks for comes without a way to fail, so there the program
//! says it and ends, instead of aborting; what could fail orderly ends the same way.

use astill_core::error::SMALLER;
use std::alloc::{GlobalAlloc, Layout, System};

/// Nothing of this program is as large: who asks for more was told so by a file, and refuses that
/// file.
const ABSURD: usize = 1 << 40;
const MESSAGE: &[u8] = b"astill: out of memory. Of a run, nothing before the last checkpoint, or \
                         the last epoch of an expert, is lost: with more memory, go on with \
                         `astill resume`; else start a new run with a smaller ";

/// Makes glibc keep freed blocks, large ones too, instead of giving every one back to the kernel:
/// half of a training step on the CPU is page faults otherwise. To be called first thing in `main`.
pub fn keep_freed() {
    const BIG: libc::c_int = 1 << 30;
    // SAFETY: numbers for the allocator
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, BIG);
        libc::mallopt(libc::M_TRIM_THRESHOLD, BIG);
    }
}

/// Gives the kernel all freed blocks once: for after something large that does not come again.
pub fn return_freed() {
    // SAFETY: it touches memory that nobody has
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The system's allocator, with such an end.
#[derive(Debug)]
pub struct Memory;

fn checked(block: *mut u8, size: usize) -> *mut u8 {
    if block.is_null() && size < ABSURD {
        // none of these calls takes memory
        unsafe {
            for part in [MESSAGE, SMALLER.as_bytes(), b"\n"] {
                libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len());
            }
            libc::_exit(1);
        }
    }
    block
}

// SAFETY: everything is the system allocator's, and a failure either is passed on or ends the
// process.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        checked(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        checked(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        checked(unsafe { System.realloc(block, layout, size) }, size)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }
}
