//! astill's own GPU kernels, and how they are launched.
//!
//! Between two convolutions of a student step lie only passes over planes and vectors; libtorch would
//! launch dozens of small kernels for each. The sources (`*.cu`) are compiled at run time for the GPU
//! at hand (`compiler`), so that building astill needs no CUDA, and launched on the stream that
//! libtorch uses (`cuda`). The tests run the same sources on the CPU.

mod compiler;
mod cuda;

pub use cuda::try_out;

use crate::failure::FROM_KERNEL;
use std::fmt::Debug;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// An argument of a kernel.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'a> {
    /// The values of a contiguous tensor, of the kind of the launch.
    Values(&'a Tensor),
    /// The values of a contiguous i64 tensor.
    Indices(&'a Tensor),
    /// A null pointer in place of a tensor.
    Null,
    /// An `int`.
    Int(i64),
    /// A `double`.
    Double(f64),
}

/// One launch of a kernel.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Its name in the sources.
    pub kernel: &'static str,
    /// The type that REAL stands for: float or double.
    pub kind: Kind,
    pub blocks: i64,
    /// Threads per block: a power of two up to 1,024.
    pub threads: u32,
    /// Values of shared memory per thread.
    pub shared: u32,
    pub arguments: &'a [Argument<'a>],
}

/// A device that kernels can be launched on.
pub trait Kernels: Debug + Send + Sync {
    /// Queues a kernel and returns without waiting for it.
    ///
    /// # Panics
    /// The kernel cannot be launched; libtorch's operations panic alike.
    fn launch(&self, launch: &Launch<'_>);
}

/// The kernels for a device: none for the CPU, nor for a GPU that they cannot be compiled for, of
/// which [`try_out`] has warned.
pub fn of(device: Device) -> Option<Arc<dyn Kernels>> {
    match device {
        Device::Cuda(index) => cuda::kernels(index).ok(),
        _ => None,
    }
}

/// The arguments of a launch as `cuLaunchKernel` takes them: each in eight bytes of its own.
///
/// # Panics
/// A tensor is not contiguous, of another kind or on another device; an integer is no `int`.
pub fn packed(launch: &Launch<'_>, device: Device) -> Vec<u64> {
    let Launch { kernel, kind, .. } = *launch;
    let address = |tensor: &Tensor, kind: Kind| {
        assert!(
            tensor.is_contiguous() && tensor.kind() == kind && tensor.device() == device,
            "{FROM_KERNEL}{kernel} takes contiguous tensors of kind {kind:?} on {device:?}, not {tensor:?}"
        );
        tensor.data_ptr() as u64
    };
    let pack = |argument: &Argument<'_>| match argument {
        Argument::Values(tensor) => address(tensor, kind),
        Argument::Indices(tensor) => address(tensor, Kind::Int64),
        Argument::Null => 0,
        // an `int` is the first half of these bytes
        Argument::Int(number) => match i32::try_from(*number) {
            Ok(int) => int as u64,
            Err(_) => {
                panic!("{FROM_KERNEL}{kernel} counts no further than an int, not to {number}")
            }
        },
        Argument::Double(number) => number.to_bits(),
    };
    launch.arguments.iter().map(pack).collect()
}

/// How many threads a block has that processes `n` values together.
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
