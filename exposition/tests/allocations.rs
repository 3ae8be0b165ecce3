//! In the steady state no metric takes memory of its own: a page ten times as large takes a few allocations more, of
//! buffers that grow by doubling.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use corten_exposition::{Format, Page, Translation};
use corten_pdata::Metrics;
use corten_pdata::model::ExportMetricsServiceRequest;
use corten_pdata::model::common::{AnyValue, KeyValue, any_value};
use corten_pdata::model::metrics::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};

fn kv(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

fn families(number: usize, declared: bool) -> Metrics {
    let metric = |number: usize| Metric {
        name: format!("some.metric_{number}"),
        unit: "s".to_owned(),
        description: "What it is about.".to_owned(),
        metadata: declared
            .then(|| kv("prometheus.type", "gauge"))
            .into_iter()
            .collect(),
        data: Some(Data::Gauge(Gauge {
            data_points: ["a", "b", "c"]
                .map(|device| NumberDataPoint {
                    attributes: vec![
                        kv(if declared { "device" } else { "device.name" }, device),
                        kv("mode", "x"),
                    ],
                    value: Some(number_data_point::Value::AsDouble(0.37)),
                    ..NumberDataPoint::default()
                })
                .into(),
        })),
    };
    let mut metrics: Vec<Metric> = (0..number).map(metric).collect();
    if declared {
        for metric in &mut metrics {
            metric.name = metric.name.replace('.', "_");
        }
    }
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

#[test]
fn a_metric_takes_no_memory() {
    for format in [Format::TEXT, Format::OPEN_METRICS, Format::PROTOBUF] {
        for declared in [true, false] {
            let translation = Translation::default();
            let mut out = Vec::with_capacity(1 << 20);
            let mut taken = |number: usize| {
                let metrics = families(number, declared);
                let mut render = || {
                    out.clear();
                    let mut page = Page::new(format);
                    translation.visit(&metrics, &mut page);
                    let report = page.write(&mut out);
                    assert_eq!((report.families, report.series), (number, 3 * number));
                };
                render();
                allocation_counter::measure(render).count_total
            };
            let (few, many) = (taken(30), taken(300));
            assert!(
                many <= few + 40,
                "{format:?}: {few} allocations for 30 families, {many} for 300"
            );
        }
    }
}
