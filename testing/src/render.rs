//! Metrics as text, for golden outputs.

use std::fmt::Write as _;

use corten_pdata::metrics::{Metric, MetricData, Number, NumberPoint, Temporality};
use corten_pdata::{AnyValue, Attributes, Metrics};

/// Gauges and sums as text: a line `# name: kind [unit]` for each metric (with its Prometheus type,
/// where it has one), a line `name{attributes} value` for each point, and a line for each resource
/// that has attributes. Integers are written without a decimal point, doubles with one. Times are
/// left out.
#[must_use]
pub fn render_metrics(metrics: &Metrics) -> String {
    let mut out = String::new();
    for resource in metrics.resources() {
        let attributes = resource.resource().attributes();
        if !attributes.is_empty() {
            line(&mut out, format_args!("resource{}", braces(attributes)));
        }
        for scope in resource.scopes() {
            for metric in scope.metrics() {
                render(&mut out, &metric);
            }
        }
    }
    out
}

fn render(out: &mut String, metric: &Metric<'_>) {
    let name = metric.name();
    let (kind, points): (String, Vec<NumberPoint<'_>>) = match metric.data() {
        MetricData::Gauge(gauge) => ("gauge".to_owned(), gauge.points().collect()),
        MetricData::Sum(sum) => {
            let temporality = match sum.temporality() {
                Temporality::Cumulative => "cumulative",
                Temporality::Delta => "delta",
                Temporality::Unspecified => "unspecified",
            };
            let monotonic = if sum.is_monotonic() { " monotonic" } else { "" };
            (
                format!("{temporality}{monotonic} sum"),
                sum.points().collect(),
            )
        }
        _ => ("neither gauge nor sum".to_owned(), Vec::new()),
    };
    let unit = match metric.unit() {
        "" => String::new(),
        unit => format!(" [{unit}]"),
    };
    let prometheus = metric
        .metadata()
        .get_str("prometheus.type")
        .map_or_else(String::new, |kind| format!(" ({kind})"));
    line(out, format_args!("# {name}: {kind}{unit}{prometheus}"));
    for point in points {
        let attributes = braces(point.attributes());
        match point.value() {
            Some(Number::Int(value)) => line(out, format_args!("{name}{attributes} {value}")),
            Some(Number::Double(value)) => line(out, format_args!("{name}{attributes} {value:?}")),
            None => line(out, format_args!("{name}{attributes} nothing")),
        }
    }
}

fn braces(attributes: Attributes<'_>) -> String {
    if attributes.is_empty() {
        return String::new();
    }
    let all: Vec<String> = attributes
        .iter()
        .map(|attribute| match attribute.value() {
            AnyValue::String(text) => format!("{}={text:?}", attribute.key()),
            other => format!("{}={other:?}", attribute.key()),
        })
        .collect();
    format!("{{{}}}", all.join(","))
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    match writeln!(out, "{text}") {
        // Writing to a string cannot fail.
        Ok(()) | Err(_) => {}
    }
}
