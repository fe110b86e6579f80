//! Reads Python pickles as data: nothing that a pickle names is looked up or called. Objects become
//! the name of what would build them and its arguments.
//!
//! Memory is bounded by the length of the pickle: every value takes at least one of its bytes, and
//! strings of bytes are not copied.

use std::collections::HashMap;

/// More values than any pickle that is read here has; so a hostile one of this many takes at most a
/// few hundred megabytes.
const MOST_VALUES: usize = 4 << 20;

/// A value of a pickle whose bytes live for `'a`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A whole number that does not fit into 64 bits.
    Large,
    /// Of Python 2's str, too.
    Bytes(&'a [u8]),
    Text(&'a str),
    Global(Global<'a>),
    /// A tuple, list, dict or object: its number in the [`Pickle`].
    Node(usize),
}

/// The module and the name of a class or function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Global<'a> {
    pub module: &'a str,
    pub name: &'a str,
}

/// A value that holds others. They refer to each other by number, so that neither depth nor circles
/// matter.
#[derive(Debug, Clone, PartialEq)]
pub enum Node<'a> {
    /// A list or a tuple.
    Sequence(Vec<Value<'a>>),
    /// Keys and values, in order.
    Dict(Vec<(Value<'a>, Value<'a>)>),
    /// What calling something with these arguments would give, and the state that it would then
    /// get.
    Object {
        callable: Value<'a>,
        arguments: Value<'a>,
        state: Option<Value<'a>>,
        /// Of a subclass of a dict, such as `collections.OrderedDict`, which may have a state too.
        entries: Vec<(Value<'a>, Value<'a>)>,
    },
    /// What stands elsewhere, under this persistent id.
    Elsewhere(Value<'a>),
}

/// The values of a pickle.
#[derive(Debug)]
pub struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    pub value: Value<'a>,
}

impl<'a> Pickle<'a> {
    /// What a value holds; none for a plain one.
    #[must_use]
    pub fn node(&self, value: Value<'a>) -> Option<&Node<'a>> {
        match value {
            Value::Node(number) => self.nodes.get(number),
            _ => None,
        }
    }

    /// The value of this key of a dict; the key may be text or bytes.
    #[must_use]
    pub fn get(&self, dict: Value<'a>, key: &str) -> Option<Value<'a>> {
        let Some(Node::Dict(entries)) = self.node(dict) else {
            return None;
        };
        let mut found = entries.iter().filter(|(name, _)| match name {
            Value::Text(text) => *text == key,
            Value::Bytes(bytes) => *bytes == key.as_bytes(),
            _ => false,
        });
        found.next_back().map(|(_, value)| *value)
    }

    /// The elements of a list or a tuple.
    #[must_use]
    pub fn elements(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.node(value) {
            Some(Node::Sequence(elements)) => Some(elements),
            _ => None,
        }
    }
}

/// The one value of a pickle of protocol 0 to 5, with all that it holds.
///
/// # Errors
/// What was expected and found, and at which byte.
pub fn read(pickle: &[u8]) -> Result<Pickle<'_>, String> {
    let machine = Machine {
        pickle,
        at: 0,
        values: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    machine.run()
}

/// The stack machine of the format.
struct Machine<'a> {
    pickle: &'a [u8],
    at: usize,
    /// How many values have been made.
    values: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Value<'a>>,
    /// The heights of the stack that were marked.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
}

type Step = Result<(), String>;

impl<'a> Machine<'a> {
    fn run(mut self) -> Result<Pickle<'a>, String> {
        loop {
            let at = self.at;
            let operation = self.byte()?;
            if operation == b'.' {
                let value = self.pop()?;
                let nodes = self.nodes;
                return Ok(Pickle { nodes, value });
            }
            let done = match operation {
                0x80 => self.skip(1),
                0x95 => self.skip(8),
                b'(' => {
                    self.marks.push(self.stack.len());
                    self.count(1)
                }
                b'0' => self.pop().map(|_| ()),
                b'1' => self.popped().map(|_| ()),
                b'2' => self.top().and_then(|top| self.push(top)),
                b'p' | b'q' | b'r' | 0x94 | b'g' | b'h' | b'j' => self.memo(operation),
                b'a' | b'e' | b's' | b'u' => self.add(operation),
                b'c' | 0x93 | b'R' | 0x81 | b'b' | 0x92 => self.object(operation),
                b'Q' => {
                    let id = self.pop()?;
                    let elsewhere = self.node(Node::Elsewhere(id));
                    self.push(elsewhere)
                }
                _ => self.literal(operation),
            };
            done.map_err(|problem| format!("{problem} at byte {at}"))?;
        }
    }

    /// Values that stand in the pickle, and those made of the ones on the stack.
    fn literal(&mut self, operation: u8) -> Step {
        let value = match operation {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i32::from_le_bytes(self.array()?).into()),
            b'K' => Value::Int(self.byte()?.into()),
            b'M' => Value::Int(u16::from_le_bytes(self.array()?).into()),
            b'I' | b'L' => self.decimal()?,
            b'F' => Value::Float(self.line()?.parse().map_err(|_| "expected a number")?),
            0x8a => self.long()?,
            b'G' => Value::Float(f64::from_be_bytes(self.array()?)),
            b'U' | b'C' => {
                let length = self.byte()?;
                Value::Bytes(self.take(length.into())?)
            }
            b'T' | b'B' => {
                let length = u32::from_le_bytes(self.array()?);
                Value::Bytes(self.take(length.into())?)
            }
            0x8e | 0x96 => {
                let length = u64::from_le_bytes(self.array()?);
                Value::Bytes(self.take(length)?)
            }
            0x8c => {
                let length = self.byte()?;
                Value::Text(self.text(length.into())?)
            }
            b'X' => {
                let length = u32::from_le_bytes(self.array()?);
                Value::Text(self.text(length.into())?)
            }
            0x8d => {
                let length = u64::from_le_bytes(self.array()?);
                Value::Text(self.text(length)?)
            }
            b']' | b')' => self.node(Node::Sequence(Vec::new())),
            b'}' => self.node(Node::Dict(Vec::new())),
            b'l' | b't' => {
                let elements = self.popped()?;
                self.node(Node::Sequence(elements))
            }
            b'd' => {
                let entries = pairs(self.popped()?)?;
                self.node(Node::Dict(entries))
            }
            0x85..=0x87 => {
                let length = usize::from(operation - 0x84);
                let from = self.above_mark(length)?;
                let elements = self.stack.split_off(from);
                self.node(Node::Sequence(elements))
            }
            other => {
                return Err(format!(
                    "found the operation {other:#04x}, which is not data"
                ));
            }
        };
        self.push(value)
    }

    /// Remembers the value on top, or pushes one that was remembered.
    fn memo(&mut self, operation: u8) -> Step {
        let key = match operation {
            b'q' | b'h' => self.byte()?.into(),
            b'r' | b'j' => u32::from_le_bytes(self.array()?),
            b'p' | b'g' => self.line()?.parse().map_err(|_| "expected a number")?,
            _ => self.memo.len() as u32,
        };
        match operation {
            b'g' | b'h' | b'j' => {
                let value = self.memo.get(&key).copied();
                self.push(value.ok_or("found a reference to nothing")?)
            }
            _ => {
                let top = self.top()?;
                self.memo.insert(key, top);
                self.count(1)
            }
        }
    }

    /// Adds to a list or a dict.
    fn add(&mut self, operation: u8) -> Step {
        let added = match operation {
            b'a' => vec![self.pop()?],
            b's' => {
                let from = self.above_mark(2)?;
                self.stack.split_off(from)
            }
            _ => self.popped()?,
        };
        let Value::Node(holder) = self.top()? else {
            return Err("expected a list or a dict".into());
        };
        match (operation, &mut self.nodes[holder]) {
            (b'a' | b'e', Node::Sequence(list)) => list.extend(added),
            (b's' | b'u', Node::Dict(dict)) => dict.extend(pairs(added)?),
            (b's' | b'u', Node::Object { entries, .. }) => entries.extend(pairs(added)?),
            _ => return Err("expected a list or a dict".into()),
        }
        Ok(())
    }

    /// Classes, functions and what they would give.
    fn object(&mut self, operation: u8) -> Step {
        match operation {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(Global { module, name }))
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => {
                    self.push(Value::Global(Global { module, name }))
                }
                _ => Err("expected the name of a class".into()),
            },
            b'b' => {
                let given = self.pop()?;
                match self.top()? {
                    Value::Node(number) => match &mut self.nodes[number] {
                        Node::Object { state, .. } => *state = Some(given),
                        _ => return Err("expected an object".into()),
                    },
                    _ => return Err("expected an object".into()),
                }
                Ok(())
            }
            // with keywords, which nothing that is read here has
            0x92 => Err("found an object with keywords".into()),
            _ => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                let object = self.node(Node::Object {
                    callable,
                    arguments,
                    state: None,
                    entries: Vec::new(),
                });
                self.push(object)
            }
        }
    }

    fn count(&mut self, values: usize) -> Step {
        self.values += values;
        match self.values > MOST_VALUES {
            true => Err(format!("expected at most {MOST_VALUES} values, found more")),
            false => Ok(()),
        }
    }

    /// A new value that holds others.
    fn node(&mut self, node: Node<'a>) -> Value<'a> {
        self.nodes.push(node);
        Value::Node(self.nodes.len() - 1)
    }

    fn push(&mut self, value: Value<'a>) -> Step {
        self.stack.push(value);
        self.count(1)
    }

    /// Where the topmost `count` values begin, which must be above the latest mark.
    fn above_mark(&self, count: usize) -> Result<usize, String> {
        let floor = self.marks.last().copied().unwrap_or_default();
        let from = self.stack.len().checked_sub(count);
        let from = from.filter(|from| *from >= floor);
        from.ok_or_else(|| "expected a value, found an empty stack".into())
    }

    fn pop(&mut self) -> Result<Value<'a>, String> {
        self.above_mark(1)?;
        self.stack.pop().ok_or_else(|| "expected a value".into())
    }

    fn top(&self) -> Result<Value<'a>, String> {
        let at = self.above_mark(1)?;
        Ok(self.stack[at])
    }

    /// The values above the latest mark, which is removed.
    fn popped(&mut self) -> Result<Vec<Value<'a>>, String> {
        let mark = self.marks.pop().ok_or("expected a mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    fn skip(&mut self, length: u64) -> Step {
        self.take(length).map(|_| ())
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        let rest = &self.pickle[self.at..];
        let length = usize::try_from(length).ok();
        let taken = length.and_then(|length| rest.get(..length));
        let taken = taken.ok_or("the pickle is cut off")?;
        self.at += taken.len();
        Ok(taken)
    }

    fn text(&mut self, length: u64) -> Result<&'a str, String> {
        std::str::from_utf8(self.take(length)?).map_err(|_| "expected UTF-8 text".into())
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.pickle[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n');
        let line = self.text(length.ok_or("the pickle is cut off")? as u64)?;
        self.skip(1)?;
        Ok(line)
    }

    /// A number of protocol 0; 00 and 01 are false and true.
    fn decimal(&mut self) -> Result<Value<'a>, String> {
        let line = self.line()?;
        Ok(match line {
            "00" => Value::Bool(false),
            "01" => Value::Bool(true),
            _ => match line.trim_end_matches('L').parse() {
                Ok(value) => Value::Int(value),
                Err(_) => Value::Large,
            },
        })
    }

    fn long(&mut self) -> Result<Value<'a>, String> {
        let length = self.byte()?;
        let bytes = self.take(length.into())?;
        if bytes.len() > 8 {
            return Ok(Value::Large);
        }
        let is_negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
        let mut all = [if is_negative { 0xFF } else { 0 }; 8];
        all[..bytes.len()].copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(all)))
    }
}

/// Keys and values that stand one after another.
fn pairs(values: Vec<Value<'_>>) -> Result<Vec<(Value<'_>, Value<'_>)>, String> {
    let mut entries = Vec::with_capacity(values.len() / 2);
    let mut values = values.into_iter();
    while let Some(key) = values.next() {
        let value = values.next().ok_or("expected a value for every key")?;
        entries.push((key, value));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_protocol_are_read() {
        // pickle.dumps({b"a": [1, -2, 300, 70000], "b": (True, None)}, protocol)
        let zero = b"(dp0\nVb\np1\n(I01\nNtp2\nsVa\n(lp3\nI1\naI-2\naI300\naI70000\nas.";
        let two = b"\x80\x02}q\x00(X\x01\x00\x00\x00bq\x01\x88N\x86q\x02X\x01\x00\x00\x00aq\x03]q\x04(K\x01J\xfe\xff\xff\xffM\x2c\x01Jp\x11\x01\x00eu.";
        // text of protocol 0 has escapes, which nothing that is read here needs
        assert!(read(zero).is_err_and(|e| e.contains("0x56")));
        let pickle = read(two).unwrap();
        let list = pickle.get(pickle.value, "a").unwrap();
        let numbers = [1, -2, 300, 70_000].map(Value::Int);
        assert_eq!(pickle.elements(list).unwrap(), numbers);
        let tuple = pickle.get(pickle.value, "b").unwrap();
        let elements = pickle.elements(tuple).unwrap();
        assert_eq!(elements, [Value::Bool(true), Value::None]);
    }

    #[test]
    fn the_entries_of_a_dict_with_attributes_are_kept() {
        // an OrderedDict {"a": 1} with the attribute _metadata, as PyTorch has state dicts
        let pickle = b"\x80\x02ccollections\nOrderedDict\n)RX\x01\x00\x00\x00aK\x01s}X\x09\x00\x00\x00_metadataK\x02sb.";
        let pickle = read(pickle).unwrap();
        let Some(Node::Object { state, entries, .. }) = pickle.node(pickle.value) else {
            panic!("{pickle:?}");
        };
        assert_eq!(entries, &[(Value::Text("a"), Value::Int(1))]);
        assert!(state.is_some());
    }

    #[test]
    fn broken_pickles_are_refused() {
        for (pickle, want) in [
            (&b""[..], "cut off"),
            (b".", "empty stack"),
            (b"a.", "empty stack"),
            (b"](.", "expected a value, found an empty stack"),
            (b"h\x05.", "reference to nothing"),
            (b"B\xff\xff\xff\xff.", "cut off"),
            (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", "cut off"),
            (b"N(K\x01u.", "expected a list or a dict"),
            (b"}(K\x01u.", "a value for every key"),
            (b"e.", "expected a mark"),
            (b"Pother\n.", "0x50"),
        ] {
            let problem = read(pickle).map(|_| ()).unwrap_err();
            assert!(
                problem.contains(want),
                "{}: {problem}",
                pickle.escape_ascii()
            );
        }
        let many = [b"N0".repeat(MOST_VALUES + 1), b"N.".to_vec()].concat();
        assert!(read(&many).is_err_and(|e| e.contains("at most")));
        // neither depth nor a circle is a problem
        let deep = [b")".to_vec(), b"\x85".repeat(1_000_000), b".".to_vec()].concat();
        assert!(read(&deep).is_ok());
        assert!(read(b"]q\x00h\x00a.").is_ok());
    }
}
