//! The `otlp_grpc` exporter: sends OTLP over gRPC, to Tempo or any other OTLP backend.
//!
//! Telemetry is OTLP bytes already, so a request is the batch's segments one after the other: nothing is decoded,
//! encoded or copied (unless it is compressed). `sink.rs` is the protocol; queue, retry and everything else are
//! `corten-delivery`'s.

mod config;
mod exporter;
mod sink;

use corten_component::{Factory, Kind, Metadata, Signal, Stability};

/// `otlp_grpc`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Exporter,
    type_name: "otlp_grpc",
    aliases: &["otlp"],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Stable,
    summary: "Sends OTLP over gRPC, with queue and retry",
};

/// The factory of `otlp_grpc`.
#[must_use]
pub fn factory() -> Factory {
    Factory::exporter(&METADATA, exporter::OtlpGrpc::create)
}
