//! The `k8s_observer` extension: what runs in Kubernetes as endpoints that telemetry can be collected from.
//!
//! It watches the API server and keeps one state: all endpoints that there are, by id. Who subscribes sees that state and
//! every later one; between two of them, what is new was added, what is gone was removed, and what is another value was
//! changed. There are no events that could be missed, so a subscriber that is busy, or an API server that is away and
//! lists everything again, changes nothing.
//!
//! - `objects`: the few fields of pods, services, ingresses and nodes that are read;
//! - `endpoints`: from an object to its endpoints, with the Collector's names;
//! - `board`: the state, and containers that ended and are shown for a while yet.

mod board;
mod config;
mod endpoints;
mod extension;
mod metadata;
mod objects;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `k8s_observer`.
#[must_use]
pub fn factory() -> Factory {
    Factory::extension(&METADATA, extension::K8sObserver::create)
}
