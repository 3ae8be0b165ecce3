//! The `otlp` receiver: OTLP from applications and other agents, over gRPC and HTTP.
//!
//! The one idea: *a request is bytes, and its answer is the pipeline's*. A request is checked and counted in one pass
//! ([`Data::parse`](corten_pdata::Data::parse)), never decoded; what `consume` returns is what the sender hears, in its
//! own protocol. So a sender whose data was refused knows it, knows whether trying again can help, and when.
//!
//! ```text
//! gRPC  ── grpc.rs ──┐                  ┌── Ok ─────────▶ OK
//!                    ├─ intake.rs ─ next ── Refused ────▶ status + RetryInfo / Retry-After
//! HTTP  ── http.rs ──┘      │           └── Refused in part, for good ─▶ OK + partial success
//!                           └── malformed: refused here, and counted here
//! ```
//!
//! - `config.rs`: the Collector's settings, and one of our own.
//! - `receiver.rs`: which handler listens where, start and shutdown.
//! - `intake.rs`: what both protocols share: admission, parsing, counting, handing on.
//! - `grpc.rs`, `http.rs`: the protocols; `metadata.rs` beside them.
//! - `answer.rs`: what goes back, in the sender's encoding.
//!
//! Sockets, TLS, framing and decompression are `corten-net`'s; both protocols may listen at one address.

mod answer;
mod config;
mod grpc;
mod http;
mod intake;
mod metadata;
mod receiver;
#[cfg(test)]
mod tests;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `otlp`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::Otlp::create)
}
