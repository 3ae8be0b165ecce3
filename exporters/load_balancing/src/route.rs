//! What belongs together: a key for each record, and the records dealt out by it.
//!
//! | `routing_key` | key |
//! |---|---|
//! | `traceID` | the 16 bytes of the trace id; log records without one go to some backend, together |
//! | `service` | the service's name; for traces as for `attributes` |
//! | `attributes` | `name=value\|` for every attribute, nothing for the value when it is missing |
//! | `metric` | the metric's name |
//! | `resource`, `streamID` | the attributes in the order of their names, and what else tells streams apart |
//!
//! All but the last row are the Collector's keys to the byte.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use corten_component::Signal;
use corten_pdata::edit::{Record, Whole, partition};
use corten_pdata::metrics::Metric;
use corten_pdata::traces::{ResourceSpans, ScopeSpans, Span};
use corten_pdata::wire::{Fields, Value};
use corten_pdata::{AnyValue, Attributes, Cursor, Data, Logs, Metrics, Traces};

use crate::config::RoutingKey;
use crate::ring::Ring;

/// Deals data out.
#[derive(Debug, Default)]
pub(crate) struct Router {
    key: Option<RoutingKey>,
    attributes: Vec<String>,
    /// Where log records without a trace went last.
    turn: AtomicU64,
}

/// A key that a signal does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "routing_key: {key:?} is not for {signal}; use {instead}, or another exporter for this pipeline"
)]
pub(crate) struct Unsupported {
    key: RoutingKey,
    signal: Signal,
    instead: &'static str,
}

impl Router {
    pub(crate) fn new(key: Option<RoutingKey>, attributes: &[String]) -> Self {
        let attributes = match key {
            Some(RoutingKey::Service) => vec![SERVICE.to_owned()],
            _ => attributes.to_vec(),
        };
        Self {
            key,
            attributes,
            turn: AtomicU64::new(0),
        }
    }

    /// One piece for each of the ring's backends; empty where nothing belongs.
    ///
    /// # Errors
    ///
    /// The signal has no such key.
    pub(crate) fn split(
        &self,
        data: &Data,
        ring: &Ring,
        backends: usize,
    ) -> Result<Vec<Data>, Unsupported> {
        if backends <= 1 {
            return Ok(vec![data.clone()]);
        }
        match data {
            Data::Traces(traces) => self.traces(traces, ring, backends),
            Data::Logs(logs) => self.logs(logs, ring, backends),
            Data::Metrics(metrics) => self.metrics(metrics, ring, backends),
        }
    }

    fn traces(
        &self,
        traces: &Traces,
        ring: &Ring,
        backends: usize,
    ) -> Result<Vec<Data>, Unsupported> {
        let pieces = match self.key {
            None | Some(RoutingKey::TraceId) => {
                partition(traces, backends, |span| ring.place(&trace_id(span.raw, 1)))
            }
            Some(RoutingKey::Service | RoutingKey::Attributes) => {
                let mut places = PerTrace::default();
                partition(traces, backends, |span| {
                    places.of(span, || ring.place(self.span_key(span).as_bytes()))
                })
            }
            Some(key) => return Err(unsupported(key, Signal::Traces, "traceID")),
        };
        Ok(pieces.into_iter().map(Data::Traces).collect())
    }

    fn span_key(&self, whole: &Whole<'_>) -> String {
        let span = Span::new(whole.raw);
        self.key(|name| {
            let found = outer(whole, name);
            match name {
                _ if found.is_some() => found,
                "span.kind" => Some(AnyValue::String(kind(span.kind()))),
                "span.name" => Some(AnyValue::String(span.name())),
                _ => span.attributes().get(name),
            }
        })
    }

    fn key<'a>(&self, find: impl Fn(&str) -> Option<AnyValue<'a>>) -> String {
        let mut key = String::new();
        for name in &self.attributes {
            key.push_str(name);
            key.push('=');
            if let Some(value) = find(name) {
                put(&mut key, &value);
            }
            key.push('|');
        }
        key
    }

    fn logs(&self, logs: &Logs, ring: &Ring, backends: usize) -> Result<Vec<Data>, Unsupported> {
        let pieces = match self.key {
            None | Some(RoutingKey::TraceId) => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                let untraced = usize::try_from(turn).unwrap_or_default() % backends;
                partition(logs, backends, |record| match trace_id(record.raw, 9) {
                    id if id == [0; 16] => untraced,
                    id => ring.place(&id),
                })
            }
            Some(RoutingKey::Service) => {
                let mut places = PerResource::default();
                partition(logs, backends, |record| {
                    places.of(record, || ring.place(service(record).as_bytes()))
                })
            }
            Some(RoutingKey::Attributes) => partition(logs, backends, |record| {
                let own = Attributes::new(record.raw, 6);
                let key = self.key(|name| outer(record, name).or_else(|| own.get(name)));
                ring.place(key.as_bytes())
            }),
            Some(key) => return Err(unsupported(key, Signal::Logs, "traceID")),
        };
        Ok(pieces.into_iter().map(Data::Logs).collect())
    }

    fn metrics(
        &self,
        metrics: &Metrics,
        ring: &Ring,
        backends: usize,
    ) -> Result<Vec<Data>, Unsupported> {
        let mut places = PerResource::default();
        let pieces = match self.key {
            None | Some(RoutingKey::Service) => partition(metrics, backends, |metric| {
                places.of(metric, || ring.place(service(metric).as_bytes()))
            }),
            Some(RoutingKey::Resource) => partition(metrics, backends, |metric| {
                places.of(metric, || ring.place(sorted(resource(metric)).as_bytes()))
            }),
            Some(RoutingKey::Metric) => partition(metrics, backends, |metric| {
                ring.place(Metric::new(metric.raw).name().as_bytes())
            }),
            Some(RoutingKey::StreamId) => {
                return Ok(by_point(metrics, backends, |point| {
                    ring.place(stream(point).as_bytes())
                }));
            }
            Some(RoutingKey::Attributes) => {
                return Ok(by_point(metrics, backends, |point| {
                    let key = self.key(|name| {
                        let resource = point.resource.attributes().get(name);
                        resource
                            .or_else(|| point.scope.attributes().get(name))
                            .or_else(|| point.attributes().get(name))
                    });
                    ring.place(key.as_bytes())
                }));
            }
            Some(key @ RoutingKey::TraceId) => {
                return Err(unsupported(key, Signal::Metrics, "service"));
            }
        };
        Ok(pieces.into_iter().map(Data::Metrics).collect())
    }
}

fn unsupported(key: RoutingKey, signal: Signal, instead: &'static str) -> Unsupported {
    Unsupported {
        key,
        signal,
        instead,
    }
}

/// The data points of a metric may part: a pass for every backend.
fn by_point(
    metrics: &Metrics,
    backends: usize,
    mut place: impl FnMut(&Record<'_>) -> usize,
) -> Vec<Data> {
    let pieces = (0..backends).map(|backend| {
        let piece = corten_pdata::edit::retain(metrics, |point| place(point) == backend);
        Data::Metrics(piece)
    });
    pieces.collect()
}

const SERVICE: &str = "service.name";

/// The place of a resource's records, looked for once.
#[derive(Default)]
struct PerResource {
    last: Option<(*const u8, usize)>,
}

impl PerResource {
    fn of(&mut self, record: &Whole<'_>, find: impl FnOnce() -> usize) -> usize {
        let at = record.resource.as_ptr();
        match self.last {
            Some((last, place)) if last == at => place,
            _ => {
                let place = find();
                self.last = Some((at, place));
                place
            }
        }
    }
}

/// The place of the spans of one trace within a scope: their first one decides, as in the Collector.
#[derive(Default)]
struct PerTrace {
    scope: Option<*const u8>,
    places: HashMap<[u8; 16], usize>,
}

impl PerTrace {
    fn of(&mut self, span: &Whole<'_>, find: impl FnOnce() -> usize) -> usize {
        let at = Some(span.scope.as_ptr());
        if self.scope != at {
            self.scope = at;
            self.places.clear();
        }
        *self
            .places
            .entry(trace_id(span.raw, 1))
            .or_insert_with(find)
    }
}

/// The trace id of a record; zeros where there is none.
fn trace_id(raw: &[u8], number: u32) -> [u8; 16] {
    let found = Fields::new(raw).find_map(|field| match field.value {
        Value::Bytes(id) if field.number == number => Some(id),
        _ => None,
    });
    found.and_then(|id| id.try_into().ok()).unwrap_or_default()
}

/// The attributes of the resource. The messages of all signals are alike so far.
fn resource<'a>(record: &Whole<'a>) -> Attributes<'a> {
    ResourceSpans::new(record.resource).resource().attributes()
}

/// An attribute of the resource or the scope.
fn outer<'a>(record: &Whole<'a>, name: &str) -> Option<AnyValue<'a>> {
    let scope = || ScopeSpans::new(record.scope).scope().attributes();
    resource(record).get(name).or_else(|| scope().get(name))
}

fn service<'a>(record: &Whole<'a>) -> &'a str {
    resource(record).get_str(SERVICE).unwrap_or_default()
}

fn sorted(attributes: Attributes<'_>) -> String {
    let mut all: Vec<(&str, AnyValue<'_>)> = attributes
        .iter()
        .map(|attribute| (attribute.key(), attribute.value()))
        .collect();
    all.sort_by_key(|(key, _)| *key);
    let mut text = String::new();
    for (key, value) in all {
        text.push_str(key);
        text.push('=');
        put(&mut text, &value);
        text.push('|');
    }
    text
}

fn stream(point: &Record<'_>) -> String {
    let mut key = sorted(point.resource.attributes());
    key.push_str(point.scope.name());
    key.push('|');
    if let Some(metric) = &point.metric {
        key.push_str(metric.name());
        key.push('|');
        key.push_str(metric.unit());
        key.push('|');
    }
    key.push_str(&sorted(point.attributes()));
    key
}

fn kind(number: i32) -> &'static str {
    match number {
        1 => "Internal",
        2 => "Server",
        3 => "Client",
        4 => "Producer",
        5 => "Consumer",
        _ => "Unspecified",
    }
}

/// A value as the Collector spells it in keys.
fn put(key: &mut String, value: &AnyValue<'_>) {
    match value {
        AnyValue::Empty => {}
        AnyValue::String(text) => key.push_str(text),
        AnyValue::Bool(value) => key.push_str(if *value { "true" } else { "false" }),
        AnyValue::Int(value) => print(key, format_args!("{value}")),
        AnyValue::Double(value) => put_double(key, *value),
        AnyValue::Bytes(bytes) => {
            base64::engine::general_purpose::STANDARD.encode_string(bytes, key);
        }
        AnyValue::Array(values) => {
            key.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    key.push(',');
                }
                put(key, &value);
            }
            key.push(']');
        }
        AnyValue::KvList(entries) => {
            let mut all: Vec<_> = entries
                .iter()
                .map(|entry| (entry.key(), entry.value()))
                .collect();
            all.sort_by_key(|(key, _)| *key);
            key.push('{');
            for (index, (name, value)) in all.iter().enumerate() {
                if index > 0 {
                    key.push(',');
                }
                key.push_str(name);
                key.push(':');
                put(key, value);
            }
            key.push('}');
        }
    }
}

/// As few digits as tell it apart; with an exponent of two digits below 10⁻⁴ and from 10²¹ on.
fn put_double(key: &mut String, value: f64) {
    let size = value.abs();
    if value.is_nan() {
        key.push_str("NaN");
    } else if value.is_infinite() {
        key.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if size != 0.0 && !(1e-4..1e21).contains(&size) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let sign = if exponent.starts_with('-') { '-' } else { '+' };
        let exponent = exponent.trim_start_matches('-');
        print(key, format_args!("{digits}e{sign}{exponent:0>2}"));
    } else {
        print(key, format_args!("{value}"));
    }
}

fn print(key: &mut String, text: std::fmt::Arguments<'_>) {
    match key.write_fmt(text) {
        // Writing to a string cannot fail.
        Ok(()) | Err(_) => {}
    }
}
