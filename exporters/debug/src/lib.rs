//! The `debug` exporter: shows what passes.
//!
//! The smallest complete exporter, and the one to read first: [`METADATA`] says who it is,
//! `config.rs` what users set, `exporter.rs` does the work, and [`factory`] puts them together.

mod config;
mod exporter;
mod normal;
mod sampling;

use corten_component::{Factory, Kind, Metadata, Signal, Stability};

/// `debug`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Exporter,
    type_name: "debug",
    aliases: &[],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Stable,
    summary: "Shows what passes: a line a batch, a line an item, or everything",
};

/// The factory of `debug`.
#[must_use]
pub fn factory() -> Factory {
    Factory::exporter(&METADATA, exporter::Debug::create)
}
