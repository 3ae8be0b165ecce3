//! The `otlp_http` exporter: sends OTLP over HTTP, as protobuf or JSON.
//!
//! As protobuf a request is the batch's segments one after the other: nothing is decoded, encoded or copied (unless it is
//! compressed). `sink.rs` is the protocol, `answer.rs` what a response means; queue, retry and everything else are
//! `corten-delivery`'s.

mod answer;
mod config;
mod exporter;
mod sink;

use corten_component::{Factory, Kind, Metadata, Signal, Stability};

/// `otlp_http`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Exporter,
    type_name: "otlp_http",
    aliases: &["otlphttp"],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Stable,
    summary: "Sends OTLP over HTTP as protobuf or JSON, with queue and retry",
};

/// The factory of `otlp_http`.
#[must_use]
pub fn factory() -> Factory {
    Factory::exporter(&METADATA, exporter::OtlpHttp::create)
}
