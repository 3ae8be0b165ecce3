//! From OTLP bytes to JSON.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Signal;
use crate::attributes::write_quoted;
use crate::rope::Segment;
use crate::schema::{self, Kind, Message};
use crate::wire::{self, Field, Fields, Value, low32, read_varint, zigzag_decode};

/// Text is handed on when so much has gathered.
const FLUSH_AT: usize = 64 * 1024;

pub(super) fn write(signal: Signal, segments: &[Segment], out: &mut impl Write) -> io::Result<()> {
    let mut encoder = Encoder {
        out,
        text: String::new(),
    };
    encoder.request(schema::request(signal), segments)?;
    encoder.flush()
}

struct Encoder<'w, W> {
    out: &'w mut W,
    text: String,
}

impl<W: Write> Encoder<'_, W> {
    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(self.text.as_bytes())?;
        self.text.clear();
        Ok(())
    }

    /// The segments as one request: its only field is repeated.
    fn request(&mut self, request: &'static Message, segments: &[Segment]) -> io::Result<()> {
        let mut first = true;
        for field in request.fields {
            let Kind::Message(child) = field.kind else {
                continue;
            };
            for segment in segments {
                for raw in payloads(segment.bytes(), field.number) {
                    if first {
                        self.text.push('{');
                        self.name(field, true);
                        self.text.push('[');
                    } else {
                        self.text.push(',');
                    }
                    first = false;
                    self.message(child, raw)?;
                }
            }
        }
        self.text.push_str(if first { "{}" } else { "]}" });
        Ok(())
    }

    fn message(&mut self, message: &'static Message, raw: &[u8]) -> io::Result<()> {
        // Where a single field stands last, and where a repeated one begins, plus one.
        let mut places = [0usize; 17];
        let mut winner = 0;
        let mut fields = Fields::new(raw);
        let mut here = 0;
        while let Some(field) = fields.next() {
            if let Some(known) = message.field(field.number)
                && let Some(place) = places.get_mut(usize::from(known.number))
            {
                if known.oneof {
                    winner = known.number;
                }
                if *place == 0 || !known.repeated {
                    *place = here + 1;
                }
            }
            here = raw.len() - fields.rest().len();
        }
        self.text.push('{');
        let mut first = true;
        for field in message.fields {
            let place = places.get(usize::from(field.number)).copied();
            let Some(from) = place.and_then(|place| raw.get(place.checked_sub(1)?..)) else {
                continue;
            };
            if field.repeated {
                self.list(field, from, &mut first)?;
                continue;
            }
            let Some(Field { value, .. }) = Fields::new(from).next() else {
                continue;
            };
            let written = if field.oneof {
                field.number == winner
            } else {
                field.optional || !is_default(field.kind, value)
            };
            if written {
                self.name(field, first);
                first = false;
                self.value(field.kind, value)?;
            }
        }
        self.text.push('}');
        if message.item && self.text.len() >= FLUSH_AT {
            self.flush()?;
        }
        Ok(())
    }

    fn name(&mut self, field: &schema::Field, first: bool) {
        self.text.push_str(if first { "\"" } else { ",\"" });
        self.text.push_str(field.json);
        self.text.push_str("\":");
    }

    fn list(&mut self, field: &schema::Field, from: &[u8], first: &mut bool) -> io::Result<()> {
        let mut empty = true;
        for occurrence in Fields::new(from) {
            if occurrence.number != u32::from(field.number) {
                continue;
            }
            match occurrence.value {
                Value::Bytes(packed) if field.kind.packable() => {
                    let mut rest = packed;
                    while let Some((value, tail)) = unpack(field.kind, rest) {
                        self.element(field, &mut empty, first);
                        self.value(field.kind, value)?;
                        rest = tail;
                    }
                }
                value => {
                    self.element(field, &mut empty, first);
                    self.value(field.kind, value)?;
                }
            }
        }
        if !empty {
            self.text.push(']');
        }
        Ok(())
    }

    fn element(&mut self, field: &schema::Field, empty: &mut bool, first: &mut bool) {
        if *empty {
            self.name(field, *first);
            self.text.push('[');
            *first = false;
        } else {
            self.text.push(',');
        }
        *empty = false;
    }

    fn value(&mut self, kind: Kind, value: Value<'_>) -> io::Result<()> {
        let number = value.number();
        let mut digits = itoa::Buffer::new();
        match kind {
            Kind::Message(message) => return self.message(message, value.bytes()),
            Kind::String => write_quoted(value.text(), &mut self.text),
            Kind::Id => {
                self.text.push('"');
                self.hex(value.bytes());
                self.text.push('"');
            }
            Kind::Bytes => {
                self.text.push('"');
                STANDARD.encode_string(value.bytes(), &mut self.text);
                self.text.push('"');
            }
            Kind::Bool => self
                .text
                .push_str(if number == 0 { "false" } else { "true" }),
            Kind::Int32 | Kind::Enum(_) => {
                self.text
                    .push_str(digits.format(low32(number).cast_signed()));
            }
            Kind::Sint32 => {
                let value = zigzag_decode(u64::from(low32(number)));
                self.text.push_str(digits.format(value));
            }
            Kind::Uint32 | Kind::Fixed32 => self.text.push_str(digits.format(low32(number))),
            Kind::Int64 | Kind::Sfixed64 => self.quoted(digits.format(number.cast_signed())),
            Kind::Uint64 | Kind::Fixed64 => self.quoted(digits.format(number)),
            Kind::Double => self.double(value.double()),
        }
        Ok(())
    }

    fn hex(&mut self, bytes: &[u8]) {
        let mut digits = [0u8; 32];
        for part in bytes.chunks(16) {
            for (byte, digits) in part.iter().zip(digits.as_chunks_mut::<2>().0) {
                *digits = [hex_digit(byte >> 4), hex_digit(byte & 15)];
            }
            let text = digits.get(..2 * part.len()).unwrap_or_default();
            self.text.push_str(wire::text(text));
        }
    }

    fn quoted(&mut self, digits: &str) {
        self.text.push('"');
        self.text.push_str(digits);
        self.text.push('"');
    }

    fn double(&mut self, value: f64) {
        let special = if value.is_nan() {
            "\"NaN\""
        } else if value == f64::INFINITY {
            "\"Infinity\""
        } else if value == f64::NEG_INFINITY {
            "\"-Infinity\""
        } else {
            return self.text.push_str(ryu::Buffer::new().format_finite(value));
        };
        self.text.push_str(special);
    }
}

fn payloads(raw: &[u8], number: u8) -> impl Iterator<Item = &[u8]> {
    Fields::new(raw).filter_map(move |field| match field.value {
        Value::Bytes(bytes) if field.number == u32::from(number) => Some(bytes),
        _ => None,
    })
}

/// Whether the value need not be written. A message that is there always is.
fn is_default(kind: Kind, value: Value<'_>) -> bool {
    match (kind, value) {
        (Kind::Message(_), _) => false,
        (Kind::Int32 | Kind::Enum(_) | Kind::Uint32 | Kind::Sint32, value) => {
            low32(value.number()) == 0
        }
        (_, Value::Bytes(bytes) | Value::Group(bytes)) => bytes.is_empty(),
        (_, value) => value.number() == 0,
    }
}

/// The next number of a packed list.
fn unpack(kind: Kind, packed: &[u8]) -> Option<(Value<'_>, &[u8])> {
    if packed.is_empty() {
        return None;
    }
    match kind {
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => {
            let (bytes, rest) = packed.split_first_chunk::<8>()?;
            Some((Value::Fixed64(u64::from_le_bytes(*bytes)), rest))
        }
        Kind::Fixed32 => {
            let (bytes, rest) = packed.split_first_chunk::<4>()?;
            Some((Value::Fixed32(u32::from_le_bytes(*bytes)), rest))
        }
        _ => read_varint(packed).map(|(value, rest)| (Value::Varint(value), rest)),
    }
}

const fn hex_digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'a' - 10 + value,
    }
}
