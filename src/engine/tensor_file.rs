//! Safetensors files: written atomically, read through a memory map.
//!
//! Files that a run reads again are sealed with a checksum of every byte, which is verified when
//! the file is opened: damage is found while the content can still be computed again, and not in
//! the middle of distillation.

use astill_core::files::atomic::{write_atomically, write_atomically_with};
use astill_core::{Error, Result, files::untrusted};
use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::json;
use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// The tensor of a sealed file that holds the BLAKE3 hash of the whole file, computed with zeros in
/// its place.
const SEAL: &str = "blake3";

/// Writes named tensors, and at most one text under `metadata`'s key, atomically. The same content
/// gives the same bytes.
///
/// Only one metadata entry is taken because the format stores a map without an order.
///
/// # Errors
/// A tensor cannot be stored, or the file cannot be written; an old file is then untouched.
pub fn write(
    path: &Path,
    tensors: &[(&str, &Tensor)],
    metadata: Option<(&str, String)>,
) -> Result<()> {
    write_atomically(path, &bytes(path, tensors, metadata)?)
}

/// As [`write`], with a checksum of every byte. [`TensorFile::open_sealed`] reads it.
///
/// # Errors
/// As [`write`].
pub fn write_sealed(
    path: &Path,
    tensors: &[(&str, &Tensor)],
    metadata: (&str, String),
) -> Result<()> {
    let zeros = Tensor::zeros([blake3::OUT_LEN as i64], (Kind::Uint8, Device::Cpu));
    let mut tensors = tensors.to_vec();
    tensors.push((SEAL, &zeros));
    let sealed = seal(bytes(path, &tensors, Some(metadata))?)
        .ok_or_else(|| Error::file(path, "has no room for a checksum"))?;
    write_atomically(path, &sealed)
}

/// As [`write_sealed`], for one tensor f32 (n, P) of `shape` whose rows come one after the other, so
/// that only one of them is in memory.
///
/// # Errors
/// As [`write`]; a row cannot be made, or has another length.
pub fn write_sealed_rows(
    path: &Path,
    (name, shape): (&str, [usize; 2]),
    rows: impl Iterator<Item = Result<Tensor>>,
    metadata: (&str, String),
) -> Result<()> {
    let size = shape[0]
        .checked_mul(shape[1])
        .and_then(|n| n.checked_mul(4));
    let size = size.ok_or_else(|| Error::file(path, "would be larger than any file"))?;
    let header = json!({
        "__metadata__": { metadata.0: metadata.1 },
        name: { "dtype": "F32", "shape": shape, "data_offsets": [0, size] },
        SEAL: { "dtype": "U8", "shape": [blake3::OUT_LEN], "data_offsets": [size, size + blake3::OUT_LEN] },
    });
    let mut header = header.to_string();
    let padding = header.len().next_multiple_of(8) - header.len();
    header.extend(std::iter::repeat_n(' ', padding));
    let mut problem = None;
    let written = write_atomically_with(path, |file, _| {
        let mut hash = blake3::Hasher::new();
        let mut file = BufWriter::new(file);
        let mut put = |bytes: &[u8]| {
            hash.update(bytes);
            file.write_all(bytes)
        };
        put(&(header.len() as u64).to_le_bytes())?;
        put(header.as_bytes())?;
        let mut bytes = vec![0; 4 * shape[1]];
        let mut count = 0;
        for row in rows {
            let unfit = || Error::file(path, "has no room for a checkpoint of another network");
            let row = row.and_then(|row| match row.size() == [shape[1] as i64] {
                true => Ok(row.to_kind(Kind::Float).to_device(Device::Cpu)),
                false => Err(unfit()),
            });
            let row = row.map_err(|error| {
                problem = Some(error);
                io::Error::from(io::ErrorKind::InvalidData)
            })?;
            row.contiguous().copy_data_u8(&mut bytes, shape[1]);
            put(&bytes)?;
            count += 1;
        }
        if count != shape[0] {
            return Err(io::Error::other("a checkpoint is missing"));
        }
        // with zeros in the place of the seal
        hash.update(&[0; blake3::OUT_LEN]);
        file.write_all(hash.finalize().as_bytes())?;
        file.flush()
    });
    match problem {
        Some(problem) => Err(problem),
        None => written,
    }
}

/// A safetensors file with its checksum filled in; `None` if the file has no place for one.
pub fn seal(mut file: Vec<u8>) -> Option<Vec<u8>> {
    let (header, info) = SafeTensors::read_metadata(&file).ok()?;
    let (from, to) = info.info(SEAL)?.data_offsets;
    let place = 8 + header + from..8 + header + to;
    file.get_mut(place.clone())
        .filter(|seal| seal.len() == blake3::OUT_LEN)?
        .fill(0);
    let hash = blake3::hash(&file);
    file[place].copy_from_slice(hash.as_bytes());
    Some(file)
}

/// A file's content.
fn bytes(
    path: &Path,
    tensors: &[(&str, &Tensor)],
    metadata: Option<(&str, String)>,
) -> Result<Vec<u8>> {
    let mut stored = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let dtype = dtype(tensor.kind()).ok_or_else(|| {
            Error::file(
                path,
                format!("cannot store numbers of type {:?}", tensor.kind()),
            )
        })?;
        let host = tensor.detach().to_device(Device::Cpu).contiguous();
        let shape: Vec<usize> = host.size().iter().map(|d| *d as usize).collect();
        let mut bytes = vec![0u8; host.numel() * host.kind().elt_size_in_bytes()];
        host.copy_data_u8(&mut bytes, host.numel());
        stored.push((*name, dtype, shape, bytes));
    }
    let views = stored
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    let metadata = metadata.map(|(key, text)| HashMap::from([(key.to_string(), text)]));
    views
        .and_then(|views| safetensors::serialize(views, metadata))
        .map_err(|e| Error::file(path, e.to_string()))
}

/// Texts by their keys.
pub type Texts = HashMap<String, String>;
/// Tensors by their names.
pub type Tensors = HashMap<String, Tensor>;

/// Named tensors and one text as the bytes of a file that is never written.
///
/// # Errors
/// A tensor cannot be stored.
pub fn encode(tensors: &[(&str, &Tensor)], metadata: (&str, String)) -> Result<Vec<u8>> {
    bytes(Path::new("a message"), tensors, Some(metadata))
}

/// The texts and tensors (on the CPU) of such bytes.
///
/// # Errors
/// They are not a safetensors file, or hold a type of numbers that is not supported.
pub fn decode(bytes: &[u8]) -> Result<(Texts, Tensors)> {
    let broken = |e: safetensors::SafeTensorError| {
        Error::Network(format!("received something that is not a message: {e}"))
    };
    let (_, info) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(broken)?
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let copied = copy(
                Path::new("a message"),
                view.dtype(),
                view.data(),
                view.shape(),
            );
            Ok((name, copied?))
        })
        .collect::<Result<_>>()?;
    Ok((info.metadata().clone().unwrap_or_default(), tensors))
}

fn dtype(kind: Kind) -> Option<Dtype> {
    Some(match kind {
        Kind::Uint8 => Dtype::U8,
        Kind::Int64 => Dtype::I64,
        Kind::Float => Dtype::F32,
        Kind::Double => Dtype::F64,
        _ => return None,
    })
}

fn kind(dtype: Dtype) -> Option<Kind> {
    [Kind::Uint8, Kind::Int64, Kind::Float, Kind::Double]
        .into_iter()
        .find(|k| self::dtype(*k) == Some(dtype))
}

/// An open safetensors file; tensors are read on request.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    map: Mmap,
    metadata: HashMap<String, String>,
    /// By name.
    entries: HashMap<String, StoredTensor>,
}

/// A tensor in a file.
#[derive(Debug)]
struct StoredTensor {
    dtype: Dtype,
    shape: Vec<usize>,
    /// Its place in the file.
    bytes: Range<usize>,
}

impl TensorFile {
    /// Opens and checks the header; the tensors stay on disk. The file must not be changed in place
    /// while it is open (this program only ever replaces whole files).
    ///
    /// # Errors
    /// The file cannot be opened or mapped, is not a whole safetensors file, or has an unsupported
    /// layout.
    pub fn open(path: &Path) -> Result<Self> {
        let file = untrusted::open(path).map_err(Error::io("open", path))?;
        // SAFETY: this program replaces files as a whole and never changes one that may be mapped.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io("read", path))?;
        let broken = |e: safetensors::SafeTensorError| {
            Error::file(path, format!("not a complete safetensors file: {e}"))
        };
        let (header, info) = SafeTensors::read_metadata(&map).map_err(broken)?;
        SafeTensors::deserialize(&map).map_err(broken)?;
        let entries = info
            .tensors()
            .into_iter()
            .map(|(name, t)| {
                let (from, to) = t.data_offsets;
                let stored = StoredTensor {
                    dtype: t.dtype,
                    shape: t.shape.clone(),
                    bytes: 8 + header + from..8 + header + to,
                };
                (name, stored)
            })
            .collect();
        let metadata = info.metadata().clone().unwrap_or_default();
        Ok(Self {
            path: path.to_path_buf(),
            map,
            metadata,
            entries,
        })
    }

    /// As [`Self::open`], for a file of [`write_sealed`]; reads all of it once, to find damage
    /// before anything is used.
    ///
    /// # Errors
    /// As [`Self::open`]; [`Error::File`] if the checksum is missing or does not match the content.
    pub fn open_sealed(path: &Path) -> Result<Self> {
        let file = Self::open(path)?;
        let StoredTensor {
            shape, bytes: seal, ..
        } = file.entries.get(SEAL).ok_or_else(|| {
            Error::file(
                path,
                "has no checksum: it is damaged, or from a version of astill that wrote none",
            )
        })?;
        if *shape != [blake3::OUT_LEN] || seal.len() != blake3::OUT_LEN {
            return Err(Error::file(
                path,
                "is damaged: its checksum has the wrong length",
            ));
        }
        let mut hash = blake3::Hasher::new();
        hash.update(&file.map[..seal.start])
            .update(&[0; blake3::OUT_LEN])
            .update(&file.map[seal.end..]);
        if hash.finalize().as_bytes().as_slice() != &file.map[seal.clone()] {
            return Err(Error::file(
                path,
                "is damaged: its checksum does not match its content",
            ));
        }
        Ok(file)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text stored under `key`.
    ///
    /// # Errors
    /// The file has no such metadata.
    pub fn metadata(&self, key: &str) -> Result<&str> {
        self.metadata
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| Error::file(&self.path, format!("has no metadata \"{key}\"")))
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The shape of a tensor.
    ///
    /// # Errors
    /// The file has no such tensor.
    pub fn shape(&self, name: &str) -> Result<Vec<i64>> {
        Ok(self
            .entry(name)?
            .shape
            .iter()
            .map(|d| i64::try_from(*d).unwrap_or(i64::MAX))
            .collect())
    }

    /// A copy of a tensor, on the CPU.
    ///
    /// # Errors
    /// The file has no such tensor, or its type of numbers is not supported.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let stored = self.entry(name)?;
        self.copy(stored.dtype, &self.map[stored.bytes.clone()], &stored.shape)
    }

    /// A copy of the entry number `row` along the first dimension, on the CPU; nothing else of the
    /// tensor is read.
    ///
    /// # Errors
    /// The file has no such tensor or row, or its type of numbers is not supported.
    pub fn row(&self, name: &str, row: usize) -> Result<Tensor> {
        let StoredTensor {
            dtype,
            shape,
            bytes,
        } = self.entry(name)?;
        let rows = shape.first().copied().unwrap_or(0);
        if row >= rows {
            return Err(Error::file(
                &self.path,
                format!("\"{name}\" has {rows} rows, so there is no row {row}"),
            ));
        }
        let length = bytes.len() / rows;
        self.copy(
            *dtype,
            &self.map[bytes.start + row * length..][..length],
            &shape[1..],
        )
    }

    fn entry(&self, name: &str) -> Result<&StoredTensor> {
        self.entries
            .get(name)
            .ok_or_else(|| Error::file(&self.path, format!("has no tensor \"{name}\"")))
    }

    fn copy(&self, dtype: Dtype, bytes: &[u8], shape: &[usize]) -> Result<Tensor> {
        copy(&self.path, dtype, bytes, shape)
    }
}

/// A tensor of the file at `path`, on the CPU.
fn copy(path: &Path, dtype: Dtype, bytes: &[u8], shape: &[usize]) -> Result<Tensor> {
    let kind = kind(dtype).ok_or_else(|| {
        Error::file(
            path,
            format!("holds numbers of the unsupported type {dtype:?}"),
        )
    })?;
    let absurd = || {
        Error::file(
            path,
            format!("holds a tensor of the impossible shape {shape:?}"),
        )
    };
    let shape = shape
        .iter()
        .map(|d| i64::try_from(*d))
        .collect::<Result<Vec<i64>, _>>()
        .map_err(|_| absurd())?;
    Tensor::f_from_data_size(bytes, &shape, kind).map_err(|_| absurd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_whole_or_by_row() -> Result<()> {
        let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let path = folder.path().join("t.safetensors");
        let t = Tensor::from_slice(&[1f32, 2., 3., 4., 5., 6.]).view([3, 2]);
        let i = Tensor::from_slice(&[7i64]);
        write(
            &path,
            &[("t", &t), ("i", &i)],
            Some(("note", "text".into())),
        )?;
        let file = TensorFile::open(&path)?;
        assert!(file.tensor("t")?.equal(&t) && file.tensor("i")?.equal(&i));
        assert!(file.row("t", 1)?.equal(&t.get(1)));
        assert!(file.row("t", 3).is_err() && file.tensor("u").is_err());
        assert_eq!(
            (file.metadata("note")?, file.shape("t")?),
            ("text", vec![3, 2])
        );
        Ok(())
    }

    #[test]
    fn a_bit_that_is_flipped_anywhere_in_a_sealed_file_is_noticed() -> Result<()> {
        let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let path = folder.path().join("t.safetensors");
        let tensors = [
            ("t", &Tensor::from_slice(&[1f32, 2., 3.])),
            ("z", &Tensor::from_slice(&[4u8])),
        ];
        write_sealed(&path, &tensors, ("note", "text".into()))?;
        assert!(
            TensorFile::open_sealed(&path)?
                .tensor("t")?
                .equal(tensors[0].1)
        );
        let mut bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).map_err(Error::io("write", &path))?;
            assert!(TensorFile::open_sealed(&path).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        write(&path, &tensors, None)?;
        assert!(
            TensorFile::open_sealed(&path).is_err_and(|e| e.to_string().contains("no checksum"))
        );
        Ok(())
    }

    #[test]
    fn a_cut_file_is_refused() -> Result<()> {
        let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let path = folder.path().join("t.safetensors");
        write(&path, &[("t", &Tensor::from_slice(&[1f32, 2., 3.]))], None)?;
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).map_err(Error::io("write", &path))?;
            assert!(TensorFile::open(&path).is_err(), "{length} bytes");
        }
        Ok(())
    }
}
