//! What tells data sets apart.

use super::split::WHITENED_AT_ONCE;
use tch::Tensor;

/// BLAKE3 (hexadecimal) of images, u8 (N, C, H, W), and their labels.
pub fn content_of(images: &Tensor, labels: &[i64]) -> String {
    let mut hash = blake3::Hasher::new_derive_key("astill images and labels 1");
    for size in images.size() {
        hash.update(&size.to_le_bytes());
    }
    for label in labels {
        hash.update(&label.to_le_bytes());
    }
    for some in images.split(WHITENED_AT_ONCE, 0) {
        let mut bytes = vec![0u8; some.numel()];
        some.contiguous().copy_data_u8(&mut bytes, some.numel());
        hash.update(&bytes);
    }
    hash.finalize().to_hex().to_string()
}

/// BLAKE3 (hexadecimal) of a whole training set: the side of its images, their channels, its labels,
/// and its pixels, u8 (N, C, H, W).
pub fn fingerprint(size: i64, channels: usize, labels: &[i64], pixels: &[u8]) -> String {
    let mut hash = blake3::Hasher::new_derive_key("astill data set 1");
    hash.update(&size.to_le_bytes());
    if channels != 3 {
        hash.update(&(channels as u64).to_le_bytes());
    }
    hash.update(&(labels.len() as u64).to_le_bytes());
    for label in labels {
        hash.update(&label.to_le_bytes());
    }
    hash.update(pixels);
    hash.finalize().to_hex().to_string()
}
