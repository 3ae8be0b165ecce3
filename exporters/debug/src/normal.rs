//! A line an item.

use corten_pdata::metrics::MetricData;
use corten_pdata::{AnyValue, Attributes, Data, Logs, Metrics, Resource, Scope, Traces};

/// The batch as text: a line for each resource and scope, then one for each item.
pub(crate) fn render(data: &Data) -> String {
    let mut out = String::new();
    match data {
        Data::Logs(logs) => render_logs(&mut out, logs),
        Data::Metrics(metrics) => render_metrics(&mut out, metrics),
        Data::Traces(traces) => render_traces(&mut out, traces),
    }
    out
}

fn render_logs(out: &mut String, logs: &Logs) {
    for (number, resource) in logs.resources().enumerate() {
        resource_line(
            out,
            "ResourceLog",
            number,
            resource.schema_url(),
            resource.resource(),
        );
        for (number, scope) in resource.scopes().enumerate() {
            scope_line(out, "ScopeLog", number, scope.schema_url(), scope.scope());
            for record in scope.records() {
                record.body().unwrap_or(AnyValue::Empty).write_text(out);
                attributes(out, record.attributes());
                out.push('\n');
            }
        }
    }
}

fn render_traces(out: &mut String, traces: &Traces) {
    for (number, resource) in traces.resources().enumerate() {
        resource_line(
            out,
            "ResourceTrace",
            number,
            resource.schema_url(),
            resource.resource(),
        );
        for (number, scope) in resource.scopes().enumerate() {
            scope_line(out, "ScopeTrace", number, scope.schema_url(), scope.scope());
            for span in scope.spans() {
                out.push_str(span.name());
                out.push(' ');
                hexadecimal(out, span.trace_id());
                out.push(' ');
                hexadecimal(out, span.span_id());
                attributes(out, span.attributes());
                out.push('\n');
            }
        }
    }
}

fn render_metrics(out: &mut String, metrics: &Metrics) {
    for (number, resource) in metrics.resources().enumerate() {
        resource_line(
            out,
            "ResourceMetric",
            number,
            resource.schema_url(),
            resource.resource(),
        );
        for (number, scope) in resource.scopes().enumerate() {
            scope_line(
                out,
                "ScopeMetric",
                number,
                scope.schema_url(),
                scope.scope(),
            );
            for metric in scope.metrics() {
                let name = metric.name();
                match metric.data() {
                    MetricData::Empty => {}
                    MetricData::Gauge(gauge) => gauge
                        .points()
                        .for_each(|point| line(out, name, point.attributes(), &point.value())),
                    MetricData::Sum(sum) => sum
                        .points()
                        .for_each(|point| line(out, name, point.attributes(), &point.value())),
                    MetricData::Histogram(histogram) => histogram.points().for_each(|point| {
                        let value = format_args!("count={} sum={:?}", point.count(), point.sum());
                        line(out, name, point.attributes(), &value);
                    }),
                    MetricData::ExponentialHistogram(histogram) => {
                        histogram.points().for_each(|point| {
                            let value =
                                format_args!("count={} sum={:?}", point.count(), point.sum());
                            line(out, name, point.attributes(), &value);
                        });
                    }
                    MetricData::Summary(summary) => summary.points().for_each(|point| {
                        let value = format_args!("count={} sum={:?}", point.count(), point.sum());
                        line(out, name, point.attributes(), &value);
                    }),
                }
            }
        }
    }
}

fn line(out: &mut String, name: &str, labels: Attributes<'_>, value: &dyn std::fmt::Debug) {
    out.push_str(name);
    out.push('{');
    for (number, attribute) in labels.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        pair(out, attribute.key(), attribute.value());
    }
    *out += &format!("}} {value:?}\n");
}

fn resource_line(out: &mut String, what: &str, number: usize, url: &str, resource: Resource<'_>) {
    *out += &format!("{what} #{number}");
    schema(out, url);
    attributes(out, resource.attributes());
    out.push('\n');
}

fn scope_line(out: &mut String, what: &str, number: usize, url: &str, scope: Scope<'_>) {
    *out += &format!("{what} #{number}");
    if !scope.name().is_empty() {
        *out += &format!(" {}", scope.name());
        if !scope.version().is_empty() {
            *out += &format!("@{}", scope.version());
        }
    }
    schema(out, url);
    attributes(out, scope.attributes());
    out.push('\n');
}

fn schema(out: &mut String, url: &str) {
    if !url.is_empty() {
        *out += &format!(" [{url}]");
    }
}

fn attributes(out: &mut String, attributes: Attributes<'_>) {
    for attribute in attributes.iter() {
        out.push(' ');
        pair(out, attribute.key(), attribute.value());
    }
}

fn pair(out: &mut String, key: &str, value: AnyValue<'_>) {
    out.push_str(key);
    out.push('=');
    value.write_text(out);
}

fn hexadecimal(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        *out += &format!("{byte:02x}");
    }
}
