//! The `k8s_events` receiver: what Kubernetes says of its objects ("pulled the image", "back-off restarting"), as log records.
//!
//! Events are the cluster's, so one agent must read them: a gateway, or the one that leads where `k8s_leader_elector` is
//! named. How none is missed and none told twice is [`corten_chronicle`]'s affair; here is what a record looks like.

mod config;
mod event;
mod metadata;
mod receiver;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `k8s_events`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::K8sEvents::create)
}
