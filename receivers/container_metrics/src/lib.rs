//! The `container_metrics` receiver: what cAdvisor tells of containers, under its names.
//!
//! Names, types and labels are those that the kubelet serves under `/metrics/cadvisor`: every
//! sample has the labels `container, id, image, name, namespace, pod`, as far as they are known. The path of a control
//! group tells its id; the names come from the container runtime, Docker or the kubelet, which are
//! asked in the background. Without any of them all metrics are there, with `id` alone. Both versions of control groups are read.
//!
//! Nothing is read until somebody asks: the receiver is a [`Source`](corten_component::Source),
//! and what it serves is of that moment, not of the last round of a housekeeper. The exception are
//! containers that come and go between two scrapes: their folders are watched, and what they had used in the
//! end is in the next scrape.

mod config;
mod disks;
mod groups;
mod io;
mod labels;
mod machine;
mod metadata;
mod network;
mod page_sizes;
mod processes;
mod receiver;
mod scraper;
mod short_lived;
mod tables;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `container_metrics`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::ContainerMetrics::create)
}
