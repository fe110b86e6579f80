//! How freed memory is reused, and what happens when memory runs out. libtorch throws then, which
//! the run records. Most allocations of Rust itself cannot report failure, so for them the program
//! prints a message and exits instead of aborting.

use astill_core::profile::MEMORY_KEYS;
use std::alloc::{GlobalAlloc, Layout, System};

/// Nothing in this program is this large: a larger request comes from a damaged file, and the code
/// that reads the file handles the failure.
const ABSURD: usize = 1 << 40;
const MESSAGE: &[u8] = b"astill: out of memory. A run loses only its work since the last \
                         checkpoint or expert epoch. With more memory, continue with \
                         `astill resume`; otherwise start a new run with a smaller ";

/// Makes glibc keep freed blocks, large ones too, instead of giving every one back to the kernel:
/// half of a training step on the CPU is page faults otherwise. To be called first thing in `main`.
pub fn keep_freed() {
    const BIG: libc::c_int = 1 << 30;
    // SAFETY: two settings of the allocator, both numbers
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, BIG);
        libc::mallopt(libc::M_TRIM_THRESHOLD, BIG);
    }
}

/// Returns all freed blocks to the kernel once: after something large that will not be needed
/// again.
pub fn return_freed() {
    // SAFETY: it touches only memory that is free
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The system's allocator, which exits with a message where it has no memory left.
#[derive(Debug)]
pub struct Memory;

fn checked(block: *mut u8, size: usize) -> *mut u8 {
    if block.is_null() && size < ABSURD {
        // SAFETY: the pointers and lengths are those of constants; no call allocates memory
        unsafe {
            for part in [MESSAGE, MEMORY_KEYS.as_bytes(), b"\n"] {
                libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len());
            }
            libc::_exit(1);
        }
    }
    block
}

// SAFETY: every call goes to the system's allocator with the same arguments, and a failure is
// either returned or ends the process
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: what the caller promises to this is what `System` needs; the same below
        checked(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above
        checked(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above
        checked(unsafe { System.realloc(block, layout, size) }, size)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above
        unsafe { System.dealloc(block, layout) }
    }
}
