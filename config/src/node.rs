//! The configuration as a tree in which every value knows where it was written.

use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// Where text came from: a file's name as the user gave it, or a name such as `--set` or `env:X`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(Arc<str>);

impl Source {
    /// A source that messages call `name`.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(Arc::from(name.as_ref()))
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first character of a key or a value. Displayed as `file:line:column`, and as the name alone
/// for a source that is a single value, such as a `--set`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub source: Source,
    /// The line, from 1; 0 when the source has no lines.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl Span {
    /// A place in `source`; lines and columns count from 1.
    pub fn new(source: &Source, line: u32, column: u32) -> Self {
        Self {
            source: source.clone(),
            line,
            column,
        }
    }

    /// The whole of `source`, which has no lines.
    pub fn whole(source: &Source) -> Self {
        Self::new(source, 0, 0)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(self.source.name()),
            line => write!(f, "{}:{line}:{}", self.source.name(), self.column),
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Its first character; for `key:` with nothing after it, the key.
    pub span: Span,
    /// The exact text that a `${…}` reference was replaced with, when it was the whole value. A
    /// field that wants a string gets this text, so `0123` stays `0123`; every other field gets
    /// `value`, which is this text read as YAML.
    pub original: Option<Arc<str>>,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing at all.
    Null,
    /// Text, a number, true or false.
    Scalar(Scalar),
    /// A list.
    Seq(Vec<Node>),
    /// A map in the order it was written.
    Map(Map),
}

/// The keys and values of a map, in order; every key once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    pub(crate) entries: Vec<Entry>,
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key was written.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Map {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of `key`.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The entries in the order they were written.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// The keys in the order they were written.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.key.as_str())
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn position(&self, key: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.key == key)
    }
}

/// A key that comes again replaces what came before, in its place.
impl FromIterator<Entry> for Map {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut map = Self::default();
        for entry in entries {
            match map.position(&entry.key).map(|at| map.entries.get_mut(at)) {
                Some(Some(known)) => *known = entry,
                _ => map.entries.push(entry),
            }
        }
        map
    }
}

/// A scalar as written.
#[derive(Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text without its quotes.
    pub text: String,
    /// Whether the text may mean a number, true or false.
    pub style: Style,
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.style {
            Style::Plain => f.write_str(&self.text),
            Style::Text => write!(f, "{:?}", self.text),
        }
    }
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: a number, true or false where it looks like one, else text.
    Plain,
    /// Quoted, a block, or tagged `!!str`: always text.
    Text,
}

/// What a plain scalar means by YAML's core schema as Go's yaml.v3 reads it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Meaning<'a> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(&'a str),
}

impl Scalar {
    pub(crate) fn meaning(&self) -> Meaning<'_> {
        match self.style {
            Style::Text => Meaning::Text(&self.text),
            Style::Plain => meaning(&self.text),
        }
    }
}

/// Whether a plain scalar is null.
pub(crate) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn meaning(text: &str) -> Meaning<'_> {
    match text {
        "true" | "True" | "TRUE" => return Meaning::Bool(true),
        "false" | "False" | "FALSE" => return Meaning::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Meaning::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Meaning::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Meaning::Float(f64::NAN),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Meaning::Text(text);
    }
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    let (negative, unsigned) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    if let Some(magnitude) = whole(unsigned) {
        if let Ok(small) = i64::try_from(magnitude) {
            return Meaning::Int(if negative { -small } else { small });
        }
        if !negative {
            return Meaning::Uint(magnitude);
        }
    }
    match decimal(unsigned).then(|| digits.parse::<f64>()) {
        Some(Ok(float)) => Meaning::Float(float),
        _ => Meaning::Text(text),
    }
}

/// A whole number without a sign: decimal, `0x`, `0o`, `0b`, or octal by a leading zero.
fn whole(text: &str) -> Option<u64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (text.get(2..)?, 16),
        [b'0', b'o' | b'O', ..] => (text.get(2..)?, 8),
        [b'0', b'b' | b'B', ..] => (text.get(2..)?, 2),
        [b'0', _, ..] => (text.get(1..)?, 8),
        _ => (text, 10),
    };
    // from_str_radix would take a sign here.
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// Whether the text is digits with at most one point and an exponent.
fn decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(before)
        && digits(after)
        && !(before.is_empty() && after.is_empty())
        && exponent.is_none_or(|e| {
            let e = e.strip_prefix(['+', '-']).unwrap_or(e);
            !e.is_empty() && digits(e)
        })
}

impl Node {
    /// A null at `span`.
    pub fn null(span: Span) -> Self {
        Self {
            value: Value::Null,
            span,
            original: None,
        }
    }

    /// An empty map at `span`.
    pub fn empty(span: Span) -> Self {
        Self {
            value: Value::Map(Map::default()),
            span,
            original: None,
        }
    }

    /// Text at `span`; never a number, whatever it looks like.
    pub fn text(text: impl Into<String>, span: Span) -> Self {
        Self {
            value: Value::Scalar(Scalar {
                text: text.into(),
                style: Style::Text,
            }),
            span,
            original: None,
        }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_seq(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Seq(items) => Some(items),
            _ => None,
        }
    }

    /// The text that a field which wants a string gets, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Some(original) = &self.original {
            return Some(original);
        }
        match &self.value {
            Value::Scalar(scalar) => match scalar.meaning() {
                Meaning::Text(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The value of `key`, when this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key)
    }

    /// What messages call this value: `'text'`, `the number 5`, `a map`, ….
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Seq(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
            Value::Scalar(scalar) => match scalar.meaning() {
                Meaning::Bool(value) => value.to_string(),
                Meaning::Int(_) | Meaning::Uint(_) | Meaning::Float(_) => {
                    format!("the number {}", scalar.text)
                }
                Meaning::Text(text) => quoted(text),
            },
        }
    }
}

/// `'text'`, shortened when it is long.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(LONGEST).collect();
    let dots = if chars.next().is_some() { "…" } else { "" };
    format!("'{head}{dots}'")
}

/// Plain values, without places: what `print-config` writes for a section that has no type.
impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Scalar(scalar) => match scalar.meaning() {
                Meaning::Bool(value) => serializer.serialize_bool(value),
                Meaning::Int(value) => serializer.serialize_i64(value),
                Meaning::Uint(value) => serializer.serialize_u64(value),
                Meaning::Float(value) => serializer.serialize_f64(value),
                Meaning::Text(text) => serializer.serialize_str(text),
            },
            Value::Seq(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Value::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for entry in entries.iter() {
                    map.serialize_entry(&entry.key, &entry.value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_go_yaml_says() {
        for (text, want) in [
            ("5", Meaning::Int(5)),
            ("-5", Meaning::Int(-5)),
            ("+5", Meaning::Int(5)),
            ("0123", Meaning::Int(83)),
            ("0o17", Meaning::Int(15)),
            ("0x1F", Meaning::Int(31)),
            ("0b11", Meaning::Int(3)),
            ("1_000", Meaning::Int(1000)),
            ("08", Meaning::Float(8.0)),
            ("18446744073709551615", Meaning::Uint(u64::MAX)),
            ("1.5", Meaning::Float(1.5)),
            (".5", Meaning::Float(0.5)),
            ("1e3", Meaning::Float(1000.0)),
            ("-1.5E-1", Meaning::Float(-0.15)),
            ("true", Meaning::Bool(true)),
            ("FALSE", Meaning::Bool(false)),
            ("yes", Meaning::Text("yes")),
            ("5s", Meaning::Text("5s")),
            ("1.2.3", Meaning::Text("1.2.3")),
            ("-", Meaning::Text("-")),
            ("--5", Meaning::Text("--5")),
            (".", Meaning::Text(".")),
            ("1e", Meaning::Text("1e")),
            ("0x", Meaning::Text("0x")),
            ("0x-5", Meaning::Text("0x-5")),
            ("infinity", Meaning::Text("infinity")),
            ("127.0.0.1:4317", Meaning::Text("127.0.0.1:4317")),
        ] {
            assert_eq!(meaning(text), want, "{text}");
        }
    }
}
