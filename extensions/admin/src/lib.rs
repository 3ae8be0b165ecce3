//! The `admin` extension: what an operator asks the process itself.
//!
//! `/metrics` shows its own metrics, `/-/ready` whether it delivers and who does not, `/-/healthy` that
//! it is alive, `POST /-/reload` reads the configuration again, `/recent` shows the telemetry that
//! passed last. Each path is one file's worth of work or less; `server.rs` puts them together.

mod config;
mod metrics;
mod readiness;
mod recent;
mod server;
#[cfg(test)]
mod tests;

use corten_component::{Factory, Kind, Metadata, Stability};

/// `admin`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Extension,
    type_name: "admin",
    aliases: &[],
    signals: &[],
    produces: &[],
    stability: Stability::Beta,
    summary: "Own metrics, readiness, reload and recent telemetry over HTTP",
};

/// The factory of `admin`.
#[must_use]
pub fn factory() -> Factory {
    Factory::extension(&METADATA, server::Admin::create)
}
