//! Telemetry as text for people: the layout of the Collector's debug exporter at `detailed`
//! verbosity.

mod metrics;
mod time;

use std::fmt::Write as _;

use crate::attributes::{AnyValue, Attributes, Scope};
use crate::rope::{Logs, Metrics, Traces};
use crate::schema::{Enum, SEVERITY_NUMBER, SPAN_KIND, STATUS_CODE};
use crate::{Data, logs, traces};

/// Appends everything that `data` says, a line per fact.
pub fn write_detailed(data: &Data, out: &mut String) {
    let mut page = Page { out };
    match data {
        Data::Logs(rope) => page.logs(rope),
        Data::Metrics(rope) => page.metrics(rope),
        Data::Traces(rope) => page.traces(rope),
    }
}

struct Page<'o> {
    out: &'o mut String,
}

/// Appends a formatted line. Writing to a string does not fail.
macro_rules! line {
    ($page:expr, $($format:tt)*) => {
        writeln!($page.out, $($format)*).unwrap_or_default()
    };
}
use line;

impl Page<'_> {
    fn logs(&mut self, rope: &Logs) {
        for (index, resource) in rope.resources().enumerate() {
            line!(self, "ResourceLog #{index}");
            line!(self, "Resource SchemaURL: {}", resource.schema_url());
            self.attributes("", "Resource attributes", resource.resource().attributes());
            for (index, scope) in resource.scopes().enumerate() {
                line!(self, "ScopeLogs #{index}");
                line!(self, "ScopeLogs SchemaURL: {}", scope.schema_url());
                self.scope(scope.scope());
                for (index, record) in scope.records().enumerate() {
                    line!(self, "LogRecord #{index}");
                    self.log_record(&record);
                }
            }
        }
    }

    fn log_record(&mut self, record: &logs::LogRecord<'_>) {
        let severity = record.severity_number();
        self.time("ObservedTimestamp: ", record.observed_time_unix_nano());
        self.time("Timestamp: ", record.time_unix_nano());
        line!(self, "SeverityText: {}", record.severity_text());
        let name = value_name(&SEVERITY_NUMBER, "SEVERITY_NUMBER_", severity);
        line!(self, "SeverityNumber: {name}({severity})");
        if !record.event_name().is_empty() {
            line!(self, "EventName: {}", record.event_name());
        }
        self.out.push_str("Body: ");
        self.value(&record.body().unwrap_or(AnyValue::Empty));
        self.out.push('\n');
        self.attributes("", "Attributes", record.attributes());
        self.id("Trace ID: ", record.trace_id());
        self.id("Span ID: ", record.span_id());
        line!(self, "Flags: {}", record.flags());
    }

    fn traces(&mut self, rope: &Traces) {
        for (index, resource) in rope.resources().enumerate() {
            line!(self, "ResourceSpans #{index}");
            line!(self, "Resource SchemaURL: {}", resource.schema_url());
            self.attributes("", "Resource attributes", resource.resource().attributes());
            for (index, scope) in resource.scopes().enumerate() {
                line!(self, "ScopeSpans #{index}");
                line!(self, "ScopeSpans SchemaURL: {}", scope.schema_url());
                self.scope(scope.scope());
                for (index, span) in scope.spans().enumerate() {
                    line!(self, "Span #{index}");
                    self.span(&span);
                }
            }
        }
    }

    fn span(&mut self, span: &traces::Span<'_>) {
        let status = span.status();
        self.id("    Trace ID       : ", span.trace_id());
        self.id("    Parent ID      : ", span.parent_span_id());
        self.id("    ID             : ", span.span_id());
        line!(self, "    Name           : {}", span.name());
        let kind = value_name(&SPAN_KIND, "SPAN_KIND_", span.kind());
        line!(self, "    Kind           : {kind}");
        if !span.trace_state().is_empty() {
            line!(self, "    TraceState     : {}", span.trace_state());
        }
        self.time("    Start time     : ", span.start_time_unix_nano());
        self.time("    End time       : ", span.end_time_unix_nano());
        let code = status.map_or(0, |status| status.code());
        let code = value_name(&STATUS_CODE, "STATUS_CODE_", code);
        line!(self, "    Status code    : {code}");
        let message = status.map_or("", |status| status.message());
        line!(self, "    Status message : {message}");
        self.attributes("", "Attributes", span.attributes());
        for (index, event) in span.events().enumerate() {
            if index == 0 {
                line!(self, "Events:");
            }
            line!(self, "SpanEvent #{index}");
            line!(self, "     -> Name: {}", event.name());
            self.time("     -> Timestamp: ", event.time_unix_nano());
            let dropped = event.dropped_attributes_count();
            line!(self, "     -> DroppedAttributesCount: {dropped}");
            self.attributes("     ", "     -> Attributes:", event.attributes());
        }
        for (index, link) in span.links().enumerate() {
            if index == 0 {
                line!(self, "Links:");
            }
            line!(self, "SpanLink #{index}");
            self.id("     -> Trace ID: ", link.trace_id());
            self.id("     -> ID: ", link.span_id());
            line!(self, "     -> TraceState: {}", link.trace_state());
            let dropped = link.dropped_attributes_count();
            line!(self, "     -> DroppedAttributesCount: {dropped}");
            self.attributes("     ", "     -> Attributes:", link.attributes());
        }
    }

    fn metrics(&mut self, rope: &Metrics) {
        for (index, resource) in rope.resources().enumerate() {
            line!(self, "ResourceMetrics #{index}");
            line!(self, "Resource SchemaURL: {}", resource.schema_url());
            self.attributes("", "Resource attributes", resource.resource().attributes());
            for (index, scope) in resource.scopes().enumerate() {
                line!(self, "ScopeMetrics #{index}");
                line!(self, "ScopeMetrics SchemaURL: {}", scope.schema_url());
                self.scope(scope.scope());
                for (index, metric) in scope.metrics().enumerate() {
                    line!(self, "Metric #{index}");
                    self.metric(&metric);
                }
            }
        }
    }

    fn scope(&mut self, scope: Scope<'_>) {
        line!(
            self,
            "InstrumentationScope {} {}",
            scope.name(),
            scope.version()
        );
        self.attributes("", "InstrumentationScope attributes", scope.attributes());
    }

    fn attributes(&mut self, indent: &str, header: &str, attributes: Attributes<'_>) {
        for (index, attribute) in attributes.iter().enumerate() {
            if index == 0 {
                line!(self, "{header}:");
            }
            self.out.push_str(indent);
            self.out.push_str("     -> ");
            self.out.push_str(attribute.key());
            self.out.push_str(": ");
            self.value(&attribute.value());
            self.out.push('\n');
        }
    }

    fn value(&mut self, value: &AnyValue<'_>) {
        self.out.push_str(match value {
            AnyValue::Empty => "Empty(",
            AnyValue::String(_) => "Str(",
            AnyValue::Bool(_) => "Bool(",
            AnyValue::Int(_) => "Int(",
            AnyValue::Double(_) => "Double(",
            AnyValue::Bytes(_) => "Bytes(",
            AnyValue::Array(_) => "Slice(",
            AnyValue::KvList(_) => "Map(",
        });
        value.write_text(self.out);
        self.out.push(')');
    }

    /// An id in hexadecimal digits; nothing for one that is all zeros, which means none.
    fn id(&mut self, label: &str, id: &[u8]) {
        self.out.push_str(label);
        if id.iter().any(|byte| *byte != 0) {
            for byte in id {
                write!(self.out, "{byte:02x}").unwrap_or_default();
            }
        }
        self.out.push('\n');
    }

    fn time(&mut self, label: &str, unix_nano: u64) {
        self.out.push_str(label);
        time::write(unix_nano, self.out);
        self.out.push('\n');
    }
}

/// `SPAN_KIND_SERVER` as `Server`; nothing for numbers without a name.
fn value_name(values: &Enum, prefix: &str, number: i32) -> String {
    let name = values.value_name(number).unwrap_or_default();
    let mut letters = name.strip_prefix(prefix).unwrap_or(name).chars();
    letters
        .next()
        .into_iter()
        .chain(letters.map(|letter| letter.to_ascii_lowercase()))
        .collect()
}

#[cfg(test)]
mod tests;
