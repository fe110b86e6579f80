//! The numbers that a fused pass computes with, and tensors as slices of them.

use std::ops::{Add, AddAssign, Div, Mul, Sub};
use tch::{Device, Tensor};

/// The values that a fused pass computes with.
pub(super) trait Real:
    Copy
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + tch::kind::Element
{
    fn of(value: f64) -> Self;
    fn sqrt(self) -> Self;
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

/// The values of a contiguous tensor in the CPU's memory, in order. Panics if it is another.
///
/// Nobody may write to the tensor, through whatever view, while the slice lives: the passes hold
/// tensors of their own.
pub(super) fn values<T: Real>(t: &Tensor) -> &[T] {
    check::<T>(t);
    if t.numel() == 0 {
        return &[];
    }
    // SAFETY: `check` found numel() values of type T, contiguous and in the CPU's memory; they live
    // as long as the tensor that the slice borrows, and nobody writes to them meanwhile (above).
    unsafe { std::slice::from_raw_parts(t.data_ptr().cast(), t.numel()) }
}

/// [`values`], to be written to; nobody may read through another view meanwhile.
pub(super) fn values_mut<T: Real>(t: &mut Tensor) -> &mut [T] {
    check::<T>(t);
    if t.numel() == 0 {
        return &mut [];
    }
    // SAFETY: as in `values`; the tensor is borrowed mutably, and no other view of it is used
    // meanwhile (above).
    unsafe { std::slice::from_raw_parts_mut(t.data_ptr().cast(), t.numel()) }
}

fn check<T: Real>(t: &Tensor) {
    let found = (t.device(), t.kind(), t.is_contiguous());
    assert_eq!(
        found,
        (Device::Cpu, T::KIND, true),
        "a tensor for a fused pass: device, kind, contiguous"
    );
}
