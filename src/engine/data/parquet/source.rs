//! The images of a split in parquet files, read row group by row group.

use super::columns::{Label, Table, guarded, open};
use crate::data::decode::{Encoded, LARGEST_FILE};
use crate::data::image_source::{ImageSource, stamp_file};
use crate::data::left_out::relative_name;
use astill_core::Result;
use parquet::column::reader::{ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::reader::FileReader;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// No more images are fetched together once they have so many bytes: a small file can hold any number
/// of large ones.
const ENOUGH: usize = 64 << 20;

/// A row of a file.
#[derive(Debug, Clone, Copy)]
struct Place {
    table: u32,
    group: u32,
    row: u32,
}

/// The rows of a split, in the order of its files.
#[derive(Debug, Default)]
pub struct Rows {
    root: PathBuf,
    tables: Vec<Table>,
    rows: Vec<Place>,
    /// Where the last fetch ended, so that the next one need not begin anew.
    cursor: Mutex<Option<Cursor>>,
}

struct Cursor {
    table: u32,
    group: u32,
    next: u32,
    reader: ColumnReaderImpl<ByteArrayType>,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "row {} of group {} of file {}",
            self.next, self.group, self.table
        )
    }
}

impl Rows {
    /// Adds the rows of a file, as many as it has labels.
    pub fn add(&mut self, root: &Path, table: Table, labels: &[Label]) {
        self.root = root.to_path_buf();
        let number = self.tables.len() as u32;
        let groups = (0u32..).zip(&table.groups);
        let rows = groups.flat_map(|(group, count)| {
            (0..*count as u32).map(move |row| Place {
                table: number,
                group,
                row,
            })
        });
        self.rows.extend(rows.take(labels.len()));
        self.tables.push(table);
    }

    /// Keeps the rows that `is_kept`.
    pub fn keep(&mut self, is_kept: impl Fn(usize) -> bool) {
        let mut row = 0;
        self.rows.retain(|_| {
            row += 1;
            is_kept(row - 1)
        });
    }

    /// The name of a row before any was left out.
    pub fn name_of_all(&self, row: usize) -> String {
        self.name(row)
    }

    /// The image in this row; none if it is null.
    fn image(&self, cursor: &mut Option<Cursor>, place: Place) -> Result<Option<ByteArray>> {
        let table = &self.tables[place.table as usize];
        let is_ahead = cursor.as_ref().is_some_and(|cursor| {
            (cursor.table, cursor.group) == (place.table, place.group) && cursor.next <= place.row
        });
        if !is_ahead {
            *cursor = None; // it may hold a file's pages
            let file = open(&table.path)?;
            let reader = guarded(&table.path, || {
                let group = file.get_row_group(place.group as usize)?;
                Ok(get_typed_column_reader::<ByteArrayType>(
                    group.get_column_reader(table.image)?,
                ))
            })?;
            *cursor = Some(Cursor {
                table: place.table,
                group: place.group,
                next: 0,
                reader,
            });
        }
        let Some(here) = cursor else {
            return Ok(None);
        };
        let ahead = (place.row - here.next) as usize;
        let read = guarded(&table.path, || {
            if ahead > 0 {
                here.reader.skip_records(ahead)?;
            }
            let (mut levels, mut values) = (Vec::new(), Vec::new());
            here.reader
                .read_records(1, Some(&mut levels), None, &mut values)?;
            Ok(values.pop())
        });
        here.next = place.row + 1;
        if read.is_err() {
            *cursor = None;
        }
        read
    }
}

impl ImageSource for Rows {
    fn name(&self, row: usize) -> String {
        let Place { table, group, row } = self.rows[row];
        let table = &self.tables[table as usize];
        let before: usize = table.groups[..group as usize].iter().sum();
        let name = relative_name(&self.root, &table.path);
        format!("{name} row {}", before + row as usize)
    }

    fn fetch(&self, rows: &[usize]) -> Result<Vec<std::result::Result<Encoded, String>>> {
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut fetched, mut bytes) = (Vec::new(), 0);
        for row in rows {
            let image = self.image(&mut cursor, self.rows[*row])?;
            fetched.push(match image {
                None => Err("it has no image in the file".to_owned()),
                Some(image) if image.len() as u64 > LARGEST_FILE => Err(format!(
                    "it has {} bytes, the limit is {LARGEST_FILE}",
                    image.len()
                )),
                Some(image) => {
                    bytes += image.len();
                    Ok(Encoded::Bytes(image.data().to_vec()))
                }
            });
            if bytes >= ENOUGH {
                break;
            }
        }
        Ok(fetched)
    }

    fn stamp(&self, rows: &[usize], take: &mut dyn FnMut(&[u8])) -> Result<()> {
        for table in &self.tables {
            take(table.path.as_os_str().as_encoded_bytes());
            take(&(table.image as u64).to_le_bytes());
            stamp_file(&table.path, take)?;
        }
        for row in rows {
            let Place { table, group, row } = self.rows[*row];
            for number in [table, group, row] {
                take(&number.to_le_bytes());
            }
        }
        Ok(())
    }
}
