//! The `zipkin` receiver: spans over Zipkin's HTTP API, version 2, as JSON and as protobuf.
//!
//! The one idea: *a span is translated when it is read*. The request's list is never built; each span goes from the
//! body into the OTLP bytes of its resource and scope, so that memory stays near the size of the body.
//!
//! ```text
//! POST /api/v2/spans ─ http.rs ─┬─ json.rs ─────┬─▶ span.rs ─▶ translate.rs ─▶ OTLP bytes ─▶ next
//!                               └─ protobuf.rs ─┘                                        └─▶ 202 | 4xx | 429, 503 + Retry-After
//! ```
//!
//! - `config.rs`: the Collector's settings, and one of our own.
//! - `span.rs`: what both encodings have in common: ids, endpoints, annotations, tags.
//! - `translate.rs`: the Collector's translation to OTLP; `conventions.rs`: the names that it knows.
//! - `http.rs`: what is taken, and what a sender hears.
//!
//! Version 1 (JSON and Thrift) is refused with a message that says what to change.

mod config;
mod conventions;
mod http;
mod json;
mod metadata;
mod protobuf;
mod receiver;
mod span;
#[cfg(test)]
mod tests;
mod translate;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `zipkin`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::Zipkin::create)
}
