//! Decoded images and fitted whitenings, kept in files that are checked when read.
//!
//! A cache is never needed: one that is missing, damaged or not the expected one is rebuilt, one
//! that cannot be written is left out.

use super::Zca;
use super::source::Pixels;
use astill_core::{files::atomic, files::untrusted};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tch::{Kind, Tensor};

/// The metadata key of the BLAKE3 of all tensors' bytes, in the order in which they are asked for.
const CHECKSUM: &str = "blake3";

/// Nobody takes as long to write a file; one that is not finished after this time is left over from
/// a program that was killed.
const LEFT_OVER: Duration = Duration::from_secs(24 * 3600);

/// Removes what programs that were killed while they wrote into `folder` have left there.
pub fn tidy(folder: &Path) {
    atomic::remove_left_over(folder, LEFT_OVER);
}

/// `images` are the numbers of training and test images.
pub fn read_pixels(path: &Path, images: [usize; 2], size: usize) -> Option<Pixels> {
    let shape = |n: usize| vec![n, 3, size, size];
    read(
        path,
        &[
            ("train", Dtype::U8, shape(images[0])),
            ("test", Dtype::U8, shape(images[1])),
        ],
        |[train, test]| {
            Some(Pixels {
                train: train.to_vec(),
                test: test.to_vec(),
            })
        },
    )
}

/// Whether it could be written.
pub fn write_pixels(path: &Path, pixels: &Pixels, size: usize) -> bool {
    let shape = |bytes: &[u8]| vec![bytes.len() / (3 * size * size), 3, size, size];
    let entry = |name, bytes| (name, Dtype::U8, shape(bytes), bytes);
    write(
        path,
        &[entry("train", &pixels.train), entry("test", &pixels.test)],
    )
}

/// Of images of `pixels` numbers each.
pub fn read_zca(path: &Path, pixels: i64) -> Option<Zca> {
    let d = pixels as usize;
    let entry = |name, rows| (name, Dtype::F32, vec![rows, d]);
    read(
        path,
        &[entry("mean", 1), entry("transform", d), entry("inverse", d)],
        |[mean, transform, inverse]| {
            let tensor = |bytes: &[u8], rows: i64| {
                Tensor::f_from_data_size(bytes, &[rows, pixels], Kind::Float).ok()
            };
            Some(Zca {
                mean: tensor(mean, 1)?,
                transform: tensor(transform, pixels)?,
                inverse: tensor(inverse, pixels)?,
            })
        },
    )
}

/// Whether it could be written.
pub fn write_zca(path: &Path, zca: &Zca) -> bool {
    let bytes = |tensor: &Tensor| {
        let mut bytes = vec![0; 4 * tensor.numel()];
        tensor.contiguous().copy_data_u8(&mut bytes, tensor.numel());
        bytes
    };
    let d = zca.mean.numel();
    let (mean, transform, inverse) = (bytes(&zca.mean), bytes(&zca.transform), bytes(&zca.inverse));
    let entries = [
        ("mean", 1, &mean),
        ("transform", d, &transform),
        ("inverse", d, &inverse),
    ];
    write(
        path,
        &entries.map(|(name, rows, bytes)| (name, Dtype::F32, vec![rows, d], bytes.as_slice())),
    )
}

/// What `make` makes of the bytes of these tensors; `None` if the file does not hold exactly them,
/// undamaged.
fn read<const N: usize, T>(
    path: &Path,
    expected: &[(&str, Dtype, Vec<usize>); N],
    make: impl FnOnce([&[u8]; N]) -> Option<T>,
) -> Option<T> {
    let file = untrusted::open(path).ok()?;
    // SAFETY: caches are written to another name and then moved into place, so no program of this
    // kind changes a mapped one.
    let map = unsafe { memmap2::Mmap::map(&file) }.ok()?;
    let checksum = SafeTensors::read_metadata(&map)
        .ok()?
        .1
        .metadata()
        .as_ref()?
        .get(CHECKSUM)?
        .clone();
    let tensors = SafeTensors::deserialize(&map).ok()?;
    let mut parts: [&[u8]; N] = [&[]; N];
    for (part, (name, dtype, shape)) in parts.iter_mut().zip(expected) {
        let tensor = tensors.tensor(name).ok()?;
        if tensor.dtype() != *dtype || tensor.shape() != shape {
            return None;
        }
        *part = tensor.data();
    }
    if checksum_of(parts.into_iter()) != checksum {
        return None;
    }
    make(parts)
}

fn write(path: &Path, entries: &[(&str, Dtype, Vec<usize>, &[u8])]) -> bool {
    let metadata = HashMap::from([(
        CHECKSUM.to_owned(),
        checksum_of(entries.iter().map(|entry| entry.3)),
    )]);
    let views = entries.iter().map(|(name, dtype, shape, bytes)| {
        Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?))
    });
    let Ok(views) = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>() else {
        return false;
    };
    if let Some(folder) = path.parent() {
        let _ = fs::create_dir_all(folder);
    }
    safetensors::serialize(views, Some(metadata))
        .is_ok_and(|bytes| atomic::write_atomically(path, &bytes).is_ok())
}

fn checksum_of<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hash = blake3::Hasher::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/when/needed/pixels.safetensors");
        let pixels = Pixels {
            train: (0..96).collect(),
            test: vec![7; 48],
        };
        write_pixels(&path, &pixels, 4);
        let read = || read_pixels(&path, [2, 1], 4);
        assert_eq!(read().unwrap().train, pixels.train);
        assert!(
            read_pixels(&path, [1, 1], 4).is_none(),
            "another number of images"
        );

        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damaged in [
            &flipped[..],
            &whole[..whole.len() - 5],
            b"not a safetensors file",
            b"",
        ] {
            fs::write(&path, damaged).unwrap();
            assert!(read().is_none());
        }
    }

    #[test]
    fn a_whitening_survives_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zca.safetensors");
        let zca = Zca::fit(
            &Tensor::rand([20, 3, 2, 2], (Kind::Float, tch::Device::Cpu)),
            0.1,
        );
        write_zca(&path, &zca);
        let read = read_zca(&path, 12).unwrap();
        assert!(
            read.mean.equal(&zca.mean)
                && read.transform.equal(&zca.transform)
                && read.inverse.equal(&zca.inverse)
        );
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        write_pixels(
            &file.path().join("below a file"),
            &Pixels {
                train: vec![0; 3],
                test: vec![0; 3],
            },
            1,
        );
    }
}
