//! `jaeger.thrift` and `agent.thrift`.
//!
//! ```text
//! Agent.emitBatch(1: Batch)
//! Batch   { 1 Process process · 2 list<Span> spans · 3 seqNo · 4 stats }
//! Process { 1 serviceName · 2 list<Tag> tags }
//! Span    { 1 traceIdLow · 2 traceIdHigh · 3 spanId · 4 parentSpanId · 5 operationName · 6 list<SpanRef> references
//!           7 flags · 8 startTime µs · 9 duration µs · 10 list<Tag> tags · 11 list<Log> logs }
//! SpanRef { 1 refType: 0 child of, 1 follows from · 2 traceIdLow · 3 traceIdHigh · 4 spanId }
//! Tag     { 1 key · 2 vType: 0 text, 1 double, 2 bool, 3 long, 4 binary · 3 vStr · 4 vDouble · 5 vBool · 6 vLong · 7 vBinary }
//! Log     { 1 timestamp µs · 2 list<Tag> fields }
//! ```

use crate::model::{
    Log, MOST, Malformed, Process, Reference, Span, TOO_MANY, Tag, Value, from_micros,
};
use crate::thrift::{Protocol, Reader, Type};
use crate::translate::Translator;

/// A call of `emitBatch`, as clients send it to agents.
///
/// # Errors
///
/// It is none. What was translated before has to be forgotten.
pub(crate) fn read_call(
    protocol: Protocol,
    message: &[u8],
    to: &mut Translator,
) -> Result<(), Malformed> {
    let mut reader = Reader::new(protocol, message);
    if reader.call()? != b"emitBatch" {
        return Err(Malformed::Method);
    }
    let mut found = false;
    reader.structure(|reader, number, kind| match (number, kind) {
        (1, Type::Struct) => {
            found = true;
            batch(reader, to)
        }
        _ => reader.skip(kind),
    })?;
    if found {
        Ok(())
    } else {
        Err(Malformed::Missing("batch"))
    }
}

/// A batch on its own, as clients post it.
///
/// # Errors
///
/// It is none. What was translated before has to be forgotten.
pub(crate) fn read_batch(message: &[u8], to: &mut Translator) -> Result<(), Malformed> {
    batch(&mut Reader::new(Protocol::Binary, message), to)
}

fn batch(reader: &mut Reader<'_>, to: &mut Translator) -> Result<(), Malformed> {
    let mut found = None;
    let mut spans_found = false;
    // Clients write the process first; whoever does not has their spans read when it is known.
    let mut waiting = None;
    reader.structure(|reader, number, kind| match (number, kind) {
        (1, Type::Struct) => {
            found = Some(process(reader)?);
            Ok(())
        }
        (2, Type::List) => {
            spans_found = true;
            match &found {
                Some(process) => spans(reader, process, to),
                None => {
                    waiting = Some(*reader);
                    reader.skip(kind)
                }
            }
        }
        _ => reader.skip(kind),
    })?;
    let process = found.ok_or(Malformed::Missing("process"))?;
    if let Some(mut reader) = waiting {
        spans(&mut reader, &process, to)?;
    }
    if spans_found {
        Ok(())
    } else {
        Err(Malformed::Missing("spans"))
    }
}

fn spans(
    reader: &mut Reader<'_>,
    process: &Process<'_>,
    to: &mut Translator,
) -> Result<(), Malformed> {
    for _ in 0..reader.list(Type::List, Type::Struct)? {
        let span = span(reader)?;
        to.add(&[], span, || Ok(process.clone()))?;
    }
    Ok(())
}

fn process<'a>(reader: &mut Reader<'a>) -> Result<Process<'a>, Malformed> {
    let mut service = None;
    let mut found = Vec::new();
    reader.structure(|reader, number, kind| {
        match number {
            1 => service = Some(reader.text(kind)?),
            2 => found = tags(reader, kind)?,
            _ => reader.skip(kind)?,
        }
        Ok(())
    })?;
    Ok(Process {
        service: service.ok_or(Malformed::Missing("serviceName"))?,
        tags: found,
    })
}

fn span<'a>(reader: &mut Reader<'a>) -> Result<Span<'a>, Malformed> {
    let mut span = Span::default();
    let (mut low, mut high, mut id, mut parent, mut name) = (None, None, None, None, None);
    let (mut start, mut duration) = (None, None);
    reader.structure(|reader, number, kind| {
        match number {
            1 => low = Some(reader.id(kind)?),
            2 => high = Some(reader.id(kind)?),
            3 => id = Some(reader.id(kind)?),
            4 => parent = Some(reader.id(kind)?),
            5 => name = Some(reader.text(kind)?),
            6 => {
                let size = few(reader.list(kind, Type::Struct)?)?;
                span.references.reserve(size.min(16));
                for _ in 0..size {
                    span.references.push(reference(reader)?);
                }
            }
            8 => start = Some(reader.int(kind)?),
            9 => duration = Some(reader.int(kind)?),
            10 => span.tags = tags(reader, kind)?,
            11 => {
                for _ in 0..few(reader.list(kind, Type::Struct)?)? {
                    span.logs.push(log(reader)?);
                }
            }
            _ => reader.skip(kind)?,
        }
        Ok(())
    })?;
    let missing = Malformed::Missing;
    span.trace_id = joined(
        high.ok_or(missing("traceIdHigh"))?,
        low.ok_or(missing("traceIdLow"))?,
    );
    span.id = id.ok_or(missing("spanId"))?;
    span.parent = parent.ok_or(missing("parentSpanId"))?;
    span.name = name.ok_or(missing("operationName"))?;
    let start = start.ok_or(missing("startTime"))?;
    span.start = from_micros(start);
    span.end = from_micros(start.saturating_add(duration.ok_or(missing("duration"))?));
    Ok(span)
}

fn reference(reader: &mut Reader<'_>) -> Result<Reference, Malformed> {
    let (mut kind_of, mut low, mut high, mut id) = (None, None, None, None);
    reader.structure(|reader, number, kind| {
        match number {
            1 => kind_of = Some(reader.int(kind)?),
            2 => low = Some(reader.id(kind)?),
            3 => high = Some(reader.id(kind)?),
            4 => id = Some(reader.id(kind)?),
            _ => reader.skip(kind)?,
        }
        Ok(())
    })?;
    let missing = Malformed::Missing;
    Ok(Reference {
        child_of: kind_of.ok_or(missing("refType"))? == 0,
        trace_id: joined(
            high.ok_or(missing("traceIdHigh"))?,
            low.ok_or(missing("traceIdLow"))?,
        ),
        span_id: id.ok_or(missing("spanId"))?,
    })
}

fn joined(high: [u8; 8], low: [u8; 8]) -> [u8; 16] {
    let wide = u128::from(u64::from_be_bytes(high)) << 64 | u128::from(u64::from_be_bytes(low));
    wide.to_be_bytes()
}

fn log<'a>(reader: &mut Reader<'a>) -> Result<Log<'a>, Malformed> {
    let mut time = None;
    let mut fields = Vec::new();
    reader.structure(|reader, number, kind| {
        match number {
            1 => time = Some(reader.int(kind)?),
            2 => fields = tags(reader, kind)?,
            _ => reader.skip(kind)?,
        }
        Ok(())
    })?;
    Ok(Log {
        time: from_micros(time.ok_or(Malformed::Missing("timestamp"))?),
        fields,
    })
}

/// A size, unless it is out of all proportion.
fn few(size: usize) -> Result<usize, Malformed> {
    if size <= MOST {
        Ok(size)
    } else {
        Err(TOO_MANY)
    }
}

fn tags<'a>(reader: &mut Reader<'a>, kind: Type) -> Result<Vec<Tag<'a>>, Malformed> {
    let size = few(reader.list(kind, Type::Struct)?)?;
    // Grows beyond that as tags are there: a size is only a claim.
    let mut tags = Vec::with_capacity(size.min(64));
    for _ in 0..size {
        tags.push(tag(reader)?);
    }
    Ok(tags)
}

fn tag<'a>(reader: &mut Reader<'a>) -> Result<Tag<'a>, Malformed> {
    let (mut key, mut value_type) = (None, None);
    let (mut text, mut double, mut truth, mut long) = ("", 0.0, false, 0);
    let mut binary: &[u8] = &[];
    reader.structure(|reader, number, kind| {
        match number {
            1 => key = Some(reader.text(kind)?),
            2 => value_type = Some(reader.int(kind)?),
            3 => text = reader.text(kind)?,
            4 => double = reader.double(kind)?,
            5 => truth = reader.bool(kind)?,
            6 => long = reader.int(kind)?,
            7 => binary = reader.binary(kind)?,
            _ => reader.skip(kind)?,
        }
        Ok(())
    })?;
    Ok(Tag {
        key: key.ok_or(Malformed::Missing("key"))?,
        value: match value_type.ok_or(Malformed::Missing("vType"))? {
            0 => Value::Text(text),
            1 => Value::Double(double),
            2 => Value::Bool(truth),
            3 => Value::Int(long),
            4 => Value::Bytes(binary),
            other => Value::Unknown(other),
        },
    })
}
