//! Entries become OTLP bytes.

use std::sync::Arc;

use corten_pdata::AnyValue;
use corten_pdata::Logs;
use corten_pdata::build::{AttributesBuilder, LogsBuilder, OwnedValue};

use crate::entry::{Entry, Origins};
use crate::value::{Map, Value};

/// Levels of nesting that are written; what is deeper becomes JSON. OTLP's readers have limits of their own.
const DEEPEST: u32 = 24;

/// Writes entries, those of one resource and scope after another together.
#[derive(Debug, Default)]
pub struct EntryWriter {
    builder: LogsBuilder,
    origins: Origins,
    open: Option<(Arc<Map>, String)>,
}

impl EntryWriter {
    /// Nothing written, with room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            builder: LogsBuilder::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// Adds an entry.
    pub fn write(&mut self, mut entry: Entry) {
        self.origins.join(std::mem::take(&mut entry.origins));
        let (same_resource, same_scope) = match &self.open {
            None => (false, false),
            Some((resource, scope)) => {
                let same = Arc::ptr_eq(resource, &entry.resource) || *resource == entry.resource;
                (same, same && *scope == entry.scope_name)
            }
        };
        if !same_resource {
            self.builder.resource(|out| put_map(out, &entry.resource));
        }
        if !same_scope {
            self.builder.scope(&entry.scope_name, "");
            self.open = Some((Arc::clone(&entry.resource), entry.scope_name.clone()));
        }
        self.builder.record(|out| {
            if let Some(time) = entry.time {
                out.time(time);
            }
            out.observed_time(entry.observed);
            out.severity(entry.severity, &entry.severity_text);
            match &entry.body {
                Value::Null => {}
                Value::Str(text) => {
                    out.body_str(text);
                }
                body => with_value(body, DEEPEST, |body| {
                    out.body(body);
                }),
            }
            for (key, value) in &entry.attributes {
                match value {
                    Value::Str(text) => {
                        out.attribute_str(key.as_str(), text);
                    }
                    value => with_value(value, DEEPEST, |value| {
                        out.attribute(key.as_str(), value);
                    }),
                }
            }
            if entry.flags != 0 {
                out.flags(entry.flags);
            }
            if entry.trace_id.len() == 16 {
                out.trace_id(&entry.trace_id);
            }
            if entry.span_id.len() == 8 {
                out.span_id(&entry.span_id);
            }
        });
    }

    /// Bytes so far.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.builder.len_bytes()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.builder.is_empty()
    }

    /// What was written, and what it was made from.
    #[must_use]
    pub fn finish(self) -> (Logs, Origins) {
        (self.builder.finish(), self.origins)
    }
}

fn put_map(out: &mut AttributesBuilder<'_>, map: &Map) {
    for (key, value) in map {
        with_value(value, DEEPEST, |value| {
            out.attribute(key.as_str(), value);
        });
    }
}

fn with_value<R>(value: &Value, depth: u32, write: impl FnOnce(&AnyValue<'_>) -> R) -> R {
    match value {
        Value::Null => write(&AnyValue::Empty),
        Value::Bool(value) => write(&AnyValue::Bool(*value)),
        Value::Int(value) => write(&AnyValue::Int(*value)),
        Value::Float(value) => write(&AnyValue::Double(*value)),
        Value::Str(text) => write(&AnyValue::String(text)),
        Value::Bytes(bytes) => write(&AnyValue::Bytes(bytes)),
        Value::List(_) | Value::Map(_) => write(&nested(value, depth).get()),
    }
}

fn nested(value: &Value, depth: u32) -> OwnedValue {
    let Some(depth) = depth.checked_sub(1) else {
        return OwnedValue::from(value.to_json().to_string());
    };
    match value {
        Value::Map(map) => OwnedValue::map(|out| {
            for (key, value) in map {
                with_value(value, depth, |value| {
                    out.attribute(key.as_str(), value);
                });
            }
        }),
        Value::List(values) => {
            let values: Vec<OwnedValue> = values.iter().map(|value| nested(value, depth)).collect();
            OwnedValue::array(values.iter().map(OwnedValue::get))
        }
        value => with_value(value, depth, OwnedValue::new),
    }
}
