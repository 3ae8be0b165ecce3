//! Why a value was refused, in words for the person who wrote it.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use super::{Decoder, address};
use crate::node::{Node, Value, quoted};
use crate::problem::nearest;

/// An error, and the node it was raised at. The message is made when that node is known for certain.
#[derive(Debug)]
pub(crate) struct DecodeError {
    pub(super) kind: Kind,
    /// The address of the node.
    pub(super) at: Option<usize>,
    /// The value had been copied before the error was raised: the cause may stand deeper.
    pub(super) copied: bool,
    /// The cause is the key of the node, not its value.
    pub(super) key: bool,
    /// The value is not shown.
    secret: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    /// The value is of another kind or out of range.
    Expected {
        expected: String,
        /// What `serde` found; for a value that has no node of its own.
        found: Option<String>,
    },
    /// Null where a value was expected: as if it were not written.
    Null {
        expected: String,
    },
    MissingField(&'static str),
    UnknownField {
        name: String,
        known: &'static [&'static str],
    },
    UnknownVariant {
        name: String,
        known: &'static [&'static str],
    },
    Other(String),
}

impl DecodeError {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            at: None,
            copied: false,
            key: false,
            secret: false,
        }
    }

    /// Raised while reading `decoder`'s node, unless a deeper one is known.
    pub(super) fn at(mut self, decoder: Decoder<'_>) -> Self {
        if self.at.is_none() {
            self.at = Some(address(decoder.node));
        }
        self.secret |= decoder.secret;
        self
    }

    /// Raised by the code that asked for `decoder`'s node, after it had read it.
    pub(super) fn after(mut self, decoder: Decoder<'_>) -> Self {
        if self.at.is_none() {
            self.copied = matches!(decoder.node.value, Value::Seq(_) | Value::Map(_));
        }
        self.at(decoder)
    }

    /// Raised within something that has no place of its own.
    pub(super) fn moved(mut self, decoder: Decoder<'_>) -> Self {
        self.at = None;
        self.at(decoder)
    }

    /// The message and the nearest valid name, for an error at `node`.
    pub(super) fn message(&self, node: &Node) -> (String, Option<String>) {
        match &self.kind {
            Kind::Expected { expected, .. } if self.secret => {
                (format!("expected {expected}; write it in quotes"), None)
            }
            Kind::Expected { expected, found } => {
                let written = match (&node.value, found) {
                    (Value::Seq(_) | Value::Map(_), Some(found)) => found.clone(),
                    _ => node.describe(),
                };
                (
                    format!(
                        "expected {expected}, found {written}{}",
                        remedy(expected, node)
                    ),
                    None,
                )
            }
            Kind::Null { expected } => (format!("expected {expected}, found nothing"), None),
            Kind::MissingField(field) => (format!("the setting '{field}' is required"), None),
            Kind::UnknownField { name, known } => unknown("field", name, known),
            Kind::UnknownVariant { name, known } => unknown("value", name, known),
            Kind::Other(message) => (message.clone(), None),
        }
    }
}

/// What to write instead, where quotes are all that is wrong.
fn remedy(expected: &str, node: &Node) -> String {
    let Value::Scalar(scalar) = &node.value else {
        return String::new();
    };
    if expected == "a string" {
        return format!("; write it in quotes: \"{}\"", scalar.text);
    }
    let unquoted = Node {
        value: Value::Scalar(crate::node::Scalar {
            text: scalar.text.clone(),
            style: crate::node::Style::Plain,
        }),
        ..node.clone()
    };
    if node.original.is_none()
        && node.as_str().is_some()
        && unquoted.as_str().is_none()
        && (expected.contains("number") || expected.contains("true"))
    {
        return "; remove the quotes".to_owned();
    }
    String::new()
}

/// `unknown field 'x'` with the nearest name, or all of them when none is near.
pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> (String, Option<String>) {
    let name_quoted = quoted(name);
    match nearest(name, known.iter().copied()) {
        Some(near) => (
            format!("unknown {what} {name_quoted}"),
            Some(near.to_owned()),
        ),
        None if known.is_empty() => (
            format!("unknown {what} {name_quoted}; nothing can be set here"),
            None,
        ),
        None => {
            // Not those that are others in capitals.
            let shown = |name: &str| {
                !name.contains(char::is_uppercase) || !known.contains(&name.to_lowercase().as_str())
            };
            let names: Vec<&str> = known.iter().copied().filter(|name| shown(name)).collect();
            let names = names.join(", ");
            (
                format!("unknown {what} {name_quoted} (valid: {names})"),
                None,
            )
        }
    }
}

/// `serde`'s names of its own types in words.
pub(super) fn words(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" | "u128" => "a whole number, 0 or more",
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" | "i64" | "isize" | "i128" => "a whole number",
        "a nonzero u8" => "a whole number from 1 to 255",
        "a nonzero u16" => "a whole number from 1 to 65535",
        "a nonzero u32" | "a nonzero u64" | "a nonzero usize" => "a whole number, 1 or more",
        "f32" | "f64" | "floating point number" => "a number",
        "a boolean" | "bool" => "true or false",
        "a sequence" => "a list",
        "a character" => "a single character",
        other if other.starts_with("struct ") || other.starts_with("internally tagged enum ") => {
            "a section (a map of settings)"
        }
        other => other,
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Expected { expected, .. } | Kind::Null { expected } => {
                write!(f, "expected {expected}")
            }
            Kind::MissingField(field) => write!(f, "the setting '{field}' is required"),
            Kind::UnknownField { name, .. } => write!(f, "unknown field '{name}'"),
            Kind::UnknownVariant { name, .. } => write!(f, "unknown value '{name}'"),
            Kind::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for DecodeError {}

impl Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Kind::Other(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = words(&expected.to_string()).to_owned();
        Self::new(Kind::Expected {
            expected,
            found: Some(describe(found)),
        })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("expected {expected}, found {length} values"))
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownVariant {
            name: name.to_owned(),
            known,
        })
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownField {
            name: name.to_owned(),
            known,
        })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Kind::MissingField(field))
    }
}

fn describe(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => quoted(text),
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map".to_owned(),
        other => other.to_string(),
    }
}
