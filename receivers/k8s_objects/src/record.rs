//! What the record of an object looks like. Names of attributes and the shape of the body: those of the Collector's receiver.

use std::time::SystemTime;

use corten_chronicle::any_value;
use corten_kubernetes::{Anything, Round};
use corten_pdata::Logs;
use corten_pdata::build::{LogsBuilder, OwnedValue};
use serde_json::Value;

use crate::config::WatchType;

/// Writes the objects of a list.
pub(crate) fn listed(resource: &str, round: &Round<Anything>) -> Option<Logs> {
    let mut records = Records::new(resource);
    for change in &round.changes {
        records.write(&change.object, &any_value(&change.object.value), false);
    }
    records.finish()
}

/// Writes changes, but for those that are not wanted.
pub(crate) fn changed(
    resource: &str,
    round: &Round<Anything>,
    unwanted: &[WatchType],
) -> Option<Logs> {
    let mut records = Records::new(resource);
    for change in &round.changes {
        if unwanted.iter().any(|one| one.is(change.kind)) {
            continue;
        }
        let body = OwnedValue::map(|to| {
            to.attribute_str("type", change.kind.as_str());
            to.attribute("object", &any_value(&change.object.value).get());
        });
        records.write(&change.object, &body, true);
    }
    records.finish()
}

struct Records<'a> {
    builder: LogsBuilder,
    resource: &'a str,
    observed: u64,
    /// Whose resource is open.
    namespace: Option<String>,
}

impl<'a> Records<'a> {
    fn new(resource: &'a str) -> Self {
        let observed = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()
            .and_then(|since| u64::try_from(since.as_nanos()).ok());
        Self {
            builder: LogsBuilder::new(),
            resource,
            observed: observed.unwrap_or(0),
            namespace: None,
        }
    }

    fn write(&mut self, object: &Anything, body: &OwnedValue, event: bool) {
        let namespace = &object.metadata.namespace;
        if self.namespace.as_ref() != Some(namespace) {
            self.builder.resource(|resource| {
                if !namespace.is_empty() {
                    resource.attribute_str("k8s.namespace.name", namespace);
                }
            });
            self.builder.scope("k8s_objects", env!("CARGO_PKG_VERSION"));
            self.namespace = Some(namespace.clone());
        }
        let (kind, observed) = (self.resource, self.observed);
        let name = object.value.pointer("/metadata/name");
        let name = name.and_then(Value::as_str).unwrap_or_default();
        self.builder.record(|record| {
            record.observed_time(observed);
            record.body(&body.get());
            record.attribute_str("k8s.resource.name", kind);
            if event && !name.is_empty() {
                record.attribute_str("event.domain", "k8s");
                record.attribute_str("event.name", name);
            }
        });
    }

    fn finish(self) -> Option<Logs> {
        (!self.builder.is_empty()).then(|| self.builder.finish())
    }
}

#[cfg(test)]
mod tests {
    use corten_kubernetes::{Change, ChangeKind};
    use corten_pdata::AnyValue;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn round(objects: &[(ChangeKind, Value)]) -> Round<Anything> {
        let change = |(kind, object): &(ChangeKind, Value)| Change {
            kind: *kind,
            object: serde_json::from_value(object.clone()).unwrap(),
        };
        Round {
            changes: objects.iter().map(change).collect(),
            version: None,
        }
    }

    #[test]
    fn a_change_has_a_type_and_an_object_and_namespaces_are_resources() {
        let pod = |name: &str, namespace: &str| json!({"kind": "Pod", "metadata": {"name": name, "namespace": namespace}});
        let round = round(&[
            (ChangeKind::Added, pod("a", "x")),
            (ChangeKind::Deleted, pod("b", "x")),
            (ChangeKind::Modified, pod("c", "y")),
        ]);
        let logs = changed("pods", &round, &[WatchType::Added]).unwrap();
        assert_eq!((logs.items(), logs.resources().count()), (2, 2));
        let resource = logs.resources().next().unwrap();
        let record = resource.scopes().next().unwrap().records().next().unwrap();
        let Some(AnyValue::KvList(body)) = record.body() else {
            panic!("no map");
        };
        assert_eq!(body.get_str("type"), Some("DELETED"));
        assert_eq!(record.attributes().get_str("event.name"), Some("b"));
        assert_eq!(
            record.attributes().get_str("k8s.resource.name"),
            Some("pods")
        );
        let logs = listed("pods", &round).unwrap();
        assert_eq!(logs.items(), 3);
    }

    proptest! {
        #[test]
        fn any_object_becomes_a_valid_record(object in "[\\[\\]{}\":,a-z0-9]{0,60}") {
            let text = format!(r#"{{"spec":{object},"metadata":{{"labels":null}}}}"#);
            if let Ok(object) = serde_json::from_str::<Value>(&text) {
                let logs = changed("x", &round(&[(ChangeKind::Added, object)]), &[]).unwrap();
                prop_assert!(Logs::parse(logs.to_bytes()).is_ok());
            }
        }
    }
}
