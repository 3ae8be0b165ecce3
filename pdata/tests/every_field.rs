//! A request of each signal with every field of every message set: the schema knows all of them,
//! cursors show all of them, JSON spells all of them.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use bytes::Bytes;
use corten_pdata::model::common::{self, any_value};
use corten_pdata::model::metrics::{self, metric, summary_data_point};
use corten_pdata::model::trace::{self, span};
use corten_pdata::model::{self, Message, logs, resource};
use corten_pdata::testing::{logs_model, metrics_model, traces_model, unknown_fields};
use corten_pdata::{Logs, Metrics, Rope, Signal, SignalKind, Traces, json};

fn value(value: any_value::Value) -> common::AnyValue {
    common::AnyValue { value: Some(value) }
}

/// One attribute of each kind of value.
fn attributes() -> Vec<common::KeyValue> {
    let values = [
        any_value::Value::StringValue("text".to_owned()),
        any_value::Value::BoolValue(true),
        any_value::Value::IntValue(-5),
        any_value::Value::DoubleValue(2.5),
        any_value::Value::ArrayValue(common::ArrayValue {
            values: vec![value(any_value::Value::IntValue(1))],
        }),
        any_value::Value::KvlistValue(common::KeyValueList {
            values: vec![common::KeyValue {
                key: "inner".to_owned(),
                value: Some(value(any_value::Value::BoolValue(false))),
                key_strindex: 3,
            }],
        }),
        any_value::Value::BytesValue(vec![0, 255]),
        any_value::Value::StringValueStrindex(4),
    ];
    values
        .into_iter()
        .enumerate()
        .map(|(index, inner)| common::KeyValue {
            key: format!("key.{index}"),
            value: Some(value(inner)),
            key_strindex: 2,
        })
        .collect()
}

fn resource() -> Option<resource::Resource> {
    Some(resource::Resource {
        attributes: attributes(),
        dropped_attributes_count: 1,
        entity_refs: vec![common::EntityRef {
            schema_url: "entity schema".to_owned(),
            r#type: "host".to_owned(),
            id_keys: vec!["host.id".to_owned(), "x".to_owned()],
            description_keys: vec!["host.name".to_owned()],
        }],
    })
}

fn scope() -> Option<common::InstrumentationScope> {
    Some(common::InstrumentationScope {
        name: "scope".to_owned(),
        version: "1.2".to_owned(),
        attributes: attributes(),
        dropped_attributes_count: 2,
    })
}

fn check<S: SignalKind>(model: &S::Model, view: impl Fn(&Rope<S>) -> S::Model)
where
    S::Model: PartialEq + std::fmt::Debug,
{
    let bytes = Bytes::from(model.encode_to_vec());
    assert_eq!(unknown_fields(S::SIGNAL, &bytes), Vec::<Vec<u8>>::new());
    let rope = Rope::<S>::parse(bytes).unwrap();
    assert_eq!(&view(&rope), model);
    let mut text = Vec::new();
    json::to_json(&rope, &mut text).unwrap();
    let again = json::from_json::<S>(&text).unwrap();
    assert_eq!(&again.decode().unwrap(), model);
}

#[test]
fn logs() {
    let model = model::ExportLogsServiceRequest {
        resource_logs: vec![logs::ResourceLogs {
            resource: resource(),
            scope_logs: vec![logs::ScopeLogs {
                scope: scope(),
                log_records: vec![logs::LogRecord {
                    time_unix_nano: 1,
                    observed_time_unix_nano: 2,
                    severity_number: 9,
                    severity_text: "INFO".to_owned(),
                    body: Some(value(any_value::Value::StringValue("body".to_owned()))),
                    attributes: attributes(),
                    dropped_attributes_count: 3,
                    flags: 4,
                    trace_id: vec![5; 16],
                    span_id: vec![6; 8],
                    event_name: "event".to_owned(),
                }],
                schema_url: "scope schema".to_owned(),
            }],
            schema_url: "resource schema".to_owned(),
        }],
    };
    check(&model, |rope: &Logs| logs_model(rope));
}

#[test]
fn traces() {
    let model = model::ExportTraceServiceRequest {
        resource_spans: vec![trace::ResourceSpans {
            resource: resource(),
            scope_spans: vec![trace::ScopeSpans {
                scope: scope(),
                spans: vec![trace::Span {
                    trace_id: vec![1; 16],
                    span_id: vec![2; 8],
                    trace_state: "state".to_owned(),
                    parent_span_id: vec![3; 8],
                    flags: 0x301,
                    name: "name".to_owned(),
                    kind: 2,
                    start_time_unix_nano: 4,
                    end_time_unix_nano: 5,
                    attributes: attributes(),
                    dropped_attributes_count: 6,
                    events: vec![span::Event {
                        time_unix_nano: 7,
                        name: "event".to_owned(),
                        attributes: attributes(),
                        dropped_attributes_count: 8,
                    }],
                    dropped_events_count: 9,
                    links: vec![span::Link {
                        trace_id: vec![10; 16],
                        span_id: vec![11; 8],
                        trace_state: "link state".to_owned(),
                        attributes: attributes(),
                        dropped_attributes_count: 12,
                        flags: 13,
                    }],
                    dropped_links_count: 14,
                    status: Some(trace::Status {
                        message: "message".to_owned(),
                        code: 2,
                    }),
                }],
                schema_url: "scope schema".to_owned(),
            }],
            schema_url: "resource schema".to_owned(),
        }],
    };
    check(&model, |rope: &Traces| traces_model(rope));
}

fn exemplars() -> Vec<metrics::Exemplar> {
    [
        metrics::exemplar::Value::AsInt(-1),
        metrics::exemplar::Value::AsDouble(0.5),
    ]
    .map(|value| metrics::Exemplar {
        filtered_attributes: attributes(),
        time_unix_nano: 1,
        span_id: vec![2; 8],
        trace_id: vec![3; 16],
        value: Some(value),
    })
    .to_vec()
}

fn numbers() -> Vec<metrics::NumberDataPoint> {
    [
        metrics::number_data_point::Value::AsInt(-1),
        metrics::number_data_point::Value::AsDouble(0.5),
    ]
    .map(|value| metrics::NumberDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        exemplars: exemplars(),
        flags: 1,
        value: Some(value),
    })
    .to_vec()
}

fn all_metrics() -> Vec<metric::Data> {
    let buckets = |offset| {
        Some(metrics::exponential_histogram_data_point::Buckets {
            offset,
            bucket_counts: vec![1, 300],
        })
    };
    vec![
        metric::Data::Gauge(metrics::Gauge {
            data_points: numbers(),
        }),
        metric::Data::Sum(metrics::Sum {
            data_points: numbers(),
            aggregation_temporality: 2,
            is_monotonic: true,
        }),
        metric::Data::Histogram(metrics::Histogram {
            data_points: vec![metrics::HistogramDataPoint {
                attributes: attributes(),
                start_time_unix_nano: 1,
                time_unix_nano: 2,
                count: 3,
                sum: Some(4.0),
                bucket_counts: vec![5, 6],
                explicit_bounds: vec![7.0],
                exemplars: exemplars(),
                flags: 1,
                min: Some(0.0),
                max: Some(9.0),
            }],
            aggregation_temporality: 1,
        }),
        metric::Data::ExponentialHistogram(metrics::ExponentialHistogram {
            data_points: vec![metrics::ExponentialHistogramDataPoint {
                attributes: attributes(),
                start_time_unix_nano: 1,
                time_unix_nano: 2,
                count: 3,
                sum: Some(4.0),
                scale: -5,
                zero_count: 6,
                positive: buckets(-7),
                negative: buckets(8),
                flags: 1,
                exemplars: exemplars(),
                min: Some(9.0),
                max: Some(10.0),
                zero_threshold: 0.1,
            }],
            aggregation_temporality: 1,
        }),
        metric::Data::Summary(metrics::Summary {
            data_points: vec![metrics::SummaryDataPoint {
                attributes: attributes(),
                start_time_unix_nano: 1,
                time_unix_nano: 2,
                count: 3,
                sum: 4.0,
                quantile_values: vec![summary_data_point::ValueAtQuantile {
                    quantile: 0.5,
                    value: 5.0,
                }],
                flags: 1,
            }],
        }),
    ]
}

#[test]
fn metrics() {
    let metrics = all_metrics()
        .into_iter()
        .map(|data| metrics::Metric {
            name: "name".to_owned(),
            description: "description".to_owned(),
            unit: "s".to_owned(),
            metadata: attributes(),
            data: Some(data),
        })
        .collect();
    let model = model::ExportMetricsServiceRequest {
        resource_metrics: vec![metrics::ResourceMetrics {
            resource: resource(),
            scope_metrics: vec![metrics::ScopeMetrics {
                scope: scope(),
                metrics,
                schema_url: "scope schema".to_owned(),
            }],
            schema_url: "resource schema".to_owned(),
        }],
    };
    check(&model, |rope: &Metrics| metrics_model(rope));
}

/// A body of lists within each other, `depth` messages deep.
fn nested(depth: usize) -> Vec<u8> {
    let mut inner = common::AnyValue::default();
    // Request, resource, scope and record are above; a list is two messages.
    for _ in 0..depth.saturating_sub(4) / 2 {
        inner = value(any_value::Value::ArrayValue(common::ArrayValue {
            values: vec![inner],
        }));
    }
    let record = logs::LogRecord {
        body: Some(inner),
        ..Default::default()
    };
    let scope = logs::ScopeLogs {
        log_records: vec![record],
        ..Default::default()
    };
    let resource = logs::ResourceLogs {
        scope_logs: vec![scope],
        ..Default::default()
    };
    model::ExportLogsServiceRequest {
        resource_logs: vec![resource],
    }
    .encode_to_vec()
}

#[test]
fn nesting_has_an_end() {
    let deepest = Logs::parse(nested(90).into()).unwrap();
    let mut text = Vec::new();
    json::to_json(&deepest, &mut text).unwrap();
    let again = json::from_json::<corten_pdata::LogsSignal>(&text).unwrap();
    assert_eq!(again.decode().unwrap(), deepest.decode().unwrap());
    let mut page = String::new();
    corten_pdata::text::write_detailed(&deepest.into(), &mut page);
    assert!(page.contains("Body: Slice([[[["), "{page}");
    let error = Logs::parse(nested(92).into()).unwrap_err();
    assert_eq!(error.what, "messages nest too deeply");
    // A million of them must not exhaust the stack either.
    let mut deep = Vec::new();
    for _ in 0..1_000_000 {
        deep.extend_from_slice(&[0x8b, 0x01]);
    }
    for signal in Signal::ALL {
        assert!(corten_pdata::validate::validate(signal, &deep).is_err());
    }
}

/// Merging must take time in proportion to the request, however it is cut up.
#[test]
fn merging_many_parts_is_no_trap() {
    let mut parts = Vec::new();
    for _ in 0..300_000 {
        parts.extend_from_slice(&[0xf8, 0x01, 0x01]);
    }
    for _ in 0..300_000 {
        parts.extend_from_slice(&[0x0a, 0x02, 0x10, 0x01]);
    }
    let mut bytes = Vec::new();
    let opened = corten_pdata::wire::open_message(&mut bytes, 1, 4);
    bytes.extend_from_slice(&parts);
    corten_pdata::wire::close_message(&mut bytes, opened);
    let logs = Logs::parse(bytes.into()).unwrap();
    let resource = logs.resources().next().unwrap().resource();
    assert_eq!(resource.dropped_attributes_count(), 1);
}

#[test]
fn deeply_nested_json_has_an_end() {
    let text = "[".repeat(1_000_000);
    for text in [
        format!("{{\"x\":{text}"),
        "{\"resourceLogs\":[".repeat(10_000),
    ] {
        let error = json::from_json::<corten_pdata::LogsSignal>(text.as_bytes()).unwrap_err();
        assert_eq!(error.line, 1);
    }
}

#[test]
fn errors_say_where() {
    let mut bytes = nested(10);
    let len = bytes.len();
    bytes.extend_from_slice(&[0x0a, 0x05, 0x01]);
    let error = Logs::parse(bytes.into()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "malformed OTLP at byte {}: a length exceeds what is left",
            len + 1
        )
    );

    let text = b"{\"resourceLogs\": [\n  {\"resource\": 5}\n]}";
    let error = json::from_json::<corten_pdata::LogsSignal>(text).unwrap_err();
    assert_eq!(
        error.to_string(),
        "malformed OTLP/JSON at line 2, column 16: expected an object"
    );
}
