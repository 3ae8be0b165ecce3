//! Whole pages, from OTLP to bytes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use corten_exposition::naming::{Namer, TranslationStrategy};
use corten_exposition::{Format, Page, Problem, Report, ResourceLabels, Translation};
use corten_pdata::Metrics;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, exponential_histogram_data_point::Buckets, metric::Data,
    number_data_point, summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;

const T: u64 = 1_700_000_000_123_000_000;

fn kv(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(key, value)| kv(key, value)).collect()
}

fn point(pairs: &[(&str, &str)], value: f64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(pairs),
        time_unix_nano: T,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
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

fn gauge(points: Vec<NumberDataPoint>) -> Data {
    Data::Gauge(Gauge {
        data_points: points,
    })
}

fn counter(points: Vec<NumberDataPoint>) -> Data {
    Data::Sum(Sum {
        data_points: points,
        aggregation_temporality: 2,
        is_monotonic: true,
    })
}

fn histogram(points: Vec<HistogramDataPoint>) -> Data {
    Data::Histogram(Histogram {
        data_points: points,
        aggregation_temporality: 2,
    })
}

fn declared(mut metric: Metric, kind: &str) -> Metric {
    metric.metadata = vec![kv("prometheus.type", kind)];
    metric
}

fn resource(pairs: &[(&str, &str)], scope: &str, metrics: Vec<Metric>) -> ResourceMetrics {
    ResourceMetrics {
        resource: Some(Resource {
            attributes: attributes(pairs),
            ..Resource::default()
        }),
        scope_metrics: vec![ScopeMetrics {
            scope: Some(InstrumentationScope {
                name: scope.to_owned(),
                ..InstrumentationScope::default()
            }),
            metrics,
            ..ScopeMetrics::default()
        }],
        ..ResourceMetrics::default()
    }
}

fn otlp(resource_metrics: Vec<ResourceMetrics>) -> Metrics {
    Metrics::from_model(&ExportMetricsServiceRequest { resource_metrics }).unwrap()
}

fn plain(metrics: Vec<Metric>) -> Metrics {
    otlp(vec![resource(&[], "", metrics)])
}

fn render_with(translation: &Translation, format: Format, metrics: &Metrics) -> (String, Report) {
    let mut page = Page::new(format);
    translation.visit(metrics, &mut page);
    let mut out = Vec::new();
    let report = page.write(&mut out);
    (String::from_utf8(out).unwrap(), report)
}

fn render(format: Format, metrics: &Metrics) -> (String, Report) {
    render_with(&Translation::default(), format, metrics)
}

fn text(metrics: &Metrics) -> String {
    let (text, report) = render(Format::TEXT, metrics);
    assert_eq!(report.problems, []);
    text
}

#[test]
fn families_and_series_are_sorted_and_escaped() {
    let metrics = plain(vec![
        metric("z.last", "By", gauge(vec![point(&[], 1.6e9)])),
        metric(
            "requests",
            "{request}",
            counter(vec![
                point(&[("code", "500"), ("method", "get")], 3.0),
                point(&[("method", "get"), ("code", "200")], 1e6),
                point(&[("path", "a\\b\"c\nd")], 0.37),
            ]),
        ),
    ]);
    assert_eq!(
        text(&metrics),
        "# HELP requests_total About requests\n\
         # TYPE requests_total counter\n\
         requests_total{code=\"200\",method=\"get\"} 1e+06\n\
         requests_total{code=\"500\",method=\"get\"} 3\n\
         requests_total{path=\"a\\\\b\\\"c\\nd\"} 0.37\n\
         # HELP z_last_bytes About z.last\n\
         # TYPE z_last_bytes gauge\n\
         z_last_bytes 1.6e+09\n"
    );
}

#[test]
fn open_metrics_has_units_exemplars_and_an_end() {
    let mut sample = point(&[("a", "b")], 5.0);
    sample.exemplars = vec![Exemplar {
        time_unix_nano: T,
        trace_id: vec![0xab; 16],
        span_id: vec![1; 8],
        value: Some(exemplar::Value::AsDouble(2.5)),
        filtered_attributes: attributes(&[("user", "me"), ("too_long", &"x".repeat(100))]),
    }];
    let metrics = plain(vec![
        metric("cpu.time", "s", counter(vec![sample])),
        metric("odd", "", gauge(vec![point(&[], f64::NAN)])),
        declared(
            metric("bare", "", counter(vec![point(&[], 1.0)])),
            "counter",
        ),
    ]);
    let (page, report) = render(Format::OPEN_METRICS, &metrics);
    assert_eq!(report.problems, []);
    assert_eq!(
        page,
        "# HELP bare About bare\n\
         # TYPE bare unknown\n\
         bare 1.0\n\
         # HELP cpu_time_seconds About cpu.time\n\
         # TYPE cpu_time_seconds counter\n\
         # UNIT cpu_time_seconds seconds\n\
         cpu_time_seconds_total{a=\"b\"} 5.0 # {trace_id=\"abababababababababababababababab\",span_id=\"0101010101010101\",user=\"me\"} 2.5 1700000000.123\n\
         # HELP odd About odd\n\
         # TYPE odd gauge\n\
         odd NaN\n\
         # EOF\n"
    );
}

#[test]
fn a_counter_keeps_its_name_when_a_gauge_has_the_shorter_one() {
    let metrics = plain(vec![
        metric("jobs", "", counter(vec![point(&[], 1.0)])),
        metric("jobs", "", gauge(vec![point(&[], 2.0)])),
    ]);
    let (page, report) = render(Format::OPEN_METRICS, &metrics);
    assert_eq!(report.problems, []);
    assert!(page.contains("# TYPE jobs gauge\njobs 2.0\n"), "{page}");
    assert!(
        page.contains("# TYPE jobs_total unknown\njobs_total 1.0\n"),
        "{page}"
    );
}

#[test]
fn counters_of_unknown_type_have_no_exemplars() {
    let mut with_example = point(&[], 1.0);
    with_example.exemplars = vec![Exemplar {
        time_unix_nano: T,
        value: Some(exemplar::Value::AsDouble(1.0)),
        ..Exemplar::default()
    }];
    let translation = Translation {
        namer: Namer::new(TranslationStrategy::NoTranslation, ""),
        ..Translation::default()
    };
    let metrics = plain(vec![
        metric("bare", "", counter(vec![with_example.clone()])),
        metric("full_total", "", counter(vec![with_example])),
    ]);
    let (page, _) = render_with(&translation, Format::OPEN_METRICS, &metrics);
    assert!(page.contains("# TYPE bare unknown\nbare 1.0\n"), "{page}");
    assert!(
        page.contains("# TYPE full counter\nfull_total 1.0 # {} 1.0 1700000000.123\n"),
        "{page}"
    );
}

#[test]
fn histograms_are_cumulative() {
    let metrics = plain(vec![
        metric(
            "latency",
            "ms",
            histogram(vec![HistogramDataPoint {
                attributes: attributes(&[("route", "/")]),
                count: 6,
                sum: Some(1234.5),
                bucket_counts: vec![1, 2, 3],
                explicit_bounds: vec![0.005, 1e6],
                ..HistogramDataPoint::default()
            }]),
        ),
        metric(
            "depth",
            "",
            Data::ExponentialHistogram(ExponentialHistogram {
                aggregation_temporality: 2,
                data_points: vec![ExponentialHistogramDataPoint {
                    count: 4,
                    zero_count: 1,
                    positive: Some(Buckets {
                        offset: 0,
                        bucket_counts: vec![1, 2],
                    }),
                    ..ExponentialHistogramDataPoint::default()
                }],
            }),
        ),
    ]);
    assert_eq!(
        text(&metrics),
        "# HELP depth About depth\n\
         # TYPE depth histogram\n\
         depth_bucket{le=\"0\"} 1\n\
         depth_bucket{le=\"2\"} 2\n\
         depth_bucket{le=\"4\"} 4\n\
         depth_bucket{le=\"+Inf\"} 4\n\
         depth_count 4\n\
         # HELP latency_milliseconds About latency\n\
         # TYPE latency_milliseconds histogram\n\
         latency_milliseconds_bucket{route=\"/\",le=\"0.005\"} 1\n\
         latency_milliseconds_bucket{route=\"/\",le=\"1e+06\"} 3\n\
         latency_milliseconds_bucket{route=\"/\",le=\"+Inf\"} 6\n\
         latency_milliseconds_sum{route=\"/\"} 1234.5\n\
         latency_milliseconds_count{route=\"/\"} 6\n"
    );
    let (page, _) = render(Format::OPEN_METRICS, &metrics);
    assert!(page.contains("depth_bucket{le=\"2.0\"} 2\n"), "{page}");
}

#[test]
fn summaries() {
    let metrics = plain(vec![metric(
        "gc",
        "s",
        Data::Summary(Summary {
            data_points: vec![SummaryDataPoint {
                count: 3,
                sum: 0.5,
                quantile_values: vec![
                    ValueAtQuantile {
                        quantile: 1.0,
                        value: 0.25,
                    },
                    ValueAtQuantile {
                        quantile: 0.5,
                        value: f64::NAN,
                    },
                ],
                ..SummaryDataPoint::default()
            }],
        }),
    )]);
    assert_eq!(
        text(&metrics),
        "# HELP gc_seconds About gc\n\
         # TYPE gc_seconds summary\n\
         gc_seconds{quantile=\"0.5\"} NaN\n\
         gc_seconds{quantile=\"1\"} 0.25\n\
         gc_seconds_sum 0.5\n\
         gc_seconds_count 3\n"
    );
}

#[test]
fn targets_that_were_scraped_elsewhere_are_told_apart() {
    let target = |instance| {
        resource(
            &[
                ("service.name", "web"),
                ("service.instance.id", instance),
                ("url.scheme", "http"),
            ],
            "prometheus",
            vec![declared(
                metric("up", "", gauge(vec![point(&[], 1.0)])),
                "gauge",
            )],
        )
    };
    let metrics = otlp(vec![target("a:1"), target("b:1")]);
    let (page, report) = render_with(&Translation::default(), Format::TEXT, &metrics);
    assert_eq!(report.problems, []);
    assert_eq!(
        page,
        "# HELP target_info Target metadata\n\
         # TYPE target_info gauge\n\
         target_info{service_instance_id=\"a:1\",service_name=\"web\",url_scheme=\"http\"} 1\n\
         target_info{service_instance_id=\"b:1\",service_name=\"web\",url_scheme=\"http\"} 1\n\
         # HELP up About up\n\
         # TYPE up gauge\n\
         up{service_instance_id=\"a:1\",service_name=\"web\"} 1\n\
         up{service_instance_id=\"b:1\",service_name=\"web\"} 1\n"
    );
}

#[test]
fn what_is_prometheus_already_stays_untouched() {
    let metrics = otlp(vec![resource(
        &[
            ("service.name", "node"),
            ("service.instance.id", "i"),
            ("host.name", "h"),
        ],
        "corten",
        vec![
            declared(
                metric(
                    "node_netstat_Ip_Forwarding",
                    "1",
                    gauge(vec![point(&[], 1.0)]),
                ),
                "unknown",
            ),
            declared(
                metric(
                    "node_cpu_seconds_total",
                    "s",
                    counter(vec![point(&[("_mode", "idle")], 2.0)]),
                ),
                "counter",
            ),
            declared(
                metric("node_uname_info", "", gauge(vec![point(&[], 1.0)])),
                "info",
            ),
        ],
    )]);
    let translation = Translation {
        namer: Namer::new(TranslationStrategy::default(), "ns"),
        ..Translation::default()
    };
    let (page, report) = render_with(&translation, Format::TEXT, &metrics);
    assert_eq!(report.problems, []);
    assert_eq!((report.families, report.series), (3, 3));
    assert_eq!(
        page,
        "# HELP node_cpu_seconds_total About node_cpu_seconds_total\n\
         # TYPE node_cpu_seconds_total counter\n\
         node_cpu_seconds_total{_mode=\"idle\"} 2\n\
         # HELP node_netstat_Ip_Forwarding About node_netstat_Ip_Forwarding\n\
         # TYPE node_netstat_Ip_Forwarding untyped\n\
         node_netstat_Ip_Forwarding 1\n\
         # HELP node_uname_info About node_uname_info\n\
         # TYPE node_uname_info gauge\n\
         node_uname_info 1\n"
    );
    let (page, _) = render_with(&translation, Format::OPEN_METRICS, &metrics);
    assert!(
        page.contains("# TYPE node_uname info\nnode_uname_info 1.0\n"),
        "{page}"
    );
    assert!(
        page.contains("# TYPE node_netstat_Ip_Forwarding unknown\n"),
        "{page}"
    );
}

#[test]
fn applications_are_told_apart_by_their_own_attributes_and_scope() {
    let app = |instance: &str| {
        resource(
            &[
                ("service.name", "shop"),
                ("service.namespace", "prod"),
                ("service.instance.id", instance),
                ("cloud.region", "eu"),
            ],
            "lib",
            vec![metric("up", "1", gauge(vec![point(&[], 1.0)]))],
        )
    };
    let metrics = otlp(vec![app("a"), app("b")]);
    assert_eq!(
        text(&metrics),
        "# HELP target_info Target metadata\n\
         # TYPE target_info gauge\n\
         target_info{cloud_region=\"eu\",service_instance_id=\"a\",service_name=\"shop\",service_namespace=\"prod\"} 1\n\
         target_info{cloud_region=\"eu\",service_instance_id=\"b\",service_name=\"shop\",service_namespace=\"prod\"} 1\n\
         # HELP up_ratio About up\n\
         # TYPE up_ratio gauge\n\
         up_ratio{otel_scope_name=\"lib\",service_instance_id=\"a\",service_name=\"shop\",service_namespace=\"prod\"} 1\n\
         up_ratio{otel_scope_name=\"lib\",service_instance_id=\"b\",service_name=\"shop\",service_namespace=\"prod\"} 1\n"
    );
    let translation = Translation {
        const_labels: vec![("dc".to_owned(), "1".to_owned())],
        scope_labels: false,
        target_labels: false,
        resource_labels: ResourceLabels {
            included: vec!["*".to_owned()],
            excluded: vec!["service.*".to_owned()],
        },
        ..Translation::default()
    };
    let (page, report) = render_with(&translation, Format::TEXT, &otlp(vec![app("a"), app("b")]));
    assert!(
        page.ends_with("\nup_ratio{cloud_region=\"eu\",dc=\"1\"} 1\n"),
        "{page}"
    );
    assert_eq!(report.series, 1);
    assert!(matches!(
        &report.problems[..],
        [Problem::Duplicate { count: 1, .. }]
    ));
}

#[test]
fn job_and_instance_are_left_to_the_scraper() {
    let resource = resource(
        &[("service.name", "shop"), ("job", "r"), ("host.name", "h")],
        "",
        vec![
            metric(
                "up",
                "",
                gauge(vec![point(&[("instance", "mine"), ("__name__", "x")], 1.0)]),
            ),
            declared(
                metric(
                    "textfile",
                    "",
                    gauge(vec![point(&[("job", "backup")], 1.0)]),
                ),
                "gauge",
            ),
        ],
    );
    let translation = Translation {
        const_labels: vec![("job".to_owned(), "c".to_owned())],
        resource_labels: ResourceLabels::all(),
        ..Translation::default()
    };
    let (page, report) = render_with(&translation, Format::TEXT, &otlp(vec![resource]));
    assert_eq!(report.problems, []);
    let samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        samples,
        [
            "target_info{exported_job=\"r\",host_name=\"h\",service_name=\"shop\"} 1",
            "textfile{exported_job=\"c\",host_name=\"h\",job=\"backup\",service_name=\"shop\"} 1",
            "up{exported___name__=\"x\",exported_instance=\"mine\",exported_job=\"c\",host_name=\"h\",service_name=\"shop\"} 1",
        ]
    );
}

#[test]
fn units_that_contradict_are_no_one_family() {
    let translation = Translation {
        namer: Namer::new(TranslationStrategy::UnderscoreEscapingWithoutSuffixes, ""),
        ..Translation::default()
    };
    let metrics = plain(vec![
        metric("took", "s", gauge(vec![point(&[("a", "1")], 1.0)])),
        metric("took", "ms", gauge(vec![point(&[("a", "2")], 2.0)])),
        metric("took", "", gauge(vec![point(&[("a", "3")], 3.0)])),
        metric("other", "", gauge(vec![point(&[], 4.0)])),
    ]);
    let (page, report) = render_with(&translation, Format::TEXT, &metrics);
    assert_eq!(
        report.problems,
        [Problem::Unit {
            family: "took".to_owned(),
            kept: "seconds".to_owned(),
            left_out: "milliseconds".to_owned()
        }]
    );
    assert!(
        page.contains("took{a=\"1\"} 1\ntook{a=\"3\"} 3\n"),
        "{page}"
    );
    assert!(page.contains("other 4\n"), "{page}");
}

#[test]
fn a_bad_family_costs_only_itself() {
    let with_le = HistogramDataPoint {
        attributes: attributes(&[("le", "1")]),
        ..HistogramDataPoint::default()
    };
    let delta = Data::Sum(Sum {
        data_points: vec![point(&[], 1.0)],
        aggregation_temporality: 1,
        is_monotonic: true,
    });
    let metrics = plain(vec![
        metric("two", "", gauge(vec![point(&[], 1.0)])),
        metric("two", "", histogram(vec![HistogramDataPoint::default()])),
        metric(
            "same",
            "",
            gauge(vec![point(&[], 1.0), point(&[], 2.0), point(&[], 3.0)]),
        ),
        metric(
            "h",
            "",
            histogram(vec![HistogramDataPoint::default(), with_le]),
        ),
        metric("h_count", "", gauge(vec![point(&[], 9.0)])),
        metric("delta", "", delta),
        metric("…", "", gauge(vec![point(&[], 9.0)])),
        metric("zz.good", "", gauge(vec![point(&[], 4.0)])),
    ]);
    let (page, report) = render(Format::TEXT, &metrics);
    assert_eq!(
        page,
        "# HELP h About h\n\
         # TYPE h histogram\n\
         h_bucket{le=\"+Inf\"} 0\n\
         h_count 0\n\
         # HELP same About same\n\
         # TYPE same gauge\n\
         same 1\n\
         # HELP two About two\n\
         # TYPE two gauge\n\
         two 1\n\
         # HELP zz_good About zz.good\n\
         # TYPE zz_good gauge\n\
         zz_good 4\n"
    );
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "h: series with the label le are left out, a histogram needs it for itself: rename the attribute",
            "delta_total: is not cumulative and is left out: convert it before (deltatocumulative)",
            "metric name \"…\" has no character that Prometheus accepts: rename it in a processor, or choose a translation_strategy that keeps UTF-8",
            "h_count: left out, h has samples of that name: rename one of them",
            "same{}: comes from several sources, all but the first are left out (2 series of this name): add a label that tells them apart",
            "two: is a gauge already, the histogram of the same name is left out: rename one of them",
        ]
    );
}

#[test]
fn utf8_names_are_quoted_for_those_who_take_them() {
    let metrics = plain(vec![metric(
        "http.requests",
        "",
        gauge(vec![
            point(&[("http.method", "GET"), ("ok", "1")], 1.0),
            point(&[], 2.0),
        ]),
    )]);
    let translation = Translation {
        namer: Namer::new(TranslationStrategy::NoTranslation, ""),
        ..Translation::default()
    };
    let (page, _) = render_with(&translation, Format::TEXT, &metrics);
    assert!(
        page.contains("\nhttp_requests{http_method=\"GET\",ok=\"1\"} 1\n"),
        "{page}"
    );
    let mut headers = http::HeaderMap::new();
    headers.insert(
        http::header::ACCEPT,
        http::HeaderValue::from_static("text/plain;version=1.0.0;escaping=allow-utf-8"),
    );
    let (page, _) = render_with(&translation, Format::negotiate(&headers, true), &metrics);
    assert_eq!(
        page,
        "# HELP \"http.requests\" About http.requests\n\
         # TYPE \"http.requests\" gauge\n\
         {\"http.requests\"} 2\n\
         {\"http.requests\",\"http.method\"=\"GET\",ok=\"1\"} 1\n"
    );
}

#[test]
fn timestamps_only_when_asked_for() {
    let metrics = plain(vec![metric("a", "", gauge(vec![point(&[], 1.0)]))]);
    for (format, expected) in [
        (Format::TEXT, "a 1 1700000000123\n"),
        (Format::OPEN_METRICS, "a 1.0 1700000000.123\n# EOF\n"),
    ] {
        let translation = Translation::default();
        let mut page = Page::new(format).with_timestamps(true);
        translation.visit(&metrics, &mut page);
        let mut out = Vec::new();
        page.write(&mut out);
        assert!(String::from_utf8(out).unwrap().ends_with(expected));
    }
}

#[test]
fn ended_series_are_not_shown() {
    let mut ended = point(&[], 1.0);
    ended.flags = 1;
    let metrics = plain(vec![metric(
        "a",
        "",
        gauge(vec![ended, point(&[("b", "c")], 2.0)]),
    )]);
    assert!(text(&metrics).ends_with("gauge\na{b=\"c\"} 2\n"));
}

proptest! {
    #[test]
    fn any_telemetry_makes_a_page_of_whole_lines(
        names in proptest::collection::vec(any::<String>(), 1..5),
        labels in proptest::collection::vec((any::<String>(), any::<String>()), 0..4),
        value: f64,
        strategy in 0usize..4,
        open: bool,
    ) {
        let labels: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let metrics = plain(
            names
                .iter()
                .map(|name| metric(name, "s", gauge(vec![point(&labels, value)])))
                .collect(),
        );
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
        let format = if open { Format::OPEN_METRICS } else { Format::TEXT };
        let (page, report) = render_with(&translation, format, &metrics);
        let samples = page.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#'));
        prop_assert_eq!(samples.clone().count(), report.series);
        for sample in samples {
            let name = sample.split(['{', ' ']).next().unwrap_or_default();
            prop_assert!(corten_exposition::naming::is_legacy_metric(name), "{}", sample);
        }
    }
}
