//! Requests made up from bytes, with everything that the wire format allows: any order of fields,
//! numbers packed or not, varints longer than needed, values given twice, messages given in parts,
//! fields that nobody knows, lists and maps within each other.

use super::Entropy;
use crate::Signal;
use crate::schema::{self, Field, Kind, Message};
use crate::wire::{self, Fields, Value};

const TEXTS: [&str; 12] = [
    "a",
    "",
    "b",
    "service.name",
    "k8s.pod.name",
    "GET /api/v1/items",
    "é \u{1f600} \"\\\n\u{1}\u{7f}",
    "0123456789012345678901234567890123456789012345678901234567890123456789",
    "c",
    "a.very.long.text.of.more.than.127.bytes.which.takes.two.bytes.to.say.how.long.it.is.and.therefore.moves.what.stands.around.it....",
    "b",
    "a",
];

const DOUBLES: [f64; 8] = [
    0.0,
    -0.0,
    1.5,
    -1e300,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    1e-9,
];

/// A well-formed request that prost decodes.
#[must_use]
pub fn generate(signal: Signal, entropy: &mut Entropy<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message(schema::request(signal), entropy, 24, &mut out);
    out
}

fn message(message: &'static Message, entropy: &mut Entropy<'_>, depth: u32, out: &mut Vec<u8>) {
    // One list of encoded occurrences per field, merged at random below.
    let mut lists: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut chosen_oneof = false;
    let members = message.fields.iter().filter(|field| field.oneof).count();
    for field in message.fields {
        let wanted = if field.oneof {
            let take = !chosen_oneof && entropy.one_in(members) || entropy.one_in(24);
            chosen_oneof |= take;
            take
        } else if message.holds_items && field.repeated {
            !entropy.one_in(8)
        } else {
            entropy.one_in(2)
        };
        let deeper = matches!(field.kind, Kind::Message(_));
        if !wanted || deeper && depth == 0 {
            continue;
        }
        lists.push(occurrences(field, entropy, depth));
    }
    if entropy.one_in(6) {
        let mut unknown = Vec::new();
        for _ in 0..=entropy.below(2) {
            let mut field = Vec::new();
            unknown_field(entropy, &mut field);
            unknown.push(field);
        }
        lists.push(unknown);
    }
    let shuffled = entropy.one_in(3);
    for list in &mut lists {
        list.reverse();
    }
    while !lists.is_empty() {
        let position = if shuffled {
            entropy.below(lists.len())
        } else {
            0
        };
        let Some(next) = lists.get_mut(position).and_then(Vec::pop) else {
            lists.remove(position);
            continue;
        };
        out.extend_from_slice(&next);
    }
}

fn occurrences(field: &Field, entropy: &mut Entropy<'_>, depth: u32) -> Vec<Vec<u8>> {
    let number = u32::from(field.number);
    let count = if field.repeated {
        if entropy.is_empty() {
            0
        } else {
            1 + entropy.below(3)
        }
    } else {
        1 + usize::from(entropy.one_in(20))
    };
    if field.repeated && field.kind.packable() && entropy.one_in(2) {
        let mut packed = Vec::new();
        for _ in 0..count {
            scalar(field.kind, entropy, &mut packed);
        }
        return vec![delimited(number, &packed, entropy)];
    }
    (0..count)
        .map(|_| {
            let mut payload = Vec::new();
            match field.kind {
                Kind::Message(nested) => message(nested, entropy, depth - 1, &mut payload),
                Kind::String => {
                    payload.extend_from_slice(entropy.pick(&TEXTS).unwrap_or("").as_bytes());
                }
                Kind::Id => {
                    let len = entropy.pick(&[8usize, 16, 0, 3]).unwrap_or(8);
                    payload.extend((0..len).map(|_| entropy.byte()));
                }
                Kind::Bytes => payload.extend((0..entropy.below(20)).map(|_| entropy.byte())),
                kind => {
                    let mut out = Vec::new();
                    tag(number, wire_type_of(kind), entropy, &mut out);
                    scalar(kind, entropy, &mut out);
                    return out;
                }
            }
            delimited(number, &payload, entropy)
        })
        .collect()
}

fn wire_type_of(kind: Kind) -> u8 {
    match kind {
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => 1,
        Kind::Fixed32 => 5,
        _ => 0,
    }
}

fn scalar(kind: Kind, entropy: &mut Entropy<'_>, out: &mut Vec<u8>) {
    match kind {
        Kind::Double => {
            let value = entropy.pick(&DOUBLES).unwrap_or(0.0);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Kind::Fixed64 | Kind::Sfixed64 => out.extend_from_slice(&entropy.number().to_le_bytes()),
        Kind::Fixed32 => out.extend_from_slice(&wire::low32(entropy.number()).to_le_bytes()),
        Kind::Bool => out.push(u8::from(entropy.one_in(2))),
        Kind::Enum(_) => varint(entropy.below(7) as u64, entropy, out),
        Kind::Int64 | Kind::Uint64 => varint(entropy.number(), entropy, out),
        _ => varint(u64::from(wire::low32(entropy.number())), entropy, out),
    }
}

fn delimited(number: u32, payload: &[u8], entropy: &mut Entropy<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    tag(number, 2, entropy, &mut out);
    varint(payload.len() as u64, entropy, &mut out);
    out.extend_from_slice(payload);
    out
}

fn tag(number: u32, wire_type: u8, entropy: &mut Entropy<'_>, out: &mut Vec<u8>) {
    let tag = u64::from(number) << 3 | u64::from(wire_type);
    if entropy.one_in(40) {
        padded(tag, 3, out);
    } else {
        wire::put_varint(out, tag);
    }
}

fn varint(value: u64, entropy: &mut Entropy<'_>, out: &mut Vec<u8>) {
    if entropy.one_in(20) {
        padded(value, wire::varint_len(value).min(8) + 2, out);
    } else {
        wire::put_varint(out, value);
    }
}

/// A varint in more bytes than it needs.
fn padded(mut value: u64, width: usize, out: &mut Vec<u8>) {
    for position in 1..=width {
        let low = value.to_le_bytes().first().copied().unwrap_or_default() & 0x7f;
        out.push(if position == width { low } else { low | 0x80 });
        value >>= 7;
    }
}

fn unknown_field(entropy: &mut Entropy<'_>, out: &mut Vec<u8>) {
    let number = entropy
        .pick(&[17u32, 40, 100, 5000, 536_870_911])
        .unwrap_or(17);
    match entropy.below(5) {
        0 => wire::put_varint_field(out, number, entropy.number()),
        1 => wire::put_fixed64_field(out, number, entropy.number()),
        2 => wire::put_bytes_field(out, number, &[0xff, entropy.byte()]),
        3 => wire::put_fixed32_field(out, number, wire::low32(entropy.number())),
        _ => {
            wire::put_tag(out, number, 3);
            wire::put_bytes_field(out, 1, b"in a group");
            wire::put_tag(out, 3, 3);
            wire::put_tag(out, 3, 4);
            wire::put_tag(out, number, 4);
        }
    }
}

/// The same message with a field that nobody knows in it and in every message below, each with a
/// number of its own counted up from `next`.
pub fn inject_unknown(message: &'static Message, raw: &[u8], next: &mut u32, out: &mut Vec<u8>) {
    wire::put_varint_field(out, *next, 7);
    *next += 1;
    for field in Fields::new(raw) {
        match (
            message.field(field.number).map(|known| known.kind),
            field.value,
        ) {
            (Some(Kind::Message(nested)), Value::Bytes(payload)) => {
                let opened = wire::open_message(out, field.number, 1);
                inject_unknown(nested, payload, next, out);
                wire::close_message(out, opened);
            }
            _ => out.extend_from_slice(field.raw),
        }
    }
}
