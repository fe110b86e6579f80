//! Small tensors that go to a GPU together: each copy of its own would wait until the GPU has done
//! everything that was queued before.

use tch::{Device, Kind, Tensor};

/// Every tensor begins at a multiple of this many bytes.
const ALIGNED: i64 = 16;

/// Moves `tensors` from the CPU to `device`: to a GPU by one copy from pinned memory, which nobody
/// waits for.
pub(super) fn move_together(tensors: Vec<&mut Tensor>, device: Device) {
    if device == Device::Cpu {
        return;
    }
    let (packed, places) = packed(&tensors);
    let there = packed
        .pin_memory(device)
        .to_device_(device, Kind::Uint8, true, false);
    unpack(&there, tensors, &places);
}

/// The bytes of all tensors in a row, and where each begins.
fn packed(tensors: &[&mut Tensor]) -> (Tensor, Vec<i64>) {
    let (mut parts, mut places, mut end) = (Vec::new(), Vec::new(), 0);
    for tensor in tensors {
        let bytes = tensor.contiguous().view([-1]).view_dtype(Kind::Uint8);
        let length = bytes.size()[0];
        let gap = (ALIGNED - length % ALIGNED) % ALIGNED;
        places.push(end);
        end += length + gap;
        parts.push(bytes);
        if gap > 0 {
            parts.push(Tensor::zeros([gap], (Kind::Uint8, Device::Cpu)));
        }
    }
    (Tensor::cat(&parts, 0), places)
}

/// Replaces every tensor by a view of its bytes.
fn unpack(bytes: &Tensor, tensors: Vec<&mut Tensor>, places: &[i64]) {
    for (tensor, place) in tensors.into_iter().zip(places) {
        let length = (tensor.numel() * tensor.kind().elt_size_in_bytes()) as i64;
        *tensor = bytes
            .narrow(0, *place, length)
            .view_dtype(tensor.kind())
            .view(tensor.size().as_slice());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_all_kinds_come_out_of_one_as_they_went_in() {
        let mut all = [
            Tensor::from_slice(&[1i64, -2, 3]),
            Tensor::from_slice(&[0.5f32]),
            Tensor::from_slice(&[0.1f64, 0.2]).view([2, 1]),
        ];
        let before: Vec<Tensor> = all.iter().map(Tensor::copy).collect();
        let tensors: Vec<&mut Tensor> = all.iter_mut().collect();
        let (bytes, places) = packed(&tensors);
        unpack(&bytes, tensors, &places);
        for (now, before) in all.iter().zip(&before) {
            assert_eq!((now.size(), now.kind()), (before.size(), before.kind()));
            assert!(now.equal(before));
        }
    }
}
