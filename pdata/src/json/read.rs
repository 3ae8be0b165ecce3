//! From JSON to OTLP bytes.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;

use super::JsonError;
use super::parser::{Next, Parser};
use crate::schema::{Enum, Field, Kind, Message};
use crate::validate::MAX_DEPTH;
use crate::wire;

pub(super) fn read(request: &'static Message, text: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut reader = Reader {
        parser: Parser::new(text)?,
        // JSON is two to three times as long.
        out: Vec::with_capacity(text.len() / 2),
    };
    reader.message(request, MAX_DEPTH)?;
    reader.parser.end()?;
    Ok(reader.out)
}

struct Reader<'a> {
    parser: Parser<'a>,
    out: Vec<u8>,
}

impl Reader<'_> {
    fn message(&mut self, message: &'static Message, depth: u32) -> Result<(), JsonError> {
        self.parser.object()?;
        let mut first = true;
        while let Some(name) = self.parser.next_key(first)? {
            first = false;
            let Some(field) = message.field_named(&name) else {
                self.parser.skip()?;
                continue;
            };
            if self.parser.peek()? == Next::Null {
                self.parser.null()?;
            } else if field.repeated {
                self.list(field, depth)?;
            } else {
                self.field(field, depth)?;
            }
        }
        Ok(())
    }

    fn list(&mut self, field: &Field, depth: u32) -> Result<(), JsonError> {
        let number = u32::from(field.number);
        let packed = field
            .kind
            .packable()
            .then(|| wire::open_message(&mut self.out, number, 1));
        self.parser.array()?;
        let mut first = true;
        while self.parser.next_element(first)? {
            first = false;
            if self.parser.peek()? == Next::Null {
                return Err(self.parser.error("null is no element of a list"));
            }
            if packed.is_some() {
                self.number(field.kind)?;
            } else {
                self.field(field, depth)?;
            }
        }
        if let Some(packed) = packed {
            wire::close_message(&mut self.out, packed);
        }
        Ok(())
    }

    /// A field with its tag.
    fn field(&mut self, field: &Field, depth: u32) -> Result<(), JsonError> {
        let number = u32::from(field.number);
        match field.kind {
            Kind::Message(message) => {
                if depth == 0 {
                    return Err(self.parser.error("messages nest too deeply"));
                }
                let width = if message.holds_items { 4 } else { 1 };
                let opened = wire::open_message(&mut self.out, number, width);
                self.message(message, depth - 1)?;
                wire::close_message(&mut self.out, opened);
            }
            Kind::String => {
                let text = self.parser.string()?;
                wire::put_bytes_field(&mut self.out, number, text.as_bytes());
            }
            Kind::Bytes => {
                let bytes = self.base64()?;
                wire::put_bytes_field(&mut self.out, number, &bytes);
            }
            Kind::Id => {
                let bytes = self.hex()?;
                wire::put_bytes_field(&mut self.out, number, &bytes);
            }
            kind => {
                let wire_type = match kind {
                    Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => 1,
                    Kind::Fixed32 => 5,
                    _ => 0,
                };
                wire::put_tag(&mut self.out, number, wire_type);
                self.number(kind)?;
            }
        }
        Ok(())
    }

    fn base64(&mut self) -> Result<Vec<u8>, JsonError> {
        let text = self.parser.string()?;
        let standard: String = text
            .chars()
            .map(|c| match c {
                '-' => '+',
                '_' => '/',
                c => c,
            })
            .collect();
        STANDARD_PAD_INDIFFERENT
            .decode(standard)
            .map_err(|error| self.parser.error(format!("expected base64: {error}")))
    }

    fn hex(&mut self) -> Result<Vec<u8>, JsonError> {
        let text = self.parser.string()?;
        let digits: Option<Vec<u8>> = text
            .bytes()
            .map(|byte| {
                char::from(byte)
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
            })
            .collect();
        let pairs = digits.as_deref().map(<[u8]>::as_chunks::<2>);
        match pairs {
            Some((pairs, [])) => Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect()),
            _ => Err(self
                .parser
                .error("expected an id in hexadecimal digits, two a byte")),
        }
    }

    /// A number, a truth or an enumeration's value, without its tag.
    fn number(&mut self, kind: Kind) -> Result<(), JsonError> {
        match kind {
            Kind::Bool => {
                let value = match self.parser.peek()? {
                    Next::True | Next::False => self.parser.bool()?,
                    _ => return Err(self.parser.error("expected true or false")),
                };
                self.out.push(u8::from(value));
            }
            Kind::Enum(values) => {
                let value = self.enumeration(values)?;
                wire::put_varint(&mut self.out, i64::from(value).cast_unsigned());
            }
            Kind::Double => {
                let value = self.double()?;
                self.out.extend_from_slice(&value.to_bits().to_le_bytes());
            }
            Kind::Int32 => {
                let value: i32 = self.integer()?;
                wire::put_varint(&mut self.out, i64::from(value).cast_unsigned());
            }
            Kind::Sint32 => {
                let value: i32 = self.integer()?;
                wire::put_varint(&mut self.out, wire::zigzag_encode(i64::from(value)));
            }
            Kind::Int64 => {
                let value: i64 = self.integer()?;
                wire::put_varint(&mut self.out, value.cast_unsigned());
            }
            Kind::Uint32 => {
                let value: u32 = self.integer()?;
                wire::put_varint(&mut self.out, u64::from(value));
            }
            Kind::Uint64 => {
                let value: u64 = self.integer()?;
                wire::put_varint(&mut self.out, value);
            }
            Kind::Fixed32 => {
                let value: u32 = self.integer()?;
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Kind::Fixed64 => {
                let value: u64 = self.integer()?;
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Kind::Sfixed64 => {
                let value: i64 = self.integer()?;
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Kind::String | Kind::Bytes | Kind::Id | Kind::Message(_) => {}
        }
        Ok(())
    }

    /// A number's spelling, bare or in quotes.
    fn spelling(&mut self, expected: &str) -> Result<Cow<'_, str>, JsonError> {
        match self.parser.peek()? {
            Next::Number => self.parser.number().map(Cow::Borrowed),
            Next::String => self.parser.string(),
            _ => Err(self.parser.error(expected)),
        }
    }

    fn integer<T: TryFrom<i128>>(&mut self) -> Result<T, JsonError> {
        let value = parse_integer(&self.spelling("expected an integer")?);
        value
            .and_then(|value| T::try_from(value).ok())
            .ok_or_else(|| {
                self.parser
                    .error("expected an integer within the field's range")
            })
    }

    fn double(&mut self) -> Result<f64, JsonError> {
        let value = match &*self.spelling("expected a number")? {
            "NaN" => Some(f64::NAN),
            "Infinity" | "+Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            // Rust knows more spellings of the special values than JSON's mapping does.
            text if text.contains(['n', 'N', 'i', 'I']) => None,
            text => text.parse().ok(),
        };
        value.ok_or_else(|| self.parser.error("expected a number"))
    }

    fn enumeration(&mut self, values: &'static Enum) -> Result<i32, JsonError> {
        let text = self.spelling("expected a number or a name")?;
        let value = parse_integer(&text)
            .and_then(|value| i32::try_from(value).ok())
            .or_else(|| values.number(&text));
        value.ok_or_else(|| {
            self.parser
                .error(format!("expected a value of {}", values.name))
        })
    }
}

/// Integers may be spelled as decimals as long as they are whole.
fn parse_integer(text: &str) -> Option<i128> {
    if let Ok(value) = text.parse::<i64>() {
        return Some(i128::from(value));
    }
    if let Ok(value) = text.parse::<u64>() {
        return Some(i128::from(value));
    }
    if text.contains(['n', 'N', 'i', 'I']) {
        return None;
    }
    let value = text.parse::<f64>().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and far from the bounds"
    )]
    (value.fract() == 0.0 && value.abs() < 1e20).then_some(value as i128)
}
