//! The parquet file of a Hugging Face data set.

use super::class_folders::LabelledPng;
use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use ::parquet::schema::types::ColumnPath;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::Arc;

/// Writes a row for every image: `image` (bytes of the PNG, path), `label` and, where labels are
/// soft, `probabilities`; with the features as the library `datasets` states them.
///
/// # Errors
/// The file cannot be written.
pub fn write(
    file: &mut (impl Write + Send),
    images: &[LabelledPng],
    classes: &[String],
) -> Result<(), ParquetError> {
    let is_soft = images.iter().any(|i| !i.probabilities.is_empty());
    let schema = parse_message_type(&format!(
        "message schema {{
           optional group image {{ optional binary bytes; optional binary path (STRING); }}
           optional int64 label;
           {}
         }}",
        match is_soft {
            true => {
                "optional group probabilities (LIST) { repeated group list { optional float element; } }"
            }
            false => "",
        }
    ))?;
    let features = json!({ "info": { "features": features(classes, is_soft) } });
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        // a PNG is compressed already
        .set_column_compression(
            ColumnPath::from(vec!["image".into(), "bytes".into()]),
            Compression::UNCOMPRESSED,
        )
        .set_column_dictionary_enabled(
            ColumnPath::from(vec!["image".into(), "bytes".into()]),
            false,
        )
        .set_created_by(concat!("astill ", env!("CARGO_PKG_VERSION")).into())
        .set_key_value_metadata(Some(vec![KeyValue::new(
            "huggingface".into(),
            features.to_string(),
        )]))
        .build();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let bytes: Vec<ByteArray> = images.iter().map(|i| i.png.clone().into()).collect();
    let paths: Vec<ByteArray> = images.iter().map(|i| i.name.as_str().into()).collect();
    for column in [bytes, paths] {
        if let Some(mut next) = group.next_column()? {
            // there at both levels: the group and its member
            next.typed::<ByteArrayType>().write_batch(
                &column,
                Some(&vec![2; column.len()]),
                None,
            )?;
            next.close()?;
        }
    }
    if let Some(mut next) = group.next_column()? {
        let labels: Vec<i64> = images.iter().map(|i| i.label).collect();
        next.typed::<Int64Type>()
            .write_batch(&labels, Some(&vec![1; labels.len()]), None)?;
        next.close()?;
    }
    if let Some(mut next) = group.next_column()? {
        let all: Vec<f32> = images
            .iter()
            .flat_map(|i| i.probabilities.iter().copied())
            .collect();
        let starts: Vec<i16> = images
            .iter()
            .flat_map(|i| (0..i.probabilities.len()).map(|k| i16::from(k > 0)))
            .collect();
        next.typed::<FloatType>()
            .write_batch(&all, Some(&vec![3; all.len()]), Some(&starts))?;
        next.close()?;
    }
    group.close()?;
    writer.close()?;
    Ok(())
}

/// The features of `datasets`. Lists are called by their older name, which newer versions read too.
fn features(classes: &[String], is_soft: bool) -> Value {
    let mut features = json!({
        "image": { "_type": "Image" },
        "label": { "names": classes, "_type": "ClassLabel" },
    });
    if is_soft {
        features["probabilities"] = json!({
            "feature": { "dtype": "float32", "_type": "Value" },
            "length": classes.len(),
            "_type": "Sequence",
        });
    }
    features
}
