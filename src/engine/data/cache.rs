//! Decoded images and fitted whitenings, kept in files that are checked when read.
//!
//! No result depends on a cache: one that is missing, damaged or not the expected one is rebuilt,
//! and one that cannot be written costs time only.

use super::decode::Form;
use super::facts::ImageFacts;
use super::layout::{BySplit, ReadImages, UnreadableImage};
use super::pixels::Pixels;
use super::zca::Zca;
use astill_core::files::{atomic, sharing, untrusted};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
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

/// The metadata key of the images that could not be read, as JSON.
const UNREADABLE: &str = "unreadable";

/// The images of these rows in the file, if they have this form.
pub fn read_images(path: &Path, rows: &BySplit<Vec<usize>>, form: &Form) -> Option<ReadImages> {
    let map = map(path)?;
    let unreadable = unreadable(&map, rows)?;
    let counts = rows.as_ref().zip(unreadable.as_ref());
    let counts = counts.map(|(rows, unreadable)| rows.len() - unreadable.len());
    let Form { channels, size, .. } = *form;
    let pixels = |name, count| (name, Dtype::U8, vec![count, channels, size, size]);
    let facts = |name, count| (name, Dtype::U8, vec![count, ImageFacts::BYTES]);
    read(
        &map,
        &[
            pixels("train", counts.train),
            pixels("validation", counts.validation),
            pixels("test", counts.test),
            facts("train_facts", counts.train),
            facts("validation_facts", counts.validation),
            facts("test_facts", counts.test),
        ],
        |[
            train,
            validation,
            test,
            train_facts,
            validation_facts,
            test_facts,
        ]| {
            let copied = |bytes: &[u8], count| {
                let mut pixels = Pixels::black(count, channels, size).ok()?;
                pixels.bytes_mut().copy_from_slice(bytes);
                Some(pixels)
            };
            let facts = |bytes: &[u8]| {
                let images = bytes.as_chunks::<{ ImageFacts::BYTES }>().0;
                images.iter().copied().map(ImageFacts::from_bytes).collect()
            };
            Some(ReadImages {
                pixels: BySplit {
                    train: copied(train, counts.train)?,
                    validation: copied(validation, counts.validation)?,
                    test: copied(test, counts.test)?,
                },
                facts: BySplit {
                    train: facts(train_facts),
                    validation: facts(validation_facts),
                    test: facts(test_facts),
                },
                unreadable,
                damaged_cache: None,
            })
        },
    )
}

/// The images that could not be read, by the cache's metadata, if they are among these rows.
fn unreadable(map: &[u8], rows: &BySplit<Vec<usize>>) -> Option<BySplit<Vec<UnreadableImage>>> {
    let text = metadata(map)?.get(UNREADABLE)?.clone();
    let [train, validation, test]: [Vec<(usize, String, String)>; 3] =
        serde_json::from_str(&text).ok()?;
    let named = |images: Vec<(usize, String, String)>| -> Vec<UnreadableImage> {
        let image = |(row, name, problem)| UnreadableImage {
            row,
            name,
            problem,
            may_pass: false,
        };
        images.into_iter().map(image).collect()
    };
    let unreadable = BySplit {
        train: named(train),
        validation: named(validation),
        test: named(test),
    };
    let splits = unreadable.as_ref().zip(rows.as_ref());
    let are_rows = splits.into_iter().all(|(unreadable, rows)| {
        let mut images = unreadable.iter();
        unreadable.is_sorted_by(|one, next| one.row < next.row)
            && images.all(|image| rows.binary_search(&image.row).is_ok())
    });
    are_rows.then_some(unreadable)
}

/// Whether they could be written.
pub fn write_images(path: &Path, images: &ReadImages) -> bool {
    let list = |unreadable: &Vec<UnreadableImage>| -> Vec<(usize, String, String)> {
        let image =
            |image: &UnreadableImage| (image.row, image.name.clone(), image.problem.clone());
        unreadable.iter().map(image).collect()
    };
    let unreadable = images.unreadable.as_ref().map(list);
    let lists = [unreadable.train, unreadable.validation, unreadable.test];
    let Ok(unreadable) = serde_json::to_string(&lists) else {
        return false;
    };
    let facts = images.facts.as_ref().map(|facts| {
        let bytes = facts.iter().flat_map(|facts| facts.to_bytes());
        bytes.collect::<Vec<u8>>()
    });
    let pixels = |name, pixels: &'_ Pixels| (name, Dtype::U8, pixels.shape().to_vec());
    let of_facts = |name, bytes: &'_ [u8]| {
        let count = bytes.len() / ImageFacts::BYTES;
        (name, Dtype::U8, vec![count, ImageFacts::BYTES])
    };
    let BySplit {
        train,
        validation,
        test,
    } = &images.pixels;
    write(
        path,
        &[
            (pixels("train", train), train.bytes()),
            (pixels("validation", validation), validation.bytes()),
            (pixels("test", test), test.bytes()),
            (of_facts("train_facts", &facts.train), &facts.train),
            (
                of_facts("validation_facts", &facts.validation),
                &facts.validation,
            ),
            (of_facts("test_facts", &facts.test), &facts.test),
        ],
        &[(UNREADABLE, unreadable)],
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
    read(&map(path)?, &expected, |parts| {
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
    write(path, &entries, &[])
}

/// The name, kind and shape of a tensor.
type TensorHeader<'a> = (&'a str, Dtype, Vec<usize>);

fn map(path: &Path) -> Option<memmap2::Mmap> {
    let file = untrusted::open(path).ok()?;
    // SAFETY: caches are written to another name and then moved into place, so no program of this
    // kind changes a mapped one.
    unsafe { memmap2::Mmap::map(&file) }.ok()
}

fn metadata(map: &[u8]) -> Option<HashMap<String, String>> {
    SafeTensors::read_metadata(map).ok()?.1.metadata().clone()
}

/// The result of `make` on the bytes of these tensors; `None` unless the file holds exactly them,
/// undamaged.
fn read<const N: usize, T>(
    map: &[u8],
    expected: &[TensorHeader<'_>; N],
    make: impl FnOnce([&[u8]; N]) -> Option<T>,
) -> Option<T> {
    let metadata = metadata(map)?;
    let checksum = metadata.get(CHECKSUM)?;
    let further = further(&metadata);
    let tensors = SafeTensors::deserialize(map).ok()?;
    let mut parts: [&[u8]; N] = [&[]; N];
    for (part, (name, dtype, shape)) in parts.iter_mut().zip(expected) {
        let tensor = tensors.tensor(name).ok()?;
        if tensor.dtype() != *dtype || tensor.shape() != shape {
            return None;
        }
        *part = tensor.data();
    }
    if checksum_of(parts.into_iter().chain([further.as_bytes()])) != *checksum {
        return None;
    }
    make(parts)
}

/// All metadata but the checksum, which covers it too.
fn further(metadata: &HashMap<String, String>) -> String {
    metadata.get(UNREADABLE).cloned().unwrap_or_default()
}

fn write(path: &Path, entries: &[(TensorHeader<'_>, &[u8])], metadata: &[(&str, String)]) -> bool {
    let mut metadata: HashMap<String, String> = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect();
    let further = further(&metadata);
    let parts = entries.iter().map(|(_, bytes)| *bytes);
    let checksum = checksum_of(parts.chain([further.as_bytes()]));
    metadata.insert(CHECKSUM.to_owned(), checksum);
    let views = entries.iter().map(|((name, dtype, shape), bytes)| {
        Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?))
    });
    let Ok(views) = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>() else {
        return false;
    };
    if let Some(folder) = path.parent() {
        let _ = sharing::create_all(folder);
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
    use astill_core::profile::{Background, Color};
    use std::fs;

    /// All different, of 3 × 4 × 4; the second training image could not be read.
    fn images(train: usize, test: usize) -> ReadImages {
        let counting = |count| {
            let mut pixels = Pixels::black(count, 3, 4).unwrap();
            (0u8..)
                .zip(pixels.bytes_mut())
                .for_each(|(value, byte)| *byte = value);
            pixels
        };
        let facts = ImageFacts {
            deepest: Some(4095),
            ..ImageFacts::default()
        };
        let unreadable = UnreadableImage {
            row: 1,
            name: "a/1.png".into(),
            problem: "cut off".into(),
            may_pass: false,
        };
        ReadImages {
            pixels: BySplit {
                train: counting(train),
                validation: counting(0),
                test: counting(test),
            },
            facts: BySplit {
                train: vec![facts; train],
                validation: Vec::new(),
                test: vec![ImageFacts::default(); test],
            },
            unreadable: BySplit {
                train: vec![unreadable],
                ..BySplit::default()
            },
            damaged_cache: None,
        }
    }

    #[test]
    fn what_was_written_is_read_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/when/needed/pixels.safetensors");
        let images = images(2, 1);
        write_images(&path, &images);
        let form = Form {
            size: 4,
            channels: 3,
            color: Color::Auto,
            background: Background::White,
        };
        let rows = |train| BySplit {
            train: (0..train).collect(),
            validation: Vec::new(),
            test: vec![0],
        };
        let read = || read_images(&path, &rows(3), &form);
        let got = read().unwrap();
        assert_eq!(got.pixels.train.bytes(), images.pixels.train.bytes());
        assert_eq!(got.facts, images.facts);
        assert_eq!(got.unreadable, images.unreadable);
        assert!(
            read_images(&path, &rows(2), &form).is_none(),
            "another number of images"
        );

        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let at = whole
            .windows(7)
            .position(|bytes| bytes == b"a/1.png")
            .unwrap();
        let mut other_name = whole.clone();
        other_name[at] = b'b';
        for damaged in [
            &flipped[..],
            &other_name,
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
        assert!(!write_images(
            &file.path().join("below a file"),
            &images(1, 1)
        ));
    }
}
