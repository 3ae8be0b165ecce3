//! Values on their own and attributes, written.

use crate::attributes::{AnyValue, Attributes};
use crate::build::AttributesBuilder;
use crate::cursor::Cursor;
use crate::wire::{self, length_len, put_bytes_field, put_fixed64_field, put_tag, put_varint};

/// A value that stands on its own: an `AnyValue` message in memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedValue {
    raw: Vec<u8>,
}

impl OwnedValue {
    /// A copy of a value.
    #[must_use]
    pub fn new(value: &AnyValue<'_>) -> Self {
        let mut raw = Vec::new();
        put_any_value(&mut raw, value);
        Self { raw }
    }

    /// A map of what `write` adds.
    #[must_use]
    pub fn map(write: impl FnOnce(&mut AttributesBuilder<'_>)) -> Self {
        let mut raw = Vec::new();
        let list = wire::open_message(&mut raw, 6, 1);
        write(&mut AttributesBuilder::new(&mut raw, 1));
        wire::close_message(&mut raw, list);
        Self { raw }
    }

    /// A list of copies of values.
    #[must_use]
    pub fn array<'a>(values: impl IntoIterator<Item = AnyValue<'a>>) -> Self {
        let mut raw = Vec::new();
        let list = wire::open_message(&mut raw, 5, 1);
        for value in values {
            let element = wire::open_message(&mut raw, 1, 1);
            put_any_value(&mut raw, &value);
            wire::close_message(&mut raw, element);
        }
        wire::close_message(&mut raw, list);
        Self { raw }
    }

    /// The value, to be read.
    #[must_use]
    pub fn get(&self) -> AnyValue<'_> {
        AnyValue::new(&self.raw)
    }

    /// The bytes of the `AnyValue` message, given up.
    pub(crate) fn into_raw(self) -> Vec<u8> {
        self.raw
    }

    /// The bytes of the `AnyValue` message.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }
}

impl From<&str> for OwnedValue {
    fn from(text: &str) -> Self {
        Self::new(&AnyValue::String(text))
    }
}

impl From<String> for OwnedValue {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<i64> for OwnedValue {
    fn from(value: i64) -> Self {
        Self::new(&AnyValue::Int(value))
    }
}

impl From<i32> for OwnedValue {
    fn from(value: i32) -> Self {
        Self::from(i64::from(value))
    }
}

impl From<f64> for OwnedValue {
    fn from(value: f64) -> Self {
        Self::new(&AnyValue::Double(value))
    }
}

impl From<bool> for OwnedValue {
    fn from(value: bool) -> Self {
        Self::new(&AnyValue::Bool(value))
    }
}

/// Appends the fields of an `AnyValue` message.
pub(crate) fn put_any_value(out: &mut Vec<u8>, value: &AnyValue<'_>) {
    match value {
        AnyValue::Empty => {}
        AnyValue::String(text) => put_bytes_field(out, 1, text.as_bytes()),
        AnyValue::Bool(value) => wire::put_varint_field(out, 2, u64::from(*value)),
        AnyValue::Int(value) => wire::put_varint_field(out, 3, value.cast_unsigned()),
        AnyValue::Double(value) => put_fixed64_field(out, 4, value.to_bits()),
        AnyValue::Array(values) => put_bytes_field(out, 5, values.raw()),
        AnyValue::KvList(entries) => put_entries(out, *entries),
        AnyValue::Bytes(bytes) => put_bytes_field(out, 7, bytes),
    }
}

/// Appends attributes as a map value.
fn put_entries(out: &mut Vec<u8>, entries: Attributes<'_>) {
    let list = wire::open_message(out, 6, 1);
    for entry in entries {
        put_bytes_field(out, 1, entry.raw());
    }
    wire::close_message(out, list);
}

/// Appends an attribute as the field `number`. Lengths are known beforehand but for lists and maps.
#[inline]
pub(crate) fn put_attribute(out: &mut Vec<u8>, number: u32, key: &str, value: &AnyValue<'_>) {
    if let AnyValue::String(text) = value
        && number < 16
        && key.len() + text.len() < 0x78
    {
        return put_short_attribute(out, number, key, text);
    }
    let value_len = match value {
        AnyValue::Empty => 0,
        AnyValue::String(text) => 1 + length_len(text.len()) + text.len(),
        AnyValue::Bytes(bytes) => 1 + length_len(bytes.len()) + bytes.len(),
        AnyValue::Bool(_) => 2,
        AnyValue::Int(value) => 1 + wire::varint_len(value.cast_unsigned()),
        AnyValue::Double(_) => 9,
        AnyValue::Array(_) | AnyValue::KvList(_) => {
            let value = OwnedValue::new(value);
            return put_attribute_raw(out, number, key.as_bytes(), value.raw());
        }
    };
    put_attribute_head(out, number, key.as_bytes(), value_len);
    put_any_value(out, value);
}

/// Nearly all attributes are text, and all lengths in them take one byte.
#[inline]
fn put_short_attribute(out: &mut Vec<u8>, number: u32, key: &str, text: &str) {
    let byte = |len: usize| wire::low7(len as u64);
    let tag = wire::low7(u64::from(number) << 3 | 2);
    // Beside key and text: two tags and lengths, and the value's own.
    let len = key.len() + text.len() + 6;
    out.reserve(len + 2);
    out.extend_from_slice(&[tag, byte(len), 0x0a, byte(key.len())]);
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(&[0x12, byte(text.len() + 2), 0x0a, byte(text.len())]);
    out.extend_from_slice(text.as_bytes());
}

/// Appends an attribute whose value is already an encoded `AnyValue`.
pub(crate) fn put_attribute_raw(out: &mut Vec<u8>, number: u32, key: &[u8], value: &[u8]) {
    put_attribute_head(out, number, key, value.len());
    out.extend_from_slice(value);
}

#[inline]
fn put_attribute_head(out: &mut Vec<u8>, number: u32, key: &[u8], value_len: usize) {
    let len = 1 + length_len(key.len()) + key.len() + 1 + length_len(value_len) + value_len;
    put_tag(out, number, 2);
    put_varint(out, len as u64);
    put_bytes_field(out, 1, key);
    put_tag(out, 2, 2);
    put_varint(out, value_len as u64);
}
