//! YAML in and out; the only file that knows which library reads it.

use serde::Serialize;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use std::cell::{Cell, RefCell};
use std::fmt;

/// A YAML value with the line of every key. Keys keep their order and may repeat, so that whoever
/// reads a profile, for example, can name both lines.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Map(Vec<MapEntry>),
    /// A value with a tag of its own ("!name"), which nothing here needs.
    Tagged(String),
}

/// A key of a mapping, and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct MapEntry {
    pub key: String,
    /// Of the key, from 1; none where the key is not written as `key:`.
    pub line: Option<usize>,
    pub value: Value,
}

/// Why a text is not one YAML value.
#[derive(Debug)]
pub struct YamlError {
    pub line: Option<usize>,
    pub message: String,
}

/// No file that is read has more than three levels and some hundred values. Both are limited, because
/// aliases can multiply what is written.
const DEPTH: usize = 16;
const VALUES: usize = 1000;

/// Reads exactly one document; an empty one is null.
///
/// # Errors
/// It is not one YAML value, or has more levels or values than anything needs.
pub fn parse(text: &str) -> Result<Value, YamlError> {
    if let Some(line) = too_deep(text) {
        return Err(YamlError {
            line: Some(line),
            message: nested(),
        });
    }
    let reader = Reader::new(text);
    let mut documents = serde_yaml::Deserializer::from_str(text).map(|document| {
        let node = Node {
            depth: 0,
            reader: &reader,
        };
        node.deserialize(document).map_err(|e| reader.error(&e))
    });
    let value = documents.next().unwrap_or(Ok(Value::Null))?;
    match documents.next().transpose()? {
        None => Ok(value),
        Some(second) => Err(YamlError {
            line: match &second {
                Value::Map(entries) => entries.first().and_then(|e| e.line),
                _ => None,
            },
            message: "a second YAML document; expected exactly one".into(),
        }),
    }
}

/// Settings as YAML that [`parse`] reads back to the same numbers.
#[must_use]
pub fn emit(settings: &impl Serialize) -> String {
    // Plain structs, numbers and text: there is nothing in them that YAML cannot hold.
    serde_yaml::to_string(settings).unwrap_or_else(|error| format!("# {error}\n"))
}

fn nested() -> String {
    format!("nested more than {DEPTH} levels deep; expected sections with keys")
}

fn multiplied() -> String {
    format!("more than {VALUES} values once aliases (*name) are expanded; expected at most that")
}

/// The line on which more brackets are open than any file needs: the library's time grows with the
/// square of their depth, to minutes. Brackets in text and comments count too, but they usually
/// close again.
fn too_deep(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (number, line) in text.lines().enumerate() {
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > 500 {
                return Some(number + 1);
            }
        }
    }
    None
}

/// What is shared while a text is read.
struct Reader<'a> {
    /// Every piece of text before a colon, which may end in a key, with its line.
    before_colons: Vec<(&'a str, usize)>,
    /// Whether the text may hold an alias (*name), which repeats keys.
    has_aliases: bool,
    /// The number of these up to the key that was read last.
    passed: Cell<usize>,
    /// How many values have been read.
    values: Cell<usize>,
    /// Why this file, rather than the library, refuses the text.
    refusal: RefCell<Option<String>>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let lines = text.lines().zip(1..).map(|(line, number)| {
            let comment = match line.starts_with('#') {
                true => Some(0),
                false => line.find(" #").or_else(|| line.find("\t#")),
            };
            (&line[..comment.unwrap_or(line.len())], number)
        });
        let before_colons = lines.flat_map(|(line, number)| {
            let colons = line.match_indices(':');
            colons.map(move |(at, _)| (line[..at].trim_end_matches([' ', '"', '\'']), number))
        });
        Self {
            before_colons: before_colons.collect(),
            has_aliases: text.contains('*'),
            passed: Cell::new(0),
            values: Cell::new(0),
            refusal: RefCell::new(None),
        }
    }

    /// The line of a key that has just been read. The library reports positions only in errors, but
    /// it reads keys in the order of the text: each is the next one of its name. Only an alias
    /// repeats what stands earlier.
    fn line_of(&self, key: &str) -> Option<usize> {
        let is_key = |(before, _): &(&str, usize)| {
            before.strip_suffix(key).is_some_and(|rest| {
                rest.is_empty() || rest.ends_with([' ', '\t', '{', '[', ',', '"', '\''])
            })
        };
        let (earlier, later) = self.before_colons.split_at(self.passed.get());
        if let Some(at) = later.iter().position(is_key) {
            self.passed.set(self.passed.get() + at + 1);
            return Some(later[at].1);
        }
        // of a key that is written in another way, no line is better than a wrong one
        let repeats = self
            .has_aliases
            .then(|| earlier.iter().rfind(|b| is_key(b)));
        repeats.flatten().map(|(_, line)| *line)
    }

    fn error(&self, error: &serde_yaml::Error) -> YamlError {
        let text = error.to_string();
        let message = match self.refusal.take() {
            Some(refusal) => refusal,
            None if text.starts_with("recursion limit") => nested(),
            None if text.starts_with("repetition limit") => multiplied(),
            None => format!("not valid YAML: {text}"),
        };
        YamlError {
            line: error.location().map(|l| l.line()),
            message,
        }
    }
}

/// Any value, at `depth` levels below the document.
#[derive(Clone, Copy)]
struct Node<'r, 'a> {
    depth: usize,
    reader: &'r Reader<'a>,
}

impl Node<'_, '_> {
    /// The error that makes the library stop; [`Reader::error`] says why.
    fn refuse<E: de::Error>(self, why: String) -> E {
        self.reader.refusal.replace(Some(why));
        E::custom("")
    }

    fn below<E: de::Error>(self) -> Result<Self, E> {
        match self.depth {
            DEPTH => Err(self.refuse(nested())),
            depth => Ok(Self {
                depth: depth + 1,
                ..self
            }),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let values = &self.reader.values;
        values.set(values.get() + 1);
        match values.get() > VALUES {
            true => Err(self.refuse(multiplied())),
            false => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Int(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Int(v.into()))
    }

    fn visit_i128<E>(self, v: i128) -> Result<Value, E> {
        Ok(Value::Int(v))
    }

    fn visit_u128<E>(self, v: u128) -> Result<Value, E> {
        Ok(i128::try_from(v).map_or(Value::Float(v as f64), Value::Int))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::Float(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::Text(v.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let (below, mut list) = (self.below()?, Vec::new());
        while let Some(item) = items.next_element_seed(below)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let (below, mut map) = (self.below()?, Vec::new());
        while let Some(key) = entries.next_key_seed(KeyName)? {
            map.push(MapEntry {
                line: self.reader.line_of(&key),
                key,
                value: entries.next_value_seed(below)?,
            });
        }
        Ok(Value::Map(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Value, A::Error> {
        let (tag, contents) = tagged.variant::<String>()?;
        contents.newtype_variant::<IgnoredAny>()?;
        Ok(Value::Tagged(tag))
    }
}

/// The name of a key: plain text without a tag.
struct KeyName;

impl<'de> DeserializeSeed<'de> for KeyName {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for KeyName {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the name of a key")
    }

    fn visit_unit<E>(self) -> Result<String, E> {
        Ok("null".into())
    }

    fn visit_bool<E>(self, v: bool) -> Result<String, E> {
        Ok(v.to_string())
    }

    fn visit_i64<E>(self, v: i64) -> Result<String, E> {
        Ok(v.to_string())
    }

    fn visit_u64<E>(self, v: u64) -> Result<String, E> {
        Ok(v.to_string())
    }

    fn visit_f64<E>(self, v: f64) -> Result<String, E> {
        Ok(v.to_string())
    }

    fn visit_str<E>(self, v: &str) -> Result<String, E> {
        Ok(v.into())
    }
}

impl Value {
    /// In one line, as a file writes it.
    #[must_use]
    pub fn as_yaml(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Text(text) => text.escape_debug().to_string(),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(Self::as_yaml).collect();
                format!("[{}]", items.join(", "))
            }
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Value {
    /// As in "found …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("nothing (null)"),
            Self::Bool(v) => write!(f, "{v}"),
            Self::Int(v) => write!(f, "{v}"),
            Self::Float(v) if v.is_nan() => f.write_str(".nan"),
            Self::Float(v) if v.is_infinite() => {
                f.write_str(if *v > 0. { ".inf" } else { "-.inf" })
            }
            Self::Float(v) => write!(f, "{v:?}"),
            Self::Text(v) if v.chars().count() > 40 => {
                write!(f, "the text {:?}…", v.chars().take(40).collect::<String>())
            }
            Self::Text(v) => write!(f, "the text {v:?}"),
            Self::List(_) => f.write_str("a list"),
            Self::Map(_) => f.write_str("a mapping"),
            Self::Tagged(tag) => write!(
                f,
                "a value with the tag \"!{}\"",
                tag.trim_start_matches('!')
            ),
        }
    }
}
