//! What the record of an event looks like.
//!
//! Shape: Kubernetes API reference, `core/v1`, `Event`. Any field may be missing or `null`. Names of attributes: those of the
//! Collector's receiver.

use std::time::SystemTime;

use corten_kubernetes::{Anything, ChangeKind, Round};
use corten_pdata::Logs;
use corten_pdata::build::LogsBuilder;
use jiff::Timestamp;
use serde_json::Value;

/// Writes the events of a round. A deletion is none: events are deleted when they are an hour old.
pub(crate) fn write(round: &Round<Anything>) -> Option<Logs> {
    let mut builder = LogsBuilder::new();
    let observed = now();
    for change in &round.changes {
        if change.kind != ChangeKind::Deleted {
            record(&mut builder, &change.object.value, observed);
        }
    }
    (!builder.is_empty()).then(|| builder.finish())
}

fn record(builder: &mut LogsBuilder, event: &Value, observed: u64) {
    builder.resource(|resource| {
        let mut put = |name: &str, value: &str| {
            if !value.is_empty() {
                resource.attribute_str(name, value);
            }
        };
        put("k8s.node.name", text(event, "/source/host"));
        put("k8s.object.kind", text(event, "/involvedObject/kind"));
        put("k8s.object.name", text(event, "/involvedObject/name"));
        put("k8s.object.uid", text(event, "/involvedObject/uid"));
        put(
            "k8s.object.fieldpath",
            text(event, "/involvedObject/fieldPath"),
        );
        put(
            "k8s.object.api_version",
            text(event, "/involvedObject/apiVersion"),
        );
        let version = text(event, "/involvedObject/resourceVersion");
        put("k8s.object.resource_version", version);
    });
    builder.scope("k8s_events", env!("CARGO_PKG_VERSION"));
    builder.record(|record| {
        if let Some(time) = time(event) {
            record.time(time);
        }
        record.observed_time(observed);
        let kind = text(event, "/type");
        match kind {
            "Normal" => record.severity(9, kind),
            "Warning" => record.severity(13, kind),
            other => record.severity(0, other),
        };
        record.body_str(text(event, "/message"));
        let start = made(text(event, "/metadata/creationTimestamp"));
        for (name, value) in [
            ("k8s.event.reason", text(event, "/reason")),
            ("k8s.event.action", text(event, "/action")),
            ("k8s.event.start_time", start.as_str()),
            ("k8s.event.name", text(event, "/metadata/name")),
            ("k8s.event.uid", text(event, "/metadata/uid")),
            (
                "k8s.namespace.name",
                text(event, "/involvedObject/namespace"),
            ),
        ] {
            if !value.is_empty() {
                record.attribute_str(name, value);
            }
        }
        if let Some(count) = count(event) {
            record.attribute_int("k8s.event.count", count);
        }
    });
}

fn text<'a>(event: &'a Value, at: &str) -> &'a str {
    event.pointer(at).and_then(Value::as_str).unwrap_or("")
}

/// How often it happened, where that is counted.
fn count(event: &Value) -> Option<i64> {
    let of = |at: &str| event.pointer(at).and_then(Value::as_i64);
    of("/count")
        .or_else(|| of("/series/count"))
        .filter(|count| *count != 0)
}

/// When it happened last, in nanoseconds since 1970.
fn time(event: &Value) -> Option<u64> {
    // Of an event that repeats, the event's own time stays that of the first.
    [
        "/series/lastObservedTime",
        "/eventTime",
        "/lastTimestamp",
        "/firstTimestamp",
        "/metadata/creationTimestamp",
    ]
    .iter()
    .find_map(|at| text(event, at).parse::<Timestamp>().ok())
    .and_then(|time| u64::try_from(time.as_nanosecond()).ok())
    .filter(|time| *time != 0)
}

/// A time as the Collector writes it here: `2026-01-02 03:04:05 +0000 UTC`.
fn made(time: &str) -> String {
    time.parse::<Timestamp>().map_or_else(
        |_| String::new(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
    )
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use corten_kubernetes::Change;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn round(kind: ChangeKind, event: Value) -> Round<Anything> {
        Round {
            changes: vec![Change {
                kind,
                object: serde_json::from_value(event).unwrap(),
            }],
            version: None,
        }
    }

    #[test]
    fn a_record_says_what_happened_to_what() {
        let event = json!({
            "metadata": {"name": "web-0.17", "namespace": "shop", "uid": "e-1", "creationTimestamp": "2026-01-02T03:04:05Z"},
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-0", "uid": "p-1", "apiVersion": "v1", "resourceVersion": "12", "fieldPath": "spec.containers{app}"},
            "reason": "BackOff", "message": "Back-off restarting failed container", "type": "Warning", "count": 7, "eventTime": null,
            "source": {"component": "kubelet", "host": "node-1"},
            "firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": "2026-01-02T03:14:05Z",
        });
        let logs = write(&round(ChangeKind::Modified, event.clone())).unwrap();
        let resource = logs.resources().next().unwrap();
        let of = resource.resource().attributes();
        assert_eq!(of.get_str("k8s.object.name"), Some("web-0"));
        assert_eq!(of.get_str("k8s.node.name"), Some("node-1"));
        let scope = resource.scopes().next().unwrap();
        let record = scope.records().next().unwrap();
        assert_eq!(
            record.body().unwrap().as_str(),
            Some("Back-off restarting failed container")
        );
        assert_eq!(record.severity_number(), 13);
        assert_eq!(record.time_unix_nano(), 1_767_323_645_000_000_000);
        let of = record.attributes();
        assert_eq!(
            of.get_str("k8s.event.start_time"),
            Some("2026-01-02 03:04:05 +0000 UTC")
        );
        assert_eq!(of.get_str("k8s.namespace.name"), Some("shop"));
        assert!(of.get("k8s.event.count").is_some() && of.get("k8s.event.action").is_none());
        assert!(write(&round(ChangeKind::Deleted, event)).is_none());
    }

    #[test]
    fn an_event_that_repeats_has_the_time_of_the_last() {
        let event = json!({"eventTime": "2026-01-02T03:04:05.5Z", "series": {"count": 3, "lastObservedTime": "2026-01-02T04:04:05.5Z"}});
        assert_eq!(time(&event), Some(1_767_326_645_500_000_000));
        assert_eq!(count(&event), Some(3));
    }

    proptest! {
        #[test]
        fn any_object_becomes_a_record(object in "[\\[\\]{}\":,a-z0-9]{0,40}") {
            let text = format!(r#"{{"involvedObject":{object},"series":{object},"type":{object}}}"#);
            if let Ok(event) = serde_json::from_str::<Value>(&text) {
                let logs = write(&round(ChangeKind::Added, event)).unwrap();
                prop_assert_eq!(logs.items(), 1);
                prop_assert!(Logs::parse(logs.to_bytes()).is_ok());
            }
        }
    }
}
