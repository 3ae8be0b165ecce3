//! Health means delivering, not "the configuration was read".

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use crate::{ComponentId, Kind};

/// How a component is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `start` has not returned.
    Starting,
    /// Working.
    Ok,
    /// Not doing its job since then, for this reason; it may recover.
    Failing {
        /// When it began.
        since: Instant,
        /// What a person should know.
        reason: String,
    },
    /// `shutdown` was called.
    Stopped,
}

/// One component on the board.
#[derive(Clone, Debug)]
pub struct ComponentHealth {
    /// What it is.
    pub kind: Kind,
    /// Its name in the configuration.
    pub id: ComponentId,
    /// How it is doing.
    pub condition: Condition,
}

/// The board on which every component of the process says how it is doing; the admin server and
/// `health_check` read it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<RwLock<BTreeMap<(Kind, ComponentId), Condition>>>);

impl Health {
    /// An empty board.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The pen of one component, which starts as [`Condition::Starting`].
    #[must_use]
    pub fn register(&self, kind: Kind, id: ComponentId) -> HealthHandle {
        let key = (kind, id);
        self.0.write().insert(key.clone(), Condition::Starting);
        HealthHandle {
            board: self.clone(),
            key,
        }
    }

    /// Forgets every component (at a reload).
    pub fn clear(&self) {
        self.0.write().clear();
    }

    /// Everything on the board.
    #[must_use]
    pub fn components(&self) -> Vec<ComponentHealth> {
        self.0
            .read()
            .iter()
            .map(|((kind, id), condition)| ComponentHealth {
                kind: *kind,
                id: id.clone(),
                condition: condition.clone(),
            })
            .collect()
    }

    /// The components that keep the process from being ready: starting, stopped, or failing for
    /// longer than `patience`. Empty: ready.
    #[must_use]
    pub fn not_ready(&self, patience: Duration) -> Vec<ComponentHealth> {
        let mut components = self.components();
        components.retain(|component| match &component.condition {
            Condition::Ok => false,
            Condition::Starting | Condition::Stopped => true,
            Condition::Failing { since, .. } => since.elapsed() >= patience,
        });
        components
    }
}

/// Where one component writes how it is doing. Cheap to call when nothing changes.
#[derive(Clone)]
pub struct HealthHandle {
    board: Health,
    key: (Kind, ComponentId),
}

impl HealthHandle {
    /// It does its job.
    pub fn ok(&self) {
        self.change(|condition| match condition {
            Condition::Ok => None,
            _ => Some(Condition::Ok),
        });
    }

    /// It does not; the first reason's time stands until it is `ok` again.
    pub fn failing(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.change(|condition| match condition {
            Condition::Failing { reason: known, .. } if *known == reason => None,
            Condition::Failing { since, .. } => Some(Condition::Failing {
                since: *since,
                reason,
            }),
            _ => Some(Condition::Failing {
                since: Instant::now(),
                reason,
            }),
        });
    }

    /// It was shut down.
    pub fn stopped(&self) {
        self.change(|_| Some(Condition::Stopped));
    }

    fn change(&self, next: impl FnOnce(&Condition) -> Option<Condition>) {
        let changed = match self.board.0.read().get(&self.key) {
            Some(condition) => next(condition),
            None => None,
        };
        if let Some(changed) = changed {
            self.board.0.write().insert(self.key.clone(), changed);
        }
    }
}

impl fmt::Debug for HealthHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HealthHandle").field(&self.key).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_counts_only_after_some_patience() {
        let health = Health::new();
        let handle = health.register(Kind::Exporter, "loki".parse().unwrap());
        assert_eq!(health.not_ready(Duration::ZERO).len(), 1, "still starting");
        handle.ok();
        assert!(health.not_ready(Duration::ZERO).is_empty());
        handle.failing("connection refused");
        assert!(health.not_ready(Duration::from_secs(3600)).is_empty());
        assert_eq!(health.not_ready(Duration::ZERO).len(), 1);
        handle.ok();
        assert!(health.not_ready(Duration::ZERO).is_empty());
    }
}
