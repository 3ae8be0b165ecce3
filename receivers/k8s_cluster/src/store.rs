//! What is known of the objects of one collection.

use std::collections::BTreeMap;
use std::sync::Arc;

use corten_kubernetes::{Anything, Keep};
use parking_lot::Mutex;

use crate::rows::{Chosen, Kind, Row};

#[derive(Debug)]
struct Entry {
    round: u64,
    rows: Vec<Row>,
}

/// The rows of a collection's objects, by namespace and name. Cheap to clone: all clones are one.
#[derive(Clone)]
pub(crate) struct Store {
    kind: &'static Kind,
    chosen: Arc<Chosen>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    objects: BTreeMap<(String, String), Entry>,
    round: u64,
    /// Whether all objects are known. Half of a list is no state of the cluster.
    complete: bool,
}

impl Store {
    pub(crate) fn new(kind: &'static Kind, chosen: &Arc<Chosen>) -> Self {
        Self {
            kind,
            chosen: Arc::clone(chosen),
            known: Arc::default(),
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.known.lock() = Known::default();
    }

    /// Gives every row to `write`, when all objects are known.
    pub(crate) fn each(&self, mut write: impl FnMut(&Row)) {
        let known = self.known.lock();
        if known.complete {
            let rows = known.objects.values().flat_map(|entry| &entry.rows);
            rows.for_each(&mut write);
        }
    }
}

fn key(object: &Anything) -> (String, String) {
    let metadata = &object.metadata;
    (metadata.namespace.clone(), metadata.name.clone())
}

impl Keep<Anything> for Store {
    fn listing(&mut self) {
        self.known.lock().round += 1;
    }

    fn put(&mut self, object: Anything) {
        let rows = self.kind.rows(&object.value, &self.chosen);
        let mut known = self.known.lock();
        let round = known.round;
        known.objects.insert(key(&object), Entry { round, rows });
    }

    fn listed(&mut self) {
        let mut known = self.known.lock();
        let round = known.round;
        known.objects.retain(|_, entry| entry.round == round);
        known.complete = true;
    }

    fn delete(&mut self, object: Anything) {
        self.known.lock().objects.remove(&key(&object));
    }
}
