//! The `kafka` exporter: sends telemetry to topics of Kafka.
//!
//! The one idea: *the broker's delivery report is the answer*. A request is done when the broker has reported every one of
//! its messages; a retry sends only those that were not, and what was never reported is never called delivered.
//!
//! - `config.rs`: the Collector's settings as librdkafka's properties.
//! - `layout.rs`: a batch becomes messages: topic, key, payload, within the size that brokers take.
//! - `sink.rs`: one attempt, message by message; `outcome.rs`: what librdkafka's codes mean.
//!
//! Queue, batching and retry are `corten-delivery`'s.

mod config;
mod exporter;
mod layout;
mod outcome;
mod sink;

use corten_component::{Factory, Kind, Metadata, Signal, Stability};

/// `kafka`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Exporter,
    type_name: "kafka",
    aliases: &[],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Beta,
    summary: "Sends telemetry to topics of Kafka, with queue and retry",
};

/// The factory of `kafka`.
#[must_use]
pub fn factory() -> Factory {
    Factory::exporter(&METADATA, exporter::Kafka::create)
}
