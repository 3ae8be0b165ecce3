//! The one pass over telemetry that comes from outside: wire format, UTF-8, nesting, and counting.
//!
//! What passes is decoded by any protobuf library, and every cursor and edit of this crate may rely
//! on it. Protobuf allows a message field that is not repeated to occur several times, meaning that
//! the occurrences are merged; nobody writes it so, and reading in place could not honour it, so
//! the pass notices it and the request is rewritten once (`normalise`).

mod normalise;

use thiserror::Error;

use crate::Signal;
use crate::schema::{self, Check, Kind, Message};
use crate::wire::{only_field, read_length_delimited, read_varint, short_field};

pub(crate) use normalise::normalise;

/// How deep messages and groups may nest below the request. Protobuf libraries decode 100 levels; ten
/// are left for edits that move a value deeper, so that what came in can always go out.
pub const MAX_DEPTH: u32 = 90;

/// Why bytes are not a request of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("malformed OTLP at byte {offset}: {what}")]
pub struct Malformed {
    /// Where, counted from the start of the request.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// Checks a serialized `Export…ServiceRequest` and counts its items: log records, data points or
/// spans.
///
/// # Errors
///
/// [`Malformed`] with the first problem.
pub fn validate(signal: Signal, bytes: &[u8]) -> Result<u32, Malformed> {
    Ok(check(signal, bytes)?.items)
}

/// What the pass found out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checked {
    pub(crate) items: u32,
    /// Whether some message occurs twice where it may occur once.
    pub(crate) merges: bool,
}

pub(crate) fn check(signal: Signal, bytes: &[u8]) -> Result<Checked, Malformed> {
    let mut walk = Walk {
        found: Checked::default(),
    };
    match walk.message(schema::request(signal), bytes, MAX_DEPTH) {
        Ok(()) => Ok(walk.found),
        Err(fault) => Err(Malformed {
            offset: fault
                .at
                .saturating_sub(bytes.as_ptr() as usize)
                .min(bytes.len()),
            what: fault.what,
        }),
    }
}

/// A problem and the address of the byte where it was met.
#[derive(Debug)]
struct Fault {
    at: usize,
    what: &'static str,
}

#[cold]
fn fault<T>(at: &[u8], what: &'static str) -> Result<T, Fault> {
    Err(Fault {
        at: at.as_ptr() as usize,
        what,
    })
}

struct Walk {
    found: Checked,
}

/// What has been met of a message so far, to notice what must be merged.
#[derive(Default)]
struct Met {
    /// Single message fields, by number; none has a number above 16.
    messages: u32,
    oneof: bool,
}

impl Walk {
    fn message(
        &mut self,
        message: &'static Message,
        mut rest: &[u8],
        depth: u32,
    ) -> Result<(), Fault> {
        let mut met = Met::default();
        while let Some((&tag, after)) = rest.split_first() {
            // What is not at a glance as it should be is looked at again to say what is wrong.
            let check = message.checks.get(usize::from(tag));
            let tail = match check.copied().unwrap_or(Check::Other) {
                Check::Bytes => read_length_delimited(after).map(|(_, tail)| tail),
                Check::Text => match read_length_delimited(after) {
                    Some((text, tail)) if is_utf8(text) => Some(tail),
                    _ => None,
                },
                Check::Fixed64 => after.get(8..),
                Check::Varint => read_varint(after).map(|(_, tail)| tail),
                Check::Attribute if depth >= 2 => match read_length_delimited(after) {
                    Some((raw, tail)) => {
                        self.attribute(raw, depth)?;
                        Some(tail)
                    }
                    None => None,
                },
                Check::Attribute | Check::Other => None,
            };
            rest = match tail {
                Some(tail) => tail,
                None => self.field(message, rest, depth, &mut met)?,
            };
        }
        Ok(())
    }

    /// An attribute within a message that may have `depth` levels below, two at least.
    #[inline(always)]
    fn attribute(&mut self, raw: &[u8], depth: u32) -> Result<(), Fault> {
        // A key and a value, as everybody writes it.
        if let Some((key, rest)) = short_field(raw, 0x0a)
            && let Some(value) = only_field(rest, 0x12)
        {
            if let Some(text) = only_field(value, 0x0a) {
                if raw.is_ascii() || is_utf8(key) && is_utf8(text) {
                    return Ok(());
                }
            } else if is_utf8(key) {
                return self.any_value(value, depth - 2);
            }
        }
        self.message(&schema::KEY_VALUE, raw, depth - 1)
    }

    #[inline(always)]
    fn any_value(&mut self, raw: &[u8], depth: u32) -> Result<(), Fault> {
        let (0x10 | 0x18, Some((_, []))) = (
            raw.first().copied().unwrap_or_default(),
            raw.get(1..).and_then(read_varint),
        ) else {
            return self.message(&schema::ANY_VALUE, raw, depth);
        };
        Ok(())
    }

    /// Any field, and what follows it.
    #[inline(never)]
    fn field<'b>(
        &mut self,
        message: &'static Message,
        rest: &'b [u8],
        depth: u32,
        met: &mut Met,
    ) -> Result<&'b [u8], Fault> {
        let (number, wire_type, after) = read_tag(rest)?;
        let Some(field) = message.field(number) else {
            return skip_unknown(number, wire_type, after, depth);
        };
        if field.oneof && message.merging_oneof {
            self.found.merges |= met.oneof;
            met.oneof = true;
        }
        match field.kind {
            Kind::Message(nested) => {
                let (payload, tail) = read_payload(wire_type, after, rest)?;
                if depth == 0 {
                    return fault(rest, "messages nest too deeply");
                }
                if !field.repeated {
                    let bit = 1u32 << (number & 31);
                    self.found.merges |= met.messages & bit != 0;
                    met.messages |= bit;
                }
                if nested.item {
                    self.found.items = self.found.items.saturating_add(1);
                }
                self.message(nested, payload, depth - 1)?;
                Ok(tail)
            }
            Kind::String => {
                let (payload, tail) = read_payload(wire_type, after, rest)?;
                if !is_utf8(payload) {
                    return fault(payload, "a string is not UTF-8");
                }
                Ok(tail)
            }
            Kind::Bytes | Kind::Id => Ok(read_payload(wire_type, after, rest)?.1),
            kind if wire_type == 2 && field.repeated => {
                let (payload, tail) = read_payload(wire_type, after, rest)?;
                check_packed(kind, payload)?;
                Ok(tail)
            }
            kind => {
                if wire_type != wire_type_of(kind) {
                    return fault(rest, "a field has another wire type than OTLP gives it");
                }
                skip_scalar(kind, after)
            }
        }
    }
}

/// Most texts are short and ASCII, which is quickest seen by a plain look at them.
#[inline(always)]
fn is_utf8(text: &[u8]) -> bool {
    text.is_ascii() || simdutf8::basic::from_utf8(text).is_ok()
}

fn read_tag(rest: &[u8]) -> Result<(u32, u8, &[u8]), Fault> {
    let Some((tag, after)) = read_varint(rest) else {
        return fault(rest, "a field's tag is cut off or too long");
    };
    let Ok(tag) = u32::try_from(tag) else {
        return fault(rest, "a field's tag is out of range");
    };
    if tag < 8 {
        return fault(rest, "field number 0 does not exist");
    }
    Ok((tag >> 3, (tag & 7) as u8, after))
}

/// The payload of a length-delimited field, and what follows it.
#[inline]
fn read_payload<'a>(
    wire_type: u8,
    after_tag: &'a [u8],
    field: &[u8],
) -> Result<(&'a [u8], &'a [u8]), Fault> {
    if wire_type != 2 {
        return fault(field, "a field has another wire type than OTLP gives it");
    }
    let Some((len, rest)) = read_varint(after_tag) else {
        return fault(after_tag, "a length is cut off or too long");
    };
    match usize::try_from(len)
        .ok()
        .and_then(|len| rest.split_at_checked(len))
    {
        Some(parts) => Ok(parts),
        None => fault(after_tag, "a length exceeds what is left"),
    }
}

const fn wire_type_of(kind: Kind) -> u8 {
    match kind {
        Kind::Bool
        | Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Enum(_) => 0,
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => 1,
        Kind::String | Kind::Bytes | Kind::Id | Kind::Message(_) => 2,
        Kind::Fixed32 => 5,
    }
}

#[inline]
fn skip_scalar(kind: Kind, rest: &[u8]) -> Result<&[u8], Fault> {
    let tail = match wire_type_of(kind) {
        0 => match read_varint(rest) {
            Some((_, tail)) => return Ok(tail),
            None => return fault(rest, "a varint is cut off or too long"),
        },
        1 => rest.get(8..),
        _ => rest.get(4..),
    };
    match tail {
        Some(tail) => Ok(tail),
        None => fault(rest, "a number is cut off"),
    }
}

fn check_packed(kind: Kind, mut rest: &[u8]) -> Result<(), Fault> {
    while !rest.is_empty() {
        rest = skip_scalar(kind, rest)?;
    }
    Ok(())
}

/// Skips a field that the schema does not know. As in prost, even a number needs room left in the
/// nesting budget, so that whatever passes here decodes there.
#[cold]
fn skip_unknown(number: u32, wire_type: u8, rest: &[u8], depth: u32) -> Result<&[u8], Fault> {
    if depth == 0 {
        return fault(rest, "messages nest too deeply");
    }
    let tail = match wire_type {
        0 => return skip_scalar(Kind::Uint64, rest),
        1 => rest.get(8..),
        2 => return Ok(read_payload(2, rest, rest)?.1),
        3 => return skip_group(number, rest, depth),
        4 => return fault(rest, "a group ends that has not begun"),
        5 => rest.get(4..),
        _ => return fault(rest, "a wire type does not exist"),
    };
    match tail {
        Some(tail) => Ok(tail),
        None => fault(rest, "a number is cut off"),
    }
}

fn skip_group(group: u32, mut rest: &[u8], depth: u32) -> Result<&[u8], Fault> {
    loop {
        let (number, wire_type, after) = read_tag(rest)?;
        if wire_type == 4 {
            if number != group {
                return fault(rest, "a group ends with another number than it began with");
            }
            return Ok(after);
        }
        rest = skip_unknown(number, wire_type, after, depth - 1)?;
    }
}
