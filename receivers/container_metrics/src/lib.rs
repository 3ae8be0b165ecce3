//! The `container_metrics` receiver: CPU and memory of every control group as cAdvisor has them.
//!
//! Names, types and labels are those that the kubelet serves under `/metrics/cadvisor`: every
//! sample has exactly the labels `container, id, image, name, namespace, pod`. The path of a group
//! tells its id; what only the container runtime or the API server knows is left empty. Both
//! versions of control groups are read.
//!
//! Nothing is read until somebody asks: the receiver is a [`Source`](corten_component::Source),
//! and what it serves is of that moment, not of the last round of a housekeeper.

mod config;
mod machine;
mod metadata;
mod receiver;
mod scraper;
mod tables;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `container_metrics`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::ContainerMetrics::create)
}
