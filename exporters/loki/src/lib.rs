//! Exporter `loki`: pushes logs to Loki.
//!
//! Some attributes become the labels of a stream (by default `namespace`, `pod` and `container`, Promtail's), the
//! rest structured metadata, the body the line. The push body is written straight from the OTLP bytes into one
//! reused buffer: no object and no allocation per record.
//!
//! Three ideas carry it:
//!
//! - *Order belongs to streams.* A stream has at most one request under way, retries included, so that its lines
//!   arrive oldest first even after an outage; different streams never wait for each other. See `streams`.
//! - *A 400 is an answer.* Loki stores the good lines of a request and then answers 400 for the bad ones. They are
//!   counted by the reason in its text and never sent again. See `response`.
//! - *The same bytes again.* What Loki could not take for now is sent again unchanged, since Loki recognises
//!   what it already has; without an end for lines that still lie in a file.
//!
//! ```yaml
//! exporters:
//!   loki:
//!     endpoint: http://loki:3100/loki/api/v1/push
//! ```

mod backoff;
mod config;
mod encode;
mod exporter;
mod http_transport;
mod job;
mod labels;
mod mapping;
mod report;
mod request;
mod response;
mod sender;
mod sink;
mod streams;
#[cfg(test)]
mod tests;
mod transport;

use corten_component::{Factory, Kind, Metadata, Signal, Stability};

use crate::config::Config;
use crate::exporter::Loki;

/// Who this component is.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Exporter,
    type_name: "loki",
    aliases: &[],
    signals: &[Signal::Logs],
    produces: &[],
    stability: Stability::Beta,
    summary: "Pushes logs to Loki, in order per stream",
};

/// Makes instances of it.
#[must_use]
pub fn factory() -> Factory {
    Factory::exporter(&METADATA, |cx, config: Config| Loki::new(cx, &config))
}
