//! Which columns of a parquet file hold images and labels, and what the labels are.

use super::whole_file::WholeFile;
use crate::data::request::DatasetRequest;
use crate::guard;
use astill_core::{Error, Result, files::untrusted};
use parquet::basic::Type as Physical;
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value as Json;
use std::cell::Cell;
use std::path::{Path, PathBuf};

/// How many values are read at a time.
const CHUNK: usize = 4096;
/// More labels than any set of images has.
const MOST_CLASSES: i64 = 1 << 20;
/// More images than any file has, and more text in their labels: a few bytes can stand for many equal
/// values.
const MOST_ROWS: usize = 1 << 24;
const MOST_TEXT: usize = 256 << 20;

/// What a label is in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Label {
    Number(i64),
    Text(String),
    Missing,
}

/// The column of the labels.
#[derive(Debug)]
pub struct LabelColumn {
    pub name: String,
    /// The names of the classes, where the metadata has them.
    pub names: Option<Vec<String>>,
}

/// The columns that are read.
#[derive(Debug)]
pub struct Features {
    /// The column that holds the encoded images: "image.bytes", or "image" alone.
    pub image: String,
    pub label: LabelColumn,
}

impl Features {
    /// Chooses the columns by the metadata of a file, or by their types where it has none.
    ///
    /// # Errors
    /// [`Error::Usage`] if a column has to be chosen; [`Error::File`] if the file is malformed.
    pub fn read(path: &Path, request: &DatasetRequest) -> Result<Self> {
        let reader = open(path)?;
        let metadata = reader.metadata().file_metadata();
        let columns: Vec<(String, Physical)> = metadata
            .schema_descr()
            .columns()
            .iter()
            .map(|column| (column.path().string(), column.physical_type()))
            .collect();
        let features = described(&reader);
        let features = features.as_ref();
        let of_type = |wanted: &str| -> Vec<String> {
            let features = features.and_then(Json::as_object).into_iter().flatten();
            let features = features.filter(|(_, feature)| feature["_type"] == wanted);
            features.map(|(name, _)| name.clone()).collect()
        };
        let mut images = of_type("Image");
        if images.is_empty() {
            let of_struct = columns.iter().filter_map(|(name, kind)| match kind {
                Physical::BYTE_ARRAY => name.strip_suffix(".bytes"),
                _ => None,
            });
            images = of_struct.map(str::to_owned).collect();
        }
        let mut labels = of_type("ClassLabel");
        if labels.is_empty() {
            const USUAL: [&str; 4] = ["label", "labels", "class", "fine_label"];
            let names = columns.iter().map(|(name, _)| name.clone());
            labels = names
                .filter(|name| USUAL.contains(&name.as_str()))
                .collect();
        }
        let chosen = |what, key, given: &Option<String>, found: Vec<String>| {
            let all = columns.iter().map(|(name, _)| name.as_str());
            choose(path, (what, key), given.as_deref(), found, all.collect())
        };
        let image = chosen("images", "dataset.image", &request.image, images)?;
        let label = chosen("class labels", "dataset.label", &request.label, labels)?;
        let names = class_names(path, features, &label)?;
        let bytes = format!("{image}.bytes");
        let has_bytes = columns.iter().any(|(name, _)| *name == bytes);
        Ok(Self {
            image: if has_bytes { bytes } else { image },
            label: LabelColumn { name: label, names },
        })
    }

    /// Checks that the numbers of a file mean the same classes: each file has the names in its
    /// metadata.
    ///
    /// # Errors
    /// [`Error::File`] if it names other classes, or the same in another order.
    pub fn check_names(&self, path: &Path) -> Result<()> {
        let features = described(&open(path)?);
        let found = class_names(path, features.as_ref(), &self.label.name)?;
        match (&self.label.names, found) {
            (Some(expected), Some(found)) if *expected != found => {
                let at = expected
                    .iter()
                    .zip(&found)
                    .take_while(|(a, b)| a == b)
                    .count();
                let name = |names: &[String]| match names.get(at) {
                    Some(name) => format!("\"{name}\""),
                    None => "none".to_owned(),
                };
                Err(Error::file(
                    path,
                    format!(
                        "expected the class names of the first training file, {} with {} for the \
                         label {at}, found {} with {}; get all files of one version of the data set",
                        expected.len(),
                        name(expected),
                        found.len(),
                        name(&found)
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}

/// The columns as the metadata of `datasets` describe them.
fn described(reader: &SerializedFileReader<WholeFile>) -> Option<Json> {
    let metadata = reader.metadata().file_metadata();
    let pairs = metadata.key_value_metadata().into_iter().flatten();
    let mut huggingface = pairs
        .filter(|pair| pair.key == "huggingface")
        .filter_map(|pair| serde_json::from_str::<Json>(pair.value.as_deref()?).ok());
    huggingface.next()?.pointer("/info/features").cloned()
}

/// The names of the classes of a column, where it is described with them.
///
/// # Errors
/// [`Error::File`] if one of them is not text.
fn class_names(path: &Path, features: Option<&Json>, column: &str) -> Result<Option<Vec<String>>> {
    let column = features.and_then(|features| features.get(column));
    let Some(names) = column.and_then(|column| column.get("names")?.as_array()) else {
        return Ok(None);
    };
    let names = names.iter().map(|name| {
        let text = name.as_str().map(str::to_owned);
        text.ok_or_else(|| {
            Error::file(
                path,
                format!("expected the class names in its metadata as text, found {name}"),
            )
        })
    });
    names.collect::<Result<_>>().map(Some)
}

/// The column that the profile names, or the only one.
fn choose(
    path: &Path,
    (what, key): (&str, &str),
    given: Option<&str>,
    found: Vec<String>,
    all: Vec<&str>,
) -> Result<String> {
    match (given, found.as_slice()) {
        (Some(name), _) => {
            let below = format!("{name}.");
            match all
                .iter()
                .any(|column| *column == name || column.starts_with(&below))
            {
                true => Ok(name.to_owned()),
                false => Err(Error::Usage(format!(
                    "{key} is {name}, but {} has the columns {}",
                    path.display(),
                    all.join(", ")
                ))),
            }
        }
        (None, [only]) => Ok(only.clone()),
        (None, []) => Err(Error::Usage(format!(
            "{} has no column of {what}, but {}; set {key} to one of them",
            path.display(),
            all.join(", ")
        ))),
        (None, several) => Err(Error::Usage(format!(
            "{} has several columns of {what}: {}; set {key} to one of them",
            path.display(),
            several.join(", ")
        ))),
    }
}

/// Opens a parquet file and reads its metadata.
///
/// # Errors
/// [`Error::File`] if it is malformed.
pub fn open(path: &Path) -> Result<SerializedFileReader<WholeFile>> {
    let file = untrusted::open(path).map_err(Error::io("open", path))?;
    let file = WholeFile::new(file).map_err(Error::io("read", path))?;
    guarded(path, || SerializedFileReader::new(file))
}

/// What `read` gives; damage that the reader does not expect is an error too.
///
/// # Errors
/// [`Error::File`] that names the file.
pub fn guarded<T>(
    path: &Path,
    read: impl FnOnce() -> std::result::Result<T, ParquetError>,
) -> Result<T> {
    let damaged = |problem: String| {
        Error::file(
            path,
            format!("expected a parquet file: {problem}; get it again"),
        )
    };
    match guard::guarded(read) {
        Some(read) => read.map_err(|error| damaged(error.to_string())),
        None => Err(damaged("it is damaged".into())),
    }
}

/// A file whose columns were found.
#[derive(Debug)]
pub struct Table {
    pub path: PathBuf,
    /// The rows of each row group.
    pub groups: Vec<usize>,
    /// The number of the column of images.
    pub image: usize,
    label: usize,
}

impl Table {
    /// # Errors
    /// [`Error::File`] if the file is malformed or lacks a column.
    pub fn open(path: &Path, features: &Features) -> Result<Self> {
        let reader = open(path)?;
        let metadata = reader.metadata();
        let schema = metadata.file_metadata().schema_descr();
        let place = |wanted: &str, kinds: &[Physical]| {
            let columns = schema.columns().iter().enumerate();
            let mut named = columns.filter(|(_, column)| column.path().string() == wanted);
            let problem = match named.next() {
                None => format!("expected a column {wanted}, found none; get it again"),
                Some((at, column)) => match (column.physical_type(), column.max_rep_level()) {
                    (kind, 0) if kinds.contains(&kind) => return Ok(at),
                    (kind, 0) => format!(
                        "expected the column {wanted} to be one of {kinds:?}, found {kind}; choose another \
                         column with dataset.image or dataset.label"
                    ),
                    _ => format!(
                        "expected one value of the column {wanted} in every row, found lists; choose another \
                         column with dataset.image or dataset.label"
                    ),
                },
            };
            Err(Error::file(path, problem))
        };
        let groups = metadata.row_groups().iter();
        let mut left = MOST_ROWS;
        let groups = groups.map(|group| {
            let rows = usize::try_from(group.num_rows()).ok();
            let rows = rows.filter(|rows| *rows <= left).ok_or_else(|| {
                Error::file(
                    path,
                    format!("expected row groups of at most {MOST_ROWS} rows in all; get it again"),
                )
            })?;
            left -= rows;
            Ok(rows)
        });
        Ok(Self {
            path: path.to_path_buf(),
            groups: groups.collect::<Result<_>>()?,
            image: place(&features.image, &[Physical::BYTE_ARRAY])?,
            label: place(
                &features.label.name,
                &[
                    Physical::INT32,
                    Physical::INT64,
                    Physical::BYTE_ARRAY,
                    Physical::BOOLEAN,
                    Physical::FLOAT,
                    Physical::DOUBLE,
                ],
            )?,
        })
    }

    /// The label of every row.
    ///
    /// # Errors
    /// [`Error::File`] if the file is malformed.
    pub fn labels(&self, features: &Features) -> Result<Vec<Label>> {
        let reader = open(&self.path)?;
        let (mut labels, text) = (Vec::new(), Cell::new(0));
        for (group, count) in self.groups.iter().enumerate() {
            let of_group = guarded(&self.path, || {
                let column = reader.get_row_group(group)?.get_column_reader(self.label)?;
                labels_of(column, *count, &text)
            })?;
            labels.extend(of_group);
        }
        let odd = labels.iter().find(|label| match label {
            Label::Number(number) => *number >= MOST_CLASSES,
            Label::Text(_) | Label::Missing => false,
        });
        match odd {
            Some(label) => Err(Error::file(
                &self.path,
                format!(
                    "expected labels below {MOST_CLASSES} in {}, found {label:?}",
                    features.label.name
                ),
            )),
            None => Ok(labels),
        }
    }
}

/// The labels of a row group of `count` rows; `length` is that of all text so far.
fn labels_of(
    column: ColumnReader,
    count: usize,
    length: &Cell<usize>,
) -> Result<Vec<Label>, ParquetError> {
    use ColumnReader::{
        BoolColumnReader, ByteArrayColumnReader, DoubleColumnReader, FloatColumnReader,
        Int32ColumnReader, Int64ColumnReader,
    };
    let text = |bytes: ByteArray| {
        length.set(length.get() + bytes.len());
        match length.get() > MOST_TEXT {
            true => Err(ParquetError::General(format!(
                "more than {MOST_TEXT} bytes of labels"
            ))),
            false => Ok(Label::Text(
                String::from_utf8_lossy(bytes.data()).into_owned(),
            )),
        }
    };
    let whole = |number: i64| Ok(Label::Number(number));
    // as pandas stores whole numbers as soon as one is missing
    let real = |number: f64| match number.is_nan() {
        true => Ok(Label::Missing),
        false if number.fract() == 0. => Ok(Label::Number(number as i64)),
        false => Err(ParquetError::General(format!(
            "expected whole numbers as labels, found {number}"
        ))),
    };
    macro_rules! read {
        ($reader:expr, $label:expr) => {
            read_all(
                count,
                |levels, values| $reader.read_records(CHUNK, Some(levels), None, values),
                $label,
            )
        };
    }
    match column {
        BoolColumnReader(mut reader) => read!(reader, |value| whole(i64::from(value))),
        Int32ColumnReader(mut reader) => read!(reader, |value| whole(i64::from(value))),
        Int64ColumnReader(mut reader) => read!(reader, whole),
        ByteArrayColumnReader(mut reader) => read!(reader, text),
        FloatColumnReader(mut reader) => read!(reader, |value| real(value.into())),
        DoubleColumnReader(mut reader) => read!(reader, real),
        _ => Err(ParquetError::General("labels of another type".into())),
    }
}

/// The labels of `count` rows; a level of 0 is a missing value in an optional column.
fn read_all<T>(
    count: usize,
    mut read: impl FnMut(
        &mut Vec<i16>,
        &mut Vec<T>,
    ) -> std::result::Result<(usize, usize, usize), ParquetError>,
    label: impl Fn(T) -> std::result::Result<Label, ParquetError>,
) -> std::result::Result<Vec<Label>, ParquetError> {
    let mut labels = Vec::new();
    while labels.len() < count {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let (records, present, _) = read(&mut levels, &mut values)?;
        if records == 0 {
            return Err(ParquetError::General("fewer labels than rows".into()));
        }
        if levels.is_empty() || present == records {
            for value in values {
                labels.push(label(value)?);
            }
            continue;
        }
        let most = levels.iter().copied().max().unwrap_or_default().max(1);
        let mut values = values.into_iter();
        for level in levels {
            let value = if level == most { values.next() } else { None };
            labels.push(value.map_or(Ok(Label::Missing), &label)?);
        }
    }
    match labels.len() > count {
        true => Err(ParquetError::General("more labels than rows".into())),
        false => Ok(labels),
    }
}
