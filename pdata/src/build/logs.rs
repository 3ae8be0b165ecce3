//! Log records, written.

use crate::attributes::AnyValue;
use crate::build::{
    AttributesBuilder, Containers, attribute_methods, container_methods, put_any_value,
};
use crate::rope::Logs;
use crate::wire;

/// Writes log records.
#[derive(Debug, Default)]
pub struct LogsBuilder {
    containers: Containers,
}

impl LogsBuilder {
    container_methods!(Logs);

    /// Adds a record to the scope.
    #[inline]
    pub fn record(&mut self, write: impl FnOnce(&mut LogRecordBuilder<'_>)) -> &mut Self {
        let opened = self.containers.open_in_scope(2);
        write(&mut LogRecordBuilder {
            out: &mut self.containers.out,
        });
        wire::close_message(&mut self.containers.out, opened);
        self.containers.count_item();
        self
    }

    /// Adds a copy of a record.
    pub fn record_raw(&mut self, record: &crate::logs::LogRecord<'_>) -> &mut Self {
        let raw = crate::Cursor::raw(record);
        let opened = self.containers.open_in_scope(wire::length_len(raw.len()));
        self.containers.out.extend_from_slice(raw);
        wire::close_message(&mut self.containers.out, opened);
        self.containers.count_item();
        self
    }
}

/// A log record, being written. Every method adds a field; call each at most once, attributes aside.
#[derive(Debug)]
pub struct LogRecordBuilder<'a> {
    out: &'a mut Vec<u8>,
}

impl LogRecordBuilder<'_> {
    attribute_methods!(|_: &Self| 6);

    /// When it happened, in nanoseconds since 1970.
    #[inline]
    pub fn time(&mut self, unix_nano: u64) -> &mut Self {
        wire::put_fixed64_field(self.out, 1, unix_nano);
        self
    }

    /// When it was noticed, in nanoseconds since 1970.
    #[inline]
    pub fn observed_time(&mut self, unix_nano: u64) -> &mut Self {
        wire::put_fixed64_field(self.out, 11, unix_nano);
        self
    }

    /// How severe it is: OTLP's number, and the source's own word (may be empty).
    #[inline]
    pub fn severity(&mut self, number: i32, text: &str) -> &mut Self {
        if number != 0 {
            wire::put_varint_field(self.out, 2, i64::from(number).cast_unsigned());
        }
        if !text.is_empty() {
            wire::put_bytes_field(self.out, 3, text.as_bytes());
        }
        self
    }

    /// The body as text.
    #[inline]
    pub fn body_str(&mut self, text: &str) -> &mut Self {
        let len = 1 + wire::length_len(text.len()) + text.len();
        wire::put_tag(self.out, 5, 2);
        wire::put_varint(self.out, len as u64);
        wire::put_bytes_field(self.out, 1, text.as_bytes());
        self
    }

    /// The body as any value.
    pub fn body(&mut self, value: &AnyValue<'_>) -> &mut Self {
        let opened = wire::open_message(self.out, 5, 2);
        put_any_value(self.out, value);
        wire::close_message(self.out, opened);
        self
    }

    /// How many attributes were left out.
    pub fn dropped_attributes_count(&mut self, count: u32) -> &mut Self {
        wire::put_varint_field(self.out, 7, u64::from(count));
        self
    }

    /// The W3C trace flags.
    pub fn flags(&mut self, flags: u32) -> &mut Self {
        wire::put_fixed32_field(self.out, 8, flags);
        self
    }

    /// The trace that it belongs to: 16 bytes.
    pub fn trace_id(&mut self, id: &[u8]) -> &mut Self {
        wire::put_bytes_field(self.out, 9, id);
        self
    }

    /// The span that it belongs to: 8 bytes.
    pub fn span_id(&mut self, id: &[u8]) -> &mut Self {
        wire::put_bytes_field(self.out, 10, id);
        self
    }

    /// The name of the event that it is.
    pub fn event_name(&mut self, name: &str) -> &mut Self {
        wire::put_bytes_field(self.out, 12, name.as_bytes());
        self
    }
}
