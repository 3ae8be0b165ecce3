//! Log records as entries of Loki's push body, written in place.
//!
//! One pass over a record's fields, no object in between. What consecutive records of a file have in common
//! (the attributes that say where they came from) is encoded once and copied from then on.

use bytes::{Buf, Bytes};
use corten_pdata::attributes::{AnyValue, KeyValue};
use corten_pdata::cursor::Cursor;
use corten_pdata::wire::{
    Fields, Opened, Value, close_message, length_len, low32, open_message, padded_length,
    padded_number, put_bytes_field, put_tag, put_varint,
};

use crate::mapping::{Common, Limits, Mapping, Metadata};

/// Field of a `ScopeLogs` that holds a record.
const LOG_RECORD: u32 = 2;
/// Field of a `LogRecord` that holds an attribute.
const ATTRIBUTE: u32 = 6;
/// Width of a stream's length, which is known only at its end: enough for 268 MB.
const STREAM_LENGTH: usize = 4;

/// Writes push bodies. Keeps its buffers from one request to the next.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    body: Vec<u8>,
    stream: Option<Opened>,
    /// The record's own metadata.
    metadata: Metadata,
    /// All that stood behind the body of a record before.
    tail: Remembered,
    /// What such a record's entry ends with: the metadata of all lines and its own.
    end: Vec<u8>,
    /// The metadata of all lines that is in there.
    end_of: Bytes,
    /// Records since its metadata was last of use.
    misses: u32,
    /// The attributes of the record before, by position.
    remembered: Vec<Remembered>,
    line: String,
    /// Metadata that went beyond the limits.
    pub(crate) trimmed: u64,
}

/// An attribute, or several, as they came and as they were written.
#[derive(Debug, Default)]
struct Remembered {
    raw: Vec<u8>,
    written: Metadata,
}

/// Attributes longer than this are not worth remembering.
const LONGEST_REMEMBERED: usize = 1024;
/// Nor are more than these.
const MOST_REMEMBERED: usize = 64;

/// How far a run was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// To its end.
    Done,
    /// The next line would make the body larger than its limit.
    Full,
}

impl Encoder {
    /// Begins the entries of a stream.
    pub(crate) fn open_stream(&mut self, labels: &str) {
        self.stream = Some(open_message(&mut self.body, 1, STREAM_LENGTH));
        put_bytes_field(&mut self.body, 1, labels.as_bytes());
    }

    /// Takes the stream back that was opened when the body was `len` bytes long.
    pub(crate) fn cancel_stream(&mut self, len: usize) {
        self.stream = None;
        self.body.truncate(len);
    }

    /// Ends them.
    pub(crate) fn close_stream(&mut self) {
        if let Some(stream) = self.stream.take() {
            close_message(&mut self.body, stream);
        }
    }

    /// The body written so far.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Begins a new body.
    pub(crate) fn clear(&mut self) {
        self.body.clear();
        self.stream = None;
    }

    /// Writes records from the front of `records` (the fields of a `ScopeLogs`) while the body stays within
    /// `limit`, and takes off what it wrote. A body without a line takes one of any size. Adds to `lines`.
    pub(crate) fn write(
        &mut self,
        records: &mut Bytes,
        common: &Common,
        mapping: &Mapping,
        limit: usize,
        lines: &mut usize,
        now: u64,
    ) -> Progress {
        self.end_with(common);
        let mut fields = Fields::new(records);
        let mut written = 0;
        let mut progress = Progress::Done;
        let total = records.len();
        while let Some(field) = fields.next() {
            if field.number == LOG_RECORD
                && let Value::Bytes(record) = field.value
            {
                let before = self.body.len();
                self.entry(record, common, mapping, now);
                if self.body.len() > limit && *lines > 0 {
                    self.body.truncate(before);
                    progress = Progress::Full;
                    break;
                }
                *lines += 1;
            }
            written = total - fields.rest().len();
        }
        if progress == Progress::Done {
            written = total;
        }
        records.advance(written);
        progress
    }

    /// Writes a record. Reads its fields itself, in one pass, where a cursor would walk over the attributes twice.
    ///
    /// The lines of a file differ in their times and their texts only, which stand before all the rest: that the rest is the same
    /// takes one comparison to see.
    #[inline]
    fn entry(&mut self, record: &[u8], common: &Common, mapping: &Mapping, now: u64) {
        let limits = mapping.limits();
        if let Some((time, observed, line, tail)) = plain_line(record)
            && self.knows(tail, common, limits)
        {
            self.misses = 0;
            let time = first_set(time, observed, now);
            return write_entry(&mut self.body, time, line, &self.end, &[]);
        }
        let (mut time, mut observed, mut severity) = (0, 0, 0);
        let mut body: &[u8] = &[];
        let (mut severity_text, mut trace, mut span, mut event) = (body, body, body, body);
        let mut fields = Fields::new(record);
        // What stands behind the body, if nothing but times stands before it and no time behind.
        let mut tail = None;
        let mut position = 0;
        let mut begun = false;
        let trimmed_before = self.trimmed;
        loop {
            let here = fields.rest();
            let Some(field) = fields.next() else {
                break;
            };
            match (field.number, field.value) {
                (1, Value::Fixed64(value)) => {
                    time = value;
                    tail = None;
                }
                (11, Value::Fixed64(value)) => {
                    observed = value;
                    tail = None;
                }
                (5, Value::Bytes(value)) => {
                    body = value;
                    tail = (!begun).then(|| fields.rest());
                }
                (number, value) => {
                    if !begun {
                        begun = true;
                        self.metadata.clear();
                        self.metadata.bytes = common.bytes;
                        self.metadata.entries = common.entries;
                    }
                    match (number, value) {
                        (ATTRIBUTE, Value::Bytes(attribute)) => {
                            if let Some(limits) = limits {
                                let raw = here
                                    .get(..here.len() - fields.rest().len())
                                    .unwrap_or_default();
                                self.attribute(position, raw, attribute, mapping, limits);
                            }
                            position += 1;
                        }
                        (2, Value::Varint(value)) => severity = low32(value).cast_signed(),
                        (3, Value::Bytes(value)) => severity_text = value,
                        (9, Value::Bytes(value)) => trace = value,
                        (10, Value::Bytes(value)) => span = value,
                        (12, Value::Bytes(value)) => event = value,
                        _ => {}
                    }
                }
            }
        }
        if !begun {
            self.metadata.clear();
        } else if let Some(limits) = limits {
            let trimmed = &mut self.trimmed;
            let metadata = &mut self.metadata;
            if severity != 0 {
                let mut number = itoa::Buffer::new();
                let number = number.format(severity).as_bytes();
                metadata.add_text(b"severity_number", number, limits, trimmed);
            }
            metadata.add_text(b"severity_text", severity_text, limits, trimmed);
            if !trace.is_empty() {
                let mut digits = [0; 32];
                metadata.add_text(b"trace_id", hex(trace, &mut digits), limits, trimmed);
            }
            if !span.is_empty() {
                let mut digits = [0; 16];
                metadata.add_text(b"span_id", hex(span, &mut digits), limits, trimmed);
            }
            metadata.add_text(b"event_name", event, limits, trimmed);
        }
        let time = first_set(time, observed, now);
        let (common_metadata, metadata) = (&common.encoded, &self.metadata.encoded);
        let line = line(body, &mut self.line);
        write_entry(&mut self.body, time, line, common_metadata, metadata);
        if let Some(tail) = tail.filter(|tail| {
            begun && tail.len() <= LONGEST_REMEMBERED && self.trimmed == trimmed_before
        }) {
            self.remember(tail, common);
        }
    }

    /// Makes ready what entries end with whose metadata is known.
    fn end_with(&mut self, common: &Common) {
        let known = &self.end_of;
        if known.as_ptr() != common.encoded.as_ptr() || known.len() != common.encoded.len() {
            self.end_of = common.encoded.clone();
            self.join_end();
        }
    }

    fn join_end(&mut self) {
        self.end.clear();
        self.end.extend_from_slice(&self.end_of);
        self.end.extend_from_slice(&self.tail.written.encoded);
    }

    /// Whether the metadata of what stands behind a body is written already, and within the limits.
    #[inline]
    fn knows(&self, tail: &[u8], common: &Common, limits: Option<Limits>) -> bool {
        let written = &self.tail.written;
        self.tail.raw == tail
            && limits.is_none_or(|limits| {
                common.bytes + written.bytes <= limits.bytes
                    && common.entries + written.entries <= limits.entries
            })
    }

    /// Keeps the metadata of this record, unless that was of no use several times.
    fn remember(&mut self, tail: &[u8], common: &Common) {
        self.misses = self.misses.wrapping_add(1);
        if self.misses > 4 && !self.misses.is_multiple_of(64) {
            return;
        }
        let (metadata, known) = (&self.metadata, &mut self.tail);
        known.raw.clear();
        known.raw.extend_from_slice(tail);
        known.written.clear();
        known.written.encoded.extend_from_slice(&metadata.encoded);
        known.written.bytes = metadata.bytes - common.bytes;
        known.written.entries = metadata.entries - common.entries;
        self.join_end();
    }

    /// Adds an attribute (`raw` with its tag and length) to the record's metadata, encoded anew only if it differs
    /// from the one that the record before had in its place.
    #[inline]
    fn attribute(
        &mut self,
        position: usize,
        raw: &[u8],
        attribute: &[u8],
        mapping: &Mapping,
        limits: Limits,
    ) {
        let metadata = &mut self.metadata;
        if let Some(known) = self.remembered.get(position)
            && known.raw == raw
            && metadata.bytes + known.written.bytes <= limits.bytes
            && metadata.entries + known.written.entries <= limits.entries
        {
            metadata.encoded.extend_from_slice(&known.written.encoded);
            metadata.bytes += known.written.bytes;
            metadata.entries += known.written.entries;
            return;
        }
        let attribute = KeyValue::new(attribute);
        if mapping.is_record_label(attribute.key()) {
            return;
        }
        let (start, bytes, entries) = (metadata.encoded.len(), metadata.bytes, metadata.entries);
        let before = self.trimmed;
        metadata.add(
            attribute.key(),
            attribute.value(),
            limits,
            &mut self.trimmed,
        );
        if raw.len() > LONGEST_REMEMBERED || position >= MOST_REMEMBERED || self.trimmed != before {
            return;
        }
        if position >= self.remembered.len() {
            self.remembered
                .resize_with(position + 1, Remembered::default);
        }
        if let Some(known) = self.remembered.get_mut(position) {
            known.raw.clear();
            known.raw.extend_from_slice(raw);
            known.written.clear();
            known.written.bytes = metadata.bytes - bytes;
            known.written.entries = metadata.entries - entries;
            let encoded = metadata.encoded.get(start..).unwrap_or_default();
            known.written.encoded.extend_from_slice(encoded);
        }
    }
}

/// Times, text and all that follows of a record as `LogsBuilder::line` writes it, read without a loop.
#[inline]
fn plain_line(record: &[u8]) -> Option<(u64, u64, &[u8], &[u8])> {
    let (head, rest) = record.split_first_chunk::<24>()?;
    let &[
        0x09,
        t0,
        t1,
        t2,
        t3,
        t4,
        t5,
        t6,
        t7,
        0x59,
        o0,
        o1,
        o2,
        o3,
        o4,
        o5,
        o6,
        o7,
        0x2a,
        v0,
        v1,
        0x0a,
        l0,
        l1,
    ] = head
    else {
        return None;
    };
    // Both lengths take two bytes; the value is the text with a tag and its length.
    let [value, len] = [[v0, v1], [l0, l1]].map(|[low, high]| {
        (low & high.wrapping_sub(0x80) & 0x80 != 0)
            .then_some(usize::from(low & 0x7f) | usize::from(high) << 7)
    });
    let len = len.filter(|len| value == Some(len + 3))?;
    let (line, tail) = rest.split_at_checked(len)?;
    let time = u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
    let observed = u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]);
    Some((time, observed, line, tail))
}

/// The body of a record as text.
#[inline]
fn line<'a>(body: &'a [u8], buffer: &'a mut String) -> &'a [u8] {
    if let Some(text) = AnyValue::string_bytes(body) {
        return text;
    }
    buffer.clear();
    AnyValue::new(body).write_text(buffer);
    buffer.as_bytes()
}

#[inline]
fn first_set(time: u64, observed: u64, now: u64) -> u64 {
    if time != 0 {
        time
    } else if observed != 0 {
        observed
    } else {
        now
    }
}

/// `Entry{timestamp, line, structured metadata}` as field 2 of its stream.
#[inline]
fn write_entry(out: &mut Vec<u8>, time: u64, line: &[u8], common: &[u8], metadata: &[u8]) {
    // The timestamp with its two numbers, and the tag and length of the line.
    const TIME: usize = 2 + 6 + 6;
    const AROUND: usize = TIME + 3;
    let (seconds, nanos) = (time / 1_000_000_000, time % 1_000_000_000);
    let len = AROUND + line.len() + common.len() + metadata.len();
    out.reserve(len + 16);
    // Numbers of one width, so that what stands before the line is written at once.
    let [s0, s1, s2, s3, s4] = padded_number(seconds);
    let [n0, n1, n2, n3, n4] = padded_number(nanos);
    if len < 0x4000 {
        let [len_low, len_high] = padded_length(len);
        let [line_low, line_high] = padded_length(line.len());
        out.extend_from_slice(&[
            0x12, len_low, len_high, // entries
            0x0a, 12, 0x08, s0, s1, s2, s3, s4, 0x10, n0, n1, n2, n3, n4, // timestamp
            0x12, line_low, line_high, // line
        ]);
        out.extend_from_slice(line);
    } else {
        put_tag(out, 2, 2);
        put_varint(
            out,
            (TIME + 1 + length_len(line.len()) + line.len() + common.len() + metadata.len()) as u64,
        );
        out.extend_from_slice(&[0x0a, 12, 0x08, s0, s1, s2, s3, s4, 0x10, n0, n1, n2, n3, n4]);
        put_bytes_field(out, 2, line);
    }
    out.extend_from_slice(common);
    out.extend_from_slice(metadata);
}

/// An id in lower-case hexadecimal; nothing when it is unset or of another length.
#[inline]
fn hex<'a, const N: usize>(id: &[u8], out: &'a mut [u8; N]) -> &'a [u8] {
    if id.len() * 2 != N
        || id.iter().all(|byte| *byte == 0)
        || ::hex::encode_to_slice(id, out).is_err()
    {
        return &[];
    }
    out
}
