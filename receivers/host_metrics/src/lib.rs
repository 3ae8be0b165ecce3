//! The `host_metrics` receiver: the host's metrics under OpenTelemetry's names.
//!
//! A configuration written for the Collector's `host_metrics` (or `hostmetrics`) runs unchanged:
//! the same scrapers, metrics, units, attributes, filters and defaults. Nothing is read until
//! somebody asks: the receiver is a [`Source`](corten_component::Source).
//!
//! Every scraper is one file with the table of its metrics; that table alone knows names, units
//! and which of them are reported unless the user says otherwise.

mod config;
mod definition;
mod emit;
mod filter;
mod metadata;
mod receiver;
mod scraper;
mod scrapers;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `host_metrics`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::HostMetrics::create)
}
