//! One file for `numpy.load`.

use super::array::Array;
use super::{Content, Export, card, pytorch};
use crate::distill::Labels;
use astill_core::files::atomic::write_atomically_with;
use astill_core::{Error, Result};
use std::io::{self, Write};
use std::path::Path;
use tch::Tensor;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// `distilled.npz` and, with test images, `test.npz`; without pickled objects.
#[derive(Debug)]
pub struct Npz;

impl Export for Npz {
    fn name(&self) -> &'static str {
        "npz"
    }

    fn description(&self) -> &'static str {
        "distilled.npz with images, pixels, labels, rate, normalisation and class names, for \
         `numpy.load`"
    }

    fn holds_test(&self) -> bool {
        true
    }

    fn write(&self, content: &Content<'_>, folder: &Path) -> Result<Vec<String>> {
        let set = content.set;
        let mut entries = vec![
            ("images", npy(&set.images)?),
            ("pixels", npy(&set.pixels().0)?),
            ("labels", npy(&set.labels.classes())?),
            ("student_lr", npy(&Tensor::from(set.student_lr))?),
            ("classes", npy_texts(&set.provenance.classes)),
            ("metadata", npy_text(&card::metadata(content).to_string())),
        ];
        if let Labels::Soft(probabilities) = &set.labels {
            entries.push(("soft_labels", npy(probabilities)?));
        }
        for (name, tensor) in pytorch::normalisation(&set.normalisation) {
            entries.push((name, npy(&tensor)?));
        }
        save(&folder.join("distilled.npz"), &entries)?;
        if let Some(test) = content.test {
            let entries = [
                ("pixels", npy(&test.pixels)?),
                ("labels", npy(&test.labels)?),
            ];
            save(&folder.join("test.npz"), &entries)?;
        }
        Ok(Vec::new())
    }
}

fn save(path: &Path, entries: &[(&str, Vec<u8>)]) -> Result<()> {
    write_atomically_with(path, |file, _| {
        let mut zip = ZipWriter::new(file);
        for (name, bytes) in entries {
            let options = SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Stored)
                .large_file(bytes.len() as u64 >= u64::from(u32::MAX));
            zip.start_file(format!("{name}.npy"), options)
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

fn npy(tensor: &Tensor) -> Result<Vec<u8>> {
    let array = Array::of(tensor)?;
    Ok(with_header(array.kind.numpy(), &array.shape, &array.bytes))
}

/// Texts of one width in UCS-4, padded with zeros, as NumPy keeps them.
fn npy_texts(texts: &[String]) -> Vec<u8> {
    let (kind, bytes) = ucs4(texts);
    with_header(&kind, &[texts.len()], &bytes)
}

fn npy_text(text: &str) -> Vec<u8> {
    let (kind, bytes) = ucs4(&[text.to_string()]);
    with_header(&kind, &[], &bytes)
}

fn ucs4(texts: &[String]) -> (String, Vec<u8>) {
    let width = texts.iter().map(|t| t.chars().count()).max().unwrap_or(0);
    let width = width.max(1);
    let mut bytes = Vec::with_capacity(4 * width * texts.len());
    for text in texts {
        let padding = width - text.chars().count();
        let codes = text.chars().map(u32::from);
        for code in codes.chain(std::iter::repeat_n(0, padding)) {
            bytes.extend(code.to_le_bytes());
        }
    }
    (format!("<U{width}"), bytes)
}

/// The NPY format, version 1.0.
fn with_header(kind: &str, shape: &[usize], numbers: &[u8]) -> Vec<u8> {
    const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
    let shape: String = match shape {
        [only] => format!("({only},)"),
        several => {
            let sizes: Vec<String> = several.iter().map(usize::to_string).collect();
            format!("({})", sizes.join(", "))
        }
    };
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    // magic, length and header are a multiple of 64 bytes, the last of them a line end
    let before = MAGIC.len() + 2;
    let padding = (before + header.len() + 1).next_multiple_of(64) - (before + header.len() + 1);
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(numbers);
    bytes
}
