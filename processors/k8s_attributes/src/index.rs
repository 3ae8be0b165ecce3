//! What is kept of objects other than pods: of their metadata what is asked about, by uid and by name.
//!
//! Most changes of these objects matter to nobody here: a node's heartbeat, a workload's status, a leader's annotation. They are told from the
//! others by what is kept, and so nothing has to be made anew for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use corten_config::types::Regex;
use corten_kubernetes::Keep;
use corten_kubernetes::object::{Metadata, Object as _, Partial};
use parking_lot::RwLock;
use tokio::time::Instant;

/// Counts changes that matter, of all indexes together.
#[derive(Clone, Default)]
pub(crate) struct Changes(Arc<AtomicU64>);

impl Changes {
    /// Read before the objects: what changes in between is then found at the next look.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// The labels and annotations that are asked about.
#[derive(Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) labels: Vec<Key>,
    pub(crate) annotations: Vec<Key>,
}

/// One key or many.
#[derive(Clone)]
pub(crate) enum Key {
    Exact(String),
    /// For whole keys.
    Pattern(Regex),
}

impl Key {
    fn is(&self, key: &str) -> bool {
        match self {
            Self::Exact(own) => own == key,
            Self::Pattern(pattern) => pattern.is_match(key),
        }
    }
}

impl Wanted {
    /// Leaves out what nobody asks about.
    fn reduce(&self, object: &mut Metadata) {
        let any = |keys: &[Key], key: &str| keys.iter().any(|wanted| wanted.is(key));
        object.labels.retain(|key, _| any(&self.labels, key));
        object
            .annotations
            .retain(|key, _| any(&self.annotations, key));
        object.resource_version.clear();
    }
}

/// Namespaces, nodes or workloads. Cheap to clone: all clones are one index.
#[derive(Clone)]
pub(crate) struct Objects {
    /// How long a deleted object is still found, as its pods are.
    grace: Duration,
    wanted: Arc<Wanted>,
    changes: Changes,
    known: Arc<RwLock<Known>>,
    /// What this clone fills: all of it, or one namespace's.
    part: Arc<str>,
    /// How often that was listed.
    round: u64,
}

#[derive(Default)]
struct Known {
    by_uid: HashMap<String, Entry>,
    by_name: HashMap<String, String>,
    /// Whether each part was listed completely at least once.
    listed: HashMap<Arc<str>, bool>,
}

struct Entry {
    object: Arc<Metadata>,
    /// Which part's list named it, and in which round.
    part: Arc<str>,
    round: u64,
    gone: Option<Instant>,
}

impl Objects {
    pub(crate) fn new(grace: Duration, wanted: Wanted, changes: &Changes) -> Self {
        Self {
            grace,
            wanted: Arc::new(wanted),
            changes: changes.clone(),
            known: Arc::default(),
            part: Arc::from(""),
            round: 0,
        }
    }

    /// The same index, filled by one of several watches: a list of its objects says nothing of the others'.
    pub(crate) fn part(&self, name: &str) -> Self {
        let part: Arc<str> = Arc::from(name);
        let mut known = self.known.write();
        known.listed.entry(Arc::clone(&part)).or_insert(false);
        drop(known);
        Self {
            part,
            round: 0,
            ..self.clone()
        }
    }

    /// Whether they, of every part, were listed completely at least once.
    pub(crate) fn complete(&self) -> bool {
        let known = self.known.read();
        !known.listed.is_empty() && known.listed.values().all(|listed| *listed)
    }

    pub(crate) fn by_uid(&self, uid: &str) -> Option<Arc<Metadata>> {
        self.known.read().get(uid, self.grace)
    }

    /// Of objects that are the cluster's: namespaces and nodes.
    pub(crate) fn by_name(&self, name: &str) -> Option<Arc<Metadata>> {
        let known = self.known.read();
        known.get(known.by_name.get(name)?, self.grace)
    }
}

impl Known {
    fn get(&self, uid: &str, grace: Duration) -> Option<Arc<Metadata>> {
        let entry = self.by_uid.get(uid)?;
        let past = entry.gone.is_some_and(|since| since.elapsed() > grace);
        (!past).then(|| Arc::clone(&entry.object))
    }

    fn forget_expired(&mut self, grace: Duration, changes: &Changes) {
        let before = self.by_uid.len();
        self.by_uid
            .retain(|_, entry| entry.gone.is_none_or(|since| since.elapsed() <= grace));
        if self.by_uid.len() != before {
            changes.add();
            let Self {
                by_uid, by_name, ..
            } = self;
            by_name.retain(|_, uid| by_uid.contains_key(uid));
        }
    }
}

impl Keep<Partial> for Objects {
    fn listing(&mut self) {
        self.round += 1;
    }

    fn put(&mut self, object: Partial) {
        let mut object = object.metadata;
        self.wanted.reduce(&mut object);
        let mut known = self.known.write();
        let known = &mut *known;
        // Whoever comes last owns a name that was used before.
        let owns =
            object.namespace.is_empty() && known.by_name.get(&object.name) != Some(&object.uid);
        if owns {
            let (name, uid) = (object.name.clone(), object.uid.clone());
            known.by_name.insert(name, uid);
        }
        if let Some(entry) = known.by_uid.get_mut(&object.uid) {
            entry.part = Arc::clone(&self.part);
            (entry.round, entry.gone) = (self.round, None);
            if *entry.object != object {
                entry.object = Arc::new(object);
                self.changes.add();
            } else if owns {
                self.changes.add();
            }
            return;
        }
        let uid = object.uid.clone();
        let entry = Entry {
            object: Arc::new(object),
            part: Arc::clone(&self.part),
            round: self.round,
            gone: None,
        };
        known.by_uid.insert(uid, entry);
        self.changes.add();
    }

    fn listed(&mut self) {
        let mut known = self.known.write();
        known.listed.insert(Arc::clone(&self.part), true);
        for entry in known.by_uid.values_mut() {
            if entry.part == self.part && entry.round != self.round {
                entry.gone.get_or_insert_with(Instant::now);
            }
        }
        known.forget_expired(self.grace, &self.changes);
    }

    fn delete(&mut self, object: Partial) {
        let mut known = self.known.write();
        if let Some(entry) = known.by_uid.get_mut(&object.metadata().uid) {
            entry.gone.get_or_insert_with(Instant::now);
        }
        known.forget_expired(self.grace, &self.changes);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn namespace(name: &str, uid: &str) -> Partial {
        serde_json::from_value(json!({"metadata": {"name": name, "uid": uid}})).unwrap()
    }

    const GRACE: Duration = Duration::from_secs(120);

    fn objects() -> Objects {
        Objects::new(GRACE, Wanted::default(), &Changes::default())
    }

    #[test]
    fn only_what_is_asked_about_is_kept_and_counts_as_a_change() {
        let changes = Changes::default();
        let wanted = Wanted {
            labels: vec![Key::Exact("zone".to_owned())],
            annotations: vec![Key::Pattern("^(?:team/.*)$".parse().unwrap())],
        };
        let mut objects = Objects::new(GRACE, wanted, &changes);
        let mut node = json!({"metadata": {
            "name": "n", "uid": "1", "resourceVersion": "7", "labels": {"zone": "a", "other": "b"},
            "annotations": {"team/a": "x", "heartbeat": "1", "my-team/a": "y"}, "ownerReferences": [{"kind": "K", "name": "o", "uid": "2"}],
        }});
        let mut put = |node: &serde_json::Value| {
            let before = changes.count();
            objects.put(serde_json::from_value(node.clone()).unwrap());
            (changes.count() - before, objects.by_name("n").unwrap())
        };
        let (changed, kept) = put(&node);
        assert_eq!(changed, 1);
        assert_eq!(kept.labels.keys().collect::<Vec<_>>(), ["zone"]);
        assert_eq!(kept.annotations.keys().collect::<Vec<_>>(), ["team/a"]);
        assert_eq!(
            (kept.owner_references.len(), kept.resource_version.as_str()),
            (1, "")
        );
        node["metadata"]["resourceVersion"] = json!("8");
        node["metadata"]["annotations"]["heartbeat"] = json!("2");
        node["metadata"]["labels"]["other"] = json!("c");
        let (changed, same) = put(&node);
        assert_eq!(changed, 0);
        assert!(Arc::ptr_eq(&kept, &same));
        for (pointer, value) in [
            ("/metadata/labels/zone", json!("b")),
            ("/metadata/annotations/team~1a", json!("z")),
            ("/metadata/ownerReferences/0/uid", json!("3")),
            ("/metadata/uid", json!("4")),
        ] {
            *node.pointer_mut(pointer).unwrap() = value;
            assert_eq!(put(&node).0, 1, "{pointer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deleted_object_is_found_for_its_grace_time() {
        let mut objects = objects();
        objects.put(namespace("shop", "1"));
        objects.delete(namespace("shop", "1"));
        tokio::time::advance(GRACE).await;
        assert!(objects.by_name("shop").is_some() && objects.by_uid("1").is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(objects.by_name("shop").is_none());
        objects.delete(namespace("other", "2"));
        let known = objects.known.read();
        assert!(known.by_uid.is_empty() && known.by_name.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_list_does_not_name_is_gone_and_a_name_is_that_of_who_came_last() {
        let mut objects = objects();
        objects.listing();
        objects.put(namespace("shop", "1"));
        objects.put(namespace("stays", "2"));
        assert!(!objects.complete());
        objects.listed();
        assert!(objects.complete());
        objects.listing();
        objects.put(namespace("shop", "3"));
        objects.put(namespace("stays", "2"));
        objects.listed();
        tokio::time::advance(GRACE + Duration::from_secs(1)).await;
        objects.listing();
        objects.put(namespace("shop", "3"));
        objects.put(namespace("stays", "2"));
        objects.listed();
        assert_eq!(objects.by_name("shop").unwrap().uid, "3");
        assert!(objects.by_name("stays").is_some() && objects.by_uid("1").is_none());
    }
}
