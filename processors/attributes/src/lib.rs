//! The `attributes` processor: changes the attributes of log records, spans and data points.
//!
//! `include` and `exclude` choose the records ([`matching`]); the actions are those that the
//! `resource` processor has too, carried out in one splicing pass over the OTLP bytes.

mod config;
mod matching;
mod processor;

use corten_component::{Factory, Kind, Metadata, Signal, Stability};

/// `attributes`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Processor,
    type_name: "attributes",
    aliases: &[],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Stable,
    summary: "Changes the attributes of log records, spans and data points",
};

/// The factory of `attributes`.
#[must_use]
pub fn factory() -> Factory {
    Factory::processor(&METADATA, processor::AttributesProcessor::create)
}
