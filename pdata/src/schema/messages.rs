//! The messages and enumerations themselves.

use super::{Enum, Kind, Message, attributes, either, many, one, optional};

/// `ExportLogsServiceRequest`.
pub static EXPORT_LOGS: Message = Message::new(
    "ExportLogsServiceRequest",
    &[many(
        1,
        "resource_logs",
        "resourceLogs",
        Kind::Message(&RESOURCE_LOGS),
    )],
)
.holds_items();

/// `ExportMetricsServiceRequest`.
pub static EXPORT_METRICS: Message = Message::new(
    "ExportMetricsServiceRequest",
    &[many(
        1,
        "resource_metrics",
        "resourceMetrics",
        Kind::Message(&RESOURCE_METRICS),
    )],
)
.holds_items();

/// `ExportTraceServiceRequest`.
pub static EXPORT_TRACES: Message = Message::new(
    "ExportTraceServiceRequest",
    &[many(
        1,
        "resource_spans",
        "resourceSpans",
        Kind::Message(&RESOURCE_SPANS),
    )],
)
.holds_items();

/// `AnyValue`.
pub static ANY_VALUE: Message = Message::new(
    "AnyValue",
    &[
        either(1, "string_value", "stringValue", Kind::String),
        either(2, "bool_value", "boolValue", Kind::Bool),
        either(3, "int_value", "intValue", Kind::Int64),
        either(4, "double_value", "doubleValue", Kind::Double),
        either(5, "array_value", "arrayValue", Kind::Message(&ARRAY_VALUE)),
        either(
            6,
            "kvlist_value",
            "kvlistValue",
            Kind::Message(&KEY_VALUE_LIST),
        ),
        either(7, "bytes_value", "bytesValue", Kind::Bytes),
        either(
            8,
            "string_value_strindex",
            "stringValueStrindex",
            Kind::Int32,
        ),
    ],
);

/// `ArrayValue`.
pub static ARRAY_VALUE: Message = Message::new(
    "ArrayValue",
    &[many(1, "values", "values", Kind::Message(&ANY_VALUE))],
);

/// `KeyValueList`.
pub static KEY_VALUE_LIST: Message =
    Message::new("KeyValueList", &[attributes(1, "values", "values")]);

/// `KeyValue`.
pub static KEY_VALUE: Message = Message::new(
    "KeyValue",
    &[
        one(1, "key", "key", Kind::String),
        one(2, "value", "value", Kind::Message(&ANY_VALUE)),
        one(3, "key_strindex", "keyStrindex", Kind::Int32),
    ],
);

/// `InstrumentationScope`.
pub static SCOPE: Message = Message::new(
    "InstrumentationScope",
    &[
        one(1, "name", "name", Kind::String),
        one(2, "version", "version", Kind::String),
        attributes(3, "attributes", "attributes"),
        one(
            4,
            "dropped_attributes_count",
            "droppedAttributesCount",
            Kind::Uint32,
        ),
    ],
);

/// `EntityRef`.
pub static ENTITY_REF: Message = Message::new(
    "EntityRef",
    &[
        one(1, "schema_url", "schemaUrl", Kind::String),
        one(2, "type", "type", Kind::String),
        many(3, "id_keys", "idKeys", Kind::String),
        many(4, "description_keys", "descriptionKeys", Kind::String),
    ],
);

/// `Resource`.
pub static RESOURCE: Message = Message::new(
    "Resource",
    &[
        attributes(1, "attributes", "attributes"),
        one(
            2,
            "dropped_attributes_count",
            "droppedAttributesCount",
            Kind::Uint32,
        ),
        many(3, "entity_refs", "entityRefs", Kind::Message(&ENTITY_REF)),
    ],
);

/// `ResourceLogs`.
pub static RESOURCE_LOGS: Message = Message::new(
    "ResourceLogs",
    &[
        one(1, "resource", "resource", Kind::Message(&RESOURCE)),
        many(2, "scope_logs", "scopeLogs", Kind::Message(&SCOPE_LOGS)),
        one(3, "schema_url", "schemaUrl", Kind::String),
    ],
)
.holds_items();

/// `ScopeLogs`.
pub static SCOPE_LOGS: Message = Message::new(
    "ScopeLogs",
    &[
        one(1, "scope", "scope", Kind::Message(&SCOPE)),
        many(2, "log_records", "logRecords", Kind::Message(&LOG_RECORD)),
        one(3, "schema_url", "schemaUrl", Kind::String),
    ],
)
.holds_items();

/// `LogRecord`.
pub static LOG_RECORD: Message = Message::new(
    "LogRecord",
    &[
        one(1, "time_unix_nano", "timeUnixNano", Kind::Fixed64),
        one(
            11,
            "observed_time_unix_nano",
            "observedTimeUnixNano",
            Kind::Fixed64,
        ),
        one(
            2,
            "severity_number",
            "severityNumber",
            Kind::Enum(&SEVERITY_NUMBER),
        ),
        one(3, "severity_text", "severityText", Kind::String),
        one(5, "body", "body", Kind::Message(&ANY_VALUE)),
        attributes(6, "attributes", "attributes"),
        one(
            7,
            "dropped_attributes_count",
            "droppedAttributesCount",
            Kind::Uint32,
        ),
        one(8, "flags", "flags", Kind::Fixed32),
        one(9, "trace_id", "traceId", Kind::Id),
        one(10, "span_id", "spanId", Kind::Id),
        one(12, "event_name", "eventName", Kind::String),
    ],
)
.item();

/// `ResourceSpans`.
pub static RESOURCE_SPANS: Message = Message::new(
    "ResourceSpans",
    &[
        one(1, "resource", "resource", Kind::Message(&RESOURCE)),
        many(2, "scope_spans", "scopeSpans", Kind::Message(&SCOPE_SPANS)),
        one(3, "schema_url", "schemaUrl", Kind::String),
    ],
)
.holds_items();

/// `ScopeSpans`.
pub static SCOPE_SPANS: Message = Message::new(
    "ScopeSpans",
    &[
        one(1, "scope", "scope", Kind::Message(&SCOPE)),
        many(2, "spans", "spans", Kind::Message(&SPAN)),
        one(3, "schema_url", "schemaUrl", Kind::String),
    ],
)
.holds_items();

/// `Span`.
pub static SPAN: Message = Message::new(
    "Span",
    &[
        one(1, "trace_id", "traceId", Kind::Id),
        one(2, "span_id", "spanId", Kind::Id),
        one(3, "trace_state", "traceState", Kind::String),
        one(4, "parent_span_id", "parentSpanId", Kind::Id),
        one(16, "flags", "flags", Kind::Fixed32),
        one(5, "name", "name", Kind::String),
        one(6, "kind", "kind", Kind::Enum(&SPAN_KIND)),
        one(
            7,
            "start_time_unix_nano",
            "startTimeUnixNano",
            Kind::Fixed64,
        ),
        one(8, "end_time_unix_nano", "endTimeUnixNano", Kind::Fixed64),
        attributes(9, "attributes", "attributes"),
        one(
            10,
            "dropped_attributes_count",
            "droppedAttributesCount",
            Kind::Uint32,
        ),
        many(11, "events", "events", Kind::Message(&SPAN_EVENT)),
        one(
            12,
            "dropped_events_count",
            "droppedEventsCount",
            Kind::Uint32,
        ),
        many(13, "links", "links", Kind::Message(&SPAN_LINK)),
        one(14, "dropped_links_count", "droppedLinksCount", Kind::Uint32),
        one(15, "status", "status", Kind::Message(&STATUS)),
    ],
)
.item();

/// `Span.Event`.
pub static SPAN_EVENT: Message = Message::new(
    "Event",
    &[
        one(1, "time_unix_nano", "timeUnixNano", Kind::Fixed64),
        one(2, "name", "name", Kind::String),
        attributes(3, "attributes", "attributes"),
        one(
            4,
            "dropped_attributes_count",
            "droppedAttributesCount",
            Kind::Uint32,
        ),
    ],
);

/// `Span.Link`.
pub static SPAN_LINK: Message = Message::new(
    "Link",
    &[
        one(1, "trace_id", "traceId", Kind::Id),
        one(2, "span_id", "spanId", Kind::Id),
        one(3, "trace_state", "traceState", Kind::String),
        attributes(4, "attributes", "attributes"),
        one(
            5,
            "dropped_attributes_count",
            "droppedAttributesCount",
            Kind::Uint32,
        ),
        one(6, "flags", "flags", Kind::Fixed32),
    ],
);

/// `Status` of a span.
pub static STATUS: Message = Message::new(
    "Status",
    &[
        one(2, "message", "message", Kind::String),
        one(3, "code", "code", Kind::Enum(&STATUS_CODE)),
    ],
);

/// `ResourceMetrics`.
pub static RESOURCE_METRICS: Message = Message::new(
    "ResourceMetrics",
    &[
        one(1, "resource", "resource", Kind::Message(&RESOURCE)),
        many(
            2,
            "scope_metrics",
            "scopeMetrics",
            Kind::Message(&SCOPE_METRICS),
        ),
        one(3, "schema_url", "schemaUrl", Kind::String),
    ],
)
.holds_items();

/// `ScopeMetrics`.
pub static SCOPE_METRICS: Message = Message::new(
    "ScopeMetrics",
    &[
        one(1, "scope", "scope", Kind::Message(&SCOPE)),
        many(2, "metrics", "metrics", Kind::Message(&METRIC)),
        one(3, "schema_url", "schemaUrl", Kind::String),
    ],
)
.holds_items();

/// `Metric`.
pub static METRIC: Message = Message::new(
    "Metric",
    &[
        one(1, "name", "name", Kind::String),
        one(2, "description", "description", Kind::String),
        one(3, "unit", "unit", Kind::String),
        either(5, "gauge", "gauge", Kind::Message(&GAUGE)),
        either(7, "sum", "sum", Kind::Message(&SUM)),
        either(9, "histogram", "histogram", Kind::Message(&HISTOGRAM)),
        either(
            10,
            "exponential_histogram",
            "exponentialHistogram",
            Kind::Message(&EXPONENTIAL_HISTOGRAM),
        ),
        either(11, "summary", "summary", Kind::Message(&SUMMARY)),
        attributes(12, "metadata", "metadata"),
    ],
)
.holds_items();

/// `Gauge`.
pub static GAUGE: Message = Message::new(
    "Gauge",
    &[many(
        1,
        "data_points",
        "dataPoints",
        Kind::Message(&NUMBER_POINT),
    )],
)
.holds_items();

/// `Sum`.
pub static SUM: Message = Message::new(
    "Sum",
    &[
        many(1, "data_points", "dataPoints", Kind::Message(&NUMBER_POINT)),
        one(
            2,
            "aggregation_temporality",
            "aggregationTemporality",
            Kind::Enum(&TEMPORALITY),
        ),
        one(3, "is_monotonic", "isMonotonic", Kind::Bool),
    ],
)
.holds_items();

/// `Histogram`.
pub static HISTOGRAM: Message = Message::new(
    "Histogram",
    &[
        many(
            1,
            "data_points",
            "dataPoints",
            Kind::Message(&HISTOGRAM_POINT),
        ),
        one(
            2,
            "aggregation_temporality",
            "aggregationTemporality",
            Kind::Enum(&TEMPORALITY),
        ),
    ],
)
.holds_items();

/// `ExponentialHistogram`.
pub static EXPONENTIAL_HISTOGRAM: Message = Message::new(
    "ExponentialHistogram",
    &[
        many(
            1,
            "data_points",
            "dataPoints",
            Kind::Message(&EXPONENTIAL_HISTOGRAM_POINT),
        ),
        one(
            2,
            "aggregation_temporality",
            "aggregationTemporality",
            Kind::Enum(&TEMPORALITY),
        ),
    ],
)
.holds_items();

/// `Summary`.
pub static SUMMARY: Message = Message::new(
    "Summary",
    &[many(
        1,
        "data_points",
        "dataPoints",
        Kind::Message(&SUMMARY_POINT),
    )],
)
.holds_items();

/// `NumberDataPoint`.
pub static NUMBER_POINT: Message = Message::new(
    "NumberDataPoint",
    &[
        attributes(7, "attributes", "attributes"),
        one(
            2,
            "start_time_unix_nano",
            "startTimeUnixNano",
            Kind::Fixed64,
        ),
        one(3, "time_unix_nano", "timeUnixNano", Kind::Fixed64),
        either(4, "as_double", "asDouble", Kind::Double),
        either(6, "as_int", "asInt", Kind::Sfixed64),
        many(5, "exemplars", "exemplars", Kind::Message(&EXEMPLAR)),
        one(8, "flags", "flags", Kind::Uint32),
    ],
)
.item();

/// `HistogramDataPoint`.
pub static HISTOGRAM_POINT: Message = Message::new(
    "HistogramDataPoint",
    &[
        attributes(9, "attributes", "attributes"),
        one(
            2,
            "start_time_unix_nano",
            "startTimeUnixNano",
            Kind::Fixed64,
        ),
        one(3, "time_unix_nano", "timeUnixNano", Kind::Fixed64),
        one(4, "count", "count", Kind::Fixed64),
        optional(5, "sum", "sum", Kind::Double),
        many(6, "bucket_counts", "bucketCounts", Kind::Fixed64),
        many(7, "explicit_bounds", "explicitBounds", Kind::Double),
        many(8, "exemplars", "exemplars", Kind::Message(&EXEMPLAR)),
        one(10, "flags", "flags", Kind::Uint32),
        optional(11, "min", "min", Kind::Double),
        optional(12, "max", "max", Kind::Double),
    ],
)
.item();

/// `ExponentialHistogramDataPoint`.
pub static EXPONENTIAL_HISTOGRAM_POINT: Message = Message::new(
    "ExponentialHistogramDataPoint",
    &[
        attributes(1, "attributes", "attributes"),
        one(
            2,
            "start_time_unix_nano",
            "startTimeUnixNano",
            Kind::Fixed64,
        ),
        one(3, "time_unix_nano", "timeUnixNano", Kind::Fixed64),
        one(4, "count", "count", Kind::Fixed64),
        optional(5, "sum", "sum", Kind::Double),
        one(6, "scale", "scale", Kind::Sint32),
        one(7, "zero_count", "zeroCount", Kind::Fixed64),
        one(8, "positive", "positive", Kind::Message(&BUCKETS)),
        one(9, "negative", "negative", Kind::Message(&BUCKETS)),
        one(10, "flags", "flags", Kind::Uint32),
        many(11, "exemplars", "exemplars", Kind::Message(&EXEMPLAR)),
        optional(12, "min", "min", Kind::Double),
        optional(13, "max", "max", Kind::Double),
        one(14, "zero_threshold", "zeroThreshold", Kind::Double),
    ],
)
.item();

/// `ExponentialHistogramDataPoint.Buckets`.
pub static BUCKETS: Message = Message::new(
    "Buckets",
    &[
        one(1, "offset", "offset", Kind::Sint32),
        many(2, "bucket_counts", "bucketCounts", Kind::Uint64),
    ],
);

/// `SummaryDataPoint`.
pub static SUMMARY_POINT: Message = Message::new(
    "SummaryDataPoint",
    &[
        attributes(7, "attributes", "attributes"),
        one(
            2,
            "start_time_unix_nano",
            "startTimeUnixNano",
            Kind::Fixed64,
        ),
        one(3, "time_unix_nano", "timeUnixNano", Kind::Fixed64),
        one(4, "count", "count", Kind::Fixed64),
        one(5, "sum", "sum", Kind::Double),
        many(
            6,
            "quantile_values",
            "quantileValues",
            Kind::Message(&VALUE_AT_QUANTILE),
        ),
        one(8, "flags", "flags", Kind::Uint32),
    ],
)
.item();

/// `SummaryDataPoint.ValueAtQuantile`.
pub static VALUE_AT_QUANTILE: Message = Message::new(
    "ValueAtQuantile",
    &[
        one(1, "quantile", "quantile", Kind::Double),
        one(2, "value", "value", Kind::Double),
    ],
);

/// `Exemplar`.
pub static EXEMPLAR: Message = Message::new(
    "Exemplar",
    &[
        attributes(7, "filtered_attributes", "filteredAttributes"),
        one(2, "time_unix_nano", "timeUnixNano", Kind::Fixed64),
        either(3, "as_double", "asDouble", Kind::Double),
        either(6, "as_int", "asInt", Kind::Sfixed64),
        one(4, "span_id", "spanId", Kind::Id),
        one(5, "trace_id", "traceId", Kind::Id),
    ],
);

/// `SeverityNumber`.
pub static SEVERITY_NUMBER: Enum = Enum {
    name: "SeverityNumber",
    values: &[
        "SEVERITY_NUMBER_UNSPECIFIED",
        "SEVERITY_NUMBER_TRACE",
        "SEVERITY_NUMBER_TRACE2",
        "SEVERITY_NUMBER_TRACE3",
        "SEVERITY_NUMBER_TRACE4",
        "SEVERITY_NUMBER_DEBUG",
        "SEVERITY_NUMBER_DEBUG2",
        "SEVERITY_NUMBER_DEBUG3",
        "SEVERITY_NUMBER_DEBUG4",
        "SEVERITY_NUMBER_INFO",
        "SEVERITY_NUMBER_INFO2",
        "SEVERITY_NUMBER_INFO3",
        "SEVERITY_NUMBER_INFO4",
        "SEVERITY_NUMBER_WARN",
        "SEVERITY_NUMBER_WARN2",
        "SEVERITY_NUMBER_WARN3",
        "SEVERITY_NUMBER_WARN4",
        "SEVERITY_NUMBER_ERROR",
        "SEVERITY_NUMBER_ERROR2",
        "SEVERITY_NUMBER_ERROR3",
        "SEVERITY_NUMBER_ERROR4",
        "SEVERITY_NUMBER_FATAL",
        "SEVERITY_NUMBER_FATAL2",
        "SEVERITY_NUMBER_FATAL3",
        "SEVERITY_NUMBER_FATAL4",
    ],
};

/// `Span.SpanKind`.
pub static SPAN_KIND: Enum = Enum {
    name: "SpanKind",
    values: &[
        "SPAN_KIND_UNSPECIFIED",
        "SPAN_KIND_INTERNAL",
        "SPAN_KIND_SERVER",
        "SPAN_KIND_CLIENT",
        "SPAN_KIND_PRODUCER",
        "SPAN_KIND_CONSUMER",
    ],
};

/// `Status.StatusCode`.
pub static STATUS_CODE: Enum = Enum {
    name: "StatusCode",
    values: &["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"],
};

/// `AggregationTemporality`.
pub static TEMPORALITY: Enum = Enum {
    name: "AggregationTemporality",
    values: &[
        "AGGREGATION_TEMPORALITY_UNSPECIFIED",
        "AGGREGATION_TEMPORALITY_DELTA",
        "AGGREGATION_TEMPORALITY_CUMULATIVE",
    ],
};
