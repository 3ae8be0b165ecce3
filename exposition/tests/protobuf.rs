//! Whatever goes in comes out of every format: protobuf as `prost` decodes it, text as this crate's own parser reads it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "a test may fail loudly; made-up numbers are small"
)]

use std::collections::BTreeMap;

use corten_exposition::naming::{Namer, TranslationStrategy};
use corten_exposition::text::{Line, parse};
use corten_exposition::{Format, Page, Report, Translation};
use corten_pdata::Metrics;
use http::HeaderMap;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, exponential_histogram_data_point::Buckets, metric::Data,
    number_data_point, summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message;

/// The messages of `io.prometheus.client`, as its `metrics.proto` numbers them.
mod client {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct LabelPair {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) value: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Timestamp {
        #[prost(int64, tag = "1")]
        pub(super) seconds: i64,
        #[prost(int32, tag = "2")]
        pub(super) nanos: i32,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Exemplar {
        #[prost(message, repeated, tag = "1")]
        pub(super) label: Vec<LabelPair>,
        #[prost(double, tag = "2")]
        pub(super) value: f64,
        #[prost(message, optional, tag = "3")]
        pub(super) timestamp: Option<Timestamp>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Number {
        #[prost(double, optional, tag = "1")]
        pub(super) value: Option<f64>,
        #[prost(message, optional, tag = "2")]
        pub(super) exemplar: Option<Exemplar>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Quantile {
        #[prost(double, tag = "1")]
        pub(super) quantile: f64,
        #[prost(double, tag = "2")]
        pub(super) value: f64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Summary {
        #[prost(uint64, tag = "1")]
        pub(super) sample_count: u64,
        #[prost(double, tag = "2")]
        pub(super) sample_sum: f64,
        #[prost(message, repeated, tag = "3")]
        pub(super) quantile: Vec<Quantile>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Bucket {
        #[prost(uint64, tag = "1")]
        pub(super) cumulative_count: u64,
        #[prost(double, tag = "2")]
        pub(super) upper_bound: f64,
        #[prost(message, optional, tag = "3")]
        pub(super) exemplar: Option<Exemplar>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct BucketSpan {
        #[prost(sint32, tag = "1")]
        pub(super) offset: i32,
        #[prost(uint32, tag = "2")]
        pub(super) length: u32,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Histogram {
        #[prost(uint64, tag = "1")]
        pub(super) sample_count: u64,
        #[prost(double, tag = "2")]
        pub(super) sample_sum: f64,
        #[prost(message, repeated, tag = "3")]
        pub(super) bucket: Vec<Bucket>,
        #[prost(sint32, optional, tag = "5")]
        pub(super) schema: Option<i32>,
        #[prost(double, tag = "6")]
        pub(super) zero_threshold: f64,
        #[prost(uint64, tag = "7")]
        pub(super) zero_count: u64,
        #[prost(message, repeated, tag = "9")]
        pub(super) negative_span: Vec<BucketSpan>,
        #[prost(sint64, repeated, packed = "false", tag = "10")]
        pub(super) negative_delta: Vec<i64>,
        #[prost(message, repeated, tag = "12")]
        pub(super) positive_span: Vec<BucketSpan>,
        #[prost(sint64, repeated, packed = "false", tag = "13")]
        pub(super) positive_delta: Vec<i64>,
        #[prost(message, repeated, tag = "16")]
        pub(super) exemplars: Vec<Exemplar>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metric {
        #[prost(message, repeated, tag = "1")]
        pub(super) label: Vec<LabelPair>,
        #[prost(message, optional, tag = "2")]
        pub(super) gauge: Option<Number>,
        #[prost(message, optional, tag = "3")]
        pub(super) counter: Option<Number>,
        #[prost(message, optional, tag = "4")]
        pub(super) summary: Option<Summary>,
        #[prost(message, optional, tag = "5")]
        pub(super) untyped: Option<Number>,
        #[prost(int64, optional, tag = "6")]
        pub(super) timestamp_ms: Option<i64>,
        #[prost(message, optional, tag = "7")]
        pub(super) histogram: Option<Histogram>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct MetricFamily {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) help: String,
        #[prost(int32, tag = "3")]
        pub(super) r#type: i32,
        #[prost(message, repeated, tag = "4")]
        pub(super) metric: Vec<Metric>,
        #[prost(string, tag = "5")]
        pub(super) unit: String,
    }
}

const T: u64 = 1_700_000_000_123_456_789;
const CUMULATIVE: i32 = 2;

fn attributes(pairs: &[(String, String)]) -> Vec<KeyValue> {
    pairs
        .iter()
        .map(|(key, value)| KeyValue {
            key: key.clone(),
            value: Some(AnyValue {
                value: Some(Value::StringValue(value.clone())),
            }),
            ..KeyValue::default()
        })
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        description: format!("About {name}"),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number(labels: &[(String, String)], value: f64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(labels),
        time_unix_nano: T,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn gauge(points: Vec<NumberDataPoint>) -> Data {
    Data::Gauge(Gauge {
        data_points: points,
    })
}

fn counter(points: Vec<NumberDataPoint>) -> Data {
    Data::Sum(Sum {
        data_points: points,
        aggregation_temporality: CUMULATIVE,
        is_monotonic: true,
    })
}

fn histogram(point: HistogramDataPoint) -> Data {
    Data::Histogram(Histogram {
        data_points: vec![point],
        aggregation_temporality: CUMULATIVE,
    })
}

fn exponential(point: ExponentialHistogramDataPoint) -> Data {
    Data::ExponentialHistogram(ExponentialHistogram {
        data_points: vec![point],
        aggregation_temporality: CUMULATIVE,
    })
}

fn example(value: f64, filtered: &[(&str, &str)]) -> Exemplar {
    Exemplar {
        filtered_attributes: attributes(&pairs(filtered)),
        time_unix_nano: T,
        span_id: vec![2; 8],
        trace_id: vec![1; 16],
        value: Some(exemplar::Value::AsDouble(value)),
    }
}

fn otlp(metrics: Vec<Metric>) -> Metrics {
    Metrics::from_model(&ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    })
    .unwrap()
}

fn write(translation: &Translation, format: Format, metrics: &Metrics) -> (Vec<u8>, Report) {
    let mut page = Page::new(format).with_timestamps(true);
    translation.visit(metrics, &mut page);
    let mut out = Vec::new();
    let report = page.write(&mut out);
    (out, report)
}

fn decode(mut page: &[u8]) -> Vec<client::MetricFamily> {
    let mut families = Vec::new();
    while !page.is_empty() {
        families.push(client::MetricFamily::decode_length_delimited(&mut page).unwrap());
    }
    families
}

fn protobuf(metrics: Vec<Metric>) -> Vec<client::MetricFamily> {
    let (page, report) = write(&Translation::default(), Format::PROTOBUF, &otlp(metrics));
    assert_eq!(report.problems, []);
    decode(&page)
}

#[test]
fn numbers_have_their_type_unit_time_and_example() {
    let mut point = number(&pairs(&[("code", "200")]), 3.0);
    point.exemplars = vec![example(
        0.5,
        &[("user.id", "7"), ("huge", &"x".repeat(128))],
    )];
    let families = protobuf(vec![
        metric("wait", "s", counter(vec![point])),
        metric("load", "1", gauge(vec![number(&[], f64::NEG_INFINITY)])),
    ]);
    assert_eq!(families.len(), 2);
    assert_eq!(families[0].name, "load_ratio");
    assert_eq!((families[0].r#type, families[0].unit.as_str()), (1, ""));
    let gauge = families[0].metric[0].gauge.as_ref().unwrap();
    assert_eq!(gauge.value, Some(f64::NEG_INFINITY));
    let family = &families[1];
    assert_eq!(family.name, "wait_seconds_total");
    assert_eq!(family.help, "About wait");
    assert_eq!((family.r#type, family.unit.as_str()), (0, "seconds"));
    let metric = &family.metric[0];
    assert_eq!(metric.timestamp_ms, Some(1_700_000_000_123));
    assert_eq!(
        (
            metric.label[0].name.as_str(),
            metric.label[0].value.as_str()
        ),
        ("code", "200")
    );
    let counter = metric.counter.as_ref().unwrap();
    assert_eq!(counter.value, Some(3.0));
    let exemplar = counter.exemplar.as_ref().unwrap();
    let labels: Vec<(&str, &str)> = exemplar
        .label
        .iter()
        .map(|label| (label.name.as_str(), label.value.as_str()))
        .collect();
    assert_eq!(
        labels,
        [
            ("trace_id", "01010101010101010101010101010101"),
            ("span_id", "0202020202020202"),
            ("user_id", "7"),
        ]
    );
    assert_eq!(exemplar.value, 0.5);
    let time = exemplar.timestamp.as_ref().unwrap();
    assert_eq!((time.seconds, time.nanos), (1_700_000_000, 123_456_789));
}

#[test]
fn native_histograms_have_spans_deltas_and_classic_buckets() {
    let families = protobuf(vec![metric(
        "took",
        "s",
        exponential(ExponentialHistogramDataPoint {
            count: 999, // not what the buckets hold
            sum: None,
            scale: 1,
            zero_count: 4,
            positive: Some(Buckets {
                offset: -3,
                bucket_counts: vec![0, 5, 0, 0, 7, 0, 0, 0, 1],
            }),
            negative: Some(Buckets {
                offset: 2,
                bucket_counts: vec![3],
            }),
            exemplars: vec![example(-3.0, &[])],
            ..ExponentialHistogramDataPoint::default()
        }),
    )]);
    let histogram = families[0].metric[0].histogram.as_ref().unwrap();
    assert_eq!(histogram.sample_count, 4 + 5 + 7 + 1 + 3);
    assert!(histogram.sample_sum.is_nan(), "an unknown sum is not zero");
    assert_eq!((histogram.schema, histogram.zero_count), (Some(1), 4));
    assert_eq!(histogram.zero_threshold, 1e-128);
    let spans = |spans: &[client::BucketSpan]| -> Vec<(i32, u32)> {
        spans
            .iter()
            .map(|span| (span.offset, span.length))
            .collect()
    };
    // OTLP's bucket -2 is Prometheus's -1; two empty buckets are bridged, three are stepped over.
    assert_eq!(spans(&histogram.positive_span), [(-1, 4), (3, 1)]);
    assert_eq!(histogram.positive_delta, [5, -5, 0, 7, -6]);
    assert_eq!(spans(&histogram.negative_span), [(3, 1)]);
    assert_eq!(histogram.negative_delta, [3]);
    assert_eq!(histogram.exemplars.len(), 1);
    let last = histogram.bucket.last().unwrap();
    assert_eq!(last.cumulative_count, 20);
    let with_example: Vec<f64> = histogram
        .bucket
        .iter()
        .filter(|bucket| bucket.exemplar.is_some())
        .map(|bucket| bucket.upper_bound)
        .collect();
    assert_eq!(with_example.len(), 1);
    assert!((with_example[0] + 2.0).abs() < 1e-9, "{with_example:?}");
}

#[test]
fn resolutions_that_prometheus_lacks() {
    let of_scale = |scale: i32, offset: i32, counts: Vec<u64>| {
        let families = protobuf(vec![metric(
            "h",
            "",
            exponential(ExponentialHistogramDataPoint {
                count: counts
                    .iter()
                    .fold(0, |all: u64, count| all.saturating_add(*count)),
                scale,
                positive: Some(Buckets {
                    offset,
                    bucket_counts: counts,
                }),
                ..ExponentialHistogramDataPoint::default()
            }),
        )]);
        families[0].metric[0].histogram.clone().unwrap()
    };
    // Two steps finer than 8: four buckets become one.
    let finer = of_scale(10, 4, vec![1, 2, 3, 4, 5]);
    assert_eq!(finer.schema, Some(8));
    assert_eq!(finer.positive_span[0].offset, 2);
    assert_eq!(finer.positive_delta, [10, -5]);
    let coarser = of_scale(-5, 0, vec![1]);
    assert_eq!((coarser.schema, coarser.positive_span.len()), (None, 0));
    assert_eq!(coarser.sample_count, 1);
    for (scale, offset) in [
        (i32::MIN, 0),
        (i32::MAX, 0),
        (0, i32::MAX),
        (0, i32::MIN),
        (20, i32::MAX),
        (-4, -1),
    ] {
        let histogram = of_scale(scale, offset, vec![1, 0, 2]);
        assert_eq!(histogram.sample_count, 3, "{scale} {offset}");
    }
    let huge = of_scale(0, 0, vec![u64::MAX, 1, u64::MAX]);
    assert_eq!(huge.sample_count, u64::MAX);
    // An empty one is native all the same.
    let empty = of_scale(0, 0, Vec::new());
    assert!(empty.schema.is_some() && empty.zero_threshold > 0.0);
}

#[test]
fn counts_that_do_not_fit_their_bounds() {
    let shown = |bounds: Vec<f64>, counts: Vec<u64>, count: u64| {
        let metrics = otlp(vec![metric(
            "h",
            "",
            histogram(HistogramDataPoint {
                count,
                sum: Some(1.0),
                bucket_counts: counts,
                explicit_bounds: bounds,
                ..HistogramDataPoint::default()
            }),
        )]);
        let (page, report) = write(&Translation::default(), Format::PROTOBUF, &metrics);
        assert_eq!(report.problems, []);
        let histogram = decode(&page)[0].metric[0].histogram.clone().unwrap();
        let (text, _) = write(&Translation::default(), Format::TEXT, &metrics);
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.contains(&format!("h_count {}\n", histogram.sample_count)),
            "{text}"
        );
        let buckets: Vec<(f64, u64)> = histogram
            .bucket
            .iter()
            .map(|bucket| (bucket.upper_bound, bucket.cumulative_count))
            .collect();
        (buckets, histogram.sample_count)
    };
    assert_eq!(
        shown(vec![1.0, 2.0], vec![1, 1, 1], 3),
        (vec![(1.0, 1), (2.0, 2)], 3)
    );
    assert_eq!(shown(vec![1.0, 2.0], vec![1], 3), (vec![(1.0, 1)], 3));
    assert_eq!(shown(vec![1.0], vec![1, 2, 3, 4], 3), (vec![(1.0, 1)], 10));
    assert_eq!(shown(vec![1.0], vec![], 3), (vec![], 3));
    assert_eq!(
        shown(
            vec![2.0, 1.0, f64::NAN, 4.0, f64::INFINITY],
            vec![1, 1, 1, 1, 1, 1],
            2
        ),
        (vec![(2.0, 1), (4.0, 4)], 6)
    );
}

#[test]
fn what_is_left_out_is_named_by_its_labels() {
    let twice = gauge(vec![
        number(&pairs(&[("a", "1")]), 1.0),
        number(&pairs(&[("a", "1")]), 2.0),
    ]);
    let (page, report) = write(
        &Translation::default(),
        Format::PROTOBUF,
        &otlp(vec![metric("g", "", twice)]),
    );
    assert_eq!(decode(&page)[0].metric.len(), 1);
    assert!(
        report.problems[0]
            .to_string()
            .starts_with("g{a=\"1\"}: comes from several sources"),
        "{}",
        report.problems[0]
    );
}

#[test]
fn every_batch_of_a_source_may_describe_it() {
    let batch = |name: &str| {
        let point = gauge(vec![number(&[], 1.0)]);
        Metrics::from_model(&ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(Resource {
                    attributes: attributes(&pairs(&[("service.name", "a"), ("host.name", "h")])),
                    ..Resource::default()
                }),
                scope_metrics: vec![ScopeMetrics {
                    metrics: vec![metric(name, "", point)],
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        })
        .unwrap()
    };
    let batches = [batch("x"), batch("y")];
    for (text, open_metrics, protobuf) in formats() {
        for format in [text, open_metrics, protobuf] {
            let translation = Translation::default();
            let mut page = Page::new(format);
            for batch in &batches {
                translation.visit(batch, &mut page);
            }
            let report = page.write(&mut Vec::new());
            assert_eq!((report.problems, report.series), (vec![], 3), "{format:?}");
        }
    }
}

/// What every format has to say of a page: a sample's name and labels, and its value.
type Samples = BTreeMap<(String, Vec<(String, String)>), u64>;

fn insert(samples: &mut Samples, name: String, mut labels: Vec<(String, String)>, value: f64) {
    labels.sort();
    // Text has one NaN and one zero.
    let value = if value.is_nan() {
        f64::NAN
    } else {
        value + 0.0
    };
    assert_eq!(samples.insert((name, labels), value.to_bits()), None);
}

fn of_text(page: &[u8]) -> Samples {
    let text = std::str::from_utf8(page).unwrap();
    let mut samples = Samples::new();
    for line in parse(text) {
        if let Line::Sample(sample) = line.unwrap() {
            let labels = sample
                .labels
                .iter()
                .map(|(name, value)| {
                    let is_bound = matches!(&**name, "le" | "quantile");
                    // `1.0` in OpenMetrics, `1` in text.
                    let value = match value.parse::<f64>() {
                        Ok(number) if is_bound => number.to_string(),
                        _ => value.to_string(),
                    };
                    (name.to_string(), value)
                })
                .collect();
            insert(&mut samples, sample.name.into_owned(), labels, sample.value);
        }
    }
    samples
}

fn of_protobuf(page: &[u8]) -> Samples {
    let mut samples = Samples::new();
    for family in decode(page) {
        for metric in family.metric {
            let labels: Vec<(String, String)> = metric
                .label
                .iter()
                .map(|label| (label.name.clone(), label.value.clone()))
                .collect();
            let with = |name: &str, value: f64| {
                let mut labels = labels.clone();
                labels.push((name.to_owned(), (value + 0.0).to_string()));
                labels
            };
            let part = |suffix: &str| format!("{}{suffix}", family.name);
            for number in [&metric.gauge, &metric.counter, &metric.untyped]
                .into_iter()
                .flatten()
            {
                insert(
                    &mut samples,
                    part(""),
                    labels.clone(),
                    number.value.unwrap(),
                );
            }
            if let Some(histogram) = &metric.histogram {
                let mut has_infinite = false;
                for bucket in &histogram.bucket {
                    has_infinite |= bucket.upper_bound.is_infinite();
                    let count = bucket.cumulative_count as f64;
                    insert(
                        &mut samples,
                        part("_bucket"),
                        with("le", bucket.upper_bound),
                        count,
                    );
                }
                let count = histogram.sample_count as f64;
                if !has_infinite {
                    insert(
                        &mut samples,
                        part("_bucket"),
                        with("le", f64::INFINITY),
                        count,
                    );
                }
                insert(
                    &mut samples,
                    part("_sum"),
                    labels.clone(),
                    histogram.sample_sum,
                );
                insert(&mut samples, part("_count"), labels.clone(), count);
            }
            if let Some(summary) = &metric.summary {
                for quantile in &summary.quantile {
                    insert(
                        &mut samples,
                        part(""),
                        with("quantile", quantile.quantile),
                        quantile.value,
                    );
                }
                insert(
                    &mut samples,
                    part("_sum"),
                    labels.clone(),
                    summary.sample_sum,
                );
                insert(
                    &mut samples,
                    part("_count"),
                    labels.clone(),
                    summary.sample_count as f64,
                );
            }
        }
    }
    samples
}

fn any_labels() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof!["[a-zA-Z_.]{1,5}", ".{0,4}"];
    let value = prop_oneof![".{0,6}", "[\\\\\"\n{}=,# ]{0,4}"];
    proptest::collection::vec((name, value), 0..4)
}

fn any_data() -> impl Strategy<Value = Data> {
    let small = 0u64..1 << 50;
    prop_oneof![
        (any_labels(), any::<f64>())
            .prop_map(|(labels, value)| gauge(vec![number(&labels, value)])),
        (any_labels(), any::<f64>())
            .prop_map(|(labels, value)| counter(vec![number(&labels, value)])),
        (
            any_labels(),
            proptest::collection::vec(any::<f64>(), 0..5),
            proptest::collection::vec(small.clone(), 0..7),
            small.clone(),
            any::<f64>()
        )
            .prop_map(|(labels, bounds, counts, count, sum)| histogram(
                HistogramDataPoint {
                    attributes: attributes(&labels),
                    count,
                    sum: Some(sum),
                    bucket_counts: counts,
                    explicit_bounds: bounds,
                    exemplars: vec![example(1.0, &[("a", "b")])],
                    ..HistogramDataPoint::default()
                }
            )),
        (
            any_labels(),
            -3i32..8,
            -40i32..40,
            proptest::collection::vec(0u64..9, 0..30),
            proptest::collection::vec(0u64..9, 0..30),
            0u64..9,
            any::<f64>()
        )
            .prop_map(
                |(labels, scale, offset, positive, negative, zero_count, sum)| {
                    exponential(ExponentialHistogramDataPoint {
                        attributes: attributes(&labels),
                        count: positive.iter().chain(&negative).sum::<u64>() + zero_count,
                        sum: Some(sum),
                        scale,
                        zero_count,
                        zero_threshold: 1e-128,
                        positive: Some(Buckets {
                            offset,
                            bucket_counts: positive,
                        }),
                        negative: Some(Buckets {
                            offset,
                            bucket_counts: negative,
                        }),
                        ..ExponentialHistogramDataPoint::default()
                    })
                }
            ),
        (
            any_labels(),
            proptest::collection::vec((any::<f64>(), any::<f64>()), 0..4),
            small,
            any::<f64>()
        )
            .prop_map(|(labels, quantiles, count, sum)| Data::Summary(Summary {
                data_points: vec![SummaryDataPoint {
                    attributes: attributes(&labels),
                    count,
                    sum,
                    quantile_values: quantiles
                        .iter()
                        .map(|(quantile, value)| ValueAtQuantile {
                            quantile: *quantile,
                            value: *value
                        })
                        .collect(),
                    ..SummaryDataPoint::default()
                }]
            })),
    ]
}

fn formats() -> Vec<(Format, Format, Format)> {
    // Each time text, OpenMetrics and protobuf with the same escaping.
    ["underscores", "dots", "values", "allow-utf-8"]
        .iter()
        .map(|escaping| {
            let of = |range: &str| {
                let mut headers = HeaderMap::new();
                let accept = format!("{range};escaping={escaping}");
                headers.insert("accept", accept.parse().unwrap());
                Format::negotiate(&headers, true)
            };
            (
                of("text/plain;version=1.0.0"),
                of("application/openmetrics-text;version=1.0.0"),
                of("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"),
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_format_says_the_same(
        metrics in proptest::collection::vec(("[a-z._]{1,6}|.{0,5}", "(s|By|1|%|)", any_data()), 1..5),
        strategy in 0usize..4,
    ) {
        let strategies = [
            TranslationStrategy::UnderscoreEscapingWithSuffixes,
            TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
            TranslationStrategy::NoUTF8EscapingWithSuffixes,
            TranslationStrategy::NoTranslation,
        ];
        let translation = Translation {
            namer: Namer::new(strategies[strategy], ""),
            ..Translation::default()
        };
        let metrics = metrics.into_iter().map(|(name, unit, data)| metric(&name, &unit, data)).collect();
        let metrics = otlp(metrics);
        for (text, open_metrics, protobuf) in formats() {
            let (protobuf, report) = write(&translation, protobuf, &metrics);
            let expected = of_protobuf(&protobuf);
            for format in [text, open_metrics] {
                let (page, of_page) = write(&translation, format, &metrics);
                prop_assert_eq!(of_text(&page), expected.clone(), "{}", String::from_utf8_lossy(&page));
                prop_assert_eq!((of_page.families, of_page.series), (report.families, report.series));
                prop_assert_eq!(of_page.problems.len(), report.problems.len());
            }
        }
    }

    #[test]
    fn native_buckets_keep_every_count(
        // Three hundred buckets are merged once.
        scale in -3i32..12,
        offset in -3000i32..3000,
        counts in proptest::collection::vec(prop_oneof![3 => Just(0u64), 1 => 1u64..1000], 0..300),
    ) {
        let total: u64 = counts.iter().sum();
        let families = protobuf(vec![metric("h", "", exponential(ExponentialHistogramDataPoint {
            count: total,
            scale,
            positive: Some(Buckets { offset, bucket_counts: counts.clone() }),
            ..ExponentialHistogramDataPoint::default()
        }))]);
        let histogram = families[0].metric[0].histogram.as_ref().unwrap();
        prop_assert_eq!(histogram.sample_count, total);
        let schema = histogram.schema.unwrap();
        prop_assert!(schema <= scale && (-30..=8).contains(&schema));
        // Read as Prometheus does.
        let mut shown = BTreeMap::<i64, u64>::new();
        let (mut index, mut count) = (0i64, 0i64);
        let mut deltas = histogram.positive_delta.iter();
        for span in &histogram.positive_span {
            index += i64::from(span.offset);
            for _ in 0..span.length {
                count += deltas.next().unwrap();
                prop_assert!(count >= 0);
                if count > 0 {
                    shown.insert(index, count as u64);
                }
                index += 1;
            }
        }
        prop_assert_eq!(deltas.next(), None);
        let mut expected = BTreeMap::<i64, u64>::new();
        for (index, count) in (i64::from(offset)..).zip(&counts) {
            if *count > 0 {
                *expected.entry((index >> (scale - schema)) + 1).or_default() += count;
            }
        }
        prop_assert_eq!(shown, expected);
    }
}
