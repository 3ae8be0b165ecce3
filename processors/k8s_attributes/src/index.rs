//! What is kept of objects other than pods: their metadata, by uid and by name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use corten_kubernetes::Keep;
use corten_kubernetes::object::{Metadata, Object as _, Partial};
use parking_lot::RwLock;
use tokio::time::Instant;

/// Namespaces, nodes or workloads. Cheap to clone: all clones are one index.
#[derive(Clone)]
pub(crate) struct Objects {
    /// How long a deleted object is still found, as its pods are.
    grace: Duration,
    known: Arc<RwLock<Known>>,
}

#[derive(Default)]
struct Known {
    by_uid: HashMap<String, Entry>,
    by_name: HashMap<String, String>,
    round: u64,
    /// Counts changes, so that what was made of an object can be made anew.
    changes: u64,
}

struct Entry {
    object: Arc<Metadata>,
    round: u64,
    gone: Option<Instant>,
}

impl Objects {
    pub(crate) fn new(grace: Duration) -> Self {
        Self {
            grace,
            known: Arc::default(),
        }
    }

    pub(crate) fn by_uid(&self, uid: &str) -> Option<Arc<Metadata>> {
        self.known.read().get(uid, self.grace)
    }

    /// Of objects that are the cluster's: namespaces and nodes.
    pub(crate) fn by_name(&self, name: &str) -> Option<Arc<Metadata>> {
        let known = self.known.read();
        known.get(known.by_name.get(name)?, self.grace)
    }

    pub(crate) fn changes(&self) -> u64 {
        self.known.read().changes
    }
}

impl Known {
    fn get(&self, uid: &str, grace: Duration) -> Option<Arc<Metadata>> {
        let entry = self.by_uid.get(uid)?;
        let past = entry.gone.is_some_and(|since| since.elapsed() > grace);
        (!past).then(|| Arc::clone(&entry.object))
    }

    fn forget_expired(&mut self, grace: Duration) {
        let before = self.by_uid.len();
        self.by_uid
            .retain(|_, entry| entry.gone.is_none_or(|since| since.elapsed() <= grace));
        if self.by_uid.len() != before {
            self.changes += 1;
            let Self {
                by_uid, by_name, ..
            } = self;
            by_name.retain(|_, uid| by_uid.contains_key(uid));
        }
    }
}

impl Keep<Partial> for Objects {
    fn listing(&mut self) {
        self.known.write().round += 1;
    }

    fn put(&mut self, object: Partial) {
        let mut known = self.known.write();
        let object = object.metadata;
        // Whoever comes last owns a name that was used before.
        if object.namespace.is_empty() {
            let (name, uid) = (object.name.clone(), object.uid.clone());
            known.by_name.insert(name, uid);
        }
        known.changes += 1;
        let (round, uid) = (known.round, object.uid.clone());
        let entry = Entry {
            object: Arc::new(object),
            round,
            gone: None,
        };
        known.by_uid.insert(uid, entry);
    }

    fn listed(&mut self) {
        let mut known = self.known.write();
        let round = known.round;
        for entry in known.by_uid.values_mut() {
            if entry.round != round {
                entry.gone.get_or_insert_with(Instant::now);
            }
        }
        known.forget_expired(self.grace);
    }

    fn delete(&mut self, object: Partial) {
        let mut known = self.known.write();
        if let Some(entry) = known.by_uid.get_mut(&object.metadata().uid) {
            entry.gone.get_or_insert_with(Instant::now);
        }
        known.forget_expired(self.grace);
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

    #[tokio::test(start_paused = true)]
    async fn a_deleted_object_is_found_for_its_grace_time() {
        let mut objects = Objects::new(GRACE);
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
        let mut objects = Objects::new(GRACE);
        objects.listing();
        objects.put(namespace("shop", "1"));
        objects.put(namespace("stays", "2"));
        objects.listed();
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
