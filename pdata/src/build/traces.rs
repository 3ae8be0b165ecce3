//! Spans, written.

use crate::build::{AttributesBuilder, Containers, attribute_methods, container_methods};
use crate::rope::Traces;
use crate::wire;

/// Writes spans.
#[derive(Debug, Default)]
pub struct TracesBuilder {
    containers: Containers,
}

impl TracesBuilder {
    container_methods!(Traces);

    /// Adds a span to the scope.
    #[inline]
    pub fn span(&mut self, write: impl FnOnce(&mut SpanBuilder<'_>)) -> &mut Self {
        let opened = self.containers.open_in_scope(2);
        write(&mut SpanBuilder {
            out: &mut self.containers.out,
        });
        wire::close_message(&mut self.containers.out, opened);
        self.containers.count_item();
        self
    }
}

/// A span, being written. Every method adds a field; call each at most once, attributes, events and
/// links aside.
#[derive(Debug)]
pub struct SpanBuilder<'a> {
    out: &'a mut Vec<u8>,
}

impl SpanBuilder<'_> {
    attribute_methods!(|_: &Self| 9);

    /// The trace that it belongs to (16 bytes) and its own identity (8 bytes).
    pub fn ids(&mut self, trace_id: &[u8], span_id: &[u8]) -> &mut Self {
        wire::put_bytes_field(self.out, 1, trace_id);
        wire::put_bytes_field(self.out, 2, span_id);
        self
    }

    /// Its parent's identity: 8 bytes.
    pub fn parent_span_id(&mut self, id: &[u8]) -> &mut Self {
        wire::put_bytes_field(self.out, 4, id);
        self
    }

    /// The W3C `tracestate`.
    pub fn trace_state(&mut self, state: &str) -> &mut Self {
        wire::put_bytes_field(self.out, 3, state.as_bytes());
        self
    }

    /// What it does.
    pub fn name(&mut self, name: &str) -> &mut Self {
        wire::put_bytes_field(self.out, 5, name.as_bytes());
        self
    }

    /// The number of its `SpanKind`.
    pub fn kind(&mut self, kind: i32) -> &mut Self {
        wire::put_varint_field(self.out, 6, i64::from(kind).cast_unsigned());
        self
    }

    /// When it began and ended, in nanoseconds since 1970.
    pub fn times(&mut self, start_unix_nano: u64, end_unix_nano: u64) -> &mut Self {
        wire::put_fixed64_field(self.out, 7, start_unix_nano);
        wire::put_fixed64_field(self.out, 8, end_unix_nano);
        self
    }

    /// The W3C trace flags and OTLP's own.
    pub fn flags(&mut self, flags: u32) -> &mut Self {
        wire::put_fixed32_field(self.out, 16, flags);
        self
    }

    /// How many attributes, events and links were left out.
    pub fn dropped_counts(&mut self, attributes: u32, events: u32, links: u32) -> &mut Self {
        for (number, count) in [(10, attributes), (12, events), (14, links)] {
            if count > 0 {
                wire::put_varint_field(self.out, number, u64::from(count));
            }
        }
        self
    }

    /// Adds something that happened while it ran.
    pub fn event(&mut self, write: impl FnOnce(&mut EventBuilder<'_>)) -> &mut Self {
        let opened = wire::open_message(self.out, 11, 1);
        write(&mut EventBuilder { out: self.out });
        wire::close_message(self.out, opened);
        self
    }

    /// Adds a reference to another span.
    pub fn link(&mut self, write: impl FnOnce(&mut LinkBuilder<'_>)) -> &mut Self {
        let opened = wire::open_message(self.out, 13, 1);
        write(&mut LinkBuilder { out: self.out });
        wire::close_message(self.out, opened);
        self
    }

    /// How it went: 0 unset, 1 ok, 2 error, and what went wrong (may be empty).
    pub fn status(&mut self, code: i32, message: &str) -> &mut Self {
        let opened = wire::open_message(self.out, 15, 1);
        if !message.is_empty() {
            wire::put_bytes_field(self.out, 2, message.as_bytes());
        }
        if code != 0 {
            wire::put_varint_field(self.out, 3, i64::from(code).cast_unsigned());
        }
        wire::close_message(self.out, opened);
        self
    }
}

/// An event of a span, being written.
#[derive(Debug)]
pub struct EventBuilder<'a> {
    out: &'a mut Vec<u8>,
}

impl EventBuilder<'_> {
    attribute_methods!(|_: &Self| 3);

    /// When, in nanoseconds since 1970.
    pub fn time(&mut self, unix_nano: u64) -> &mut Self {
        wire::put_fixed64_field(self.out, 1, unix_nano);
        self
    }

    /// What.
    pub fn name(&mut self, name: &str) -> &mut Self {
        wire::put_bytes_field(self.out, 2, name.as_bytes());
        self
    }

    /// How many attributes were left out.
    pub fn dropped_attributes_count(&mut self, count: u32) -> &mut Self {
        wire::put_varint_field(self.out, 4, u64::from(count));
        self
    }
}

/// A link of a span, being written.
#[derive(Debug)]
pub struct LinkBuilder<'a> {
    out: &'a mut Vec<u8>,
}

impl LinkBuilder<'_> {
    attribute_methods!(|_: &Self| 4);

    /// The other span's trace (16 bytes) and identity (8 bytes).
    pub fn ids(&mut self, trace_id: &[u8], span_id: &[u8]) -> &mut Self {
        wire::put_bytes_field(self.out, 1, trace_id);
        wire::put_bytes_field(self.out, 2, span_id);
        self
    }

    /// The W3C `tracestate`.
    pub fn trace_state(&mut self, state: &str) -> &mut Self {
        wire::put_bytes_field(self.out, 3, state.as_bytes());
        self
    }

    /// How many attributes were left out.
    pub fn dropped_attributes_count(&mut self, count: u32) -> &mut Self {
        wire::put_varint_field(self.out, 5, u64::from(count));
        self
    }

    /// As for a span.
    pub fn flags(&mut self, flags: u32) -> &mut Self {
        wire::put_fixed32_field(self.out, 6, flags);
        self
    }
}
