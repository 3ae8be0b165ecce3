//! Rendering a node's page, against the floor of copying as many bytes.
#![allow(clippy::unwrap_used, reason = "a benchmark may fail loudly")]

use std::hint::black_box;

use corten_exposition::{Encoding, Format, Page, Translation};
use corten_pdata::Metrics;
use corten_pdata::model::ExportMetricsServiceRequest;
use corten_pdata::model::common::{AnyValue, KeyValue, any_value};
use corten_pdata::model::metrics::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};
use divan::Bencher;

fn main() {
    divan::main();
}

fn kv(key: &str, value: String) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value)),
        }),
        ..KeyValue::default()
    }
}

/// 250 families and 618 series, as a machine with eight processors has them.
fn node(declared: bool) -> Metrics {
    let family = |name: String, series: u32, labels: &[&str]| Metric {
        description: format!("What {name} is about, in a sentence of common length."),
        name,
        metadata: if declared {
            vec![kv("prometheus.type", "gauge".to_owned())]
        } else {
            Vec::new()
        },
        data: Some(Data::Gauge(Gauge {
            data_points: (0..series)
                .map(|number| NumberDataPoint {
                    attributes: labels
                        .iter()
                        .map(|label| kv(label, format!("{label}-{}", number % 64)))
                        .chain((!labels.is_empty()).then(|| kv("number", number.to_string())))
                        .collect(),
                    time_unix_nano: 1_700_000_000_000_000_000,
                    value: Some(number_data_point::Value::AsDouble(
                        f64::from(number) * 1_234.567 + 0.25,
                    )),
                    ..NumberDataPoint::default()
                })
                .collect(),
        })),
        ..Metric::default()
    };
    let mut metrics: Vec<Metric> = (0..200)
        .map(|number| family(format!("node_vmstat_number_{number}"), 1, &[]))
        .collect();
    metrics.push(family(
        "node_cpu_seconds_total".to_owned(),
        64,
        &["cpu", "mode"],
    ));
    metrics
        .extend((0..18).map(|number| family(format!("node_disk_{number}_total"), 3, &["device"])));
    metrics.extend((0..31).map(|number| {
        family(
            format!("node_network_{number}_total"),
            10,
            &["device", "address"],
        )
    }));
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

fn render(metrics: &Metrics, translation: &Translation, out: &mut Vec<u8>) {
    render_as(Format::TEXT, metrics, translation, out);
}

fn render_as(format: Format, metrics: &Metrics, translation: &Translation, out: &mut Vec<u8>) {
    out.clear();
    let mut page = Page::new(format);
    translation.visit(metrics, &mut page);
    black_box(page.write(out));
}

fn rendered() -> Vec<u8> {
    let mut out = Vec::new();
    render(&node(true), &Translation::default(), &mut out);
    out
}

#[divan::bench]
fn node_page(bencher: Bencher<'_, '_>) {
    let (metrics, translation) = (node(true), Translation::default());
    let mut out = Vec::new();
    bencher.bench_local(|| render(&metrics, &translation, &mut out));
}

#[divan::bench]
fn node_page_open_metrics(bencher: Bencher<'_, '_>) {
    let (metrics, translation) = (node(true), Translation::default());
    let mut out = Vec::new();
    bencher.bench_local(|| render_as(Format::OPEN_METRICS, &metrics, &translation, &mut out));
}

#[divan::bench]
fn node_page_protobuf(bencher: Bencher<'_, '_>) {
    let (metrics, translation) = (node(true), Translation::default());
    let mut out = Vec::new();
    bencher.bench_local(|| render_as(Format::PROTOBUF, &metrics, &translation, &mut out));
}

#[divan::bench]
fn node_page_with_names_translated(bencher: Bencher<'_, '_>) {
    let (metrics, translation) = (node(false), Translation::default());
    let mut out = Vec::new();
    bencher.bench_local(|| render(&metrics, &translation, &mut out));
}

#[divan::bench]
fn floor_copying_the_page(bencher: Bencher<'_, '_>) {
    let page = rendered();
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        out.extend_from_slice(black_box(&page));
    });
}

#[divan::bench]
fn gzip(bencher: Bencher<'_, '_>) {
    let page = rendered();
    bencher
        .with_inputs(|| page.clone())
        .bench_local_values(|page| Encoding::Gzip.encode(page));
}

#[divan::bench]
fn zstd(bencher: Bencher<'_, '_>) {
    let page = rendered();
    bencher
        .with_inputs(|| page.clone())
        .bench_local_values(|page| Encoding::Zstd.encode(page));
}
