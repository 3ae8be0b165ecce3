//! The `kubelet_stats` receiver: what the kubelet measures of its node, of pods, containers and volumes,
//! under the names of the Collector's receiver.
//!
//! The kubelet's `/stats/summary` has everything that is measured; `/pods` is asked only for what was
//! chosen that needs it (ids of containers, types of volumes, utilisation of limits and requests), and the
//! API server only for the node's capacity and the volumes behind claims. Nothing is asked until somebody collects: the receiver is a
//! [`Source`](corten_component::Source).
//!
//! [`metrics`] alone knows names, units and which metrics are reported unless the user says otherwise.

mod claims;
mod config;
mod emit;
mod kubelet;
mod metadata;
mod metrics;
mod pods;
mod receiver;
mod report;
mod summary;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `kubelet_stats`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::KubeletStats::create)
}
