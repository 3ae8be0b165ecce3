//! `jaeger.api_v2`: `collector.proto` and `model.proto`.
//!
//! ```text
//! PostSpansRequest { 1 Batch batch }
//! Batch    { 1 repeated Span spans · 2 Process process }
//! Process  { 1 service_name · 2 repeated KeyValue tags }
//! Span     { 1 trace_id bytes · 2 span_id bytes · 3 operation_name · 4 repeated SpanRef references · 5 flags
//!            6 Timestamp start_time · 7 Duration duration · 8 repeated KeyValue tags · 9 repeated Log logs
//!            10 Process process · 11 process_id · 12 repeated warnings }
//! SpanRef  { 1 trace_id bytes · 2 span_id bytes · 3 ref_type: 0 child of, 1 follows from }
//! KeyValue { 1 key · 2 v_type: 0 text, 1 bool, 2 int64, 3 float64, 4 binary · 3 v_str · 4 v_bool · 5 v_int64
//!            6 v_float64 · 7 v_binary }
//! Log      { 1 Timestamp timestamp · 2 repeated KeyValue fields }
//! ```

use corten_pdata::wire::{Field, Fields, Value as Wire};

use crate::model::{Log, MOST, Malformed, Process, Reference, Span, TOO_MANY, Tag, Value};
use crate::translate::Translator;

const CUT_OFF: Malformed = Malformed::Damaged("a field is damaged or cut off");
const NO_TEXT: Malformed = Malformed::Damaged("text is not UTF-8");
const NO_ID: Malformed = Malformed::Damaged("an id has another length than it should");

/// The request of `PostSpans`.
///
/// # Errors
///
/// It is none. What was translated before has to be forgotten.
pub(crate) fn read_request(message: &[u8], to: &mut Translator) -> Result<(), Malformed> {
    fields(message, |field| match (field.number, field.value) {
        (1, Wire::Bytes(raw)) => batch(raw, to),
        _ => Ok(()),
    })
}

fn batch(raw: &[u8], to: &mut Translator) -> Result<(), Malformed> {
    // The process may stand behind the spans.
    let mut process: &[u8] = &[];
    fields(raw, |field| {
        if let (2, Wire::Bytes(raw)) = (field.number, field.value) {
            process = raw;
        }
        Ok(())
    })?;
    fields(raw, |field| {
        let (1, Wire::Bytes(raw)) = (field.number, field.value) else {
            return Ok(());
        };
        let (span, own) = span(raw)?;
        if span.is_blank() {
            return Ok(());
        }
        // A span's own process wins over the batch's.
        let process = own.unwrap_or(process);
        to.add(process, span, || self::process(process))
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

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| NO_TEXT)
}

fn process(raw: &[u8]) -> Result<Process<'_>, Malformed> {
    let mut process = Process::default();
    fields(raw, |field| {
        match (field.number, field.value) {
            (1, Wire::Bytes(value)) => process.service = text(value)?,
            (2, Wire::Bytes(value)) => process.tags.push(tag(value)?),
            _ => {}
        }
        if process.tags.len() > MOST {
            return Err(TOO_MANY);
        }
        Ok(())
    })?;
    Ok(process)
}

fn span(raw: &[u8]) -> Result<(Span<'_>, Option<&[u8]>), Malformed> {
    let mut span = Span::default();
    let mut process = None;
    let (mut start, mut duration) = (0i128, 0i128);
    fields(raw, |field| {
        match (field.number, field.value) {
            (1, Wire::Bytes(value)) => span.trace_id = trace_id(value)?,
            (2, Wire::Bytes(value)) => span.id = span_id(value)?,
            (3, Wire::Bytes(value)) => span.name = text(value)?,
            (4, Wire::Bytes(value)) => span.references.push(reference(value)?),
            (6, Wire::Bytes(value)) => start = nanos(value)?,
            (7, Wire::Bytes(value)) => duration = nanos(value)?,
            (8, Wire::Bytes(value)) => span.tags.push(tag(value)?),
            (9, Wire::Bytes(value)) => span.logs.push(log(value)?),
            (10, Wire::Bytes(value)) => process = Some(value),
            _ => {}
        }
        if span
            .tags
            .len()
            .max(span.logs.len())
            .max(span.references.len())
            > MOST
        {
            return Err(TOO_MANY);
        }
        Ok(())
    })?;
    span.start = since_1970(start);
    span.end = since_1970(start + duration);
    Ok((span, process))
}

/// Sixteen bytes; eight are the low half; none is zero.
fn trace_id(bytes: &[u8]) -> Result<[u8; 16], Malformed> {
    match bytes.len() {
        0 => Ok([0; 16]),
        8 => span_id(bytes).map(|low| u128::from(u64::from_be_bytes(low)).to_be_bytes()),
        _ => bytes.try_into().map_err(|_| NO_ID),
    }
}

fn span_id(bytes: &[u8]) -> Result<[u8; 8], Malformed> {
    if bytes.is_empty() {
        return Ok([0; 8]);
    }
    bytes.try_into().map_err(|_| NO_ID)
}

fn reference(raw: &[u8]) -> Result<Reference, Malformed> {
    let mut reference = Reference {
        child_of: true,
        trace_id: [0; 16],
        span_id: [0; 8],
    };
    fields(raw, |field| {
        match (field.number, field.value) {
            (1, Wire::Bytes(value)) => reference.trace_id = trace_id(value)?,
            (2, Wire::Bytes(value)) => reference.span_id = span_id(value)?,
            (3, Wire::Varint(value)) => reference.child_of = value == 0,
            _ => {}
        }
        Ok(())
    })?;
    Ok(reference)
}

/// A `Timestamp` or a `Duration`: seconds and nanoseconds.
fn nanos(raw: &[u8]) -> Result<i128, Malformed> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    fields(raw, |field| {
        match (field.number, field.value) {
            (1, Wire::Varint(value)) => seconds = value.cast_signed(),
            (2, Wire::Varint(value)) => nanos = value.cast_signed(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(i128::from(seconds) * 1_000_000_000 + i128::from(nanos))
}

/// Times before 1970 count as 1970, later ones than a clock can show as the last one.
fn since_1970(nanos: i128) -> u64 {
    u64::try_from(nanos.max(0)).unwrap_or(u64::MAX)
}

fn log(raw: &[u8]) -> Result<Log<'_>, Malformed> {
    let mut log = Log::default();
    fields(raw, |field| {
        match (field.number, field.value) {
            (1, Wire::Bytes(value)) => log.time = since_1970(nanos(value)?),
            (2, Wire::Bytes(value)) => log.fields.push(tag(value)?),
            _ => {}
        }
        if log.fields.len() > MOST {
            return Err(TOO_MANY);
        }
        Ok(())
    })?;
    Ok(log)
}

fn tag(raw: &[u8]) -> Result<Tag<'_>, Malformed> {
    let (mut key, mut value_type) = ("", 0i64);
    let (mut string, mut truth, mut int, mut double) = ("", false, 0i64, 0.0);
    let mut binary: &[u8] = &[];
    fields(raw, |field| {
        match (field.number, field.value) {
            (1, Wire::Bytes(value)) => key = text(value)?,
            (2, Wire::Varint(value)) => value_type = value.cast_signed(),
            (3, Wire::Bytes(value)) => string = text(value)?,
            (4, Wire::Varint(value)) => truth = value != 0,
            (5, Wire::Varint(value)) => int = value.cast_signed(),
            (6, Wire::Fixed64(bits)) => double = f64::from_bits(bits),
            (7, Wire::Bytes(value)) => binary = value,
            _ => {}
        }
        Ok(())
    })?;
    Ok(Tag {
        key,
        value: match value_type {
            0 => Value::Text(string),
            1 => Value::Bool(truth),
            2 => Value::Int(int),
            3 => Value::Double(double),
            4 => Value::Bytes(binary),
            other => Value::Unknown(other),
        },
    })
}
