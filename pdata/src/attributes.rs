//! Attributes and the values in them, read in place; resources and scopes, which carry them in every
//! signal.

mod render;

pub(crate) use render::write_quoted;

use crate::cursor::{Cursor, Messages, first_message, last};
use crate::wire::{self, Fields, Value, low32};

/// The attributes of a resource, a scope, a record.
///
/// Keys should be unique but nobody enforces it on the wire; [`get`](Self::get) then returns the
/// first, as the Collector does.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    raw: &'a [u8],
    number: u32,
}

impl<'a> Attributes<'a> {
    /// The `KeyValue` fields with this number in the bytes of the message that carries them.
    #[inline]
    #[must_use]
    pub fn new(raw: &'a [u8], number: u32) -> Self {
        Self { raw, number }
    }

    /// No attributes.
    #[must_use]
    pub fn none() -> Self {
        Self::new(&[], 0)
    }

    /// In their order on the wire.
    #[inline]
    pub fn iter(&self) -> Messages<'a, KeyValue<'a>> {
        Messages::new(self.raw, self.number)
    }

    /// The value of the first attribute with this key.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &str) -> Option<AnyValue<'a>> {
        self.iter()
            .find(|attribute| attribute.key_bytes() == key.as_bytes())
            .map(|attribute| attribute.value())
    }

    /// The text of the first attribute with this key, if it is a string.
    #[inline]
    #[must_use]
    pub fn get_str(&self, key: &str) -> Option<&'a str> {
        match self.get(key)? {
            AnyValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// How many there are. Walks over them.
    #[must_use]
    pub fn count(&self) -> usize {
        self.iter().count()
    }
}

impl<'a> IntoIterator for Attributes<'a> {
    type Item = KeyValue<'a>;
    type IntoIter = Messages<'a, KeyValue<'a>>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// An attribute.
#[derive(Clone, Copy, Debug)]
pub struct KeyValue<'a> {
    raw: &'a [u8],
    key: &'a [u8],
    value: Option<&'a [u8]>,
}

impl<'a> Cursor<'a> for KeyValue<'a> {
    #[inline(always)]
    fn new(raw: &'a [u8]) -> Self {
        // A key and a value, as everybody writes it.
        if let Some((key, rest)) = wire::short_field(raw, 0x0a)
            && let Some(value) = wire::only_field(rest, 0x12)
        {
            let value = Some(value);
            return Self { raw, key, value };
        }
        Self::walk(raw)
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> KeyValue<'a> {
    #[inline(never)]
    fn walk(raw: &'a [u8]) -> Self {
        let mut attribute = Self {
            raw,
            key: &[],
            value: None,
        };
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (1, Value::Bytes(key)) => attribute.key = key,
                (2, Value::Bytes(value)) => attribute.value = Some(value),
                _ => {}
            }
        }
        attribute
    }

    /// The key.
    #[inline]
    #[must_use]
    pub fn key(&self) -> &'a str {
        wire::text(self.key)
    }

    /// The key's bytes, without looking whether they are text: enough to compare.
    #[inline]
    #[must_use]
    pub fn key_bytes(&self) -> &'a [u8] {
        self.key
    }

    /// The value; a missing one is empty.
    #[inline]
    #[must_use]
    pub fn value(&self) -> AnyValue<'a> {
        AnyValue::new(self.value_raw())
    }

    /// The bytes of the value's message; nothing if it is missing.
    #[inline]
    #[must_use]
    pub fn value_raw(&self) -> &'a [u8] {
        self.value.unwrap_or_default()
    }

    /// Whether the attribute has a value message at all, be it an empty one.
    #[must_use]
    pub fn has_value(&self) -> bool {
        self.value.is_some()
    }
}

/// A value of an attribute, or a log record's body.
#[derive(Clone, Copy, Debug)]
pub enum AnyValue<'a> {
    /// No value. (Profiles' references into a string table count as none here.)
    Empty,
    /// Text.
    String(&'a str),
    /// True or false.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A list of values.
    Array(Array<'a>),
    /// A map of values.
    KvList(Attributes<'a>),
}

impl<'a> AnyValue<'a> {
    /// From the bytes of an `AnyValue` message. The last member of the `oneof` counts.
    #[inline]
    #[must_use]
    pub fn new(raw: &'a [u8]) -> Self {
        match wire::only_field(raw, 0x0a) {
            Some(text) => Self::String(wire::text(text)),
            None => Self::walk(raw),
        }
    }

    #[inline(never)]
    fn walk(raw: &'a [u8]) -> Self {
        let mut value = Self::Empty;
        for field in Fields::new(raw) {
            value = match (field.number, field.value) {
                (1, Value::Bytes(text)) => Self::String(wire::text(text)),
                (2, Value::Varint(bit)) => Self::Bool(bit != 0),
                (3, Value::Varint(int)) => Self::Int(int.cast_signed()),
                (4, Value::Fixed64(bits)) => Self::Double(f64::from_bits(bits)),
                (5, Value::Bytes(raw)) => Self::Array(Array { raw }),
                (6, Value::Bytes(raw)) => Self::KvList(Attributes::new(raw, 1)),
                (7, Value::Bytes(bytes)) => Self::Bytes(bytes),
                (8, _) => Self::Empty,
                _ => value,
            };
        }
        value
    }

    /// The text, if it is text.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The bytes of a text value without checking again that they are text; `None` for any other.
    /// For hot paths that only copy.
    #[inline(always)]
    #[must_use]
    pub fn string_bytes(raw: &'a [u8]) -> Option<&'a [u8]> {
        match wire::only_field(raw, 0x0a) {
            Some(text) => Some(text),
            None => Self::walk_to_string(raw),
        }
    }

    #[inline(never)]
    fn walk_to_string(raw: &'a [u8]) -> Option<&'a [u8]> {
        let mut text = None;
        for field in Fields::new(raw) {
            text = match (field.number, field.value) {
                (1, Value::Bytes(bytes)) => Some(bytes),
                (2..=8, _) => None,
                _ => text,
            };
        }
        text
    }
}

/// A list of values.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a> {
    raw: &'a [u8],
}

impl<'a> Array<'a> {
    /// From the bytes of an `ArrayValue` message.
    #[must_use]
    pub fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The bytes of the `ArrayValue` message.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = AnyValue<'a>> + Clone + use<'a> {
        Fields::new(self.raw).filter_map(|field| match (field.number, field.value) {
            (1, Value::Bytes(raw)) => Some(AnyValue::new(raw)),
            _ => None,
        })
    }
}

/// What telemetry comes from.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    raw: &'a [u8],
}

impl<'a> Cursor<'a> for Resource<'a> {
    #[inline]
    fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> Resource<'a> {
    /// The attributes that identify it.
    #[inline]
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.raw, 1)
    }

    /// How many attributes its sender left out.
    #[must_use]
    pub fn dropped_attributes_count(&self) -> u32 {
        low32(last(self.raw, 2).map_or(0, Value::number))
    }

    /// The entities that it is made of.
    pub fn entity_refs(&self) -> Messages<'a, EntityRef<'a>> {
        Messages::new(self.raw, 3)
    }
}

/// A reference to an entity whose attributes are among the resource's.
#[derive(Clone, Copy, Debug)]
pub struct EntityRef<'a> {
    raw: &'a [u8],
}

impl<'a> Cursor<'a> for EntityRef<'a> {
    fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> EntityRef<'a> {
    /// The schema of the entity.
    #[must_use]
    pub fn schema_url(&self) -> &'a str {
        last(self.raw, 1).map_or("", Value::text)
    }

    /// The entity's type, such as `host`.
    #[must_use]
    pub fn entity_type(&self) -> &'a str {
        last(self.raw, 2).map_or("", Value::text)
    }

    /// The keys of the attributes that identify it.
    pub fn id_keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        texts(self.raw, 3)
    }

    /// The keys of the attributes that describe it.
    pub fn description_keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        texts(self.raw, 4)
    }
}

fn texts(raw: &[u8], number: u32) -> impl Iterator<Item = &str> {
    Fields::new(raw)
        .filter(move |field| field.number == number)
        .map(|field| field.value.text())
}

/// What produced records within a resource: a library, a component.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    raw: &'a [u8],
}

impl<'a> Cursor<'a> for Scope<'a> {
    #[inline]
    fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> Scope<'a> {
    /// Its name, empty if there is none.
    #[must_use]
    pub fn name(&self) -> &'a str {
        last(self.raw, 1).map_or("", Value::text)
    }

    /// Its version, empty if there is none.
    #[must_use]
    pub fn version(&self) -> &'a str {
        last(self.raw, 2).map_or("", Value::text)
    }

    /// Its attributes.
    #[inline]
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.raw, 3)
    }

    /// How many attributes its sender left out.
    #[must_use]
    pub fn dropped_attributes_count(&self) -> u32 {
        low32(last(self.raw, 4).map_or(0, Value::number))
    }
}

/// The resource of a `Resource…` message; an empty one if it is missing.
#[inline]
pub(crate) fn resource_of(raw: &[u8]) -> Resource<'_> {
    Resource::new(first_message(raw, 1).unwrap_or_default())
}

/// The scope of a `Scope…` message; an empty one if it is missing.
#[inline]
pub(crate) fn scope_of(raw: &[u8]) -> Scope<'_> {
    Scope::new(first_message(raw, 1).unwrap_or_default())
}

/// The schema URL of a `Resource…` or `Scope…` message.
pub(crate) fn schema_url_of(raw: &[u8]) -> &str {
    last(raw, 3).map_or("", Value::text)
}
