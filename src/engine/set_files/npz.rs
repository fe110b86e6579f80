//! The `distilled.npz` of `astill export`.

use super::{FoundSet, LARGEST_METADATA, of_metadata};
use crate::distill::Labels;
use crate::export::normalisation;
use crate::npy::{Member, names};
use astill_core::{Error, Result};
use std::io::Read;
use std::path::Path;
use tch::{Kind, Tensor};

/// An array takes at most so many times the size of its file when it is unpacked, or this many bytes.
const MOST_UNPACKED: (u64, u64) = (8, 64 << 20);

/// Reads the set in `file`.
///
/// # Errors
/// As [`super::read`].
pub fn read(file: &Path) -> Result<FoundSet> {
    let archive = Archive {
        file,
        names: names(file)?.0,
        most: std::fs::metadata(file)
            .map_err(Error::io("read", file))?
            .len()
            .saturating_mul(MOST_UNPACKED.0)
            .max(MOST_UNPACKED.1),
    };
    let needed = |name: &str| {
        archive.tensor(name)?.ok_or_else(|| {
            Error::file(
                file,
                format!(
                    "expected the distilled.npz of `astill export`, found no array {name:?} in it"
                ),
            )
        })
    };
    let images = needed("images")?;
    let metadata = archive.text("metadata")?;
    let metadata = metadata.ok_or_else(|| {
        Error::file(
            file,
            "expected the distilled.npz of `astill export`, found no array \"metadata\" in it",
        )
    })?;
    let metadata = serde_json::from_str(&metadata)
        .map_err(|e| Error::file(file, format!("its metadata are not JSON: {e}")))?;
    let (provenance, of_channels) = of_metadata(&metadata, file)?;
    let labels = match archive.tensor("soft_labels")? {
        Some(soft) if soft.dim() == 2 => Labels::Soft(soft.to_kind(Kind::Float)),
        Some(_) => return Err(Error::file(file, "expected soft_labels (images, classes)")),
        None => super::labels(&needed("labels")?, file)?,
    };
    let rate = needed("student_lr")?;
    if rate.numel() != 1 {
        return Err(Error::file(file, "expected one number as student_lr"));
    }
    let stated = normalisation(&mut |name| archive.tensor(name), file)?;
    Ok(FoundSet {
        file: file.to_path_buf(),
        images: images.to_kind(Kind::Float),
        labels: Some(labels),
        student_lr: Some(rate.to_kind(Kind::Double).reshape([1]).double_value(&[0])),
        normalisation: stated.or(of_channels),
        provenance: Some(provenance),
    })
}

struct Archive<'a> {
    file: &'a Path,
    /// Of the arrays in it.
    names: Vec<String>,
    /// The largest array that is read, in bytes.
    most: u64,
}

/// An array as the file holds it.
struct Values {
    /// "<f4".
    kind: String,
    shape: Vec<i64>,
    bytes: Vec<u8>,
}

impl Archive<'_> {
    /// An array; none if there is none of that name.
    fn array(&self, name: &str) -> Result<Option<Values>> {
        if !self.names.iter().any(|found| found == name) {
            return Ok(None);
        }
        let member = Member {
            archive: self.file.to_path_buf(),
            name: name.into(),
        };
        let (header, reader) = member.read()?;
        let width = |digits: &str, bytes: u64| digits.parse::<u64>().ok()?.checked_mul(bytes);
        let width = match header.kind.split_at_checked(2) {
            Some(("<U", letters)) => width(letters, 4),
            Some(("<f" | "<i" | "<u" | "|u" | "|i" | "|b", bytes)) => width(bytes, 1),
            _ => None,
        };
        let bytes = header
            .shape
            .iter()
            .try_fold(width.unwrap_or(u64::MAX), |all, length| {
                all.checked_mul(*length)
            });
        let refused = || {
            Error::file(
                member.path(),
                format!(
                    "expected an array of numbers or text of at most {} MiB in C order, found {} {:?}",
                    self.most >> 20,
                    header.kind,
                    header.shape
                ),
            )
        };
        let bytes = bytes.filter(|n| *n <= self.most && !header.is_by_columns && width.is_some());
        let bytes = bytes.ok_or_else(refused)?;
        let mut content = Vec::new();
        let read = reader.take(bytes).read_to_end(&mut content);
        read.map_err(Error::io("read", &member.path()))?;
        if content.len() as u64 != bytes {
            return Err(refused());
        }
        let shape = header.shape.iter().map(|n| *n as i64).collect();
        Ok(Some(Values {
            kind: header.kind,
            shape,
            bytes: content,
        }))
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor>> {
        let Some(Values { kind, shape, bytes }) = self.array(name)? else {
            return Ok(None);
        };
        let of = match kind.as_str() {
            "<f4" => Kind::Float,
            "<f8" => Kind::Double,
            "<i8" => Kind::Int64,
            "<i4" => Kind::Int,
            "|u1" => Kind::Uint8,
            _ => {
                return Err(Error::file(
                    self.file,
                    format!("found {name} of the kind {kind}, expected numbers of astill export"),
                ));
            }
        };
        Tensor::f_from_data_size(&bytes, &shape, of)
            .map(Some)
            .map_err(|e| Error::file(self.file, format!("{name}: {e}")))
    }

    /// One text, which NumPy keeps in UCS-4.
    fn text(&self, name: &str) -> Result<Option<String>> {
        let Some(Values { kind, shape, bytes }) = self.array(name)? else {
            return Ok(None);
        };
        let (letters, _) = bytes.as_chunks::<4>();
        let letters = letters
            .iter()
            .map(|b| char::from_u32(u32::from_le_bytes(*b)));
        let text: Option<String> = letters.collect();
        let is_text = kind.starts_with("<U") && shape.is_empty();
        let text = text.filter(|text| is_text && text.len() as u64 <= LARGEST_METADATA);
        text.map(|text| Some(text.trim_end_matches('\0').to_string()))
            .ok_or_else(|| Error::file(self.file, format!("expected one text as {name}")))
    }
}
