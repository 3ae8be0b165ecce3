//! The `health_check` extension: one URL for probes, 200 or 503.
//!
//! As in the Collector, it says whether every component has started and none has stopped. Since probes
//! of liveness ask it, what happens to backends does not count, unless `not_ready_after` is set; the
//! `admin` extension's `/-/ready` is made for that.

mod config;
mod server;
#[cfg(test)]
mod tests;

use corten_component::{Factory, Kind, Metadata, Stability};

/// `health_check`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Extension,
    type_name: "health_check",
    aliases: &[],
    signals: &[],
    produces: &[],
    stability: Stability::Stable,
    summary: "One URL for probes: 200 when everything runs, 503 otherwise",
};

/// The factory of `health_check`.
#[must_use]
pub fn factory() -> Factory {
    Factory::extension(&METADATA, server::HealthCheck::create)
}
