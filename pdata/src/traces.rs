//! Spans, read in place.

use crate::attributes::{Attributes, Resource, Scope, resource_of, schema_url_of, scope_of};
use crate::cursor::{Cursor, Messages, Resources, last};
use crate::rope::Traces;
use crate::wire::{self, Fields, Value, low32};

impl Traces {
    /// The resources of all segments, in order.
    pub fn resources(&self) -> Resources<'_, ResourceSpans<'_>> {
        Resources::new(self.segments())
    }
}

/// The spans of one resource.
#[derive(Clone, Copy, Debug)]
pub struct ResourceSpans<'a> {
    raw: &'a [u8],
}

impl<'a> Cursor<'a> for ResourceSpans<'a> {
    #[inline]
    fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> ResourceSpans<'a> {
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

    /// Its spans by scope.
    #[inline]
    pub fn scopes(&self) -> Messages<'a, ScopeSpans<'a>> {
        Messages::new(self.raw, 2)
    }
}

/// The spans of one scope.
#[derive(Clone, Copy, Debug)]
pub struct ScopeSpans<'a> {
    raw: &'a [u8],
}

impl<'a> Cursor<'a> for ScopeSpans<'a> {
    #[inline]
    fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> ScopeSpans<'a> {
    /// The scope; an empty one if it is missing.
    #[inline]
    #[must_use]
    pub fn scope(&self) -> Scope<'a> {
        scope_of(self.raw)
    }

    /// The schema of the scope's and the spans' attributes, empty if unknown.
    #[must_use]
    pub fn schema_url(&self) -> &'a str {
        schema_url_of(self.raw)
    }

    /// The spans.
    #[inline]
    pub fn spans(&self) -> Messages<'a, Span<'a>> {
        Messages::new(self.raw, 2)
    }
}

/// A span. Its fields are gathered when it is made, in one pass.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    raw: &'a [u8],
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_span_id: &'a [u8],
    trace_state: &'a [u8],
    name: &'a [u8],
    status: Option<&'a [u8]>,
    start_time_unix_nano: u64,
    end_time_unix_nano: u64,
    flags: u32,
    kind: i32,
    dropped_attributes_count: u32,
    dropped_events_count: u32,
    dropped_links_count: u32,
    /// From the first attribute on, so that reading attributes skips what stands before.
    attributes: &'a [u8],
}

impl<'a> Cursor<'a> for Span<'a> {
    #[inline(always)]
    fn new(raw: &'a [u8]) -> Self {
        let mut span = Self {
            raw,
            trace_id: &[],
            span_id: &[],
            parent_span_id: &[],
            trace_state: &[],
            name: &[],
            status: None,
            start_time_unix_nano: 0,
            end_time_unix_nano: 0,
            flags: 0,
            kind: 0,
            dropped_attributes_count: 0,
            dropped_events_count: 0,
            dropped_links_count: 0,
            attributes: &[],
        };
        let mut fields = Fields::new(raw);
        let mut here = raw;
        while let Some(field) = fields.next() {
            match (field.number, field.value) {
                (1, Value::Bytes(value)) => span.trace_id = value,
                (2, Value::Bytes(value)) => span.span_id = value,
                (3, Value::Bytes(value)) => span.trace_state = value,
                (4, Value::Bytes(value)) => span.parent_span_id = value,
                (5, Value::Bytes(value)) => span.name = value,
                (6, Value::Varint(value)) => span.kind = low32(value).cast_signed(),
                (7, Value::Fixed64(value)) => span.start_time_unix_nano = value,
                (8, Value::Fixed64(value)) => span.end_time_unix_nano = value,
                (9, Value::Bytes(_)) if span.attributes.is_empty() => span.attributes = here,
                (10, Value::Varint(value)) => span.dropped_attributes_count = low32(value),
                (12, Value::Varint(value)) => span.dropped_events_count = low32(value),
                (14, Value::Varint(value)) => span.dropped_links_count = low32(value),
                (15, Value::Bytes(value)) => span.status = Some(value),
                (16, Value::Fixed32(value)) => span.flags = value,
                _ => {}
            }
            here = fields.rest();
        }
        span
    }

    #[inline]
    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> Span<'a> {
    /// The trace that it belongs to: 16 bytes.
    #[inline]
    #[must_use]
    pub fn trace_id(&self) -> &'a [u8] {
        self.trace_id
    }

    /// Its identity within the trace: 8 bytes.
    #[inline]
    #[must_use]
    pub fn span_id(&self) -> &'a [u8] {
        self.span_id
    }

    /// Its parent's identity: 8 bytes, or none for a root.
    #[inline]
    #[must_use]
    pub fn parent_span_id(&self) -> &'a [u8] {
        self.parent_span_id
    }

    /// The W3C `tracestate`.
    #[must_use]
    pub fn trace_state(&self) -> &'a str {
        wire::text(self.trace_state)
    }

    /// What it does.
    #[inline]
    #[must_use]
    pub fn name(&self) -> &'a str {
        wire::text(self.name)
    }

    /// The number of its `SpanKind`: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    #[inline]
    #[must_use]
    pub fn kind(&self) -> i32 {
        self.kind
    }

    /// When it began, in nanoseconds since 1970.
    #[inline]
    #[must_use]
    pub fn start_time_unix_nano(&self) -> u64 {
        self.start_time_unix_nano
    }

    /// When it ended, in nanoseconds since 1970.
    #[inline]
    #[must_use]
    pub fn end_time_unix_nano(&self) -> u64 {
        self.end_time_unix_nano
    }

    /// The W3C trace flags in the lowest eight bits; bits 8 and 9 say whether the parent is remote.
    #[inline]
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// Its attributes.
    #[inline]
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.attributes, 9)
    }

    /// How many attributes its sender left out.
    #[must_use]
    pub fn dropped_attributes_count(&self) -> u32 {
        self.dropped_attributes_count
    }

    /// What happened while it ran.
    pub fn events(&self) -> Messages<'a, Event<'a>> {
        Messages::new(self.raw, 11)
    }

    /// How many events its sender left out.
    #[must_use]
    pub fn dropped_events_count(&self) -> u32 {
        self.dropped_events_count
    }

    /// The spans that it refers to.
    pub fn links(&self) -> Messages<'a, Link<'a>> {
        Messages::new(self.raw, 13)
    }

    /// How many links its sender left out.
    #[must_use]
    pub fn dropped_links_count(&self) -> u32 {
        self.dropped_links_count
    }

    /// How it went.
    #[must_use]
    pub fn status(&self) -> Option<Status<'a>> {
        self.status.map(Status::new)
    }
}

/// Something that happened during a span.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    raw: &'a [u8],
    time_unix_nano: u64,
    name: &'a [u8],
    dropped_attributes_count: u32,
}

impl<'a> Cursor<'a> for Event<'a> {
    fn new(raw: &'a [u8]) -> Self {
        let mut event = Self {
            raw,
            time_unix_nano: 0,
            name: &[],
            dropped_attributes_count: 0,
        };
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (1, Value::Fixed64(value)) => event.time_unix_nano = value,
                (2, Value::Bytes(value)) => event.name = value,
                (4, Value::Varint(value)) => event.dropped_attributes_count = low32(value),
                _ => {}
            }
        }
        event
    }

    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> Event<'a> {
    /// When, in nanoseconds since 1970.
    #[must_use]
    pub fn time_unix_nano(&self) -> u64 {
        self.time_unix_nano
    }

    /// What.
    #[must_use]
    pub fn name(&self) -> &'a str {
        wire::text(self.name)
    }

    /// Its attributes.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.raw, 3)
    }

    /// How many attributes its sender left out.
    #[must_use]
    pub fn dropped_attributes_count(&self) -> u32 {
        self.dropped_attributes_count
    }
}

/// A reference to another span.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    raw: &'a [u8],
    trace_id: &'a [u8],
    span_id: &'a [u8],
    trace_state: &'a [u8],
    dropped_attributes_count: u32,
    flags: u32,
}

impl<'a> Cursor<'a> for Link<'a> {
    fn new(raw: &'a [u8]) -> Self {
        let mut link = Self {
            raw,
            trace_id: &[],
            span_id: &[],
            trace_state: &[],
            dropped_attributes_count: 0,
            flags: 0,
        };
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (1, Value::Bytes(value)) => link.trace_id = value,
                (2, Value::Bytes(value)) => link.span_id = value,
                (3, Value::Bytes(value)) => link.trace_state = value,
                (5, Value::Varint(value)) => link.dropped_attributes_count = low32(value),
                (6, Value::Fixed32(value)) => link.flags = value,
                _ => {}
            }
        }
        link
    }

    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> Link<'a> {
    /// The other span's trace: 16 bytes.
    #[must_use]
    pub fn trace_id(&self) -> &'a [u8] {
        self.trace_id
    }

    /// The other span: 8 bytes.
    #[must_use]
    pub fn span_id(&self) -> &'a [u8] {
        self.span_id
    }

    /// The W3C `tracestate` of the link.
    #[must_use]
    pub fn trace_state(&self) -> &'a str {
        wire::text(self.trace_state)
    }

    /// Its attributes.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.raw, 4)
    }

    /// How many attributes its sender left out.
    #[must_use]
    pub fn dropped_attributes_count(&self) -> u32 {
        self.dropped_attributes_count
    }

    /// As for a [`Span`].
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.flags
    }
}

/// How a span went.
#[derive(Clone, Copy, Debug)]
pub struct Status<'a> {
    raw: &'a [u8],
}

impl<'a> Cursor<'a> for Status<'a> {
    fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> Status<'a> {
    /// The number of its `StatusCode`: 0 unset, 1 ok, 2 error.
    #[must_use]
    pub fn code(&self) -> i32 {
        low32(last(self.raw, 3).map_or(0, Value::number)).cast_signed()
    }

    /// What went wrong.
    #[must_use]
    pub fn message(&self) -> &'a str {
        last(self.raw, 2).map_or("", Value::text)
    }
}
