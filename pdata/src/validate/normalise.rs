//! Rewrites a request in which a message occurs twice where it may occur once.

use crate::schema::{Field, Kind, Message};
use crate::wire::{self, Fields, Value};

/// Merges what protobuf says must be merged: the occurrences of one message field become one (their
/// bytes joined, which is what merging means), a `oneof` keeps its last member. All else, unknown
/// fields among it, stays as it is and in its order.
///
/// `bytes` has been validated, which also bounds the recursion.
pub(crate) fn normalise(message: &'static Message, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    write(message, bytes, &mut out);
    out
}

fn write(message: &'static Message, bytes: &[u8], out: &mut Vec<u8>) {
    let oneof = winner(message, bytes);
    // Single message fields that have been written, by number; none has a number above 16.
    let mut written = 0u32;
    for (position, field) in Fields::new(bytes).enumerate() {
        let known = message.field(field.number);
        let (Some(known), Value::Bytes(payload)) = (known, field.value) else {
            if !superseded(message, known, position, oneof.as_ref()) {
                out.extend_from_slice(field.raw);
            }
            continue;
        };
        if superseded(message, Some(known), position, oneof.as_ref()) {
            continue;
        }
        let Kind::Message(nested) = known.kind else {
            out.extend_from_slice(field.raw);
            continue;
        };
        if known.repeated {
            nest(field.number, nested, payload, out);
        } else if let Some(winner) = oneof.as_ref().filter(|_| known.oneof) {
            nest(field.number, nested, &winner.payload, out);
        } else if written & 1 << (field.number & 31) == 0 {
            written |= 1 << (field.number & 31);
            let merged = joined(bytes, field.number);
            nest(field.number, nested, &merged, out);
        }
    }
}

fn nest(number: u32, message: &'static Message, payload: &[u8], out: &mut Vec<u8>) {
    let opened = wire::open_message(out, number, wire::length_len(payload.len()));
    write(message, payload, out);
    wire::close_message(out, opened);
}

/// The member of a message's `oneof` that counts.
struct Winner {
    /// Where it stands among the fields.
    position: usize,
    /// If it is a message, all that its last uninterrupted run of occurrences says.
    payload: Vec<u8>,
}

fn winner(message: &'static Message, bytes: &[u8]) -> Option<Winner> {
    if !message.merging_oneof {
        return None;
    }
    let mut winner: Option<(u32, Winner)> = None;
    for (position, field) in Fields::new(bytes).enumerate() {
        if !message.field(field.number).is_some_and(|known| known.oneof) {
            continue;
        }
        match &mut winner {
            Some((number, winner)) if *number == field.number => {
                winner.position = position;
                winner.payload.extend_from_slice(field.value.bytes());
            }
            _ => {
                let payload = field.value.bytes().to_vec();
                winner = Some((field.number, Winner { position, payload }));
            }
        }
    }
    winner.map(|(_, winner)| winner)
}

fn superseded(
    message: &Message,
    known: Option<&Field>,
    position: usize,
    winner: Option<&Winner>,
) -> bool {
    message.merging_oneof
        && known.is_some_and(|known| known.oneof)
        && winner.is_some_and(|winner| winner.position != position)
}

fn joined(bytes: &[u8], number: u32) -> Vec<u8> {
    let mut merged = Vec::new();
    for field in Fields::new(bytes).filter(|field| field.number == number) {
        merged.extend_from_slice(field.value.bytes());
    }
    merged
}
