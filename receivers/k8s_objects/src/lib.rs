//! The `k8s_objects` receiver: objects of any kind as log records, whole, listed now and then (`pull`) or told of as they
//! change (`watch`).
//!
//! A kind is named as `kubectl` names it (`pods`, `deployments`); in which group and version the API server has it is asked
//! of the API server. How no change is missed and none told twice is [`corten_chronicle`]'s affair.

mod config;
mod discovery;
mod metadata;
mod receiver;
mod record;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `k8s_objects`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::K8sObjects::create)
}
