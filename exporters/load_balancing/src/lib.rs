//! The `load_balancing` exporter: what belongs together (a trace, a service) goes to the same of several OTLP backends.
//!
//! The one idea: *a backend's queue holds nothing that is its own*. Every backend has a queue and retries of its own
//! ([`Delivery`](corten_delivery::Delivery)), so that one that is away holds up nobody else's data. When a backend leaves the
//! ring, everything that waits for it is dealt out anew to those that are left, by the same keys; what was accepted is
//! not lost, and callers that wait for an answer do not notice.
//!
//! ```text
//! consume ─ route.rs: a key for each record ─ ring.rs: a place for each key ─┬─▶ backend.rs: queue ─ sink.rs ─▶ OTLP/gRPC
//!              ▲                                                             ├─▶ …
//!              └────────────── what a backend held that left the ring ◀──────┘
//! resolver.rs ── who is there ──▶ balancer.rs: the ring of the moment
//! ```
//!
//! Records are dealt out in one pass over the bytes, reading no more than what makes the key. The ring is the
//! Collector's (CRC-32, 100 points for each backend), so that agents of both kinds send a trace to the same place.
//!
//! - `config.rs`: the Collector's settings; `exporter.rs`: life, and the queue in front of all where one is wanted.

mod backend;
mod balancer;
mod config;
mod exporter;
mod metadata;
mod resolver;
mod ring;
mod route;
mod sink;
#[cfg(test)]
mod tests;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `load_balancing`.
#[must_use]
pub fn factory() -> Factory {
    Factory::exporter(&METADATA, exporter::LoadBalancing::create)
}
