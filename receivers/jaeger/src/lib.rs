//! The `jaeger` receiver: spans from Jaeger's clients, agents and collectors.
//!
//! The one idea: *a span is translated when it is read*. No tree of objects is built of a batch; each span goes from
//! the wire into the OTLP bytes of its process and scope.
//!
//! ```text
//! gRPC api_v2  ── grpc.rs ──┬─ protobuf.rs ─┐                  ┌── Ok ──────▶ OK, 202
//! Thrift, HTTP ── http.rs ──┤               ├─ translate.rs ─ next
//! Thrift, UDP  ── udp.rs ───┴─ thrift/ ─────┘                  └── Refused ─▶ status + RetryInfo / Retry-After;
//!                                                                             UDP: again, then dropped and counted
//! ```
//!
//! - `config.rs`: the Collector's settings, and one of our own; `receiver.rs`: life.
//! - `model.rs`: what the encodings have in common; `thrift.rs`: the two protocols of Thrift, `thrift/model.rs`:
//!   `jaeger.thrift`; `protobuf.rs`: `model.proto`.
//! - `translate.rs`: the Collector's translation to OTLP; `status.rs`: what of it makes a span's status.
//!
//! Remote sampling is not served: the configuration and the call are refused with a message.

mod config;
mod grpc;
mod http;
mod intake;
mod metadata;
mod model;
mod protobuf;
mod receiver;
mod status;
#[cfg(test)]
mod tests;
mod thrift;
mod translate;
mod udp;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `jaeger`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::Jaeger::create)
}
