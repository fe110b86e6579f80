//! CIFAR-10 and CIFAR-100 in their Python version: pickles of dicts with the keys `data`, a numpy
//! array of u8 (n, 3072), and `labels` or `fine_labels`.
//!
//! The released files were written by Python 2; those that Python 3 and newer versions of numpy have
//! written again are read too.

use crate::pickle::{self, Global, Node, Pickle, Value};
use std::borrow::Cow;

/// The images and labels of one file, or the names of one.
#[derive(Debug)]
pub struct Batch<'a> {
    /// n · 3,072 bytes: red, green and blue planes of 32 × 32.
    pub pixels: Cow<'a, [u8]>,
    pub labels: Vec<i64>,
}

/// Reads a file of images; `labels` is the key of the labels that are used, and `pixels` the bytes of
/// one image.
///
/// # Errors
/// What was expected and found.
pub fn batch<'a>(bytes: &'a [u8], labels: &str, pixels: usize) -> Result<Batch<'a>, String> {
    let pickle = pickle::read(bytes)?;
    let required = |key: &str| {
        let found = entry(&pickle, key);
        found.ok_or_else(|| format!("expected a dict with the key {key}, found none"))
    };
    let labels = whole_numbers(&pickle, required(labels)?)
        .ok_or_else(|| format!("expected a list of whole numbers as {labels}"))?;
    let array = Array::of(&pickle, required("data")?)?;
    let expected = [labels.len() as i64, pixels as i64];
    if array.shape != expected || array.is_by_columns || array.kind != "u1" {
        return Err(format!(
            "expected data of u1 {expected:?} for {} labels, found {} {:?}",
            labels.len(),
            array.kind,
            array.shape
        ));
    }
    if array.values.len() != labels.len() * pixels {
        return Err(format!(
            "expected {} bytes of data, found {}",
            labels.len() * pixels,
            array.values.len()
        ));
    }
    Ok(Batch {
        pixels: array.values,
        labels,
    })
}

/// Reads the names of the classes: a list of text under the key `names`, `count` of them or none.
///
/// # Errors
/// What was expected and found.
pub fn names(bytes: &[u8], names: &str, count: usize) -> Result<Vec<String>, String> {
    /// Of a name, in bytes.
    const LONGEST: usize = 1000;
    let pickle = pickle::read(bytes)?;
    let list = entry(&pickle, names);
    let list = list.and_then(|list| pickle.elements(list));
    let list = list.ok_or_else(|| format!("expected a dict with a list as {names}"))?;
    // one text can stand in the list many times, so nothing is copied before this is known
    if !list.is_empty() && list.len() != count {
        return Err(format!(
            "expected {count} class names, found {}; download the file again",
            list.len()
        ));
    }
    list.iter()
        .map(|name| {
            let bytes = match name {
                Value::Text(text) => Cow::Borrowed(text.as_bytes()),
                Value::Bytes(bytes) => Cow::Borrowed(*bytes),
                name => Cow::Owned(
                    encoded(&pickle, *name).ok_or("expected the names of classes as text")?,
                ),
            };
            match bytes.len() {
                0..=LONGEST => Ok(String::from_utf8_lossy(&bytes).into_owned()),
                found => Err(format!(
                    "expected class names of at most {LONGEST} bytes, found one of {found}"
                )),
            }
        })
        .collect()
}

/// The value of a key, which Python 3 may have written as encoded text.
fn entry<'a>(pickle: &Pickle<'a>, key: &str) -> Option<Value<'a>> {
    let plain = pickle.get(pickle.value, key);
    let Some(Node::Dict(entries)) = pickle.node(pickle.value) else {
        return None;
    };
    let mut entries = entries.iter();
    plain.or_else(|| {
        // compared where it is: a long one can be the key of many entries
        let named = |name: Value<'a>| encoded_text(pickle, name) == Some(key);
        let found = entries.find(|(name, _)| named(*name));
        found.map(|(_, value)| *value)
    })
}

/// A list of whole numbers, some of them perhaps numpy's, or an array of them.
fn whole_numbers(pickle: &Pickle<'_>, value: Value<'_>) -> Option<Vec<i64>> {
    let Some(elements) = pickle.elements(value) else {
        let array = Array::of(pickle, value).ok()?;
        return numbers(&array.kind, &array.values);
    };
    let number = |element: &Value<'_>| match element {
        Value::Int(value) => Some(*value),
        other => scalar(pickle, *other),
    };
    elements.iter().map(number).collect()
}

/// A whole number as `numpy.generic.__reduce__` leaves it.
fn scalar(pickle: &Pickle<'_>, value: Value<'_>) -> Option<i64> {
    let (callable, arguments) = call(pickle, value)?;
    let [kind, bytes] = arguments else {
        return None;
    };
    if !is_named(callable, MULTIARRAY, "scalar") {
        return None;
    }
    let numbers = numbers(&kind_of(pickle, *kind)?, &bytes_of(pickle, *bytes)?)?;
    numbers.first().copied()
}

/// The whole numbers that are stored as `kind`.
fn numbers(kind: &str, bytes: &[u8]) -> Option<Vec<i64>> {
    let four = || bytes.as_chunks().0.iter();
    let eight = || bytes.as_chunks().0.iter();
    Some(match kind {
        "u1" => bytes.iter().copied().map(i64::from).collect(),
        "i4" => four().map(|n| i32::from_le_bytes(*n).into()).collect(),
        "i8" => eight().map(|n| i64::from_le_bytes(*n)).collect(),
        _ => return None,
    })
}

/// Bytes, which protocol 2 may have as encoded text.
fn bytes_of<'a>(pickle: &Pickle<'a>, value: Value<'a>) -> Option<Cow<'a, [u8]>> {
    match value {
        Value::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
        other => encoded(pickle, other).map(Cow::Owned),
    }
}

/// What the modules of numpy's own functions are called, before version 2 and since.
const MULTIARRAY: &[&str] = &["numpy.core.multiarray", "numpy._core.multiarray"];
const NUMERIC: &[&str] = &["numpy.core.numeric", "numpy._core.numeric"];

/// A numpy array as `ndarray.__reduce_ex__` leaves it.
struct Array<'a> {
    shape: Vec<i64>,
    /// "u1": the kind and the bytes of a value.
    kind: String,
    is_by_columns: bool,
    values: Cow<'a, [u8]>,
}

impl<'a> Array<'a> {
    fn of(pickle: &Pickle<'a>, value: Value<'a>) -> Result<Self, String> {
        let expected = || "expected a numpy array".to_string();
        let Some(Node::Object {
            callable,
            arguments,
            state,
            ..
        }) = pickle.node(value)
        else {
            return Err(expected());
        };
        let state = state.and_then(|state| pickle.elements(state));
        let arguments = pickle.elements(*arguments);
        let (shape, kind, is_by_columns, values) =
            if is_named(*callable, MULTIARRAY, "_reconstruct") {
                match state {
                    Some([_version, shape, kind, order, values]) => {
                        let is_by_columns = ![Value::Bool(false), Value::Int(0)].contains(order);
                        (shape, kind, is_by_columns, values)
                    }
                    _ => return Err(expected()),
                }
            // of protocol 5
            } else if is_named(*callable, NUMERIC, "_frombuffer") {
                match arguments {
                    Some([values, kind, shape, order, ..]) => {
                        let is_by_columns = *order != Value::Text("C");
                        (shape, kind, is_by_columns, values)
                    }
                    _ => return Err(expected()),
                }
            } else {
                return Err(expected());
            };
        let shape = pickle.elements(*shape).unwrap_or_default().iter();
        let shape = shape.map(|length| match length {
            Value::Int(length) => Ok(*length),
            _ => Err("expected whole numbers as the shape of an array"),
        });
        let values = bytes_of(pickle, *values).ok_or("expected the bytes of an array")?;
        Ok(Self {
            shape: shape.collect::<Result<_, _>>()?,
            kind: kind_of(pickle, *kind).ok_or("expected the kind of an array's values")?,
            is_by_columns,
            values,
        })
    }
}

/// "u1" of `numpy.dtype("u1", …)`.
fn kind_of(pickle: &Pickle<'_>, kind: Value<'_>) -> Option<String> {
    let (callable, arguments) = call(pickle, kind)?;
    if !is_named(callable, &["numpy"], "dtype") {
        return None;
    }
    match arguments.first()? {
        Value::Text(kind) => Some((*kind).to_owned()),
        Value::Bytes(kind) => Some(String::from_utf8_lossy(kind).into_owned()),
        other => String::from_utf8(encoded(pickle, *other)?).ok(),
    }
}

/// What Python 3 writes for bytes in protocol 2: `_codecs.encode(text, "latin1")`, or `bytes()`.
fn encoded(pickle: &Pickle<'_>, value: Value<'_>) -> Option<Vec<u8>> {
    let text = encoded_text(pickle, value)?.chars();
    text.map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// The text whose characters are these bytes.
fn encoded_text<'a>(pickle: &Pickle<'a>, value: Value<'a>) -> Option<&'a str> {
    let (callable, arguments) = call(pickle, value)?;
    if is_named(callable, &["__builtin__", "builtins"], "bytes") && arguments.is_empty() {
        return Some("");
    }
    match (is_named(callable, &["_codecs"], "encode"), arguments) {
        (true, [Value::Text(text), Value::Text("latin1" | "latin-1")]) => Some(text),
        _ => None,
    }
}

/// The callable and the arguments of what a call would give.
fn call<'a, 'p>(pickle: &'p Pickle<'a>, value: Value<'a>) -> Option<(Value<'a>, &'p [Value<'a>])> {
    match pickle.node(value) {
        Some(Node::Object {
            callable,
            arguments,
            ..
        }) => Some((*callable, pickle.elements(*arguments)?)),
        _ => None,
    }
}

fn is_named(value: Value<'_>, modules: &[&str], wanted: &str) -> bool {
    matches!(value, Value::Global(Global { module, name })
        if modules.contains(&module) && name == wanted)
}
