//! Log records, read in place.

use crate::attributes::{
    AnyValue, Attributes, Resource, Scope, resource_of, schema_url_of, scope_of,
};
use crate::cursor::{Cursor, Messages, Resources};
use crate::rope::Logs;
use crate::wire::{self, Fields, Value, low32};

impl Logs {
    /// The resources of all segments, in order.
    pub fn resources(&self) -> Resources<'_, ResourceLogs<'_>> {
        Resources::new(self.segments())
    }
}

/// The log records of one resource.
#[derive(Clone, Copy, Debug)]
pub struct ResourceLogs<'a> {
    raw: &'a [u8],
}

impl<'a> Cursor<'a> for ResourceLogs<'a> {
    #[inline]
    fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> ResourceLogs<'a> {
    /// The resource; an empty one if it is missing.
    #[inline]
    #[must_use]
    pub fn resource(&self) -> Resource<'a> {
        resource_of(self.raw)
    }

    /// The schema of the resource's attributes, empty if unknown.
    #[must_use]
    pub fn schema_url(&self) -> &'a str {
        schema_url_of(self.raw)
    }

    /// Its records by scope.
    #[inline]
    pub fn scopes(&self) -> Messages<'a, ScopeLogs<'a>> {
        Messages::new(self.raw, 2)
    }
}

/// The log records of one scope.
#[derive(Clone, Copy, Debug)]
pub struct ScopeLogs<'a> {
    raw: &'a [u8],
}

impl<'a> Cursor<'a> for ScopeLogs<'a> {
    #[inline]
    fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> ScopeLogs<'a> {
    /// The scope; an empty one if it is missing.
    #[inline]
    #[must_use]
    pub fn scope(&self) -> Scope<'a> {
        scope_of(self.raw)
    }

    /// The schema of the scope's and the records' attributes, empty if unknown.
    #[must_use]
    pub fn schema_url(&self) -> &'a str {
        schema_url_of(self.raw)
    }

    /// The records.
    #[inline]
    pub fn records(&self) -> Messages<'a, LogRecord<'a>> {
        Messages::new(self.raw, 2)
    }
}

/// A log record. All its fields are gathered when it is made, in one pass.
#[derive(Clone, Copy, Debug)]
pub struct LogRecord<'a> {
    raw: &'a [u8],
    time_unix_nano: u64,
    observed_time_unix_nano: u64,
    severity_number: i32,
    flags: u32,
    dropped_attributes_count: u32,
    severity_text: &'a [u8],
    body: Option<&'a [u8]>,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    event_name: &'a [u8],
    /// From the first attribute on, so that reading attributes skips what stands before.
    attributes: &'a [u8],
}

impl<'a> Cursor<'a> for LogRecord<'a> {
    #[inline(always)]
    fn new(raw: &'a [u8]) -> Self {
        let mut record = Self {
            raw,
            time_unix_nano: 0,
            observed_time_unix_nano: 0,
            severity_number: 0,
            flags: 0,
            dropped_attributes_count: 0,
            severity_text: &[],
            body: None,
            trace_id: &[],
            span_id: &[],
            event_name: &[],
            attributes: &[],
        };
        let mut fields = Fields::new(raw);
        let mut here = raw;
        while let Some(field) = fields.next() {
            match (field.number, field.value) {
                (1, Value::Fixed64(value)) => record.time_unix_nano = value,
                (2, Value::Varint(value)) => {
                    record.severity_number = low32(value).cast_signed();
                }
                (3, Value::Bytes(value)) => record.severity_text = value,
                (5, Value::Bytes(value)) => record.body = Some(value),
                (6, Value::Bytes(_)) if record.attributes.is_empty() => record.attributes = here,
                (7, Value::Varint(value)) => record.dropped_attributes_count = low32(value),
                (8, Value::Fixed32(value)) => record.flags = value,
                (9, Value::Bytes(value)) => record.trace_id = value,
                (10, Value::Bytes(value)) => record.span_id = value,
                (11, Value::Fixed64(value)) => record.observed_time_unix_nano = value,
                (12, Value::Bytes(value)) => record.event_name = value,
                _ => {}
            }
            here = fields.rest();
        }
        record
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> LogRecord<'a> {
    /// When it happened, in nanoseconds since 1970; zero if unknown.
    #[inline]
    #[must_use]
    pub fn time_unix_nano(&self) -> u64 {
        self.time_unix_nano
    }

    /// When it was noticed, in nanoseconds since 1970; zero if unknown.
    #[inline]
    #[must_use]
    pub fn observed_time_unix_nano(&self) -> u64 {
        self.observed_time_unix_nano
    }

    /// How severe it is: 1–4 trace, 5–8 debug, 9–12 info, 13–16 warn, 17–20 error, 21–24 fatal, zero
    /// if unknown.
    #[inline]
    #[must_use]
    pub fn severity_number(&self) -> i32 {
        self.severity_number
    }

    /// The severity in its source's own words, empty if unknown.
    #[inline]
    #[must_use]
    pub fn severity_text(&self) -> &'a str {
        wire::text(self.severity_text)
    }

    /// What it says.
    #[inline]
    #[must_use]
    pub fn body(&self) -> Option<AnyValue<'a>> {
        self.body.map(AnyValue::new)
    }

    /// The bytes of the body's message; nothing if it is missing. With
    /// [`AnyValue::string_bytes`] a text body is copied without being checked again.
    #[inline]
    #[must_use]
    pub fn body_raw(&self) -> &'a [u8] {
        self.body.unwrap_or_default()
    }

    /// Its attributes.
    #[inline]
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.attributes, 6)
    }

    /// How many attributes its sender left out.
    #[inline]
    #[must_use]
    pub fn dropped_attributes_count(&self) -> u32 {
        self.dropped_attributes_count
    }

    /// The W3C trace flags in the lowest eight bits.
    #[inline]
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// The trace that it belongs to: 16 bytes, or none.
    #[inline]
    #[must_use]
    pub fn trace_id(&self) -> &'a [u8] {
        self.trace_id
    }

    /// The span that it belongs to: 8 bytes, or none.
    #[inline]
    #[must_use]
    pub fn span_id(&self) -> &'a [u8] {
        self.span_id
    }

    /// The name of the event that it is, empty if it is none.
    #[inline]
    #[must_use]
    pub fn event_name(&self) -> &'a str {
        wire::text(self.event_name)
    }
}
