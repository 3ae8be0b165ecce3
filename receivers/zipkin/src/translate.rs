//! Zipkin's spans as OTLP: the Collector's translation.
//!
//! | Zipkin | OTLP |
//! |---|---|
//! | `localEndpoint.serviceName` | resource attribute `service.name` (or what the tag `otlp.service.name.source` names) |
//! | tags that the conventions for resources name (`k8s.pod.name`, …) | resource attributes |
//! | tags `otel.library.name`, `otel.scope.name` and their `.version` | scope |
//! | `kind`; without one the tag `span.kind` | kind |
//! | tags `otel.status_code`, `otel.status_description`, `error` | status |
//! | tag `w3c.tracestate`; tags `otlp.link.N` | trace state; links |
//! | annotations, `name\|{attributes}\|dropped` among them | events |
//! | other tags | attributes |
//! | `localEndpoint` | `net.host.ip`, `net.host.port` |
//! | `remoteEndpoint` | `peer.service`, `net.peer.ip`, `net.peer.port` |
//! | no `timestamp` | starts in 1970, with `otel.zipkin.absentField.startTime` |
//!
//! `shared` and `debug` have no counterpart: both sides of a call that share an id are two spans with one id, told
//! apart by their kind.
//!
//! Where the Collector would lose something, this does not: tags of resources that differ make several resources, an `error` with
//! a text is an error too (Zipkin's own meaning), a link or an event that cannot be read stays a tag or a name.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use corten_pdata::Traces;
use corten_pdata::build::{EventBuilder, LinkBuilder, SpanBuilder, TracesBuilder};
use serde_json::Value;

use crate::conventions::{LINK, SERVICE_NAME_SOURCE, START_TIME_ABSENT, TRACE_STATE, is_resource};
use crate::span::{Annotation, Endpoint, Kind, Span};

/// Resources and scopes that are open at the same time; more are written one after the other.
const OPEN: usize = 1024;
/// A rope of more segments than this is put into one piece.
const SEGMENTS: usize = 16;

type Tag<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Writes spans into the OTLP bytes of their resource and scope.
pub(crate) struct Translator {
    parse_string_tags: bool,
    /// By everything that makes a resource and a scope.
    groups: HashMap<Vec<u8>, usize>,
    open: Vec<TracesBuilder>,
    key: Vec<u8>,
    done: Traces,
}

impl Translator {
    pub(crate) fn new(parse_string_tags: bool) -> Self {
        Self {
            parse_string_tags,
            groups: HashMap::new(),
            open: Vec::new(),
            key: Vec::new(),
            done: Traces::new(),
        }
    }

    pub(crate) fn add(&mut self, mut span: Span<'_>) {
        keep_last(&mut span.tags);
        let origin = Origin::of(&mut span);
        origin.write_key(&mut self.key);
        let group = match self.groups.get(self.key.as_slice()) {
            Some(group) => *group,
            None => {
                if self.open.len() >= OPEN {
                    self.close();
                }
                self.open.push(origin.begin());
                self.groups.insert(self.key.clone(), self.open.len() - 1);
                self.open.len() - 1
            }
        };
        if let Some(builder) = self.open.get_mut(group) {
            builder.span(|to| write(to, span, self.parse_string_tags));
        }
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
    while few && let Some(((key, _), rest)) = later.split_first() {
        doubled |= rest.iter().any(|(other, _)| other == key);
        later = rest;
    }
    if !doubled {
        return;
    }
    let mut seen = HashSet::new();
    tags.reverse();
    tags.retain(|(key, _)| seen.insert(key.clone()));
    tags.reverse();
}

/// Takes a tag out.
fn take<'a>(tags: &mut Vec<Tag<'a>>, key: &str) -> Option<Cow<'a, str>> {
    let index = tags.iter().position(|(found, _)| found == key)?;
    Some(tags.remove(index).1)
}

/// What makes a span's resource and scope.
struct Origin<'a> {
    service: Cow<'a, str>,
    source: Cow<'a, str>,
    resource: Vec<Tag<'a>>,
    scope: Cow<'a, str>,
    version: Cow<'a, str>,
}

impl<'a> Origin<'a> {
    /// Taken out of the span.
    fn of(span: &mut Span<'a>) -> Self {
        let tags = &mut span.tags;
        let source = take(tags, SERVICE_NAME_SOURCE).unwrap_or_default();
        let mut either = |names: [&str; 2]| {
            let [new, old] = names.map(|name| take(tags, name));
            new.or(old).unwrap_or_default()
        };
        let scope = either(["otel.scope.name", "otel.library.name"]);
        let version = either(["otel.scope.version", "otel.library.version"]);
        let resource = tags.extract_if(.., |(key, _)| is_resource(key)).collect();
        Self {
            service: std::mem::take(&mut span.local.service),
            source,
            resource,
            scope,
            version,
        }
    }

    fn write_key(&self, key: &mut Vec<u8>) {
        key.clear();
        let mut put = |text: &str| {
            key.extend_from_slice(&text.len().to_le_bytes());
            key.extend_from_slice(text.as_bytes());
        };
        for text in [&self.service, &self.source, &self.scope, &self.version] {
            put(text);
        }
        for (name, value) in &self.resource {
            put(name);
            put(value);
        }
    }

    fn begin(&self) -> TracesBuilder {
        let source = match &*self.source {
            "" => "service.name",
            source => source,
        };
        let mut builder = TracesBuilder::new();
        builder.resource(|resource| {
            let mut named = false;
            for (key, value) in &self.resource {
                named |= key == source;
                resource.attribute_str(key, value);
            }
            if !self.service.is_empty() && !named {
                resource.attribute_str(source, &self.service);
            }
        });
        builder.scope(&self.scope, &self.version);
        builder
    }
}

fn write(to: &mut SpanBuilder<'_>, mut span: Span<'_>, parse: bool) {
    let tags = &mut span.tags;
    to.ids(&span.trace_id, &span.id);
    if let Some(state) = take(tags, TRACE_STATE) {
        to.trace_state(&state);
    }
    if let Some(parent) = &span.parent {
        to.parent_span_id(parent);
    }
    to.name(&span.name).kind(kind(span.kind, tags));
    let start = span.timestamp.saturating_mul(1000);
    to.times(
        start,
        start.saturating_add(span.duration.saturating_mul(1000)),
    );
    let status = status(tags);
    let links = links(tags);
    let named = !span.remote.service.is_empty();
    let [host, peer] = [(&span.local, "net.host"), (&span.remote, "net.peer")];
    for (key, value) in tags.iter() {
        let given = gives(host, key) || gives(peer, key) || (named && key == "peer.service");
        if !given {
            attribute(to, key, value, parse);
        }
    }
    endpoint(to, &span.local, ["net.host.ip", "net.host.port"]);
    if named {
        to.attribute_str("peer.service", &span.remote.service);
    }
    endpoint(to, &span.remote, ["net.peer.ip", "net.peer.port"]);
    if span.timestamp == 0 {
        to.attribute_bool(START_TIME_ABSENT, true);
    }
    for annotation in &span.annotations {
        to.event(|to| event(to, annotation));
    }
    for link in &links {
        to.link(|to| link.write(to));
    }
    if let Some((code, message)) = status {
        to.status(code, &message);
    }
}

/// Whether an endpoint says what a tag of this name says.
fn gives((endpoint, prefix): (&Endpoint<'_>, &str), key: &str) -> bool {
    match key.strip_prefix(prefix) {
        Some(".ip") => !endpoint.address.is_empty(),
        Some(".port") => endpoint.port != 0,
        _ => false,
    }
}

fn endpoint(to: &mut SpanBuilder<'_>, endpoint: &Endpoint<'_>, [ip, port]: [&str; 2]) {
    if !endpoint.address.is_empty() {
        to.attribute_str(ip, &endpoint.address);
    }
    if endpoint.port != 0 {
        to.attribute_int(port, i64::from(endpoint.port));
    }
}

/// The number of OTLP's `SpanKind`.
fn kind(kind: Kind, tags: &mut Vec<Tag<'_>>) -> i32 {
    match kind {
        Kind::Server => 2,
        Kind::Client => 3,
        Kind::Producer => 4,
        Kind::Consumer => 5,
        Kind::Unspecified => match take(tags, "span.kind").as_deref() {
            Some("internal") => 1,
            Some("server") => 2,
            Some("client") => 3,
            Some("producer") => 4,
            Some("consumer") => 5,
            _ => 0,
        },
    }
}

/// OTLP's code of the status, and what went wrong.
fn status<'a>(tags: &mut Vec<Tag<'a>>) -> Option<(i32, Cow<'a, str>)> {
    let mut status = None;
    if let Some(code) = take(tags, "otel.status_code") {
        let code = code.to_ascii_uppercase();
        let code = match code.strip_prefix("STATUS_CODE_").unwrap_or(&code) {
            "OK" => 1,
            "ERROR" => 2,
            _ => 0,
        };
        status = Some((
            code,
            take(tags, "otel.status_description").unwrap_or_default(),
        ));
    }
    let error = tags.iter().position(|(key, _)| key == "error");
    if let Some(index) = error
        && let Some((_, text)) = tags.get(index)
        && text != "false"
    {
        if text == "true" || text.is_empty() {
            let said = status.take().map(|(_, said)| said).unwrap_or_default();
            tags.remove(index);
            status = Some((2, said));
        } else if status.is_none() {
            // What went wrong, in words, as Zipkin means it. The tag stays, since the words may be somebody's filter.
            status = Some((2, text.clone()));
        }
    }
    status
}

fn attribute(to: &mut SpanBuilder<'_>, key: &str, value: &str, parse: bool) {
    match parse.then(|| parsed(value)).flatten() {
        Some(Parsed::Bool(value)) => to.attribute_bool(key, value),
        Some(Parsed::Int(value)) => to.attribute_int(key, value),
        Some(Parsed::Double(value)) => to.attribute_double(key, value),
        None => to.attribute_str(key, value),
    };
}

enum Parsed {
    Bool(bool),
    Int(i64),
    Double(f64),
}

/// `true`, `false`, or digits, with a sign in front and one point between them at most. What does not fit stays text.
fn parsed(text: &str) -> Option<Parsed> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let positive = text.strip_prefix('-').unwrap_or(text);
    match (text, positive.split_once('.')) {
        ("true", _) => Some(Parsed::Bool(true)),
        ("false", _) => Some(Parsed::Bool(false)),
        (_, None) if digits(positive) => text.parse().ok().map(Parsed::Int),
        (_, Some((whole, part))) if digits(whole) && digits(part) => {
            text.parse().ok().map(Parsed::Double)
        }
        _ => None,
    }
}

/// A link as OpenTelemetry's exporters write it into a tag: `trace|span|state|{attributes}|dropped`.
struct Link {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    state: String,
    attributes: serde_json::Map<String, Value>,
    dropped: u32,
}

/// Takes the links out of the tags, as far as they can be read.
fn links(tags: &mut Vec<Tag<'_>>) -> Vec<Link> {
    if !tags.iter().any(|(key, _)| key.starts_with(LINK)) {
        return Vec::new();
    }
    let mut links = Vec::new();
    tags.retain(|(key, value)| {
        let number = key.strip_prefix(LINK).and_then(|n| n.parse::<u32>().ok());
        match number.and_then(|number| Some((number, Link::read(value)?))) {
            Some(link) => {
                links.push(link);
                false
            }
            None => true,
        }
    });
    links.sort_by_key(|(number, _)| *number);
    links.into_iter().map(|(_, link)| link).collect()
}

impl Link {
    fn read(text: &str) -> Option<Self> {
        let (trace_id, rest) = text.split_once('|')?;
        let (span_id, rest) = rest.split_once('|')?;
        let (state, rest) = rest.split_once('|')?;
        let (attributes, dropped) = rest.rsplit_once('|')?;
        Some(Self {
            trace_id: crate::span::trace_id(trace_id.trim_matches('"')).ok()?,
            span_id: crate::span::span_id(span_id.trim_matches('"')).ok()?,
            state: state.to_owned(),
            attributes: serde_json::from_str(attributes).ok()?,
            dropped: dropped.parse().ok()?,
        })
    }

    fn write(&self, to: &mut LinkBuilder<'_>) {
        to.ids(&self.trace_id, &self.span_id);
        if !self.state.is_empty() {
            to.trace_state(&self.state);
        }
        for (key, value) in &self.attributes {
            match of_json(value) {
                Json::Text(text) => to.attribute_str(key, &text),
                Json::Int(int) => to.attribute_int(key, int),
                Json::Double(double) => to.attribute_double(key, double),
                Json::Bool(value) => to.attribute_bool(key, value),
            };
        }
        if self.dropped > 0 {
            to.dropped_attributes_count(self.dropped);
        }
    }
}

/// An annotation: its text is the name, unless OpenTelemetry's exporters wrote `name|{attributes}|dropped`.
fn event(to: &mut EventBuilder<'_>, annotation: &Annotation<'_>) {
    to.time(annotation.timestamp.saturating_mul(1000));
    let parts = annotation.value.split_once('|').and_then(|(name, rest)| {
        let (attributes, dropped) = rest.rsplit_once('|')?;
        let attributes: serde_json::Map<String, Value> = serde_json::from_str(attributes).ok()?;
        Some((name, attributes, dropped.parse().ok()?))
    });
    let Some((name, attributes, dropped)) = parts else {
        to.name(&annotation.value);
        return;
    };
    to.name(name);
    for (key, value) in &attributes {
        match of_json(value) {
            Json::Text(text) => to.attribute_str(key, &text),
            Json::Int(int) => to.attribute_int(key, int),
            Json::Double(double) => to.attribute_double(key, double),
            Json::Bool(value) => to.attribute_bool(key, value),
        };
    }
    if dropped > 0 {
        to.dropped_attributes_count(dropped);
    }
}

enum Json<'a> {
    Text(Cow<'a, str>),
    Int(i64),
    Double(f64),
    Bool(bool),
}

fn of_json(value: &Value) -> Json<'_> {
    match value {
        Value::String(text) => Json::Text(Cow::Borrowed(text)),
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Json::Int(int),
            // A whole number in another spelling (`1.0`), as long as every one of its size has a place of its own.
            (None, Some(double)) if double.fract() == 0.0 && double.abs() < 9e15 => {
                #[expect(clippy::cast_possible_truncation, reason = "whole, and small enough")]
                let int = double as i64;
                Json::Int(int)
            }
            (None, Some(double)) => Json::Double(double),
            (None, None) => Json::Text(Cow::Owned(number.to_string())),
        },
        other => Json::Text(Cow::Owned(other.to_string())),
    }
}
