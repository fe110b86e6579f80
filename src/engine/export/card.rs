//! What an exported set says about itself: to programs as JSON, to people as a data set card.

use super::{Content, DistilledSet, safetensors};
use crate::data::Normalisation;
use astill_core::files::atomic::write_atomically;
use astill_core::profile::LabelKind;
use astill_core::run::event::Headline;
use astill_core::text::percent;
use astill_core::{Error, Result};
use serde_json::{Value, json};
use std::path::Path;
use tch::Tensor;

/// The file of [`metadata`].
const METADATA: &str = "astill.json";

const TEMPLATE: &str = include_str!("../../../assets/dataset_card.md");

/// Everything about a set but its tensors.
pub fn metadata(content: &Content<'_>) -> Value {
    let set = content.set;
    let mut all = json!({
        "name": content.name,
        "images": set.images.size(),
        "student_lr": set.student_lr,
    });
    let mut provenance = json!(set.provenance);
    provenance["protocol"] = set.protocol();
    provenance["space"] = json!(content.space);
    let numbers_are_normalised = set.provenance.space == content.space;
    if let (Normalisation::Channels { mean, std }, true) =
        (&set.normalisation, numbers_are_normalised)
    {
        let list = |tensor: &Tensor| -> Vec<f64> {
            (0..tensor.numel() as i64)
                .map(|c| tensor.double_value(&[c]))
                .collect()
        };
        all["mean"] = json!(list(mean));
        all["std"] = json!(list(std));
    }
    if let (Some(all), Value::Object(provenance)) = (all.as_object_mut(), provenance) {
        all.extend(provenance);
    }
    all
}

/// Writes [`metadata`] into `folder`.
///
/// # Errors
/// The file cannot be written.
pub fn write_metadata(content: &Content<'_>, folder: &Path) -> Result<()> {
    let path = folder.join(METADATA);
    let text = serde_json::to_string_pretty(&metadata(content))
        .map_err(|e| Error::file(&path, e.to_string()))?;
    write_atomically(&path, (text + "\n").as_bytes())
}

/// The card of a data set on the Hugging Face Hub.
///
/// # Errors
/// The images have an impossible shape.
pub fn card(content: &Content<'_>) -> Result<String> {
    let set = content.set;
    let [n, channels, height, width] = set.shape()?;
    let provenance = &set.provenance;
    let classes = &provenance.classes;
    let setting = |section: &str, key: &str| match &provenance.profile[section][key] {
        Value::Null => "unknown".to_string(),
        Value::String(text) => inline(text),
        other => other.to_string(),
    };
    let named: Vec<String> = (0..)
        .zip(classes)
        .map(|(k, class): (usize, _)| format!("{k} {}", inline(class)))
        .collect();
    let values = [
        ("name", inline(content.name)),
        ("name_json", json!(content.name).to_string()),
        ("size", size_category(n).into()),
        ("features", features(set)),
        ("kind", setting("dataset", "kind")),
        ("n", n.to_string()),
        ("classes", classes.len().to_string()),
        ("class_names", named.join(", ")),
        (
            "shape",
            format!(
                "{width}×{height} pixels, {}",
                match channels {
                    1 => "grey".to_string(),
                    3 => "RGB".to_string(),
                    other => format!("{other} channels"),
                }
            ),
        ),
        (
            "labels",
            match set.labels {
                crate::distill::Labels::Soft(_) => {
                    "soft: `probabilities` has one of every class, `label` is the most probable"
                        .into()
                }
                crate::distill::Labels::Hard(_) => "one class each".to_string(),
            },
        ),
        ("program", inline(&provenance.program)),
        ("results", results(&provenance.results)),
        ("student_lr", set.student_lr.to_string()),
        ("protocol", fenced(&set.protocol())),
        ("profile", fenced(&provenance.profile)),
        (
            "pictures",
            match set.images_per_class() {
                Ok(_) => "One row per class:\n\n![the images](samples.png)".into(),
                Err(_) => String::new(),
            },
        ),
        ("file", safetensors::FILE.into()),
    ];
    let mut card = TEMPLATE.to_string();
    for (key, value) in values {
        card = card.replace(&format!("<<{key}>>"), &value);
    }
    Ok(card)
}

/// What the library `datasets` reads before it opens a file.
fn features(set: &DistilledSet) -> String {
    let mut text = String::from(
        "  - name: image\n    dtype: image\n  - name: label\n    dtype:\n      class_label:\n        names:\n",
    );
    for (k, class) in set.provenance.classes.iter().enumerate() {
        // a JSON text is a YAML text
        text += &format!("          '{k}': {}\n", json!(class));
    }
    if let crate::distill::Labels::Soft(_) = set.labels {
        text += &format!(
            "  - name: probabilities\n    sequence: float32\n    length: {}\n",
            set.provenance.classes.len()
        );
    }
    text.pop();
    text
}

fn size_category(n: i64) -> &'static str {
    match n {
        ..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        _ => "100K<n<1M",
    }
}

/// The table of a result in Markdown.
fn results(results: &[Headline]) -> String {
    let mut text =
        String::from("| images | labels | network | test accuracy |\n|---|---|---|---|\n");
    for r in results {
        let accuracy = match r.values.len() {
            0 | 1 => format!("{} %", percent(r.mean)),
            n => format!("{} ± {} % ({n} networks)", percent(r.mean), percent(r.std)),
        };
        let labels = match r.label_kind {
            LabelKind::Hard => "hard",
            LabelKind::Soft => "soft",
        };
        text += &format!(
            "| {} | {labels} | {} | {accuracy} |\n",
            r.labels,
            inline(&r.network)
        );
    }
    text.pop();
    text
}

fn fenced(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    format!("```json\n{text}\n```")
}

/// A text from elsewhere inside a line of Markdown: nothing in it is markup, a line end or a control
/// character.
fn inline(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars().take(200) {
        match c {
            c if c.is_control() => safe.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '!' => {
                safe.push('\\');
                safe.push(c);
            }
            c => safe.push(c),
        }
    }
    safe
}
