//! Files of PyTorch's `torch.save`, read as data: a zip archive of a pickle and of the numbers, which
//! stay on disk until a tensor is asked for. Nothing that the pickle names is called.

use crate::pickle::{self, Global, Node, Pickle, Value};
use astill_core::files::untrusted;
use astill_core::{Error, Result};
use memmap2::Mmap;
use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tch::{Kind, Tensor};
use zip::{CompressionMethod, ZipArchive};

/// How a file of torch before 1.6 begins: the pickled number that such files start with.
const BEFORE_1_6: [u8; 13] = [
    0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e,
];
/// Lists within lists; what is read here has three.
const DEEPEST: usize = 16;
/// More than any file that is read here holds.
const MOST_ITEMS: usize = 1 << 20;
const MOST_DIMENSIONS: usize = 16;
/// Of all names in dicts together, in bytes: one text can stand in many places.
const LONGEST_NAMES: usize = 16 << 20;

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    Tensor(StoredTensor),
    /// A list, a tuple, or the values of a dict of names.
    List(Vec<Item>),
    Dict(Vec<(String, Item)>),
    Number(f64),
    /// Text, truth values, and None.
    Other,
}

/// A tensor that is still on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTensor {
    pub kind: Kind,
    pub shape: Vec<i64>,
    stride: Vec<i64>,
    /// Which of the file's storages holds its numbers, and from which number on.
    pub storage: usize,
    pub offset: usize,
    /// How many numbers of the storage it spans.
    span: usize,
}

/// An open file.
#[derive(Debug)]
pub struct TorchFile {
    path: PathBuf,
    map: Mmap,
    content: Item,
    storages: Vec<Storage>,
}

/// The numbers of one or more tensors.
#[derive(Debug)]
struct Storage {
    bytes: Range<usize>,
    checksum: u32,
    /// Whether the bytes have it, once they have been read.
    is_right: OnceLock<bool>,
}

impl TorchFile {
    /// Opens a file and reads what it holds, but no tensors. The file must not be changed in place
    /// while it is open.
    ///
    /// # Errors
    /// The file cannot be opened or mapped, is not of `torch.save`, or of a torch before 1.6; or it
    /// holds objects other than tensors, lists, dicts, numbers and text.
    pub fn open(path: &Path) -> Result<Self> {
        let file = untrusted::open(path).map_err(Error::io("open", path))?;
        // SAFETY: the map is only read; a file that another program cuts short meanwhile is a fault
        // of that program, as for every file that is mapped here.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io("read", path))?;
        let (content, storages) = parse(&map).map_err(|problem| Error::file(path, problem))?;
        Ok(Self {
            path: path.to_path_buf(),
            map,
            content,
            storages,
        })
    }

    /// What it holds.
    pub fn content(&self) -> &Item {
        &self.content
    }

    /// A copy of a tensor of this file, on the CPU.
    ///
    /// # Errors
    /// Its bytes do not have their checksum.
    pub fn tensor(&self, stored: &StoredTensor) -> Result<Tensor> {
        let damaged = || Error::file(&self.path, "is damaged: a tensor cannot be read");
        let storage = self.storages.get(stored.storage).ok_or_else(damaged)?;
        let bytes = self.map.get(storage.bytes.clone()).ok_or_else(damaged)?;
        let is_right = || crc32fast::hash(bytes) == storage.checksum;
        if !storage.is_right.get_or_init(is_right) {
            return Err(Error::file(
                &self.path,
                "is damaged: the checksum of a tensor does not match its content",
            ));
        }
        let size = stored.kind.elt_size_in_bytes();
        let from = stored.offset * size;
        let part = bytes.get(from..from + stored.span * size);
        let span = [stored.span as i64];
        let flat = Tensor::f_from_data_size(part.ok_or_else(damaged)?, &span, stored.kind);
        let tensor = flat.and_then(|t| t.f_as_strided(&stored.shape, &stored.stride, 0));
        Ok(tensor.map_err(|_| damaged())?.contiguous())
    }
}

/// The content of a file's bytes, and where its storages are.
fn parse(bytes: &[u8]) -> Result<(Item, Vec<Storage>), String> {
    if bytes.get(2..2 + BEFORE_1_6.len()) == Some(&BEFORE_1_6) {
        return Err(
            "is in the format of torch before 1.6, which is not read here; convert it with a newer \
             torch: torch.save(torch.load(FILE, weights_only=False), FILE)"
                .into(),
        );
    }
    let records = records(bytes)?;
    let pickles: Vec<&str> = records
        .keys()
        .filter(|name| name.ends_with("/data.pkl") || *name == "data.pkl")
        .map(String::as_str)
        .collect();
    let [name] = pickles[..] else {
        return Err("is a zip archive, but none of torch.save: expected one data.pkl in it".into());
    };
    let prefix = &name[..name.len() - "data.pkl".len()];
    if records.contains_key(&format!("{prefix}constants.pkl")) {
        return Err(
            "is a program of TorchScript, expected tensors: save them with torch.save".into(),
        );
    }
    let order = records.get(&format!("{prefix}byteorder"));
    if order.is_some_and(|order| &bytes[order.bytes.clone()] != b"little") {
        return Err("was saved on a machine with another order of bytes (big-endian)".into());
    }
    let text = &bytes[records[name].bytes.clone()];
    if crc32fast::hash(text) != records[name].checksum {
        return Err("is damaged: a checksum does not match its content".into());
    }
    let pickle = pickle::read(text).map_err(|problem| format!("in its data.pkl: {problem}"))?;
    let mut reader = Reader {
        pickle: &pickle,
        prefix,
        records: &records,
        storages: Vec::new(),
        known: HashMap::new(),
        items: 0,
        names: 0,
    };
    let content = reader.item(pickle.value, 0)?;
    Ok((content, reader.storages))
}

/// One file of the archive.
struct Record {
    bytes: Range<usize>,
    checksum: u32,
}

/// The files of a zip archive that are not compressed, by name.
fn records(bytes: &[u8]) -> Result<HashMap<String, Record>, String> {
    let foreign = |problem: zip::result::ZipError| {
        format!("expected a file of torch.save, which is a zip archive: {problem}")
    };
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(foreign)?;
    let mut records = HashMap::new();
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index).map_err(foreign)?;
        let name = String::from_utf8_lossy(file.name_raw()).into_owned();
        if file.compression() != CompressionMethod::Stored {
            return Err(format!(
                "is a zip archive that torch.save did not write: \"{}\" in it is compressed",
                astill_core::text::harmless(&name)
            ));
        }
        let from = file.data_start().and_then(|n| usize::try_from(n).ok());
        let length = usize::try_from(file.size()).ok();
        let range = from
            .zip(length)
            .and_then(|(from, length)| Some(from..from.checked_add(length)?))
            .filter(|range| range.end <= bytes.len());
        let record = Record {
            bytes: range.ok_or("is cut off: a part of it lies behind its end")?,
            checksum: file.crc32(),
        };
        records.insert(name, record);
    }
    Ok(records)
}

/// Turns values of the pickle into items.
struct Reader<'a> {
    pickle: &'a Pickle<'a>,
    /// Of the names in the archive.
    prefix: &'a str,
    records: &'a HashMap<String, Record>,
    storages: Vec<Storage>,
    /// The numbers of storages, by their key.
    known: HashMap<&'a str, usize>,
    items: usize,
    /// The bytes of all names.
    names: usize,
}

impl<'a> Reader<'a> {
    fn item(&mut self, value: Value<'a>, depth: usize) -> Result<Item, String> {
        self.items += 1;
        // a value can stand in several places, so there may be far more items than bytes
        if depth > DEEPEST || self.items > MOST_ITEMS {
            return Err("expected tensors in lists, found lists that are nested too deeply".into());
        }
        let node = match value {
            Value::Int(number) => return Ok(Item::Number(number as f64)),
            Value::Float(number) => return Ok(Item::Number(number)),
            Value::None | Value::Bool(_) | Value::Text(_) | Value::Bytes(_) | Value::Large => {
                return Ok(Item::Other);
            }
            Value::Global(global) => return Err(unknown(global)),
            Value::Node(_) => self.pickle.node(value).ok_or("holds no value")?,
        };
        match node {
            Node::Sequence(values) => {
                let items = values.iter().map(|v| self.item(*v, depth + 1));
                Ok(Item::List(items.collect::<Result<_, _>>()?))
            }
            Node::Dict(entries) => self.dict(entries, depth),
            Node::Elsewhere(_) => Err("expected a tensor, found a storage without one".into()),
            Node::Object {
                callable: Value::Global(global),
                arguments,
                entries,
                ..
            } => self.object(*global, *arguments, entries, depth),
            Node::Object { .. } => Err("found an object whose class has no name".into()),
        }
    }

    fn dict(
        &mut self,
        entries: &'a [(Value<'a>, Value<'a>)],
        depth: usize,
    ) -> Result<Item, String> {
        let entries = entries.iter().map(|(key, value)| {
            let name = match key {
                Value::Text(name) => (*name).to_string(),
                Value::Int(number) => number.to_string(),
                _ => return Err("expected names as the keys of a dict".to_string()),
            };
            self.names += name.len();
            if self.names > LONGEST_NAMES {
                return Err(format!(
                    "expected names of at most {LONGEST_NAMES} bytes in all, found more"
                ));
            }
            Ok((name, self.item(*value, depth + 1)?))
        });
        Ok(Item::Dict(entries.collect::<Result<_, _>>()?))
    }

    fn object(
        &mut self,
        global: Global<'a>,
        arguments: Value<'a>,
        entries: &'a [(Value<'a>, Value<'a>)],
        depth: usize,
    ) -> Result<Item, String> {
        match (global.module, global.name) {
            ("collections", "OrderedDict") => self.dict(entries, depth),
            ("torch._utils", "_rebuild_parameter") => {
                let values = self.pickle.elements(arguments).unwrap_or_default();
                let tensor = *values.first().ok_or("found a parameter without a tensor")?;
                self.item(tensor, depth + 1)
            }
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => {
                self.tensor(arguments).map(Item::Tensor)
            }
            _ => Err(unknown(global)),
        }
    }

    /// Of the arguments (storage, offset, shape, strides, …).
    fn tensor(&mut self, arguments: Value<'a>) -> Result<StoredTensor, String> {
        let values = self.pickle.elements(arguments).unwrap_or_default();
        let [storage, Value::Int(offset), shape, stride, ..] = values else {
            return Err("expected a tensor's storage, offset, shape and strides".into());
        };
        let (storage, kind) = self.storage(*storage)?;
        let (shape, stride) = (self.sizes(*shape)?, self.sizes(*stride)?);
        let numbers = (self.storages[storage].bytes.len() / kind.elt_size_in_bytes()) as i64;
        let outside =
            || format!("holds a tensor of the shape {shape:?} that does not fit into its storage");
        if shape.len() != stride.len() || *offset < 0 {
            return Err(outside());
        }
        let product = |a: i64, b: &i64| a.checked_mul(*b);
        let count = shape.iter().try_fold(1, product).ok_or_else(outside)?;
        let mut span = i64::from(count > 0);
        if count > 0 {
            for (size, stride) in shape.iter().zip(&stride) {
                let step = (size - 1).checked_mul(*stride).ok_or_else(outside)?;
                span = span.checked_add(step).ok_or_else(outside)?;
            }
        }
        let end = offset.checked_add(span).ok_or_else(outside)?;
        // strides of 0 would make much out of little
        if end > numbers || count > numbers {
            return Err(outside());
        }
        Ok(StoredTensor {
            kind,
            shape,
            stride,
            storage,
            offset: *offset as usize,
            span: span as usize,
        })
    }

    fn sizes(&self, value: Value<'a>) -> Result<Vec<i64>, String> {
        let values = self.pickle.elements(value).unwrap_or_default();
        if values.len() > MOST_DIMENSIONS {
            return Err("holds a tensor with too many dimensions".into());
        }
        let size = |value: &Value<'a>| match value {
            Value::Int(size) if *size >= 0 => Ok(*size),
            _ => Err("expected the sizes of a tensor".to_string()),
        };
        values.iter().map(size).collect()
    }

    /// The number of a storage, and the type of its numbers.
    fn storage(&mut self, value: Value<'a>) -> Result<(usize, Kind), String> {
        let id = match self.pickle.node(value) {
            Some(Node::Elsewhere(id)) => self.pickle.elements(*id).unwrap_or_default(),
            _ => &[],
        };
        let [
            Value::Text("storage"),
            Value::Global(class),
            Value::Text(key),
            ..,
        ] = id
        else {
            return Err("expected the storage of a tensor".into());
        };
        let kind = match (class.module, class.name) {
            ("torch", "FloatStorage") => Kind::Float,
            ("torch", "DoubleStorage") => Kind::Double,
            ("torch", "HalfStorage") => Kind::Half,
            ("torch", "BFloat16Storage") => Kind::BFloat16,
            ("torch", "LongStorage") => Kind::Int64,
            ("torch", "IntStorage") => Kind::Int,
            ("torch", "ShortStorage") => Kind::Int16,
            ("torch", "CharStorage") => Kind::Int8,
            ("torch", "ByteStorage") => Kind::Uint8,
            _ => return Err(unknown(*class)),
        };
        if let Some(number) = self.known.get(key) {
            return Ok((*number, kind));
        }
        let record = self.records.get(&format!("{}data/{key}", self.prefix));
        let record = record.ok_or("is incomplete: the numbers of a tensor are missing")?;
        self.storages.push(Storage {
            bytes: record.bytes.clone(),
            checksum: record.checksum,
            is_right: OnceLock::new(),
        });
        self.known.insert(key, self.storages.len() - 1);
        Ok((self.storages.len() - 1, kind))
    }
}

fn unknown(Global { module, name }: Global<'_>) -> String {
    let found = astill_core::text::harmless(&format!("{module}.{name}"));
    let shown: String = found.chars().take(80).collect();
    format!("holds {shown}, expected only tensors, lists, dicts, numbers and text")
}
