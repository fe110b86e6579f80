//! Kernels of our own for GPUs: what they are, and how they are launched.
//!
//! Between two convolutions of a student step lie only passes over planes and vectors; libtorch would
//! take dozens of small kernels for each. The sources (`*.cu`) are compiled when they are first used
//! (`compiler`), for the GPU at hand, so that building astill takes no CUDA, and launched on libtorch's
//! own stream (`cuda`). The tests run the same sources on the CPU.

mod compiler;
mod cuda;

use std::fmt::Debug;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

pub use cuda::try_out;

/// What a kernel is given.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'a> {
    /// The values of a contiguous tensor.
    Values(&'a Tensor),
    /// No tensor: a null pointer.
    Nothing,
    /// An `int`.
    Whole(i64),
    /// A `double`.
    Number(f64),
}

/// One launch of a kernel.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Its name in the sources.
    pub kernel: &'static str,
    /// What REAL is in it.
    pub kind: Kind,
    pub blocks: i64,
    /// Of a block: a power of two up to 1,024.
    pub threads: u32,
    /// Values of a block's shared memory per thread.
    pub shared: u32,
    pub arguments: &'a [Argument<'a>],
}

/// Who can launch kernels.
pub trait Kernels: Debug + Send + Sync {
    /// Launches a kernel; nobody waits for it.
    ///
    /// # Panics
    /// It cannot be launched, as libtorch's operations do.
    fn launch(&self, launch: &Launch<'_>);
}

/// The kernels for a GPU; none for the CPU, and where they cannot be compiled.
pub fn of(device: Device) -> Option<Arc<dyn Kernels>> {
    match device {
        Device::Cuda(index) => cuda::kernels(index).ok(),
        _ => None,
    }
}

/// The values of arguments as `cuLaunchKernel` takes them: each in eight bytes of its own.
///
/// # Panics
/// A tensor is not contiguous.
pub fn packed(arguments: &[Argument<'_>]) -> Vec<u64> {
    let pack = |argument: &Argument<'_>| match argument {
        Argument::Values(tensor) => {
            assert!(
                tensor.is_contiguous(),
                "a tensor for a kernel is contiguous"
            );
            tensor.data_ptr() as u64
        }
        Argument::Nothing => 0,
        // an `int` is the first half of these bytes
        Argument::Whole(number) => *number as u64,
        Argument::Number(number) => number.to_bits(),
    };
    arguments.iter().map(pack).collect()
}

/// How many threads work on `n` values that a block processes together.
pub fn threads_for(n: i64) -> u32 {
    const EACH: i64 = 4;
    const MOST: u32 = 512;
    const LEAST: u32 = 32;
    let wanted = u32::try_from(n / EACH).unwrap_or(MOST).min(MOST);
    wanted.next_power_of_two().clamp(LEAST, MOST)
}

/// Launches a kernel that has one thread for each of `n` values.
pub fn for_each_value(
    kernels: &dyn Kernels,
    kernel: &'static str,
    (kind, n): (Kind, i64),
    arguments: &[Argument<'_>],
) {
    const THREADS: i64 = 256;
    kernels.launch(&Launch {
        kernel,
        kind,
        blocks: (n + THREADS - 1) / THREADS,
        threads: THREADS as u32,
        shared: 0,
        arguments,
    });
}
