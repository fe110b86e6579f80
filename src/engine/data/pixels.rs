//! Images as bytes that become a tensor without being copied.

use crate::{device, failure};
use astill_core::{Error, Result};
use tch::{Device, Kind, Tensor};

/// Images of one size: u8, (n, channels, side, side), image by image, plane by plane, row by row.
#[derive(Debug)]
pub struct Pixels {
    /// Contiguous, on the CPU, and the only tensor with this storage.
    images: Tensor,
}

impl Pixels {
    /// `count` black images of `channels` × `side` × `side`.
    ///
    /// # Errors
    /// [`Error::Usage`] if this machine has not so much memory; [`Error::Memory`] if it cannot be had
    /// now.
    pub fn black(count: usize, channels: usize, side: usize) -> Result<Self> {
        check_memory(count, channels, side)?;
        let shape = [count as i64, channels as i64, side as i64, side as i64];
        Tensor::f_zeros(shape, (Kind::Uint8, Device::Cpu))
            .map(|images| Self { images })
            .map_err(|error| failure::of_libtorch(&error))
    }

    /// Of a contiguous tensor on the CPU, u8 (n, channels, side, side), that nothing else shares.
    pub fn of(images: Tensor) -> Self {
        Self { images }
    }

    /// (n, channels, side, side)
    pub fn shape(&self) -> [usize; 4] {
        let shape = self.images.size();
        [0, 1, 2, 3].map(|dimension| shape[dimension] as usize)
    }

    /// The bytes of one image.
    pub fn bytes_per_image(&self) -> usize {
        self.shape()[1..].iter().product()
    }

    pub fn bytes(&self) -> &[u8] {
        match self.images.numel() {
            // its pointer may be null
            0 => &[],
            // SAFETY: the tensor is contiguous and of one byte per number, so `numel` initialised
            // bytes follow its pointer; they live as long as the tensor, and nobody can write to
            // them while `self` is borrowed.
            length => unsafe {
                std::slice::from_raw_parts(self.images.data_ptr().cast::<u8>(), length)
            },
        }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match self.images.numel() {
            0 => &mut [],
            // SAFETY: as in `bytes`; no other tensor shares the storage, and `self` is borrowed for
            // writing.
            length => unsafe {
                std::slice::from_raw_parts_mut(self.images.data_ptr().cast::<u8>(), length)
            },
        }
    }

    /// A copy of these images, (rows, channels, side, side).
    pub fn rows(&self, rows: &[i64]) -> Tensor {
        self.images.index_select(0, &Tensor::from_slice(rows))
    }

    /// Keeps the images whose place in `is_kept` is true; the others' memory stays allocated.
    pub fn retain(&mut self, is_kept: &[bool]) {
        let image = self.bytes_per_image();
        let bytes = self.bytes_mut();
        let mut kept = 0;
        for (index, _) in is_kept.iter().enumerate().filter(|(_, is_kept)| **is_kept) {
            bytes.copy_within(index * image..(index + 1) * image, kept * image);
            kept += 1;
        }
        self.images = self.images.narrow(0, 0, kept as i64);
    }

    /// Only these rows, ascending.
    #[must_use]
    pub fn keep(mut self, rows: &[usize]) -> Self {
        let count = self.shape()[0];
        if rows.len() < count {
            let mut is_kept = vec![false; count];
            for row in rows {
                is_kept[*row] = true;
            }
            self.retain(&is_kept);
        }
        self
    }

    pub fn into_tensor(self) -> Tensor {
        self.images
    }
}

/// So many bytes are anywhere.
pub const ANYWHERE: f64 = (1u64 << 30) as f64;

/// The bytes of memory that this process may have, where that is known.
pub fn memory() -> Option<f64> {
    device::host_mib().map(|mib| mib * f64::from(1 << 20))
}

/// Bytes in GiB.
pub fn gib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 30)
}

/// Refuses images that fill more than the memory of this machine: the system would end the program when
/// they are written.
///
/// # Errors
/// [`Error::Usage`] with both figures.
pub fn check_memory(count: usize, channels: usize, side: usize) -> Result<()> {
    let bytes = [count, channels, side, side]
        .map(|n| n as f64)
        .iter()
        .product::<f64>();
    match memory() {
        Some(memory) if bytes > ANYWHERE && bytes > memory => Err(Error::Usage(format!(
            "{count} images at {side} × {side} pixels take {:.1} GiB, but this machine, or what limits \
             this process, has {:.1} GiB of memory; lower dataset.size, or choose fewer classes with \
             dataset.classes",
            gib(bytes),
            gib(memory)
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_written_are_those_of_the_tensor() {
        let mut pixels = Pixels::black(3, 1, 2).unwrap();
        (0u8..)
            .zip(pixels.bytes_mut())
            .for_each(|(value, byte)| *byte = value);
        pixels.retain(&[true, false, true]);
        assert_eq!(pixels.shape(), [2, 1, 2, 2]);
        assert_eq!(pixels.bytes(), [0, 1, 2, 3, 8, 9, 10, 11]);
        let tensor = pixels.into_tensor();
        assert_eq!(tensor.size(), [2, 1, 2, 2]);
        assert_eq!(tensor.int64_value(&[1, 0, 1, 1]), 11);
    }

    #[test]
    fn more_images_than_the_memory_holds_are_refused_before_it_is_filled() {
        for (count, side) in [(1 << 40, 1), (1 << 26, 4096), (usize::MAX, 4096)] {
            let refused = Pixels::black(count, 3, side).unwrap_err().to_string();
            assert!(refused.contains("lower dataset.size"), "{refused}");
        }
    }

    #[test]
    fn no_images_have_no_bytes() {
        let mut pixels = Pixels::black(0, 3, 4).unwrap();
        assert!(pixels.bytes().is_empty() && pixels.bytes_mut().is_empty());
    }
}
