//! The `k8s_leader_elector` extension: where every node has the agent, one of them leads.
//!
//! What a whole cluster has once (its events, its objects) must be read by one agent alone. A component that
//! names this extension as its `k8s_leader_elector` works while this agent holds the `Lease`, and waits
//! otherwise. How the lease is held is [`corten_kubernetes::Elector`]'s affair.

mod config;
mod extension;
mod metadata;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `k8s_leader_elector`.
#[must_use]
pub fn factory() -> Factory {
    Factory::extension(&METADATA, extension::LeaderElector::create)
}
