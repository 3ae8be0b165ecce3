use crate::Data;
use crate::build::{LogsBuilder, MetricsBuilder, OwnedValue, TracesBuilder};
use crate::metrics::Temporality;
use crate::text::write_detailed;

fn text(data: impl Into<Data>) -> String {
    let mut out = String::new();
    write_detailed(&data.into(), &mut out);
    out
}

#[test]
fn logs_in_the_collectors_layout() {
    let mut logs = LogsBuilder::new();
    logs.resource(|resource| {
        resource.attribute_str("service.name", "web");
    });
    logs.scope("lib", "1.0");
    logs.record(|record| {
        record
            .time(1_581_452_772_000_000_321)
            .severity(9, "INFO")
            .body(
                &OwnedValue::map(|map| {
                    map.attribute_int("n", 1).attribute_str("s", "x");
                })
                .get(),
            )
            .attribute_bool("ok", true)
            .trace_id(&[0xab; 16])
            .flags(1);
    });
    assert_eq!(
        text(logs.finish()),
        "\
ResourceLog #0
Resource SchemaURL: 
Resource attributes:
     -> service.name: Str(web)
ScopeLogs #0
ScopeLogs SchemaURL: 
InstrumentationScope lib 1.0
LogRecord #0
ObservedTimestamp: 1970-01-01 00:00:00 +0000 UTC
Timestamp: 2020-02-11 20:26:12.000000321 +0000 UTC
SeverityText: INFO
SeverityNumber: Info(9)
Body: Map({\"n\":1,\"s\":\"x\"})
Attributes:
     -> ok: Bool(true)
Trace ID: abababababababababababababababab
Span ID: 
Flags: 1
"
    );
}

#[test]
fn spans_in_the_collectors_layout() {
    let mut traces = TracesBuilder::new();
    traces.span(|span| {
        span.ids(&[1; 16], &[2; 8])
            .name("GET /")
            .kind(2)
            .times(0, 1_000_000_000)
            .status(2, "boom")
            .event(|event| {
                event.time(5).name("retry").attribute_int("attempt", 2);
            })
            .link(|link| {
                link.ids(&[3; 16], &[4; 8]);
            });
    });
    assert_eq!(
        text(traces.finish()),
        "\
ResourceSpans #0
Resource SchemaURL: 
ScopeSpans #0
ScopeSpans SchemaURL: 
InstrumentationScope  
Span #0
    Trace ID       : 01010101010101010101010101010101
    Parent ID      : 
    ID             : 0202020202020202
    Name           : GET /
    Kind           : Server
    Start time     : 1970-01-01 00:00:00 +0000 UTC
    End time       : 1970-01-01 00:00:01 +0000 UTC
    Status code    : Error
    Status message : boom
Events:
SpanEvent #0
     -> Name: retry
     -> Timestamp: 1970-01-01 00:00:00.000000005 +0000 UTC
     -> DroppedAttributesCount: 0
     -> Attributes::
          -> attempt: Int(2)
Links:
SpanLink #0
     -> Trace ID: 03030303030303030303030303030303
     -> ID: 0404040404040404
     -> TraceState: 
     -> DroppedAttributesCount: 0
"
    );
}

#[test]
fn metrics_in_the_collectors_layout() {
    let mut metrics = MetricsBuilder::new();
    metrics
        .metric("requests", "Requests.", "1")
        .sum(Temporality::Cumulative, true)
        .point(|point| {
            point.time(0).double(1.5).attribute_str("code", "200");
        });
    metrics
        .metric("latency", "", "s")
        .exponential_histogram(Temporality::Delta)
        .point(|point| {
            point
                .count(4)
                .sum(9.0)
                .zero(1, 0.0)
                .positive(1, &[2])
                .negative(0, &[0, 1]);
        });
    assert_eq!(
        text(metrics.finish()),
        "\
ResourceMetrics #0
Resource SchemaURL: 
ScopeMetrics #0
ScopeMetrics SchemaURL: 
InstrumentationScope  
Metric #0
Descriptor:
     -> Name: requests
     -> Description: Requests.
     -> Unit: 1
     -> DataType: Sum
     -> IsMonotonic: true
     -> AggregationTemporality: Cumulative
NumberDataPoints #0
Data point attributes:
     -> code: Str(200)
StartTimestamp: 1970-01-01 00:00:00 +0000 UTC
Timestamp: 1970-01-01 00:00:00 +0000 UTC
Value: 1.500000
Metric #1
Descriptor:
     -> Name: latency
     -> Description: 
     -> Unit: s
     -> DataType: ExponentialHistogram
     -> AggregationTemporality: Delta
ExponentialHistogramDataPoints #0
StartTimestamp: 1970-01-01 00:00:00 +0000 UTC
Timestamp: 1970-01-01 00:00:00 +0000 UTC
Count: 4
Sum: 9.000000
Bucket [-4.000000, -2.000000), Count: 1
Bucket [-2.000000, -1.000000), Count: 0
Bucket [0, 0], Count: 1
Bucket (2.000000, 4.000000], Count: 2
"
    );
}
