//! Writers of small files of other programs.

use super::write;
use ::parquet::data_type::{ByteArray, ByteArrayType};
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use std::fs;
use std::io::Write;
use std::path::Path;

/// An idx file of u8: its lengths and its values.
pub fn idx(lengths: &[u32], values: &[u8]) -> Vec<u8> {
    let begin = [0, 0, 8, lengths.len() as u8];
    let lengths = lengths.iter().flat_map(|length| length.to_be_bytes());
    [&begin[..], &lengths.collect::<Vec<u8>>(), values].concat()
}

/// An array of u8 as NumPy writes it; `shape` as in Python, "4, 2, 2".
pub fn npy(shape: &str, values: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let length = (text.len() as u16).to_le_bytes();
    [&b"\x93NUMPY\x01\0"[..], &length, text.as_bytes(), values].concat()
}

/// An .npz of these members.
pub fn npz(path: &Path, members: &[(&str, Vec<u8>)]) {
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, content) in members {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(*name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap();
}

/// The name and the content of a member of a tar file.
pub type Member<'a> = (&'a str, &'a [u8]);

/// A tar file of these members.
pub fn tar(path: &Path, members: &[Member<'_>]) {
    let mut tar = ::tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    write(path, tar.into_inner().unwrap());
}

/// A parquet file of one image for each of these labels.
pub fn parquet(path: &Path, labels: &[i64]) {
    use ::parquet::data_type::Int64Type;
    let levels = vec![1; labels.len()];
    write_parquet(path, "int64", labels.len(), &mut |column| {
        let typed = column.typed::<Int64Type>();
        typed.write_batch(labels, Some(&levels), None).unwrap();
    });
}

fn write_parquet(
    path: &Path,
    kind: &str,
    images: usize,
    write_labels: &mut dyn FnMut(&mut SerializedColumnWriter<'_>),
) {
    let schema = format!(
        "message schema {{
            optional group image {{ optional binary bytes; optional binary path (STRING); }}
            optional {kind} label;
        }}"
    );
    let schema = ::parquet::schema::parser::parse_message_type(&schema).unwrap();
    let file = fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema.into(), Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let texts: Vec<ByteArray> = (0..images).map(|_| "not looked at".into()).collect();
    for _ in 0..2 {
        let mut column = group.next_column().unwrap().unwrap();
        let typed = column.typed::<ByteArrayType>();
        typed
            .write_batch(&texts, Some(&vec![2; images]), None)
            .unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    write_labels(&mut column);
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

/// The same with labels that are floating-point numbers, none for those that are missing.
pub fn parquet_of_floats(path: &Path, labels: &[Option<f64>]) {
    use ::parquet::data_type::DoubleType;
    let present: Vec<f64> = labels.iter().copied().flatten().collect();
    let levels: Vec<i16> = labels
        .iter()
        .map(|label| i16::from(label.is_some()))
        .collect();
    write_parquet(path, "double", labels.len(), &mut |column| {
        let typed = column.typed::<DoubleType>();
        typed.write_batch(&present, Some(&levels), None).unwrap();
    });
}
