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

    /// Adds a record that is a line of text, with what lines have in common written once. The same as
    /// [`record`](Self::record) with these fields, several times faster. A `time` of zero means that it is not known.
    #[inline]
    pub fn line(
        &mut self,
        time: u64,
        observed: u64,
        text: &str,
        common: &LineAttributes,
    ) -> &mut Self {
        // What encloses the text: its field in the value, the value's in the record.
        const VALUE: usize = 3;
        const AROUND: usize = 9 + 9 + 3 + VALUE;
        let len = AROUND + text.len() + common.raw.len();
        if time == 0 || len >= 0x4000 {
            return self.record(|record| {
                if time != 0 {
                    record.time(time);
                }
                record
                    .observed_time(observed)
                    .body_str(text)
                    .line_attributes(common);
            });
        }
        self.containers.scope_is_open();
        let out = &mut self.containers.out;
        out.reserve(3 + len);
        // All lengths take two bytes, so that what stands before the text is of one size.
        let [len_low, len_high] = wire::padded_length(len);
        let [value_low, value_high] = wire::padded_length(text.len() + VALUE);
        let [text_low, text_high] = wire::padded_length(text.len());
        let [t0, t1, t2, t3, t4, t5, t6, t7] = time.to_le_bytes();
        let [o0, o1, o2, o3, o4, o5, o6, o7] = observed.to_le_bytes();
        out.extend_from_slice(&[
            0x12, len_low, len_high, // log_records
            0x09, t0, t1, t2, t3, t4, t5, t6, t7, // time_unix_nano
            0x59, o0, o1, o2, o3, o4, o5, o6, o7, // observed_time_unix_nano
            0x2a, value_low, value_high, // body
            0x0a, text_low, text_high, // string_value
        ]);
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(&common.raw);
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

/// Attributes that many records have, written once; see [`LogsBuilder::line`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineAttributes {
    raw: Vec<u8>,
}

impl LineAttributes {
    /// What `write` adds.
    #[must_use]
    pub fn new(write: impl FnOnce(&mut AttributesBuilder<'_>)) -> Self {
        let mut raw = Vec::new();
        write(&mut AttributesBuilder::new(&mut raw, 6));
        Self { raw }
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

    /// Adds attributes that were written before.
    #[inline]
    pub fn line_attributes(&mut self, attributes: &LineAttributes) -> &mut Self {
        self.out.extend_from_slice(&attributes.raw);
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
