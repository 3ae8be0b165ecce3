//! The `node_exporter` receiver: the host's metrics as node_exporter 1.12 has them.
//!
//! Names, types, labels and values are those that dashboards and alerts were written for; the
//! names of its settings are those of node_exporter's flags. Nothing is read until somebody asks:
//! the receiver is a [`Source`](corten_component::Source) and costs nothing between two scrapes.
//!
//! One collector is one file with one method. Each is measured
//! (`node_scrape_collector_duration_seconds`) and fails alone (`node_scrape_collector_success`).

mod collector;
mod collectors;
mod config;
mod dbus;
mod filter;
mod gathered;
mod metadata;
mod receiver;
mod remembered;
mod shared;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `node_exporter`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::NodeExporter::create)
}
