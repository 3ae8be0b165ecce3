//! The `prometheus` exporter: serves metrics to whoever scrapes them.
//!
//! Two kinds of metrics meet on its page. Scraping receivers (the host, the node, containers) are
//! collected when somebody asks, at that moment; nothing is remembered and nothing expires. What is
//! *pushed* to it (by applications over OTLP) goes into a [`store`] that keeps the last value of each
//! series until it is replaced, ends or expires.
//!
//! [`METADATA`] says who it is, `config.rs` what users set, `scrape.rs` answers requests, `store.rs`
//! remembers.

mod config;
mod exporter;
mod notices;
mod query;
mod scrape;
mod store;
#[cfg(test)]
mod tests;

use corten_component::{Factory, Kind, Metadata, Signal, Stability};

/// `prometheus`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Exporter,
    type_name: "prometheus",
    aliases: &[],
    signals: &[Signal::Metrics],
    produces: &[],
    stability: Stability::Beta,
    summary: "Serves metrics to Prometheus: collected when it asks, or kept from what was pushed",
};

/// The factory of `prometheus`.
#[must_use]
pub fn factory() -> Factory {
    Factory::exporter(&METADATA, exporter::Prometheus::create)
}
