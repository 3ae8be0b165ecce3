//! Spans as protobuf (`zipkin.proto3.ListOfSpans`), read one by one.
//!
//! ```text
//! ListOfSpans { 1 spans }
//! Span { 1 trace_id bytes · 2 parent_id bytes · 3 id bytes · 4 kind · 5 name · 6 timestamp fixed64 µs · 7 duration µs
//!        8 local_endpoint · 9 remote_endpoint · 10 annotations · 11 tags map · 12 debug · 13 shared }
//! Endpoint { 1 service_name · 2 ipv4 bytes · 3 ipv6 bytes · 4 port }
//! Annotation { 1 timestamp fixed64 µs · 2 value }
//! ```

use std::borrow::Cow;
use std::net::IpAddr;

use corten_pdata::wire::{Field, Fields, Value};

use crate::span::{Annotation, Endpoint, Kind, MOST, Malformed, NoSpan, Span, TOO_MANY, address};

const CUT_OFF: Malformed = Malformed::Protobuf("a field is damaged or cut off");
const NO_TEXT: Malformed = Malformed::Protobuf("text is not UTF-8");

/// Reads a list of spans, and passes on each as soon as it is read.
///
/// # Errors
///
/// The first thing that is not as it should be. What was passed on before has to be forgotten.
pub(crate) fn read(message: &[u8], mut each: impl FnMut(Span<'_>)) -> Result<(), Malformed> {
    let mut index = 0;
    fields(message, |field| {
        if let (1, Value::Bytes(raw)) = (field.number, field.value) {
            each(span(raw, index)?);
            index += 1;
        }
        Ok(())
    })
}

/// All fields of a message, which has to be whole.
fn fields<'a>(
    message: &'a [u8],
    mut each: impl FnMut(Field<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut fields = Fields::new(message);
    for field in fields.by_ref() {
        each(field)?;
    }
    if fields.rest().is_empty() {
        Ok(())
    } else {
        Err(CUT_OFF)
    }
}

fn text(bytes: &[u8]) -> Result<Cow<'_, str>, Malformed> {
    std::str::from_utf8(bytes)
        .map(Cow::Borrowed)
        .map_err(|_| NO_TEXT)
}

fn span(raw: &[u8], index: usize) -> Result<Span<'_>, Malformed> {
    let mut span = Span::default();
    let (mut trace_id, mut id, mut parent): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
    fields(raw, |field| {
        match (field.number, field.value) {
            (1, Value::Bytes(value)) => trace_id = value,
            (2, Value::Bytes(value)) => parent = value,
            (3, Value::Bytes(value)) => id = value,
            (4, Value::Varint(value)) => span.kind = kind(value),
            (5, Value::Bytes(value)) => span.name = text(value)?,
            (6, Value::Fixed64(value)) => span.timestamp = value,
            (7, Value::Varint(value)) => span.duration = value,
            (8, Value::Bytes(value)) => span.local = endpoint(value)?,
            (9, Value::Bytes(value)) => span.remote = endpoint(value)?,
            (10, Value::Bytes(value)) => span.annotations.push(annotation(value)?),
            (11, Value::Bytes(value)) => span.tags.push(tag(value)?),
            _ => {}
        }
        if span.annotations.len() > MOST || span.tags.len() > MOST {
            return Err(Malformed::Protobuf(TOO_MANY));
        }
        Ok(())
    })?;
    let wrong = |source| Malformed::Span { index, source };
    span.trace_id = match trace_id.len() {
        8 => {
            let mut wide = [0; 16];
            for (slot, byte) in wide.iter_mut().skip(8).zip(trace_id) {
                *slot = *byte;
            }
            Some(wide)
        }
        _ => trace_id.try_into().ok(),
    }
    .filter(|id: &[u8; 16]| *id != [0; 16])
    .ok_or_else(|| wrong(NoSpan::TraceId))?;
    span.id = id
        .try_into()
        .ok()
        .filter(|id: &[u8; 8]| *id != [0; 8])
        .ok_or_else(|| wrong(NoSpan::Id))?;
    if !parent.is_empty() {
        let parent: [u8; 8] = parent.try_into().map_err(|_| wrong(NoSpan::ParentId))?;
        span.parent = (parent != [0; 8] && parent != span.id).then_some(parent);
    }
    Ok(span)
}

fn kind(number: u64) -> Kind {
    match number {
        1 => Kind::Client,
        2 => Kind::Server,
        3 => Kind::Producer,
        4 => Kind::Consumer,
        _ => Kind::Unspecified,
    }
}

fn endpoint(raw: &[u8]) -> Result<Endpoint<'_>, Malformed> {
    let mut endpoint = Endpoint::default();
    let (mut v4, mut v6) = (None, None);
    fields(raw, |field| {
        match (field.number, field.value) {
            (1, Value::Bytes(value)) => endpoint.service = text(value)?,
            (2, Value::Bytes(value)) => v4 = ip(value),
            (3, Value::Bytes(value)) => v6 = ip(value),
            (4, Value::Varint(value)) => endpoint.port = u16::try_from(value).unwrap_or_default(),
            _ => {}
        }
        Ok(())
    })?;
    endpoint.address = address(v4, v6);
    Ok(endpoint)
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn annotation(raw: &[u8]) -> Result<Annotation<'_>, Malformed> {
    let mut annotation = Annotation::default();
    fields(raw, |field| {
        match (field.number, field.value) {
            (1, Value::Fixed64(value)) => annotation.timestamp = value,
            (2, Value::Bytes(value)) => annotation.value = text(value)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(annotation)
}

fn tag(raw: &[u8]) -> Result<(Cow<'_, str>, Cow<'_, str>), Malformed> {
    let mut tag = (Cow::Borrowed(""), Cow::Borrowed(""));
    fields(raw, |field| {
        match (field.number, field.value) {
            (1, Value::Bytes(value)) => tag.0 = text(value)?,
            (2, Value::Bytes(value)) => tag.1 = text(value)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(tag)
}

#[cfg(test)]
mod tests {
    use corten_pdata::wire::{put_bytes_field, put_varint_field};
    use proptest::prelude::*;

    use super::*;

    fn list(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut span = Vec::new();
        write(&mut span);
        let mut list = Vec::new();
        put_bytes_field(&mut list, 1, &span);
        list
    }

    fn ids(span: &mut Vec<u8>) {
        put_bytes_field(span, 1, &[7; 8]);
        put_bytes_field(span, 3, &[1; 8]);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let refused = |message: &[u8]| read(message, |_| {}).unwrap_err().to_string();
        assert!(refused(&[0x0a, 5, 0]).contains("cut off"));
        assert!(refused(&list(|_| {})).contains("trace id"));
        assert!(
            refused(&list(|span| {
                ids(span);
                put_bytes_field(span, 5, &[0xff]);
            }))
            .contains("UTF-8")
        );
        assert!(
            refused(&list(|span| {
                ids(span);
                (0..=MOST).for_each(|_| put_bytes_field(span, 11, &[]));
            }))
            .contains("more than 65536")
        );
        assert!(
            refused(&list(|span| {
                ids(span);
                put_bytes_field(span, 2, &[1]);
            }))
            .contains("parent id")
        );
    }

    #[test]
    fn short_trace_ids_are_filled_up_and_unknown_fields_skipped() {
        let message = list(|span| {
            ids(span);
            put_bytes_field(span, 2, &[1; 8]);
            put_varint_field(span, 99, 5);
        });
        let mut seen = 0;
        read(&message, |span| {
            seen += 1;
            assert_eq!(
                hex::encode(span.trace_id),
                "00000000000000000707070707070707"
            );
            assert_eq!(span.parent, None);
        })
        .unwrap();
        assert_eq!(seen, 1);
    }

    proptest! {
        #[test]
        fn never_panics(message: Vec<u8>) {
            let _ignored = read(&message, |_| {}).is_ok();
        }

        #[test]
        fn never_panics_within_a_span(raw: Vec<u8>) {
            let message = list(|span| {
                ids(span);
                span.extend(&raw);
            });
            let _ignored = read(&message, |_| {}).is_ok();
        }
    }
}
