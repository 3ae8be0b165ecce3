//! What is kept of objects other than pods: their metadata, by uid and by name.

use std::collections::HashMap;
use std::sync::Arc;

use corten_kubernetes::Keep;
use corten_kubernetes::object::{Metadata, Object as _, Partial};
use parking_lot::RwLock;

/// Namespaces, nodes or workloads. Cheap to clone: all clones are one index.
#[derive(Clone, Default)]
pub(crate) struct Objects(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    by_uid: HashMap<String, (Arc<Metadata>, u64)>,
    by_name: HashMap<String, String>,
    round: u64,
    /// Counts changes, so that what was made of an object can be made anew.
    changes: u64,
}

impl Objects {
    pub(crate) fn by_uid(&self, uid: &str) -> Option<Arc<Metadata>> {
        let known = self.0.read();
        known.by_uid.get(uid).map(|(object, _)| Arc::clone(object))
    }

    /// Of objects that are the cluster's: namespaces and nodes.
    pub(crate) fn by_name(&self, name: &str) -> Option<Arc<Metadata>> {
        let known = self.0.read();
        let (object, _) = known.by_uid.get(known.by_name.get(name)?)?;
        Some(Arc::clone(object))
    }

    pub(crate) fn changes(&self) -> u64 {
        self.0.read().changes
    }
}

impl Keep<Partial> for Objects {
    fn listing(&mut self) {
        self.0.write().round += 1;
    }

    fn put(&mut self, object: Partial) {
        let mut known = self.0.write();
        let (round, uid) = (known.round, object.metadata().uid.clone());
        if object.metadata().namespace.is_empty() {
            known
                .by_name
                .insert(object.metadata().name.clone(), uid.clone());
        }
        known.changes += 1;
        known.by_uid.insert(uid, (Arc::new(object.metadata), round));
    }

    fn listed(&mut self) {
        let mut known = self.0.write();
        let round = known.round;
        known.by_uid.retain(|_, (_, seen)| *seen == round);
        let Known {
            by_uid, by_name, ..
        } = &mut *known;
        by_name.retain(|_, uid| by_uid.contains_key(uid));
        known.changes += 1;
    }

    fn delete(&mut self, object: Partial) {
        let mut known = self.0.write();
        known.by_uid.remove(&object.metadata().uid);
        known.changes += 1;
    }
}
