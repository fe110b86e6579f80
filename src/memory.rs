//! The end of memory. libtorch throws when it gets none, and the run's record says so; what Rust itself asks for is small and comes
//! without a way to fail, so there the program says it and ends, instead of aborting with a dump.

use std::alloc::{GlobalAlloc, Layout, System};

/// Where less than this cannot be had, nothing can be done any more. Who asks for more may have a way out.
const SMALL: usize = 64 << 20;
const MESSAGE: &[u8] = b"astill: out of memory. Of a run, nothing before the last checkpoint, or the last epoch of an expert, is lost: \
with more memory, go on with `astill resume`; else start a new run with a smaller distill.batch, expert.batch, network.width or distill.ipc\n";

/// The system's allocator, with such an end.
#[derive(Debug)]
pub struct Memory;

fn checked(block: *mut u8, size: usize) -> *mut u8 {
    if block.is_null() && size < SMALL {
        // neither call takes memory
        unsafe {
            libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len());
            libc::_exit(1);
        }
    }
    block
}

// SAFETY: everything is the system allocator's, and a failure either is passed on or ends the process.
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
