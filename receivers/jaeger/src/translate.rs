//! Jaeger's spans as OTLP: the Collector's translation.
//!
//! | Jaeger | OTLP |
//! |---|---|
//! | process: service name, tags | resource: `service.name`, attributes; `hostname` is `host.name`, `jaeger.version` is `opencensus.exporterversion` |
//! | tags `otel.scope.name`, `otel.library.name` and their `.version` | scope |
//! | parent, else the first reference within the trace | parent |
//! | the other references | links with `opentracing.ref_type` |
//! | tag `span.kind` | kind |
//! | tags `error`, `otel.status_code`, `otel.status_description`, `http.status_code` | status, see [`crate::status`] |
//! | tag `w3c.tracestate` | trace state |
//! | logs; their field `event` | events; their name |
//! | other tags | attributes of their type |
//!
//! Of tags with the same name the last one counts.

use std::collections::{HashMap, HashSet};

use corten_pdata::build::{AttributesBuilder, EventBuilder, SpanBuilder, TracesBuilder};
use corten_pdata::{AnyValue, Traces};

use crate::model::{Malformed, Process, Span, Tag, Value};
use crate::status;

/// Resources and scopes that are open at the same time; more are written one after the other.
const OPEN: usize = 1024;
/// A rope of more segments than this is put into one piece.
const SEGMENTS: usize = 16;

/// Writes spans into the OTLP bytes of their resource and scope.
#[derive(Default)]
pub(crate) struct Translator {
    /// By process and scope.
    groups: HashMap<Vec<u8>, usize>,
    open: Vec<TracesBuilder>,
    key: Vec<u8>,
    done: Traces,
}

impl Translator {
    /// Adds a span of the process that `key` stands for; `process` is asked the first time.
    ///
    /// # Errors
    ///
    /// The process's own.
    pub(crate) fn add<'p>(
        &mut self,
        process_key: &[u8],
        mut span: Span<'_>,
        process: impl FnOnce() -> Result<Process<'p>, Malformed>,
    ) -> Result<(), Malformed> {
        if span.is_blank() {
            return Ok(());
        }
        keep_last(&mut span.tags);
        let mut either = |new: &str, old: &str| {
            let old = take(&mut span.tags, old);
            let value = take(&mut span.tags, new).or(old);
            value.map(Value::text).unwrap_or_default()
        };
        let scope = either("otel.scope.name", "otel.library.name");
        let version = either("otel.scope.version", "otel.library.version");
        self.key.clear();
        for part in [process_key, scope.as_bytes()] {
            self.key.extend_from_slice(&part.len().to_le_bytes());
            self.key.extend_from_slice(part);
        }
        self.key.extend_from_slice(version.as_bytes());
        let group = match self.groups.get(self.key.as_slice()) {
            Some(group) => *group,
            None => {
                let mut process = process()?;
                if self.open.len() >= OPEN {
                    self.close();
                }
                let mut builder = TracesBuilder::new();
                builder.resource(|to| resource(to, &mut process));
                builder.scope(scope, version);
                self.open.push(builder);
                self.groups.insert(self.key.clone(), self.open.len() - 1);
                self.open.len() - 1
            }
        };
        if let Some(builder) = self.open.get_mut(group) {
            builder.span(|to| write(to, &mut span));
        }
        Ok(())
    }

    fn close(&mut self) {
        self.groups.clear();
        for builder in self.open.drain(..) {
            self.done.append(builder.finish());
        }
    }

    pub(crate) fn finish(mut self) -> Traces {
        self.close();
        if self.done.segments().len() > SEGMENTS
            && let Ok(whole) = Traces::parse(self.done.to_bytes())
        {
            return whole;
        }
        self.done
    }
}

/// Of tags with the same name, the last one counts.
fn keep_last(tags: &mut Vec<Tag<'_>>) {
    let mut later = tags.as_slice();
    // A few are compared with each other; many, which nobody has but who means harm, take a table.
    let few = later.len() <= 32;
    let mut doubled = !few;
    while few && let Some((tag, rest)) = later.split_first() {
        doubled |= rest.iter().any(|other| other.key == tag.key);
        later = rest;
    }
    if doubled {
        let mut seen = HashSet::new();
        tags.reverse();
        tags.retain(|tag| seen.insert(tag.key));
        tags.reverse();
    }
}

/// The value of a tag.
pub(crate) fn find<'a>(tags: &[Tag<'a>], key: &str) -> Option<Value<'a>> {
    let tag = tags.iter().find(|tag| tag.key == key)?;
    Some(tag.value)
}

/// Takes a tag out.
pub(crate) fn take<'a>(tags: &mut Vec<Tag<'a>>, key: &str) -> Option<Value<'a>> {
    let index = tags.iter().position(|tag| tag.key == key)?;
    Some(tags.remove(index).value)
}

/// The name that the Collector gives to a process without one.
const NO_SERVICE: &str = "OTLPResourceNoServiceName";

fn resource(to: &mut AttributesBuilder<'_>, process: &mut Process<'_>) {
    let tags = &mut process.tags;
    keep_last(tags);
    if process.service == NO_SERVICE {
        return;
    }
    if !process.service.is_empty() && find(tags, "service.name").is_none() {
        to.attribute_str("service.name", process.service);
    }
    if find(tags, "host.name").is_none()
        && let Some(tag) = tags.iter_mut().find(|tag| tag.key == "hostname")
    {
        tag.key = "host.name";
    }
    if find(tags, "opencensus.exporterversion").is_none()
        && let Some(version) = take(tags, "jaeger.version")
    {
        let version = format!("Jaeger-{}", version.text());
        to.attribute_str("opencensus.exporterversion", &version);
    }
    for tag in tags.iter() {
        match tag.value {
            Value::Unknown(kind) => to.attribute_str(tag.key, &unknown(kind)),
            value => to.attribute(tag.key, &any(value)),
        };
    }
}

/// As OTLP has it; of a type that nobody knows there is only a word about it.
fn any(value: Value<'_>) -> AnyValue<'_> {
    match value {
        Value::Text(text) => AnyValue::String(text),
        Value::Bool(value) => AnyValue::Bool(value),
        Value::Int(value) => AnyValue::Int(value),
        Value::Double(value) => AnyValue::Double(value),
        Value::Bytes(bytes) => AnyValue::Bytes(bytes),
        Value::Unknown(_) => AnyValue::Empty,
    }
}

fn unknown(kind: i64) -> String {
    format!("<Unknown Jaeger TagType \"{kind}\">")
}

/// An id that is zero is none.
fn id(bytes: &[u8]) -> &[u8] {
    if bytes.iter().all(|byte| *byte == 0) {
        &[]
    } else {
        bytes
    }
}

fn write(to: &mut SpanBuilder<'_>, span: &mut Span<'_>) {
    let parent = span.parent();
    to.ids(id(&span.trace_id), id(&span.id));
    if parent != [0; 8] {
        to.parent_span_id(&parent);
    }
    let tags = &mut span.tags;
    if let Some(state) = take(tags, "w3c.tracestate") {
        to.trace_state(state.text());
    }
    let kind = kind(take(tags, "span.kind"));
    let status = status::of(tags, kind);
    to.name(span.name).kind(kind).times(span.start, span.end);
    for tag in tags.iter() {
        match tag.value {
            Value::Unknown(kind) => to.attribute_str(tag.key, &unknown(kind)),
            value => to.attribute(tag.key, &any(value)),
        };
    }
    for log in &mut span.logs {
        to.event(|to| {
            to.time(log.time);
            event(to, &mut log.fields);
        });
    }
    for reference in &span.references {
        let is_parent = reference.child_of && reference.span_id == parent;
        if is_parent && reference.trace_id == span.trace_id {
            continue;
        }
        to.link(|to| {
            let kind = if reference.child_of {
                "child_of"
            } else {
                "follows_from"
            };
            to.ids(id(&reference.trace_id), id(&reference.span_id))
                .attribute_str("opentracing.ref_type", kind);
        });
    }
    if let Some((code, message)) = status {
        to.status(code, message);
    }
}

fn event(to: &mut EventBuilder<'_>, fields: &mut Vec<Tag<'_>>) {
    keep_last(fields);
    if let Some(name @ Value::Text(_)) = find(fields, "event") {
        take(fields, "event");
        to.name(name.text());
    }
    for field in fields.iter() {
        match field.value {
            Value::Unknown(kind) => to.attribute_str(field.key, &unknown(kind)),
            value => to.attribute(field.key, &any(value)),
        };
    }
}

/// The number of OTLP's `SpanKind`.
fn kind(tag: Option<Value<'_>>) -> i32 {
    match tag.map(Value::text) {
        Some("internal") => 1,
        Some("server") => 2,
        Some("client") => 3,
        Some("producer") => 4,
        Some("consumer") => 5,
        _ => 0,
    }
}
