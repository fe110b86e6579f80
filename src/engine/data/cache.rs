//! Decoded images and fitted whitenings, kept in files that are checked when read.
//!
//! No result depends on a cache: one that is missing, damaged or not the expected one is rebuilt,
//! and one that cannot be written costs time only.

use super::layout::BySplit;
use super::pixels::Pixels;
use super::zca::Zca;
use astill_core::{files::atomic, files::untrusted};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;
use tch::{Kind, Tensor};

/// The metadata key of the BLAKE3 of all tensors' bytes, in the order in which they are read.
const CHECKSUM: &str = "blake3";

/// No program takes this long to write a file: an unfinished one of this age is left over from a
/// program that was killed.
const LEFT_OVER: Duration = Duration::from_secs(24 * 3600);

/// Removes the unfinished files of programs that were killed while they wrote into `folder`.
pub fn remove_left_over(folder: &Path) {
    atomic::remove_left_over(folder, LEFT_OVER);
}

/// The pixels in the file, if they have these shapes (n, channels, side, side).
pub fn read_pixels(path: &Path, shapes: &BySplit<[usize; 4]>) -> Option<BySplit<Pixels>> {
    let entry = |name, shape: [usize; 4]| (name, Dtype::U8, shape.to_vec());
    read(
        path,
        &[entry("train", shapes.train), entry("test", shapes.test)],
        |[train, test]| {
            let copied = |bytes: &[u8], [count, channels, side, _]: [usize; 4]| {
                let mut pixels = Pixels::black(count, channels, side).ok()?;
                pixels.bytes_mut().copy_from_slice(bytes);
                Some(pixels)
            };
            Some(BySplit {
                train: copied(train, shapes.train)?,
                test: copied(test, shapes.test)?,
            })
        },
    )
}

/// Whether it could be written.
pub fn write_pixels(path: &Path, pixels: &BySplit<Pixels>) -> bool {
    let entry = |name, pixels: &'_ Pixels| (name, Dtype::U8, pixels.shape().to_vec());
    let BySplit { train, test } = pixels;
    write(
        path,
        &[
            (entry("train", train), train.bytes()),
            (entry("test", test), test.bytes()),
        ],
    )
}

/// A whitening with `eps`, fitted to `images` images of `pixels` numbers each.
pub fn read_zca(path: &Path, images: i64, pixels: i64, eps: f64) -> Option<Zca> {
    let directions = images.min(pixels);
    let shapes = [vec![1, pixels], vec![pixels, directions], vec![directions]];
    let entry = |name, shape: &[i64]| {
        let shape = shape.iter().map(|&length| length as usize).collect();
        (name, Dtype::F32, shape)
    };
    let [mean, along, variances] = &shapes;
    let expected = [
        entry("mean", mean),
        entry("directions", along),
        entry("variances", variances),
    ];
    read(path, &expected, |parts| {
        let tensor =
            |part: usize| Tensor::f_from_data_size(parts[part], &shapes[part], Kind::Float).ok();
        Some(Zca::new(tensor(0)?, tensor(1)?, tensor(2)?, eps))
    })
}

/// Whether it could be written.
pub fn write_zca(path: &Path, zca: &Zca) -> bool {
    let parts = [
        ("mean", &zca.mean),
        ("directions", &zca.directions),
        ("variances", &zca.variances),
    ];
    let bytes = parts.map(|(_, tensor)| {
        let mut bytes = vec![0; 4 * tensor.numel()];
        tensor.contiguous().copy_data_u8(&mut bytes, tensor.numel());
        bytes
    });
    let entries: Vec<_> = std::iter::zip(parts, &bytes)
        .map(|((name, tensor), bytes)| {
            let shape = tensor.size().into_iter().map(|length| length as usize);
            ((name, Dtype::F32, shape.collect()), bytes.as_slice())
        })
        .collect();
    write(path, &entries)
}

/// The name, kind and shape of a tensor.
type TensorHeader<'a> = (&'a str, Dtype, Vec<usize>);

/// The result of `make` on the bytes of these tensors; `None` unless the file holds exactly them,
/// undamaged.
fn read<const N: usize, T>(
    path: &Path,
    expected: &[TensorHeader<'_>; N],
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

fn write(path: &Path, entries: &[(TensorHeader<'_>, &[u8])]) -> bool {
    let metadata = HashMap::from([(
        CHECKSUM.to_owned(),
        checksum_of(entries.iter().map(|(_, bytes)| *bytes)),
    )]);
    let views = entries.iter().map(|((name, dtype, shape), bytes)| {
        Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?))
    });
    let Ok(views) = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>() else {
        return false;
    };
    if let Some(folder) = path.parent() {
        let _ = fs::create_dir_all(folder);
    }
    // straight to the file: a large set would not fit into memory twice
    atomic::write_atomically_with(path, |_, unfinished| {
        safetensors::serialize_to_file(views, Some(metadata), unfinished).map_err(io::Error::other)
    })
    .is_ok()
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

    /// All different, of 3 × 4 × 4.
    fn pixels(train: usize, test: usize) -> BySplit<Pixels> {
        let counting = |count| {
            let mut pixels = Pixels::black(count, 3, 4).unwrap();
            (0u8..)
                .zip(pixels.bytes_mut())
                .for_each(|(value, byte)| *byte = value);
            pixels
        };
        BySplit {
            train: counting(train),
            test: counting(test),
        }
    }

    #[test]
    fn what_was_written_is_read_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/when/needed/pixels.safetensors");
        let pixels = pixels(2, 1);
        write_pixels(&path, &pixels);
        let shapes = |train| BySplit {
            train: [train, 3, 4, 4],
            test: [1, 3, 4, 4],
        };
        let read = || read_pixels(&path, &shapes(2));
        assert_eq!(read().unwrap().train.bytes(), pixels.train.bytes());
        assert!(
            read_pixels(&path, &shapes(1)).is_none(),
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
        for images in [5, 20] {
            let pixels = Tensor::rand([images, 3, 2, 2], (Kind::Float, tch::Device::Cpu));
            let zca = Zca::fit(&pixels, 0.1);
            write_zca(&path, &zca);
            let read = read_zca(&path, images, 12, 0.1).unwrap();
            assert!(read.apply(&pixels).equal(&zca.apply(&pixels)));
            assert!(read_zca(&path, 4, 12, 0.1).is_none(), "of fewer images");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_not_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(!write_pixels(
            &file.path().join("below a file"),
            &pixels(1, 1)
        ));
    }
}
