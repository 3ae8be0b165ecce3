//! What OTLP messages look like, in one table.
//!
//! The validator, the JSON codec and the normaliser all read this one description, so a field that
//! a new version of the protocol adds is added here once. It follows
//! `opentelemetry-proto` 1.10 (`opentelemetry/proto/{common,resource,logs,metrics,trace}/v1`).
//!
//! Numbers that the table does not name are unknown fields: they are checked for being well formed,
//! kept, and passed on.

mod messages;

pub use messages::{
    ANY_VALUE, ARRAY_VALUE, BUCKETS, ENTITY_REF, EXEMPLAR, EXPONENTIAL_HISTOGRAM,
    EXPONENTIAL_HISTOGRAM_POINT, EXPORT_LOGS, EXPORT_METRICS, EXPORT_TRACES, GAUGE, HISTOGRAM,
    HISTOGRAM_POINT, KEY_VALUE, KEY_VALUE_LIST, LOG_RECORD, METRIC, NUMBER_POINT, RESOURCE,
    RESOURCE_LOGS, RESOURCE_METRICS, RESOURCE_SPANS, SCOPE, SCOPE_LOGS, SCOPE_METRICS, SCOPE_SPANS,
    SEVERITY_NUMBER, SPAN, SPAN_EVENT, SPAN_KIND, SPAN_LINK, STATUS, STATUS_CODE, SUM, SUMMARY,
    SUMMARY_POINT, TEMPORALITY, VALUE_AT_QUANTILE,
};

use crate::Signal;

/// The highest field number that any OTLP message uses.
const MAX_NUMBER: usize = 16;

/// A message type.
#[derive(Debug)]
pub struct Message {
    /// The type's name, without its package.
    pub name: &'static str,
    /// Its fields, in the order in which OTLP/JSON writes them.
    pub fields: &'static [Field],
    /// Whether one of it is one *item*: a log record, a span, a data point.
    pub item: bool,
    /// Whether items are in it, directly or further down.
    pub holds_items: bool,
    /// Whether its `oneof` has members that are messages, so that repeating one means merging.
    pub(crate) merging_oneof: bool,
    /// What the validator does about a field, by its tag if that takes one byte.
    pub(crate) checks: [Check; 128],
    /// Position in `fields` plus one, by number; zero where the number is unknown.
    index: [u8; MAX_NUMBER + 1],
}

/// What the validator does about a field, for the kinds that it can decide at a glance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Check {
    /// Look it up.
    Other,
    /// Skip a payload.
    Bytes,
    /// Skip a payload that must be UTF-8.
    Text,
    /// Skip eight bytes.
    Fixed64,
    /// Skip a varint.
    Varint,
    /// Check an attribute.
    Attribute,
}

impl Check {
    /// For a field and the wire type that it has unpacked.
    const fn of(field: &Field) -> (Self, u8) {
        match field.kind {
            Kind::String => (Self::Text, 2),
            Kind::Bytes | Kind::Id => (Self::Bytes, 2),
            Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => (Self::Fixed64, 1),
            Kind::Fixed32 => (Self::Other, 5),
            Kind::Message(_) if field.attributes => (Self::Attribute, 2),
            Kind::Message(_) => (Self::Other, 2),
            _ => (Self::Varint, 0),
        }
    }
}

impl Message {
    const fn new(name: &'static str, fields: &'static [Field]) -> Self {
        let mut index = [0u8; MAX_NUMBER + 1];
        let mut merging_oneof = false;
        let mut rest = fields;
        let mut position = 0u8;
        while let [field, tail @ ..] = rest {
            position += 1;
            #[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
            {
                index[field.number as usize] = position;
            }
            if field.oneof && matches!(field.kind, Kind::Message(_)) {
                merging_oneof = true;
            }
            rest = tail;
        }
        let mut checks = [Check::Other; 128];
        let mut rest = fields;
        while let [field, tail @ ..] = rest {
            let (check, wire_type) = Check::of(field);
            // Members of a `oneof` that may have to be merged are looked at more closely.
            if field.number < 16 && !(field.oneof && merging_oneof) {
                #[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
                {
                    checks[(field.number << 3 | wire_type) as usize] = check;
                }
            }
            rest = tail;
        }
        Self {
            name,
            fields,
            item: false,
            holds_items: false,
            merging_oneof,
            checks,
            index,
        }
    }

    const fn item(mut self) -> Self {
        self.item = true;
        self
    }

    const fn holds_items(mut self) -> Self {
        self.holds_items = true;
        self
    }

    /// The field with this number.
    #[inline]
    #[must_use]
    pub fn field(&self, number: u32) -> Option<&'static Field> {
        let position = *self.index.get(usize::try_from(number).ok()?)?;
        self.fields.get(usize::from(position).wrapping_sub(1))
    }

    /// The field with this name, in either spelling (`traceId`, `trace_id`).
    #[must_use]
    pub fn field_named(&self, name: &str) -> Option<&'static Field> {
        self.fields
            .iter()
            .find(|field| field.json == name || field.name == name)
    }
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// Its number on the wire.
    pub number: u8,
    /// Its name in the `.proto` files, which OTLP/JSON accepts too.
    pub name: &'static str,
    /// Its name in OTLP/JSON.
    pub json: &'static str,
    /// What a value is.
    pub kind: Kind,
    /// Whether there may be many; numbers then come packed or one by one.
    pub repeated: bool,
    /// Whether it is a member of the message's `oneof` (no OTLP message has two of them).
    pub oneof: bool,
    /// Whether its presence is kept apart from its value being zero.
    pub optional: bool,
    /// Whether it is a list of attributes.
    pub attributes: bool,
}

/// What a field's value is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `bool`, a varint.
    Bool,
    /// `int32`, a varint.
    Int32,
    /// `int64`, a varint.
    Int64,
    /// `uint32`, a varint.
    Uint32,
    /// `uint64`, a varint.
    Uint64,
    /// `sint32`, a zigzag varint.
    Sint32,
    /// An enumeration, a varint.
    Enum(&'static Enum),
    /// `fixed32`.
    Fixed32,
    /// `fixed64`.
    Fixed64,
    /// `sfixed64`.
    Sfixed64,
    /// `double`.
    Double,
    /// `string`, UTF-8.
    String,
    /// `bytes`, base64 in JSON.
    Bytes,
    /// `bytes` that identify a trace or a span, hexadecimal in JSON.
    Id,
    /// Another message.
    Message(&'static Message),
}

impl Kind {
    /// Whether a list of it may be packed into one field.
    #[must_use]
    pub const fn packable(self) -> bool {
        !matches!(
            self,
            Self::String | Self::Bytes | Self::Id | Self::Message(_)
        )
    }
}

/// An enumeration.
#[derive(Debug)]
pub struct Enum {
    /// The type's name.
    pub name: &'static str,
    /// The values' names, each at the place that is its number: OTLP's enumerations have no gaps.
    pub values: &'static [&'static str],
}

impl Enum {
    /// The number of a value by name.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i32> {
        let position = self.values.iter().position(|value| *value == name)?;
        i32::try_from(position).ok()
    }

    /// The name of a number, if it has one.
    #[must_use]
    pub fn value_name(&self, number: i32) -> Option<&'static str> {
        self.values.get(usize::try_from(number).ok()?).copied()
    }
}

const fn one(number: u8, name: &'static str, json: &'static str, kind: Kind) -> Field {
    Field {
        number,
        name,
        json,
        kind,
        repeated: false,
        oneof: false,
        optional: false,
        attributes: false,
    }
}

const fn many(number: u8, name: &'static str, json: &'static str, kind: Kind) -> Field {
    let mut field = one(number, name, json, kind);
    field.repeated = true;
    field
}

const fn attributes(number: u8, name: &'static str, json: &'static str) -> Field {
    let mut field = many(number, name, json, Kind::Message(&KEY_VALUE));
    field.attributes = true;
    field
}

const fn either(number: u8, name: &'static str, json: &'static str, kind: Kind) -> Field {
    let mut field = one(number, name, json, kind);
    field.oneof = true;
    field
}

const fn optional(number: u8, name: &'static str, json: &'static str, kind: Kind) -> Field {
    let mut field = one(number, name, json, kind);
    field.optional = true;
    field
}

/// The request that carries a signal.
#[must_use]
pub fn request(signal: Signal) -> &'static Message {
    match signal {
        Signal::Logs => &EXPORT_LOGS,
        Signal::Metrics => &EXPORT_METRICS,
        Signal::Traces => &EXPORT_TRACES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camel(snake: &str) -> String {
        let mut out = String::new();
        let mut upper = false;
        for c in snake.chars() {
            if c == '_' {
                upper = true;
            } else if upper {
                out.push(c.to_ascii_uppercase());
                upper = false;
            } else {
                out.push(c);
            }
        }
        out
    }

    fn visit(message: &'static Message, seen: &mut Vec<*const Message>) {
        if seen.contains(&std::ptr::from_ref(message)) {
            return;
        }
        seen.push(message);
        for field in message.fields {
            assert_eq!(camel(field.name), field.json, "{}", message.name);
            let found = message.field(u32::from(field.number)).unwrap();
            assert!(std::ptr::eq(found, field), "{} is listed twice", field.name);
            assert!(!(field.oneof && field.repeated));
            if let Kind::Message(nested) = field.kind {
                visit(nested, seen);
            }
        }
        let below = message.fields.iter().any(
            |field| matches!(field.kind, Kind::Message(nested) if nested.item || nested.holds_items),
        );
        assert_eq!(message.holds_items, below, "{}", message.name);
        assert!(message.field(0).is_none());
        assert!(message.field(4000).is_none());
    }

    #[test]
    fn the_table_is_consistent() {
        let mut seen = Vec::new();
        for signal in [Signal::Logs, Signal::Metrics, Signal::Traces] {
            visit(request(signal), &mut seen);
        }
        assert_eq!(seen.len(), 34);
    }

    #[test]
    fn enumerations_are_found_by_name_and_by_number() {
        assert_eq!(SEVERITY_NUMBER.number("SEVERITY_NUMBER_FATAL4"), Some(24));
        assert_eq!(SPAN_KIND.value_name(5), Some("SPAN_KIND_CONSUMER"));
        assert_eq!(STATUS_CODE.value_name(-1), None);
    }
}
