//! Files for `torch.load`, with the names that the trajectory-matching programs give them.

use super::array::Array;
use super::{Content, Export, card};
use crate::data::Normalisation;
use crate::distill::Labels;
use astill_core::files::atomic::{write_atomically, write_atomically_with};
use astill_core::{Error, Result};
use std::io::{self, Write};
use std::path::Path;
use tch::{Kind, Tensor};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The script that trains a network on the folder; documentation and tests use the same.
const SCRIPT: &str = include_str!("../../../assets/use_astill.py");

/// A file for every tensor: `images_best.pt`, `labels_best.pt`, `lr_best.pt`, those of the
/// normalisation, and `astill.json`.
#[derive(Debug)]
pub struct PyTorch;

impl Export for PyTorch {
    fn name(&self) -> &'static str {
        "pt"
    }

    fn description(&self) -> &'static str {
        "images_best.pt, labels_best.pt, lr_best.pt, … for `torch.load`, and a script that trains a \
         network on them"
    }

    fn holds_test(&self) -> bool {
        true
    }

    fn write(&self, content: &Content<'_>, folder: &Path) -> Result<Vec<String>> {
        let set = content.set;
        save(&folder.join("images_best.pt"), &set.images)?;
        save(&folder.join("labels_best.pt"), labels(&set.labels))?;
        save(&folder.join("lr_best.pt"), &rate(set.student_lr))?;
        for (name, tensor) in normalisation(&set.normalisation) {
            save(&folder.join(format!("{name}.pt")), &tensor)?;
        }
        if let Some(test) = content.test {
            save(&folder.join("test_images.pt"), &test.pixels)?;
            save(&folder.join("test_labels.pt"), &test.labels)?;
        }
        card::write_metadata(content, folder)?;
        write_atomically(&folder.join("use_astill.py"), SCRIPT.as_bytes())?;
        Ok(Vec::new())
    }
}

/// The learned rate, f32 without dimensions.
pub fn rate(student_lr: f64) -> Tensor {
    Tensor::from(student_lr).to_kind(Kind::Float)
}

/// i64 (n), or probabilities f32 (n, K).
pub fn labels(labels: &Labels) -> &Tensor {
    labels.tensor()
}

/// The tensors that bring real images in [0, 1] into the space of the set, with their names.
pub fn normalisation(normalisation: &Normalisation) -> Vec<(&'static str, Tensor)> {
    match normalisation {
        Normalisation::Channels { mean, std } => {
            vec![("mean", mean.shallow_clone()), ("std", std.shallow_clone())]
        }
        Normalisation::Zca(zca) => vec![
            ("zca_mean", zca.mean.shallow_clone()),
            ("zca_directions", zca.directions.shallow_clone()),
            ("zca_variances", zca.variances.shallow_clone()),
            ("zca_eps", Tensor::from_slice(&[zca.eps])),
        ],
    }
}

/// Writes what `torch.load` reads with its safe default, and can map into memory.
///
/// # Errors
/// The file cannot be written.
pub fn save(path: &Path, tensor: &Tensor) -> Result<()> {
    let array = Array::of(tensor)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let parts: [(&str, &[u8]); 4] = [
        ("data.pkl", &pickle(&array)),
        ("byteorder", b"little"),
        ("data/0", &array.bytes),
        ("version", b"3\n"),
    ];
    write_atomically_with(path, |file, _| {
        // stored, and aligned like torch.save does it, so that readers can map the numbers
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .with_alignment(64)
            .large_file(array.bytes.len() as u64 >= u64::from(u32::MAX));
        let mut zip = ZipWriter::new(file);
        for (part, bytes) in parts {
            zip.start_file(format!("{name}/{part}"), options)
                .map_err(io::Error::other)?;
            zip.write_all(bytes)?;
        }
        zip.finish().map(|_| ()).map_err(io::Error::other)
    })
    .map_err(|e| match e {
        Error::Io { source, .. } => Error::io("write", path)(source),
        other => other,
    })
}

/// A pickle, protocol 2, of `torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False,
/// OrderedDict())`, in the bytes that `torch.save` writes but for its memo.
fn pickle(array: &Array) -> Vec<u8> {
    const MARK: u8 = b'(';
    const TUPLE: u8 = b't';
    let mut bytes = vec![0x80, 2];
    bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n");
    bytes.extend([MARK, MARK]);
    text(&mut bytes, "storage");
    bytes.extend(format!("ctorch\n{}\n", array.kind.storage()).as_bytes());
    text(&mut bytes, "0");
    text(&mut bytes, "cpu");
    whole(&mut bytes, array.count());
    bytes.extend([TUPLE, b'Q']);
    whole(&mut bytes, 0);
    let mut strides = vec![1; array.shape.len()];
    for axis in (1..array.shape.len()).rev() {
        strides[axis - 1] = strides[axis] * array.shape[axis].max(1);
    }
    for numbers in [&array.shape, &strides] {
        bytes.push(MARK);
        numbers.iter().for_each(|n| whole(&mut bytes, *n));
        bytes.push(TUPLE);
    }
    bytes.push(0x89); // False: no gradient is wanted
    bytes.extend(b"ccollections\nOrderedDict\n)R"); // no hooks
    bytes.extend([TUPLE, b'R', b'.']);
    bytes
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(b'X');
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// A whole number in the shortest of its forms, as Python writes it.
fn whole(bytes: &mut Vec<u8>, number: usize) {
    match (
        u8::try_from(number),
        u16::try_from(number),
        i32::try_from(number),
    ) {
        (Ok(n), ..) => bytes.extend([b'K', n]),
        (_, Ok(n), _) => {
            bytes.push(b'M');
            bytes.extend(n.to_le_bytes());
        }
        (.., Ok(n)) => {
            bytes.push(b'J');
            bytes.extend(n.to_le_bytes());
        }
        _ => {
            bytes.extend([0x8a, 9]);
            bytes.extend((number as u64).to_le_bytes());
            bytes.push(0); // not negative
        }
    }
}
