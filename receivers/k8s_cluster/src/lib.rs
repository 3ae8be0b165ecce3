//! The `k8s_cluster` receiver: what the objects of a cluster should be and are (replicas, phases, restarts, quotas), as
//! metrics under the names of the Collector's receiver.
//!
//! Each kind is watched; of an object nothing is kept but the rows that it becomes ([`rows`]), so that a collection
//! only writes them down. What the API server said last stands while it is away.
//!
//! [`metrics`] alone knows names, units and which metrics are reported unless the user says otherwise.

mod config;
mod metadata;
mod metrics;
mod receiver;
mod rows;
mod store;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `k8s_cluster`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::K8sCluster::create)
}
