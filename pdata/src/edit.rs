//! Editing by splicing: what does not change is copied as it stands.
//!
//! Every edit takes a rope and returns another. A segment in which nothing changes is shared with
//! the old rope. In one that changes, the bytes between the changes are copied in bulk, unknown
//! fields among them, and the lengths around a change are written anew.
//!
//! ```
//! use corten_pdata::build::LogsBuilder;
//! use corten_pdata::edit::{AttributeEdits, edit_resource_attributes, retain};
//! use corten_pdata::logs::LogRecord;
//! use corten_pdata::Cursor;
//!
//! let mut logs = LogsBuilder::new();
//! logs.resource(|resource| {
//!     resource.attribute_str("host", "a").attribute_str("password", "hunter2");
//! });
//! logs.record(|record| {
//!     record.severity(9, "INFO").body_str("one");
//! });
//! logs.record(|record| {
//!     record.severity(17, "ERROR").body_str("two");
//! });
//! let logs = logs.finish();
//!
//! let edits = AttributeEdits::new().delete("password").upsert("cluster", "eu-1");
//! let logs = edit_resource_attributes(&logs, &edits);
//! let logs = retain(&logs, |record| LogRecord::new(record.raw).severity_number() >= 17);
//! assert_eq!(logs.items(), 1);
//! let resource = logs.resources().next().unwrap().resource();
//! assert_eq!(resource.attributes().get_str("cluster"), Some("eu-1"));
//! assert!(resource.attributes().get("password").is_none());
//! ```

mod attributes;
mod partition;
mod retain;
mod splice;

pub use attributes::{AttributeEdits, NewValue};
pub use partition::{Whole, partition};
pub use retain::{retain, retain_metrics};

use std::sync::Arc;

use bytes::Bytes;

use crate::attributes::{Attributes, Resource, Scope, resource_of, scope_of};
use crate::cursor::Cursor;
use crate::metrics::Metric;
use crate::rope::{Rope, Segment};
use crate::signal::SignalKind;
use crate::wire::{Field, Fields, Value};
use crate::{Data, Signal};
use splice::Splicer;

/// A log record, a span or a data point with what it stands in, for predicates.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What it comes from.
    pub resource: Resource<'a>,
    /// What produced it.
    pub scope: Scope<'a>,
    /// The metric, if it is a data point.
    pub metric: Option<Metric<'a>>,
    /// Its own bytes, to be read by the cursor of its kind.
    pub raw: &'a [u8],
    /// The number of the attributes' field in it.
    attributes: u32,
}

impl<'a> Record<'a> {
    /// Its attributes, whichever kind of record it is.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.raw, self.attributes)
    }
}

/// Edits the attributes of every resource. A resource that is missing counts as one without
/// attributes.
#[must_use]
pub fn edit_resource_attributes<S: SignalKind>(rope: &Rope<S>, edits: &AttributeEdits) -> Rope<S> {
    each_segment(rope, |splicer, bytes| {
        for resource in messages(bytes, 1) {
            splicer.enter(&resource);
            edit_holder(splicer, &resource, 1, edits);
            splicer.leave();
        }
    })
}

/// Edits the attributes of each resource with what `choose` has for it; those that it has nothing for stay as they are.
#[must_use]
pub fn edit_each_resource<S: SignalKind>(
    rope: &Rope<S>,
    mut choose: impl FnMut(&Resource<'_>) -> Option<Arc<AttributeEdits>>,
) -> Rope<S> {
    let mut chosen = Vec::new();
    for segment in rope.segments() {
        for resource in messages(segment.bytes(), 1) {
            chosen.push(choose(&resource_of(resource.value.bytes())));
        }
    }
    if chosen.iter().all(Option::is_none) {
        return rope.clone();
    }
    let mut next = chosen.iter();
    each_segment(rope, |splicer, bytes| {
        for resource in messages(bytes, 1) {
            if let Some(Some(edits)) = next.next() {
                splicer.enter(&resource);
                edit_holder(splicer, &resource, 1, edits);
                splicer.leave();
            }
        }
    })
}

/// Edits the attributes of every scope. A scope that is missing counts as one without attributes.
#[must_use]
pub fn edit_scope_attributes<S: SignalKind>(rope: &Rope<S>, edits: &AttributeEdits) -> Rope<S> {
    each_segment(rope, |splicer, bytes| {
        for resource in messages(bytes, 1) {
            splicer.enter(&resource);
            for scope in messages(resource.value.bytes(), 2) {
                splicer.enter(&scope);
                edit_holder(splicer, &scope, 3, edits);
                splicer.leave();
            }
            splicer.leave();
        }
    })
}

/// Edits the attributes of the log records, spans or data points that `wanted` holds for.
#[must_use]
pub fn edit_record_attributes<S: SignalKind>(
    rope: &Rope<S>,
    edits: &AttributeEdits,
    mut wanted: impl FnMut(&Record<'_>) -> bool,
) -> Rope<S> {
    each_segment(rope, |splicer, bytes| {
        for resource in messages(bytes, 1) {
            splicer.enter(&resource);
            for scope in messages(resource.value.bytes(), 2) {
                splicer.enter(&scope);
                let mut record = Record {
                    resource: resource_of(resource.value.bytes()),
                    scope: scope_of(scope.value.bytes()),
                    metric: None,
                    raw: &[],
                    attributes: record_attributes(S::SIGNAL),
                };
                for child in messages(scope.value.bytes(), 2) {
                    if S::SIGNAL == Signal::Metrics {
                        splicer.enter(&child);
                        edit_points(splicer, &child, &mut record, edits, &mut wanted);
                        splicer.leave();
                    } else {
                        record.raw = child.value.bytes();
                        if wanted(&record) {
                            edit_record(splicer, &child, record.attributes, edits);
                        }
                    }
                }
                splicer.leave();
            }
            splicer.leave();
        }
    })
}

impl Data {
    /// [`edit_resource_attributes`] for any signal.
    #[must_use]
    pub fn edit_resource_attributes(&self, edits: &AttributeEdits) -> Self {
        match self {
            Self::Logs(rope) => edit_resource_attributes(rope, edits).into(),
            Self::Metrics(rope) => edit_resource_attributes(rope, edits).into(),
            Self::Traces(rope) => edit_resource_attributes(rope, edits).into(),
        }
    }

    /// [`edit_each_resource`] for any signal.
    #[must_use]
    pub fn edit_each_resource(
        &self,
        choose: impl FnMut(&Resource<'_>) -> Option<Arc<AttributeEdits>>,
    ) -> Self {
        match self {
            Self::Logs(rope) => edit_each_resource(rope, choose).into(),
            Self::Metrics(rope) => edit_each_resource(rope, choose).into(),
            Self::Traces(rope) => edit_each_resource(rope, choose).into(),
        }
    }

    /// [`edit_record_attributes`] for any signal.
    #[must_use]
    pub fn edit_record_attributes(
        &self,
        edits: &AttributeEdits,
        wanted: impl FnMut(&Record<'_>) -> bool,
    ) -> Self {
        match self {
            Self::Logs(rope) => edit_record_attributes(rope, edits, wanted).into(),
            Self::Metrics(rope) => edit_record_attributes(rope, edits, wanted).into(),
            Self::Traces(rope) => edit_record_attributes(rope, edits, wanted).into(),
        }
    }
}

/// The number of the field in which a record that is not a data point has its attributes.
fn record_attributes(signal: Signal) -> u32 {
    match signal {
        Signal::Logs => 6,
        Signal::Traces => 9,
        Signal::Metrics => 7,
    }
}

/// The number of the field in which the points of a metric have their attributes, by the number of
/// the metric's data; `None` if that field is not data.
fn point_attributes(data: u32) -> Option<u32> {
    match data {
        5 | 7 | 11 => Some(7),
        9 => Some(9),
        10 => Some(1),
        _ => None,
    }
}

fn edit_points<'a>(
    splicer: &mut Splicer<'a>,
    metric: &Field<'a>,
    record: &mut Record<'a>,
    edits: &'a AttributeEdits,
    wanted: &mut impl FnMut(&Record<'_>) -> bool,
) {
    record.metric = Some(Metric::new(metric.value.bytes()));
    for data in Fields::new(metric.value.bytes()) {
        let (Some(attributes), Value::Bytes(raw)) = (point_attributes(data.number), data.value)
        else {
            continue;
        };
        record.attributes = attributes;
        splicer.enter(&data);
        for point in messages(raw, 1) {
            record.raw = point.value.bytes();
            if wanted(record) {
                edit_record(splicer, &point, attributes, edits);
            }
        }
        splicer.leave();
    }
}

fn edit_record<'a>(
    splicer: &mut Splicer<'a>,
    record: &Field<'a>,
    attributes: u32,
    edits: &'a AttributeEdits,
) {
    splicer.enter(record);
    edits.apply(splicer, record.value.bytes(), attributes);
    splicer.leave();
}

/// Edits the attributes of the resource or scope (field 1) of a container, making one if there is
/// none.
fn edit_holder<'a>(
    splicer: &mut Splicer<'a>,
    container: &Field<'a>,
    attributes: u32,
    edits: &'a AttributeEdits,
) {
    let raw = container.value.bytes();
    match messages(raw, 1).next() {
        Some(holder) => edit_record(splicer, &holder, attributes, edits),
        None => edits.create(splicer, raw, 1, attributes),
    }
}

/// The occurrences of a message field.
fn messages(raw: &[u8], number: u32) -> impl Iterator<Item = Field<'_>> {
    Fields::new(raw)
        .filter(move |field| field.number == number && matches!(field.value, Value::Bytes(_)))
}

/// Applies an edit that keeps all items to every segment.
fn each_segment<'r, S: SignalKind>(
    rope: &'r Rope<S>,
    mut edit: impl FnMut(&mut Splicer<'r>, &'r [u8]),
) -> Rope<S> {
    rope.segments()
        .iter()
        .map(|segment| {
            let mut splicer = Splicer::new(segment.bytes());
            edit(&mut splicer, segment.bytes());
            match splicer.finish() {
                Some(bytes) => {
                    let items = u32::try_from(segment.items()).unwrap_or(u32::MAX);
                    Segment::new_unchecked(Bytes::from(bytes), items)
                }
                None => segment.clone(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Logs;
    use crate::build::LogsBuilder;

    fn logs() -> Logs {
        let mut logs = LogsBuilder::new();
        logs.resource(|resource| {
            resource.attribute_str("a", "1").attribute_str("a", "2");
        });
        logs.record(|record| {
            record.attribute_str("a", "1");
        });
        logs.record(|record| {
            record.attribute_str("b", "1");
        });
        logs.finish()
    }

    fn resource_text(logs: &Logs) -> String {
        let mut text = String::new();
        let resource = logs.resources().next().unwrap().resource();
        resource.attributes().write_json(&mut text);
        text
    }

    #[test]
    fn what_does_not_change_is_shared() {
        let logs = logs();
        let idle = AttributeEdits::new()
            .delete("missing")
            .update("missing", "x")
            .insert("a", "x")
            .upsert("c", NewValue::FromAttribute("missing".to_owned()));
        let at = logs.segments()[0].bytes().as_ptr();
        for same in [
            edit_resource_attributes(&logs, &idle),
            edit_scope_attributes(&logs, &AttributeEdits::new()),
            edit_record_attributes(&logs, &idle, |record| {
                record.attributes().get("a").is_some()
            }),
            edit_record_attributes(&logs, &AttributeEdits::new().upsert("x", 1), |_| false),
            retain(&logs, |_| true),
        ] {
            assert_eq!(same.segments()[0].bytes().as_ptr(), at);
        }
    }

    #[test]
    fn keys_given_twice() {
        let edit = |edits| resource_text(&edit_resource_attributes(&logs(), &edits));
        let edits = AttributeEdits::new;
        assert_eq!(edit(edits().insert("a", "x")), r#"{"a":"1","a":"2"}"#);
        assert_eq!(edit(edits().update("a", "x")), r#"{"a":"x"}"#);
        assert_eq!(edit(edits().upsert("a", 5)), r#"{"a":5}"#);
        assert_eq!(edit(edits().delete("a")), "{}");
        assert_eq!(
            edit(edits().convert("a", |_| Some(true.into()))),
            r#"{"a":true,"a":true}"#
        );
        assert_eq!(
            edit(edits().delete("a").insert("a", "new").insert("a", "newer")),
            r#"{"a":"new"}"#
        );
    }

    #[test]
    fn filters_take_empty_containers_along() {
        let kept = retain(&logs(), |_| false);
        assert_eq!((kept.items(), kept.bytes_len()), (0, 0));
        let kept = retain(&logs(), |record| record.attributes().get("b").is_some());
        assert_eq!(kept.items(), 1);
        assert_eq!(resource_text(&kept), r#"{"a":"1","a":"2"}"#);
    }
}
