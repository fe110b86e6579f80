//! Tensors that go to a GPU together: each copy of its own would wait until the GPU has done
//! everything that was queued before.

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

unsafe extern "C" {
    fn astill_pinned_bytes(bytes: i64) -> *mut C_tensor;
}

/// Every tensor begins at a multiple of this many bytes.
const ALIGNED: i64 = 16;

/// Moves `tensors` from the CPU to `device`: to a GPU by one copy from pinned memory, which the host
/// does not wait for.
pub(super) fn move_together(tensors: Vec<&mut Tensor>, device: Device) {
    if device == Device::Cpu || tensors.is_empty() {
        return;
    }
    let places = Places::of(&tensors);
    let packed = pinned(places.total);
    places.pack(&tensors, &packed);
    let there = packed.to_device_(device, Kind::Uint8, true, false);
    places.unpack(&there, tensors);
}

/// A tensor of so many bytes in pinned memory; in ordinary memory where there is none, from which a copy
/// takes longer.
fn pinned(bytes: i64) -> Tensor {
    // SAFETY: a number goes in; it throws nothing and returns null or a tensor that nobody else owns
    let tensor = unsafe { astill_pinned_bytes(bytes) };
    match tensor.is_null() {
        true => Tensor::empty([bytes], (Kind::Uint8, Device::Cpu)),
        // SAFETY: as above
        false => unsafe { Tensor::from_ptr(tensor) },
    }
}

/// Where the bytes of each tensor lie in one of bytes.
struct Places {
    /// The first byte and the number of bytes.
    each: Vec<(i64, i64)>,
    total: i64,
}

impl Places {
    fn of(tensors: &[&mut Tensor]) -> Self {
        let (mut each, mut total) = (Vec::new(), 0);
        for tensor in tensors {
            let length = (tensor.numel() * tensor.kind().elt_size_in_bytes()) as i64;
            each.push((total, length));
            total += (length + ALIGNED - 1) / ALIGNED * ALIGNED;
        }
        Self { each, total }
    }

    /// Copies every tensor to its place in `bytes`, by this thread alone: libtorch's threads take longer
    /// to meet than this takes.
    fn pack(&self, tensors: &[&mut Tensor], bytes: &Tensor) {
        assert!(bytes.is_contiguous() && bytes.numel() as i64 == self.total);
        for (tensor, (from, length)) in tensors.iter().zip(&self.each) {
            assert_eq!(tensor.device(), Device::Cpu);
            let own = tensor.contiguous();
            // SAFETY: both tensors are contiguous, on the CPU, and live on; the first has `length`
            // bytes, and the second has as many from byte number `from` on
            unsafe {
                let to = bytes.data_ptr().cast::<u8>().add(*from as usize);
                to.copy_from_nonoverlapping(own.data_ptr().cast(), *length as usize);
            }
        }
    }

    /// Replaces every tensor by a view of its place in `bytes`.
    fn unpack(&self, bytes: &Tensor, tensors: Vec<&mut Tensor>) {
        for (tensor, (from, length)) in tensors.into_iter().zip(&self.each) {
            *tensor = bytes
                .narrow(0, *from, *length)
                .view_dtype(tensor.kind())
                .view(tensor.size().as_slice());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_all_kinds_come_out_as_they_went_in() {
        let mut all = [
            Tensor::from_slice(&[1i64, -2, 3]),
            Tensor::from_slice(&[0.5f32]),
            Tensor::from_slice(&[0.1f64, 0.2]).view([2, 1]),
        ];
        let before: Vec<Tensor> = all.iter().map(Tensor::copy).collect();
        let tensors: Vec<&mut Tensor> = all.iter_mut().collect();
        let places = Places::of(&tensors);
        let bytes = Tensor::zeros([places.total], (Kind::Uint8, Device::Cpu));
        places.pack(&tensors, &bytes);
        places.unpack(&bytes, tensors);
        for (now, before) in all.iter().zip(&before) {
            assert_eq!((now.size(), now.kind()), (before.size(), before.kind()));
            assert!(now.equal(before));
        }
    }
}
