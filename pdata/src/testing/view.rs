//! The owned model, filled by cursors alone: what it is compared with was filled by prost.

use crate::attributes::{AnyValue, Attributes, Resource, Scope};
use crate::cursor::{Cursor, Messages};
use crate::metrics::{Buckets, Exemplar, MetricData, Number, Temporality};
use crate::model::common::{self, any_value};
use crate::model::metrics::{
    exemplar, exponential_histogram_data_point as exponential, metric, number_data_point,
    summary_data_point,
};
use crate::model::trace::span;
use crate::model::{self, logs, metrics, resource, trace};
use crate::rope::{Logs, Metrics, Traces};
use crate::wire::{Fields, low32};

fn owned(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

/// The references into string tables, which only profiles use and no cursor shows.
fn strindex(raw: &[u8], number: u32) -> i32 {
    Fields::new(raw)
        .filter(|field| field.number == number)
        .last()
        .map_or(0, |field| low32(field.value.number()).cast_signed())
}

fn any_value(raw: &[u8]) -> common::AnyValue {
    let value = match AnyValue::new(raw) {
        AnyValue::Empty => Fields::new(raw)
            .any(|field| field.number == 8)
            .then(|| any_value::Value::StringValueStrindex(strindex(raw, 8))),
        AnyValue::String(text) => Some(any_value::Value::StringValue(text.to_owned())),
        AnyValue::Bool(value) => Some(any_value::Value::BoolValue(value)),
        AnyValue::Int(value) => Some(any_value::Value::IntValue(value)),
        AnyValue::Double(value) => Some(any_value::Value::DoubleValue(value)),
        AnyValue::Bytes(bytes) => Some(any_value::Value::BytesValue(owned(bytes))),
        AnyValue::Array(array) => {
            let raws = Fields::new(array.raw()).filter(|field| field.number == 1);
            let values: Vec<_> = raws.map(|field| any_value(field.value.bytes())).collect();
            assert_eq!(values.len(), array.iter().count());
            Some(any_value::Value::ArrayValue(common::ArrayValue { values }))
        }
        AnyValue::KvList(entries) => Some(any_value::Value::KvlistValue(common::KeyValueList {
            values: attributes(entries),
        })),
    };
    common::AnyValue { value }
}

fn attributes(attributes: Attributes<'_>) -> Vec<common::KeyValue> {
    assert_eq!(
        attributes.count(),
        attributes.iter().map(|_| 1).sum::<usize>()
    );
    let list: Vec<_> = attributes
        .iter()
        .map(|attribute| common::KeyValue {
            key: attribute.key().to_owned(),
            value: attribute
                .has_value()
                .then(|| any_value(attribute.value_raw())),
            key_strindex: strindex(attribute.raw(), 3),
        })
        .collect();
    for attribute in &list {
        assert!(attributes.get(&attribute.key).is_some());
    }
    list
}

fn resource_model(resource: Resource<'_>) -> resource::Resource {
    resource::Resource {
        attributes: attributes(resource.attributes()),
        dropped_attributes_count: resource.dropped_attributes_count(),
        entity_refs: resource
            .entity_refs()
            .map(|entity| common::EntityRef {
                schema_url: entity.schema_url().to_owned(),
                r#type: entity.entity_type().to_owned(),
                id_keys: entity.id_keys().map(str::to_owned).collect(),
                description_keys: entity.description_keys().map(str::to_owned).collect(),
            })
            .collect(),
    }
}

fn scope_model(scope: Scope<'_>) -> common::InstrumentationScope {
    common::InstrumentationScope {
        name: scope.name().to_owned(),
        version: scope.version().to_owned(),
        attributes: attributes(scope.attributes()),
        dropped_attributes_count: scope.dropped_attributes_count(),
    }
}

/// Cursors do not tell a missing resource or scope from an empty one.
fn has_first(raw: &[u8]) -> bool {
    Fields::new(raw).any(|field| field.number == 1)
}

/// Logs as their cursors show them.
#[must_use]
pub fn logs_model(rope: &Logs) -> model::ExportLogsServiceRequest {
    let resource_logs = rope.resources().map(|resource| logs::ResourceLogs {
        resource: has_first(resource.raw()).then(|| resource_model(resource.resource())),
        schema_url: resource.schema_url().to_owned(),
        scope_logs: resource
            .scopes()
            .map(|scope| logs::ScopeLogs {
                scope: has_first(scope.raw()).then(|| scope_model(scope.scope())),
                schema_url: scope.schema_url().to_owned(),
                log_records: scope.records().map(log_record).collect(),
            })
            .collect(),
    });
    model::ExportLogsServiceRequest {
        resource_logs: resource_logs.collect(),
    }
}

fn log_record(record: crate::logs::LogRecord<'_>) -> logs::LogRecord {
    if let Some(AnyValue::String(text)) = record.body() {
        assert_eq!(
            AnyValue::string_bytes(record.body_raw()),
            Some(text.as_bytes())
        );
    }
    logs::LogRecord {
        time_unix_nano: record.time_unix_nano(),
        observed_time_unix_nano: record.observed_time_unix_nano(),
        severity_number: record.severity_number(),
        severity_text: record.severity_text().to_owned(),
        body: record.body().map(|_| any_value(record.body_raw())),
        attributes: attributes(record.attributes()),
        dropped_attributes_count: record.dropped_attributes_count(),
        flags: record.flags(),
        trace_id: owned(record.trace_id()),
        span_id: owned(record.span_id()),
        event_name: record.event_name().to_owned(),
    }
}

/// Traces as their cursors show them.
#[must_use]
pub fn traces_model(rope: &Traces) -> model::ExportTraceServiceRequest {
    let resource_spans = rope.resources().map(|resource| trace::ResourceSpans {
        resource: has_first(resource.raw()).then(|| resource_model(resource.resource())),
        schema_url: resource.schema_url().to_owned(),
        scope_spans: resource
            .scopes()
            .map(|scope| trace::ScopeSpans {
                scope: has_first(scope.raw()).then(|| scope_model(scope.scope())),
                schema_url: scope.schema_url().to_owned(),
                spans: scope.spans().map(span_model).collect(),
            })
            .collect(),
    });
    model::ExportTraceServiceRequest {
        resource_spans: resource_spans.collect(),
    }
}

fn span_model(span: crate::traces::Span<'_>) -> trace::Span {
    trace::Span {
        trace_id: owned(span.trace_id()),
        span_id: owned(span.span_id()),
        trace_state: span.trace_state().to_owned(),
        parent_span_id: owned(span.parent_span_id()),
        flags: span.flags(),
        name: span.name().to_owned(),
        kind: span.kind(),
        start_time_unix_nano: span.start_time_unix_nano(),
        end_time_unix_nano: span.end_time_unix_nano(),
        attributes: attributes(span.attributes()),
        dropped_attributes_count: span.dropped_attributes_count(),
        events: span
            .events()
            .map(|event| span::Event {
                time_unix_nano: event.time_unix_nano(),
                name: event.name().to_owned(),
                attributes: attributes(event.attributes()),
                dropped_attributes_count: event.dropped_attributes_count(),
            })
            .collect(),
        dropped_events_count: span.dropped_events_count(),
        links: span
            .links()
            .map(|link| span::Link {
                trace_id: owned(link.trace_id()),
                span_id: owned(link.span_id()),
                trace_state: link.trace_state().to_owned(),
                attributes: attributes(link.attributes()),
                dropped_attributes_count: link.dropped_attributes_count(),
                flags: link.flags(),
            })
            .collect(),
        dropped_links_count: span.dropped_links_count(),
        status: span.status().map(|status| trace::Status {
            message: status.message().to_owned(),
            code: status.code(),
        }),
    }
}

/// Metrics as their cursors show them.
#[must_use]
pub fn metrics_model(rope: &Metrics) -> model::ExportMetricsServiceRequest {
    let resource_metrics = rope.resources().map(|resource| metrics::ResourceMetrics {
        resource: has_first(resource.raw()).then(|| resource_model(resource.resource())),
        schema_url: resource.schema_url().to_owned(),
        scope_metrics: resource
            .scopes()
            .map(|scope| metrics::ScopeMetrics {
                scope: has_first(scope.raw()).then(|| scope_model(scope.scope())),
                schema_url: scope.schema_url().to_owned(),
                metrics: scope.metrics().map(metric_model).collect(),
            })
            .collect(),
    });
    model::ExportMetricsServiceRequest {
        resource_metrics: resource_metrics.collect(),
    }
}

/// The number of a temporality; the cursor folds what it does not know into one.
fn temporality(raw: &[u8], seen: Temporality) -> i32 {
    let number = strindex(raw, 2);
    let expected = match number {
        1 => Temporality::Delta,
        2 => Temporality::Cumulative,
        _ => Temporality::Unspecified,
    };
    assert_eq!(seen, expected);
    number
}

fn metric_model(metric: crate::metrics::Metric<'_>) -> metrics::Metric {
    let data = match metric.data() {
        MetricData::Empty => None,
        MetricData::Gauge(gauge) => Some(metric::Data::Gauge(metrics::Gauge {
            data_points: gauge.points().map(number_point).collect(),
        })),
        MetricData::Sum(sum) => Some(metric::Data::Sum(metrics::Sum {
            data_points: sum.points().map(number_point).collect(),
            aggregation_temporality: temporality(sum.raw(), sum.temporality()),
            is_monotonic: sum.is_monotonic(),
        })),
        MetricData::Histogram(histogram) => Some(metric::Data::Histogram(metrics::Histogram {
            data_points: histogram.points().map(histogram_point).collect(),
            aggregation_temporality: temporality(histogram.raw(), histogram.temporality()),
        })),
        MetricData::ExponentialHistogram(histogram) => Some(metric::Data::ExponentialHistogram(
            metrics::ExponentialHistogram {
                data_points: histogram.points().map(exponential_point).collect(),
                aggregation_temporality: temporality(histogram.raw(), histogram.temporality()),
            },
        )),
        MetricData::Summary(summary) => Some(metric::Data::Summary(metrics::Summary {
            data_points: summary.points().map(summary_point).collect(),
        })),
    };
    metrics::Metric {
        name: metric.name().to_owned(),
        description: metric.description().to_owned(),
        unit: metric.unit().to_owned(),
        metadata: attributes(metric.metadata()),
        data,
    }
}

fn number_point(point: crate::metrics::NumberPoint<'_>) -> metrics::NumberDataPoint {
    metrics::NumberDataPoint {
        attributes: attributes(point.attributes()),
        start_time_unix_nano: point.start_time_unix_nano(),
        time_unix_nano: point.time_unix_nano(),
        exemplars: exemplars(point.exemplars()),
        flags: point.flags(),
        value: point.value().map(|value| match value {
            Number::Int(value) => number_data_point::Value::AsInt(value),
            Number::Double(value) => number_data_point::Value::AsDouble(value),
        }),
    }
}

fn histogram_point(point: crate::metrics::HistogramPoint<'_>) -> metrics::HistogramDataPoint {
    metrics::HistogramDataPoint {
        attributes: attributes(point.attributes()),
        start_time_unix_nano: point.start_time_unix_nano(),
        time_unix_nano: point.time_unix_nano(),
        count: point.count(),
        sum: point.sum(),
        bucket_counts: point.bucket_counts().collect(),
        explicit_bounds: point.explicit_bounds().collect(),
        exemplars: exemplars(point.exemplars()),
        flags: point.flags(),
        min: point.min(),
        max: point.max(),
    }
}

fn exponential_point(
    point: crate::metrics::ExponentialHistogramPoint<'_>,
) -> metrics::ExponentialHistogramDataPoint {
    let buckets = |buckets: Buckets<'_>| exponential::Buckets {
        offset: buckets.offset(),
        bucket_counts: buckets.bucket_counts().collect(),
    };
    metrics::ExponentialHistogramDataPoint {
        attributes: attributes(point.attributes()),
        start_time_unix_nano: point.start_time_unix_nano(),
        time_unix_nano: point.time_unix_nano(),
        count: point.count(),
        sum: point.sum(),
        scale: point.scale(),
        zero_count: point.zero_count(),
        positive: point.positive().map(buckets),
        negative: point.negative().map(buckets),
        flags: point.flags(),
        exemplars: exemplars(point.exemplars()),
        min: point.min(),
        max: point.max(),
        zero_threshold: point.zero_threshold(),
    }
}

fn summary_point(point: crate::metrics::SummaryPoint<'_>) -> metrics::SummaryDataPoint {
    metrics::SummaryDataPoint {
        attributes: attributes(point.attributes()),
        start_time_unix_nano: point.start_time_unix_nano(),
        time_unix_nano: point.time_unix_nano(),
        count: point.count(),
        sum: point.sum(),
        quantile_values: point
            .quantile_values()
            .map(|quantile| summary_data_point::ValueAtQuantile {
                quantile: quantile.quantile(),
                value: quantile.value(),
            })
            .collect(),
        flags: point.flags(),
    }
}

fn exemplars<'a>(exemplars: Messages<'a, Exemplar<'a>>) -> Vec<metrics::Exemplar> {
    exemplars
        .map(|exemplar| metrics::Exemplar {
            filtered_attributes: attributes(exemplar.filtered_attributes()),
            time_unix_nano: exemplar.time_unix_nano(),
            span_id: owned(exemplar.span_id()),
            trace_id: owned(exemplar.trace_id()),
            value: exemplar.value().map(|value| match value {
                Number::Int(value) => exemplar::Value::AsInt(value),
                Number::Double(value) => exemplar::Value::AsDouble(value),
            }),
        })
        .collect()
}
