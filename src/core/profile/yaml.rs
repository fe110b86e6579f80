//! YAML in and out; the only file that knows which library reads it.

use super::Profile;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use std::cell::Cell;
use std::fmt;

/// A YAML value with the line of every key. Keys keep their order and may repeat: whoever reads it
/// says so with both lines.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Map(Vec<Entry>),
    /// A value with a tag of its own ("!name"), which no profile needs.
    Tagged(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    /// Of the key, from 1.
    pub line: usize,
    pub value: Value,
}

/// Why a text is not one YAML value.
#[derive(Debug)]
pub(super) struct Flaw {
    pub line: Option<usize>,
    pub message: String,
}

/// A profile has three levels and some forty values; aliases may multiply what is written, so both
/// are bounded.
const DEPTH: usize = 16;
const VALUES: usize = 1000;

/// Reads exactly one document; an empty one is null.
pub(super) fn parse(text: &str) -> Result<Value, Flaw> {
    if let Some(line) = too_deep(text) {
        return Err(Flaw {
            line: Some(line),
            message: nested(),
        });
    }
    let values = Cell::new(0);
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let Some(first) = documents.next() else {
        return Ok(Value::Null);
    };
    let value = Node {
        depth: 0,
        values: &values,
    }
    .deserialize(first)
    .map_err(flaw)?;
    let Some(second) = documents.next() else {
        return Ok(value);
    };
    match second.deserialize_any(Stop) {
        Err(error) if !error.to_string().contains(SECOND) => Err(flaw(error)),
        stopped => Err(Flaw {
            line: stopped.err().and_then(|e| e.location()).map(|l| l.line()),
            message: format!("{SECOND}; expected exactly one"),
        }),
    }
}

/// The profile as YAML that [`parse`] reads back to the same numbers.
pub(super) fn emit(profile: &Profile) -> String {
    // Plain structs, numbers and text: there is nothing in them that YAML cannot hold.
    serde_yaml::to_string(profile).unwrap_or_else(|error| format!("# {error}\n"))
}

fn flaw(error: serde_yaml::Error) -> Flaw {
    let text = error.to_string();
    // A position is at the front of our messages already; only the parser's own text may hold a
    // second one worth keeping.
    let message = match text.rsplit_once(OWN) {
        Some((_, own)) => own
            .rsplit_once(" at line ")
            .map_or(own, |(message, _)| message)
            .to_string(),
        None if text.starts_with("recursion limit") => nested(),
        None if text.starts_with("repetition limit") => multiplied(),
        None => format!("not valid YAML: {text}"),
    };
    Flaw {
        line: error.location().map(|l| l.line()),
        message,
    }
}

/// Marks the messages that this file gives to the library to carry.
const OWN: &str = "\u{1}";

fn nested() -> String {
    format!("nested more than {DEPTH} levels deep; a profile has sections and keys")
}

fn multiplied() -> String {
    format!("more than {VALUES} values, aliases (*name) written out; a profile has some forty")
}

fn own<E: de::Error>(message: impl fmt::Display) -> E {
    E::custom(format!("{OWN}{message}"))
}

/// The line on which brackets are open beyond any sense: the library's time grows with the square
/// of their depth, to minutes. Brackets in text and comments count too, but close again as a rule;
/// hundreds that stay open are no profile.
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

/// Any value, at `depth` levels below the document, counted in `values`.
#[derive(Clone, Copy)]
struct Node<'a> {
    depth: usize,
    values: &'a Cell<usize>,
}

impl Node<'_> {
    fn below<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH {
            Err(own(nested()))
        } else {
            Ok(Self {
                depth: self.depth + 1,
                ..self
            })
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.values.set(self.values.get() + 1);
        if self.values.get() > VALUES {
            return Err(own(multiplied()));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
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
        while let Some((key, line)) = entries.next_key_seed(KeyAndLine)? {
            map.push(Entry {
                key,
                line,
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

/// A key and its line. The library tells positions only in errors, so the visitor fails on purpose
/// once it has the key: the error comes back with the key's position in its text, and reading goes
/// on behind the key.
struct KeyAndLine;

impl<'de> DeserializeSeed<'de> for KeyAndLine {
    type Value = (String, usize);

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<(String, usize), D::Error> {
        let mut found = None;
        match deserializer.deserialize_any(Capture(&mut found)) {
            Ok(never) => match never {},
            Err(error) => match found {
                Some(key) => Ok((key, line_in(&error.to_string()))),
                None => Err(error),
            },
        }
    }
}

/// The line in "… at line 3 column 5"; the library leaves it out at the very beginning of the text.
fn line_in(message: &str) -> usize {
    let position = message
        .rsplit_once(" at line ")
        .and_then(|(_, position)| position.split_once(" column "));
    position
        .and_then(|(line, _)| line.parse().ok())
        .unwrap_or(1)
}

enum Never {}

struct Capture<'a>(&'a mut Option<String>);

impl Capture<'_> {
    fn key<E: de::Error>(self, key: impl Into<String>) -> Result<Never, E> {
        *self.0 = Some(key.into());
        Err(E::custom(""))
    }
}

impl<'de> Visitor<'de> for Capture<'_> {
    type Value = Never;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the name of a key")
    }

    fn visit_str<E: de::Error>(self, v: &str) -> Result<Never, E> {
        self.key(v)
    }

    fn visit_bool<E: de::Error>(self, v: bool) -> Result<Never, E> {
        self.key(v.to_string())
    }

    fn visit_i64<E: de::Error>(self, v: i64) -> Result<Never, E> {
        self.key(v.to_string())
    }

    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Never, E> {
        self.key(v.to_string())
    }

    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Never, E> {
        self.key(v.to_string())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Never, E> {
        self.key("null")
    }
}

const SECOND: &str = "a second YAML document";

/// Fails at once, to learn where the second document stands.
struct Stop;

impl Visitor<'_> for Stop {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(SECOND)
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
