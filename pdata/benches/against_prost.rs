//! Reading and editing in place against decoding into objects, in one run.
//!
//! Prints a table and fails if an operation is not as many times faster as it should be. Times are
//! the best of many rounds, per span or log record. `cargo bench -p corten-pdata`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a program that measures"
)]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use corten_pdata::build::{LogsBuilder, TracesBuilder};
use corten_pdata::edit::{
    AttributeEdits, edit_record_attributes, edit_resource_attributes, retain,
};
use corten_pdata::model::{ExportLogsServiceRequest, ExportTraceServiceRequest, Message, common};
use corten_pdata::traces::Span;
use corten_pdata::{AnyValue, Cursor, Logs, Traces, json, wire};

const ITEMS: usize = 1000;

/// The push request of Loki, as far as it is needed here.
mod logproto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct PushRequest {
        #[prost(message, repeated, tag = "1")]
        pub(crate) streams: Vec<Stream>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Stream {
        #[prost(string, tag = "1")]
        pub(crate) labels: String,
        #[prost(message, repeated, tag = "2")]
        pub(crate) entries: Vec<Entry>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Entry {
        #[prost(message, optional, tag = "1")]
        pub(crate) timestamp: Option<Timestamp>,
        #[prost(string, tag = "2")]
        pub(crate) line: String,
        #[prost(message, repeated, tag = "3")]
        pub(crate) metadata: Vec<Label>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Timestamp {
        #[prost(int64, tag = "1")]
        pub(crate) seconds: i64,
        #[prost(int32, tag = "2")]
        pub(crate) nanos: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Label {
        #[prost(string, tag = "1")]
        pub(crate) name: String,
        #[prost(string, tag = "2")]
        pub(crate) value: String,
    }
}

fn main() -> ExitCode {
    let traces = traces();
    let logs = logs();
    let spans = traces.to_bytes();
    let records = logs.to_bytes();
    println!(
        "{ITEMS} spans of {} bytes, {ITEMS} log records of {} bytes; ns per item",
        spans.len() / ITEMS,
        records.len() / ITEMS
    );
    println!(
        "{:<34} {:>9} {:>9} {:>7} {:>7}",
        "", "prost", "here", "ratio", "wanted"
    );
    // `cargo bench -p corten-pdata -- Loki` measures the rows whose names contain that.
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let mut report = Report { missed: 0, wanted };

    report.row(
        "count spans",
        Some(50.0),
        || {
            decode_traces(&spans).resource_spans[0].scope_spans[0]
                .spans
                .len()
        },
        || count(&traces),
    );
    report.row(
        "validate and count spans",
        None,
        || decode_traces(&spans).resource_spans.len(),
        || Traces::parse(spans.clone()).unwrap().items(),
    );
    report.row(
        "validate and count log records",
        None,
        || decode_logs(&records).resource_logs.len(),
        || Logs::parse(records.clone()).unwrap().items(),
    );
    report.row(
        "read every attribute key",
        None,
        || model_keys(&decode_traces(&spans)),
        || keys(&traces),
    );

    let upsert = AttributeEdits::new().upsert("cluster", "eu-central-1");
    report.row(
        "upsert a resource attribute",
        Some(50.0),
        || {
            let mut model = decode_traces(&spans);
            for resource in &mut model.resource_spans {
                resource
                    .resource
                    .get_or_insert_default()
                    .attributes
                    .push(attribute());
            }
            model.encode_to_vec().len()
        },
        || edit_resource_attributes(&traces, &upsert).bytes_len(),
    );
    let insert = AttributeEdits::new().insert("cluster", "eu-central-1");
    report.row(
        "insert an attribute per span",
        Some(20.0),
        || {
            let mut model = decode_traces(&spans);
            for span in &mut model.resource_spans[0].scope_spans[0].spans {
                if span.attributes.iter().all(|kv| kv.key != "cluster") {
                    span.attributes.push(attribute());
                }
            }
            model.encode_to_vec().len()
        },
        || edit_record_attributes(&traces, &insert, |_| true).bytes_len(),
    );
    let several = AttributeEdits::new()
        .upsert("http.route", "/hidden")
        .delete("client.address")
        .insert("cluster", "eu-central-1");
    report.row(
        "upsert, delete, insert per span",
        None,
        || {
            let mut model = decode_traces(&spans);
            for span in &mut model.resource_spans[0].scope_spans[0].spans {
                for kv in &mut span.attributes {
                    if kv.key == "http.route" {
                        kv.value = attribute().value;
                    }
                }
                span.attributes.retain(|kv| kv.key != "client.address");
                span.attributes.push(attribute());
            }
            model.encode_to_vec().len()
        },
        || edit_record_attributes(&traces, &several, |_| true).bytes_len(),
    );
    report.row(
        "keep a tenth by trace id",
        None,
        || {
            let mut model = decode_traces(&spans);
            let spans = &mut model.resource_spans[0].scope_spans[0].spans;
            spans.retain(|span| span.trace_id[15] < 26);
            model.encode_to_vec().len()
        },
        || retain(&traces, |span| Span::new(span.raw).trace_id()[15] < 26).bytes_len(),
    );
    // An exporter keeps its buffer from one push to the next.
    let mut buffer = Vec::new();
    report.row(
        "log records to Loki's push body",
        Some(10.0),
        || push_by_objects(&records),
        || push_by_cursors(&logs, &mut buffer),
    );
    report.row(
        "spans to OTLP/JSON",
        None,
        || decode_traces(&spans).encoded_len(),
        || {
            let mut out = Vec::with_capacity(2 << 20);
            json::to_json(&traces, &mut out).unwrap();
            out.len()
        },
    );
    if report.missed == 0 {
        ExitCode::SUCCESS
    } else {
        println!("{} ratios missed", report.missed);
        ExitCode::FAILURE
    }
}

struct Report {
    missed: usize,
    wanted: Option<String>,
}

impl Report {
    fn row(
        &mut self,
        name: &str,
        wanted: Option<f64>,
        by_objects: impl FnMut() -> usize,
        in_place: impl FnMut() -> usize,
    ) {
        if self
            .wanted
            .as_ref()
            .is_some_and(|wanted| !name.contains(wanted.as_str()))
        {
            return;
        }
        let objects = best(by_objects);
        let here = best(in_place);
        let ratio = objects / here;
        let missed = wanted.is_some_and(|wanted| ratio < wanted);
        self.missed += usize::from(missed);
        println!(
            "{name:<34} {objects:>9.1} {here:>9.1} {ratio:>7.1} {:>7}{}",
            wanted.map_or_else(String::new, |wanted| format!("{wanted}")),
            if missed { "  MISSED" } else { "" }
        );
    }
}

/// The best time per item of as many rounds as fit into a fifth of a second.
fn best(mut work: impl FnMut() -> usize) -> f64 {
    let begin = Instant::now();
    let mut best = Duration::MAX;
    while begin.elapsed() < Duration::from_millis(300) {
        let start = Instant::now();
        black_box(work());
        best = best.min(start.elapsed());
    }
    best.as_nanos() as f64 / ITEMS as f64
}

fn decode_traces(bytes: &Bytes) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(bytes.clone()).unwrap()
}

fn decode_logs(bytes: &Bytes) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest::decode(bytes.clone()).unwrap()
}

fn attribute() -> common::KeyValue {
    common::KeyValue {
        key: "cluster".to_owned(),
        value: Some(common::AnyValue {
            value: Some(common::any_value::Value::StringValue(
                "eu-central-1".to_owned(),
            )),
        }),
        key_strindex: 0,
    }
}

fn count(traces: &Traces) -> usize {
    traces
        .resources()
        .flat_map(|resource| resource.scopes())
        .map(|scope| scope.spans().count())
        .sum()
}

fn keys(traces: &Traces) -> usize {
    let mut bytes = 0;
    for resource in traces.resources() {
        for scope in resource.scopes() {
            for span in scope.spans() {
                for attribute in span.attributes() {
                    bytes += attribute.key().len();
                }
            }
        }
    }
    bytes
}

fn model_keys(model: &ExportTraceServiceRequest) -> usize {
    let mut bytes = 0;
    for resource in &model.resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                for attribute in &span.attributes {
                    bytes += attribute.key.len();
                }
            }
        }
    }
    bytes
}

fn push_by_objects(records: &Bytes) -> usize {
    let text = |value: Option<common::AnyValue>| match value.and_then(|value| value.value) {
        Some(common::any_value::Value::StringValue(text)) => text,
        _ => String::new(),
    };
    let model = decode_logs(records);
    let mut push = logproto::PushRequest::default();
    for resource in model.resource_logs {
        let mut entries = Vec::new();
        for scope in resource.scope_logs {
            for record in scope.log_records {
                entries.push(logproto::Entry {
                    timestamp: Some(logproto::Timestamp {
                        seconds: (record.time_unix_nano / 1_000_000_000) as i64,
                        nanos: (record.time_unix_nano % 1_000_000_000) as i32,
                    }),
                    line: text(record.body),
                    metadata: record
                        .attributes
                        .into_iter()
                        .map(|kv| logproto::Label {
                            name: kv.key,
                            value: text(kv.value),
                        })
                        .collect(),
                });
            }
        }
        push.streams.push(logproto::Stream {
            labels: "{job=\"x\"}".to_owned(),
            entries,
        });
    }
    push.encode_to_vec().len()
}

fn push_by_cursors(logs: &Logs, out: &mut Vec<u8>) -> usize {
    out.clear();
    for resource in logs.resources() {
        let stream = wire::open_message(out, 1, 4);
        wire::put_bytes_field(out, 1, b"{job=\"x\"}");
        for scope in resource.scopes() {
            for record in scope.records() {
                let entry = wire::open_message(out, 2, 2);
                let time = wire::open_message(out, 1, 1);
                wire::put_varint_field(out, 1, record.time_unix_nano() / 1_000_000_000);
                wire::put_varint_field(out, 2, record.time_unix_nano() % 1_000_000_000);
                wire::close_message(out, time);
                let line = AnyValue::string_bytes(record.body_raw()).unwrap_or_default();
                wire::put_bytes_field(out, 2, line);
                for attribute in record.attributes() {
                    let value = AnyValue::string_bytes(attribute.value_raw()).unwrap_or_default();
                    wire::put_pair_field(out, 3, attribute.key_bytes(), value);
                }
                wire::close_message(out, entry);
            }
        }
        wire::close_message(out, stream);
    }
    out.len()
}

/// Spans as an HTTP server makes them: about 480 bytes, eight attributes.
fn traces() -> Traces {
    let mut traces = TracesBuilder::new();
    traces.resource(|resource| {
        resource
            .attribute_str("service.name", "checkout")
            .attribute_str("service.version", "1.14.2")
            .attribute_str("k8s.namespace.name", "shop")
            .attribute_str("k8s.pod.name", "checkout-7c9f4d5b6-x2x7p");
    });
    traces.scope("io.opentelemetry.http-server", "2.1.0");
    for index in 0..ITEMS as u64 {
        let hash = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut id = [0u8; 16];
        id[..8].copy_from_slice(&hash.to_le_bytes());
        id[8..].copy_from_slice(&hash.rotate_left(17).to_be_bytes());
        traces.span(|span| {
            let start = 1_700_000_000_000_000_000 + index * 1_000_003;
            span.ids(&id, &id[4..12])
                .parent_span_id(&id[2..10])
                .name("GET /api/v1/orders/{id}/items")
                .kind(2)
                .times(start, start + 12_345_678)
                .attribute_str("http.request.method", "GET")
                .attribute_str("url.path", "/api/v1/orders/8731/items")
                .attribute_str("http.route", "/api/v1/orders/{id}/items")
                .attribute_int("http.response.status_code", 200)
                .attribute_str("server.address", "checkout.shop.svc.cluster.local")
                .attribute_int("server.port", 8080)
                .attribute_str("client.address", "10.42.13.77")
                .attribute_str(
                    "user_agent.original",
                    "Mozilla/5.0 (X11; Linux x86_64) Firefox/131",
                )
                .status(1, "")
                .flags(0x101);
        });
    }
    // As an application's own encoder writes it, without padded lengths.
    let model = traces.finish().decode().unwrap();
    Traces::from_model(&model).unwrap()
}

/// Log records as a pod writes them: a line of about 200 bytes, three attributes.
fn logs() -> Logs {
    let mut logs = LogsBuilder::new();
    logs.resource(|resource| {
        resource
            .attribute_str("k8s.namespace.name", "shop")
            .attribute_str("k8s.pod.name", "checkout-7c9f4d5b6-x2x7p")
            .attribute_str("k8s.container.name", "server");
    });
    logs.scope("", "");
    for index in 0..ITEMS as u64 {
        let time = 1_700_000_000_000_000_000 + index * 1_000_003;
        let line = format!(
            "{{\"level\":\"info\",\"ts\":\"{time}\",\"caller\":\"orders/handler.go:118\",\"msg\":\
             \"order accepted\",\"order\":{index},\"customer\":\"c-{}\",\"items\":3,\"total\":\"42.10\",\
             \"currency\":\"EUR\",\"took_ms\":12.5}}",
            index * 7919
        );
        logs.record(|record| {
            record
                .time(time)
                .observed_time(time + 5_000_000)
                .severity(9, "INFO")
                .body_str(&line)
                .attribute_str("log.file.name", "0.log")
                .attribute_str("log.iostream", "stdout")
                .attribute_str("logtag", "F");
        });
    }
    let model: ExportLogsServiceRequest = logs.finish().decode().unwrap();
    Logs::from_model(&model).unwrap()
}
