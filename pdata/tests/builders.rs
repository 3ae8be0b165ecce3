//! What builders write is what the model of the same telemetry encodes.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use corten_pdata::build::{LineAttributes, LogsBuilder, MetricsBuilder, OwnedValue, TracesBuilder};
use corten_pdata::metrics::Temporality;
use corten_pdata::model::common::{self, any_value::Value};
use corten_pdata::model::{logs, metrics, resource, trace};
use corten_pdata::{AnyValue, Rope, Segment, SignalKind};

/// The model of what was built, once it is known to be valid with the right count.
fn decoded<S: SignalKind>(rope: &Rope<S>) -> S::Model {
    for segment in rope.segments() {
        let again = Segment::validate(S::SIGNAL, segment.bytes().clone()).unwrap();
        assert_eq!(&again, segment);
    }
    rope.decode().unwrap()
}

fn attribute(key: &str, value: Value) -> common::KeyValue {
    common::KeyValue {
        key: key.to_owned(),
        value: Some(common::AnyValue { value: Some(value) }),
        key_strindex: 0,
    }
}

fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

#[test]
fn logs_with_every_field_and_any_length() {
    for len in [0, 1, 100, 127, 128, 200, 16_383, 16_384, 100_000] {
        let line = "x".repeat(len);
        let mut builder = LogsBuilder::new();
        builder.resource_with_schema("schema", |resource| {
            resource.attribute_str("long", &line);
        });
        builder.scope_with("scope", "1", "scope schema", |scope| {
            scope.attribute_bool("yes", true);
        });
        builder.record(|record| {
            record
                .time(1)
                .observed_time(2)
                .severity(9, "INFO")
                .body_str(&line)
                .dropped_attributes_count(3)
                .flags(4)
                .trace_id(&[5; 16])
                .span_id(&[6; 8])
                .event_name("event")
                .attribute_int("int", -1)
                .attribute_double("double", 0.5)
                .attribute("none", &AnyValue::Empty)
                .attribute("bytes", &AnyValue::Bytes(&[1, 2]));
        });
        builder.record(|record| {
            let map = OwnedValue::map(|map| {
                map.attribute_str("k", &line);
            });
            let list = OwnedValue::array([map.get(), AnyValue::Int(1)]);
            record.body(&map.get()).attribute("list", &list.get());
        });
        assert_eq!(builder.items(), 2);
        let built = builder.finish();

        let map = Value::KvlistValue(common::KeyValueList {
            values: vec![attribute("k", text(&line))],
        });
        let any = |value| common::AnyValue { value };
        let expected = logs::ResourceLogs {
            resource: Some(resource::Resource {
                attributes: vec![attribute("long", text(&line))],
                ..Default::default()
            }),
            schema_url: "schema".to_owned(),
            scope_logs: vec![logs::ScopeLogs {
                scope: Some(common::InstrumentationScope {
                    name: "scope".to_owned(),
                    version: "1".to_owned(),
                    attributes: vec![attribute("yes", Value::BoolValue(true))],
                    dropped_attributes_count: 0,
                }),
                schema_url: "scope schema".to_owned(),
                log_records: vec![
                    logs::LogRecord {
                        time_unix_nano: 1,
                        observed_time_unix_nano: 2,
                        severity_number: 9,
                        severity_text: "INFO".to_owned(),
                        body: Some(any(Some(text(&line)))),
                        dropped_attributes_count: 3,
                        flags: 4,
                        trace_id: vec![5; 16],
                        span_id: vec![6; 8],
                        event_name: "event".to_owned(),
                        attributes: vec![
                            attribute("int", Value::IntValue(-1)),
                            attribute("double", Value::DoubleValue(0.5)),
                            common::KeyValue {
                                key: "none".to_owned(),
                                value: Some(any(None)),
                                key_strindex: 0,
                            },
                            attribute("bytes", Value::BytesValue(vec![1, 2])),
                        ],
                    },
                    logs::LogRecord {
                        body: Some(any(Some(map.clone()))),
                        attributes: vec![attribute(
                            "list",
                            Value::ArrayValue(common::ArrayValue {
                                values: vec![any(Some(map)), any(Some(Value::IntValue(1)))],
                            }),
                        )],
                        ..Default::default()
                    },
                ],
            }],
        };
        assert_eq!(decoded(&built).resource_logs, vec![expected]);
    }
}

#[test]
fn a_line_is_the_record_with_its_fields() {
    let common = LineAttributes::new(|attributes| {
        attributes.attribute_str("log.iostream", "stdout");
        attributes.attribute_str("long", &"p".repeat(300));
    });
    for len in [
        0, 1, 127, 128, 16_000, 16_050, 16_060, 16_100, 16_383, 16_384, 100_000,
    ] {
        for time in [0, 7, u64::MAX] {
            let line = "x".repeat(len);
            let mut fast = LogsBuilder::new();
            let mut slow = LogsBuilder::new();
            for builder in [&mut fast, &mut slow] {
                builder.resource(|resource| {
                    resource.attribute_str("a", "b");
                });
            }
            for _ in 0..2 {
                fast.line(time, 8, &line, &common);
                slow.record(|record| {
                    record.time(time).observed_time(8).body_str(&line);
                    record.attribute_str("log.iostream", "stdout");
                    record.attribute_str("long", &"p".repeat(300));
                });
            }
            let (fast, slow) = (fast.finish(), slow.finish());
            assert_eq!(fast.items(), 2);
            assert_eq!(decoded(&fast), decoded(&slow), "{len} {time}");
        }
    }
}

#[test]
fn what_is_not_begun_is_empty() {
    let mut builder = LogsBuilder::new();
    assert!(builder.is_empty());
    builder.record(|record| {
        record.body_str("a");
    });
    builder.resource(|_| {});
    builder.scope("s", "");
    let built = builder.finish();
    let model = decoded(&built);
    assert_eq!(built.items(), 1);
    let scopes: Vec<_> = model
        .resource_logs
        .iter()
        .map(|resource| resource.scope_logs.len())
        .collect();
    assert_eq!(scopes, [1, 1]);
    assert_eq!(LogsBuilder::new().finish().bytes_len(), 0);
}

#[test]
fn metrics_of_every_kind() {
    let mut builder = MetricsBuilder::new();
    builder.resource(|_| {});
    builder.scope("", "");
    builder
        .metric("gauge", "d", "u")
        .gauge()
        .point(|point| {
            point
                .start_time(1)
                .time(2)
                .int(-3)
                .flags(1)
                .attribute_str("k", "v");
        })
        .point(|point| {
            point.double(0.5).exemplar(|exemplar| {
                exemplar
                    .time(4)
                    .int(5)
                    .ids(&[6; 16], &[7; 8])
                    .attribute_str("e", "f");
            });
        });
    let mut sum = builder.metric("sum", "", "");
    sum.metadata_str("prometheus.type", "counter");
    sum.sum(Temporality::Cumulative, true).point(|point| {
        point.double(f64::MAX);
    });
    builder
        .metric("histogram", "", "")
        .histogram(Temporality::Delta)
        .point(|point| {
            point
                .time(2)
                .count(3)
                .sum(4.0)
                .min_max(0.5, 3.0)
                .buckets(&[1.0, 2.0], &[1, 1, 1])
                .attribute_bool("b", false);
        });
    builder
        .metric("exponential", "", "")
        .exponential_histogram(Temporality::Delta)
        .point(|point| {
            point
                .count(1)
                .scale(-2)
                .zero(3, 0.25)
                .positive(-4, &[5, 600])
                .negative(0, &[]);
        });
    builder.metric("summary", "", "").summary().point(|point| {
        point
            .count(1)
            .sum(2.0)
            .quantile(0.5, 3.0)
            .quantile(0.99, 4.0);
    });
    let built = builder.finish();
    assert_eq!(built.items(), 6);

    let metric = |name: &str, data| metrics::Metric {
        name: name.to_owned(),
        data: Some(data),
        ..Default::default()
    };
    let expected = vec![
        metrics::Metric {
            description: "d".to_owned(),
            unit: "u".to_owned(),
            ..metric(
                "gauge",
                metrics::metric::Data::Gauge(metrics::Gauge {
                    data_points: vec![
                        metrics::NumberDataPoint {
                            start_time_unix_nano: 1,
                            time_unix_nano: 2,
                            value: Some(metrics::number_data_point::Value::AsInt(-3)),
                            flags: 1,
                            attributes: vec![attribute("k", text("v"))],
                            ..Default::default()
                        },
                        metrics::NumberDataPoint {
                            value: Some(metrics::number_data_point::Value::AsDouble(0.5)),
                            exemplars: vec![metrics::Exemplar {
                                time_unix_nano: 4,
                                value: Some(metrics::exemplar::Value::AsInt(5)),
                                trace_id: vec![6; 16],
                                span_id: vec![7; 8],
                                filtered_attributes: vec![attribute("e", text("f"))],
                            }],
                            ..Default::default()
                        },
                    ],
                }),
            )
        },
        metrics::Metric {
            metadata: vec![attribute("prometheus.type", text("counter"))],
            ..metric(
                "sum",
                metrics::metric::Data::Sum(metrics::Sum {
                    data_points: vec![metrics::NumberDataPoint {
                        value: Some(metrics::number_data_point::Value::AsDouble(f64::MAX)),
                        ..Default::default()
                    }],
                    aggregation_temporality: 2,
                    is_monotonic: true,
                }),
            )
        },
        metric(
            "histogram",
            metrics::metric::Data::Histogram(metrics::Histogram {
                data_points: vec![metrics::HistogramDataPoint {
                    time_unix_nano: 2,
                    count: 3,
                    sum: Some(4.0),
                    min: Some(0.5),
                    max: Some(3.0),
                    explicit_bounds: vec![1.0, 2.0],
                    bucket_counts: vec![1, 1, 1],
                    attributes: vec![attribute("b", Value::BoolValue(false))],
                    ..Default::default()
                }],
                aggregation_temporality: 1,
            }),
        ),
        metric(
            "exponential",
            metrics::metric::Data::ExponentialHistogram(metrics::ExponentialHistogram {
                data_points: vec![metrics::ExponentialHistogramDataPoint {
                    count: 1,
                    scale: -2,
                    zero_count: 3,
                    zero_threshold: 0.25,
                    positive: Some(metrics::exponential_histogram_data_point::Buckets {
                        offset: -4,
                        bucket_counts: vec![5, 600],
                    }),
                    negative: Some(Default::default()),
                    ..Default::default()
                }],
                aggregation_temporality: 1,
            }),
        ),
        metric(
            "summary",
            metrics::metric::Data::Summary(metrics::Summary {
                data_points: vec![metrics::SummaryDataPoint {
                    count: 1,
                    sum: 2.0,
                    quantile_values: [(0.5, 3.0), (0.99, 4.0)]
                        .map(
                            |(quantile, value)| metrics::summary_data_point::ValueAtQuantile {
                                quantile,
                                value,
                            },
                        )
                        .to_vec(),
                    ..Default::default()
                }],
            }),
        ),
    ];
    let model = decoded(&built);
    let scopes = &model.resource_metrics.first().unwrap().scope_metrics;
    assert_eq!(scopes.first().unwrap().metrics, expected);
}

#[test]
fn spans_with_every_field() {
    let mut builder = TracesBuilder::new();
    builder.span(|span| {
        span.ids(&[1; 16], &[2; 8])
            .parent_span_id(&[3; 8])
            .trace_state("state")
            .name("name")
            .kind(2)
            .times(4, 5)
            .flags(0x101)
            .dropped_counts(6, 7, 8)
            .attribute_str("k", "v")
            .event(|event| {
                event.time(9).name("event").attribute_int("n", 1);
            })
            .link(|link| {
                link.ids(&[10; 16], &[11; 8])
                    .trace_state("link")
                    .flags(12)
                    .attribute_bool("b", true);
            })
            .status(2, "message");
    });
    let expected = trace::Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        trace_state: "state".to_owned(),
        parent_span_id: vec![3; 8],
        flags: 0x101,
        name: "name".to_owned(),
        kind: 2,
        start_time_unix_nano: 4,
        end_time_unix_nano: 5,
        attributes: vec![attribute("k", text("v"))],
        dropped_attributes_count: 6,
        events: vec![trace::span::Event {
            time_unix_nano: 9,
            name: "event".to_owned(),
            attributes: vec![attribute("n", Value::IntValue(1))],
            dropped_attributes_count: 0,
        }],
        dropped_events_count: 7,
        links: vec![trace::span::Link {
            trace_id: vec![10; 16],
            span_id: vec![11; 8],
            trace_state: "link".to_owned(),
            attributes: vec![attribute("b", Value::BoolValue(true))],
            dropped_attributes_count: 0,
            flags: 12,
        }],
        dropped_links_count: 8,
        status: Some(trace::Status {
            message: "message".to_owned(),
            code: 2,
        }),
    };
    let built = builder.finish();
    let model = decoded(&built);
    let scopes = &model.resource_spans.first().unwrap().scope_spans;
    assert_eq!(scopes.first().unwrap().spans, vec![expected]);
}
